"""Makes flattened device trees, for the tests of those that read them. Imports nothing of here."""

import struct


def tree(nodes):
    """Of nodes below the root: {name: {property: bytes}}."""
    names, body = b"", struct.pack(">I4x", 1)

    def padded(content):
        return content + bytes(-len(content) % 4)

    for node, properties in nodes.items():
        body += struct.pack(">I", 1) + padded(node.encode() + b"\0")
        for name, value in properties.items():
            body += struct.pack(">3I", 3, len(value), len(names)) + padded(value)
            names += name.encode() + b"\0"
        body += struct.pack(">I", 2)
    body += struct.pack(">2I", 2, 9)
    head = 40
    return struct.pack(">10I", 0xD00DFEED, head + len(body) + len(names), head, head + len(body), head, 17, 16, 0, len(names), len(body)) + body + names
