#!/usr/bin/env python3
"""Holds the modules of a card image against the devices of its board: one without its driver is a board
without its network, and no emulator would show it.

    drivers.py TREE ALIASES FOLDER [MODULE...]

TREE     the board's device tree (.dtb)
ALIASES  modules.alias of the whole kernel
FOLDER   the modules that the image has, anywhere below
MODULE   drivers that the image does without on purpose

Ends with 1 where a device that is on wants a module that is neither in FOLDER nor named, and where a
named one is wanted by no device. Of devices that only drivers know (disks behind USB, the processor's
clock) it knows nothing.
"""

import fnmatch
import os
import sys

from device_tree import nodes, texts


def devices(tree):
    """(path, modalias) of each device that is on."""
    all_nodes = nodes(tree)
    off = [path for path, has in all_nodes.items() if texts(has.get("status", b"okay")) not in (["okay"], ["ok"])]
    for path, has in sorted(all_nodes.items()):
        if "compatible" in has and not any((path + "/").startswith(there + "/") for there in off):
            name = path.rsplit("/", 1)[-1].split("@")[0]
            kind = texts(has.get("device_type", b"(null)"))[0]
            yield path, f"of:N{name}T{kind}" + "".join("C" + text for text in texts(has["compatible"]))


def main():
    tree, aliases, folder, *left_out = sys.argv[1:]
    try:
        with open(tree, "rb") as file:
            found = list(devices(file.read()))
    except ValueError as error:
        sys.exit(f"drivers.py: {tree}: {error}")
    with open(aliases) as file:
        lines = [line.split() for line in file]
    patterns = [(line[1], line[2]) for line in lines if len(line) == 3 and line[1].startswith("of:")]
    here = {name.split(".ko")[0].replace("-", "_") for _, _, names in os.walk(folder) for name in names if ".ko" in name}
    left_out = {name.replace("-", "_") for name in left_out}
    wanted, missing = set(), []
    for path, modalias in found:
        for pattern, module in patterns:
            if fnmatch.fnmatchcase(modalias, pattern):
                module = module.replace("-", "_")
                wanted.add(module)
                if module not in here | left_out:
                    missing.append(f"{path} wants the module {module}")
    idle = [f"nothing wants {name}, which is left out" for name in sorted(left_out - wanted)]
    for line in [*dict.fromkeys(missing), *idle]:
        print(f"drivers.py: {line}", file=sys.stderr)
    if missing or idle:
        return 1
    print(f"drivers.py: {len(wanted - left_out)} drivers for {len(found)} devices, {len(left_out)} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
