"""Reads flattened device trees (.dtb), as Devicetree Specification 0.4, chapter 5 has them. Imports nothing of here;
for drivers.py beside it and for tests/appliance/firmware.py.
"""

import struct

MAGIC = 0xD00DFEED
BEGIN_NODE, END_NODE, PROPERTY, END = 1, 2, 3, 9


def nodes(blob):
    """{path: {property: bytes}} of all nodes. ValueError where it is no device tree."""
    magic, _, structure, strings = struct.unpack_from(">4I", blob)
    if magic != MAGIC:
        raise ValueError("the device tree is none")

    def text(at):
        return blob[at : blob.index(b"\0", at)].decode()

    at, path, found = structure, [], {}
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == BEGIN_NODE:
            path.append(text(at))
            found["/".join(path) or "/"] = {}
            at = (blob.index(b"\0", at) + 4) & ~3
        elif token == PROPERTY:
            length, name = struct.unpack_from(">2I", blob, at)
            found["/".join(path) or "/"][text(strings + name)] = blob[at + 8 : at + 8 + length]
            at = (at + 8 + length + 3) & ~3
        elif token == END_NODE:
            path.pop()
        elif token == END:
            return found


def texts(value):
    """The texts that a property holds."""
    return value.rstrip(b"\0").decode().split("\0")
