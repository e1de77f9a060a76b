"""Plays the Raspberry Pi's firmware, which qemu has not: which partition of a card starts, with
which kernel, initramfs, device tree and command line. Reads through a card of card.py. Imports
device_tree of scripts/image.

What is played is what docs/decisions/0017-card-layout.md relies on: autoboot.txt with tryboot_a_b,
the filters of config.txt, and the one-shot tryboot flag. What the firmware does not know is an
error here, so that a slip in those files cannot pass unseen.
"""

import os
import re
import sys
from dataclasses import dataclass, field

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/image"))
import device_tree

# The firmware reads no more of it.
AUTOBOOT_BYTES = 512
# Longer lines of config.txt are cut off by the firmware.
CONFIG_LINE = 98

MODELS = {"pi0", "pi0w", "pi02", "pi1", "pi2", "pi3", "pi3+", "pi4", "pi400", "pi5", "pi500", "cm4", "cm4s", "cm5"}


class FirmwareError(Exception):
    """The card does not start: the message says at which file, and why."""


@dataclass
class Boot:
    """What the firmware hands over to the kernel."""

    partition: int
    tryboot: bool
    kernel: bytes
    initramfs: bytes | None
    device_tree: bytes | None
    command_line: str
    names: dict = field(default_factory=dict)


def settings(text, name, tryboot, partition=None, model="pi4"):
    """The keys that hold under the filters of `text`. A later line wins, as in the firmware."""
    found = {}
    filters = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if len(line) > CONFIG_LINE:
            raise FirmwareError(f"{name}:{number}: the firmware cuts off what is behind {CONFIG_LINE} characters")
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        section = re.fullmatch(r"\[([^\]]*)\]", stripped)
        if section:
            word = section[1]
            if word == "all":
                filters = {}
            elif word == "none":
                filters["none"] = False
            elif word == "tryboot":
                filters["tryboot"] = tryboot
            elif word in MODELS:
                filters["model"] = word == model
            elif re.fullmatch(r"boot_partition=\d+", word):
                if partition is None:
                    raise FirmwareError(f"{name}:{number}: [{word}] is not known before a partition is chosen")
                filters["partition"] = int(word.split("=")[1]) == partition
            else:
                raise FirmwareError(f"{name}:{number}: the firmware knows no filter [{word}]")
            continue
        if all(filters.values()):
            # "initramfs" is the one key without an equals sign.
            if stripped.startswith("initramfs "):
                found["initramfs"] = stripped.split(None, 1)[1]
                continue
            key, sign, value = stripped.partition("=")
            if not sign or key != key.strip() or value != value.strip():
                raise FirmwareError(f"{name}:{number}: {stripped!r} is no setting (spaces count)")
            found[key] = value
    return found


def choose_partition(autoboot, tryboot):
    """(partition, whether its tryboot.txt is meant): what the first partition's autoboot.txt says."""
    if autoboot is None:
        return 1, tryboot
    if len(autoboot) > AUTOBOOT_BYTES:
        raise FirmwareError(f"autoboot.txt: {len(autoboot)} bytes, the firmware reads {AUTOBOOT_BYTES}")
    keys = settings(decoded(autoboot, "autoboot.txt"), "autoboot.txt", tryboot)
    unknown = set(keys) - {"boot_partition", "tryboot_a_b", "boot_watchdog_timeout", "boot_watchdog_partition"}
    if unknown:
        raise FirmwareError(f"autoboot.txt: the firmware knows no {', '.join(sorted(unknown))} there")
    number = keys.get("boot_partition", "1")
    if not number.isdigit():
        raise FirmwareError(f"autoboot.txt: boot_partition={number} is no number")
    # Without tryboot_a_b the flag means another file, not another partition.
    return int(number), tryboot and keys.get("tryboot_a_b") != "1"


def boot(card, tryboot=False, board="rpi4", partition=0):
    """What starts from `card`. The flag `tryboot` is the caller's to clear: it is for one start.
    `partition` is what `reboot N` asked for; 0 is the card's own choice."""
    other_file = False
    if partition == 0:
        partition, other_file = choose_partition(card.read_fat(1, "autoboot.txt"), tryboot)
    config_name = "tryboot.txt" if other_file else "config.txt"
    where = f"partition {partition}"

    def need(name):
        content = card.read_fat(partition, name)
        if content is None:
            raise FirmwareError(f"{where}: {name} is missing")
        return content

    keys = settings(decoded(need(config_name), config_name), f"{where}: {config_name}", tryboot, partition)
    if board == "rpi4":
        for name in ("start4.elf", "fixup4.dat"):
            need(name)
        if keys.get("arm_64bit") != "1":
            raise FirmwareError(f"{where}: config.txt: without arm_64bit=1 a 32-bit kernel is looked for")
    prefix = keys.get("os_prefix", "")
    names = {
        "config": config_name,
        "kernel": prefix + keys.get("kernel", "kernel8.img"),
        "cmdline": prefix + keys.get("cmdline", "cmdline.txt"),
    }
    initramfs = None
    if "initramfs" in keys:
        words = keys["initramfs"].split()
        if len(words) > 2:
            raise FirmwareError(f"{where}: config.txt: initramfs takes a file and an address")
        names["initramfs"] = prefix + words[0]
        initramfs = need(names["initramfs"])
    device_tree = None
    if board == "rpi4":
        names["device_tree"] = prefix + keys.get("device_tree", "bcm2711-rpi-4-b.dtb")
        device_tree = need(names["device_tree"])
    lines = decoded(need(names["cmdline"]), names["cmdline"]).splitlines()
    if not lines or any(line.strip() for line in lines[1:]):
        raise FirmwareError(f"{where}: {names['cmdline']}: not one line")
    words = []
    # What the device tree brings along stands before, so that the card has the last word.
    if device_tree is not None:
        words.append(bootargs(device_tree))
    words.append(lines[0].strip())
    # The firmware names the serial port that its pins have: the small one, unless an overlay gives
    # them to the other.
    swapped = any(keys.get("dtoverlay", "").split(",")[0] == name for name in ("disable-bt", "miniuart-bt"))
    line = " ".join(word for word in words if word).replace("console=serial0,", f"console={'ttyAMA0' if swapped else 'ttyS0'},")
    return Boot(partition, tryboot, need(names["kernel"]), initramfs, device_tree, line, names)


def decoded(content, name):
    try:
        return content.decode("ascii")
    except UnicodeDecodeError as error:
        raise FirmwareError(f"{name}: not plain text: {error}") from None


def bootargs(blob):
    """/chosen/bootargs of a device tree, '' without one."""
    try:
        chosen = device_tree.nodes(blob).get("/chosen", {})
    except ValueError as error:
        raise FirmwareError(str(error)) from None
    return chosen.get("bootargs", b"").rstrip(b"\0").decode()


def asked_at_restart(console):
    """(partition, tryboot) that a restart handed to the firmware, read off the kernel's last words;
    None where the machine did not restart in order."""
    found = re.findall(r"reboot: Restarting system(?: with command '([^']*)')?", console)
    if not found:
        return None
    words = found[-1].split()
    number = int(words[0]) if words and words[0].isdigit() else 0
    return number, "tryboot" in words[1:]
