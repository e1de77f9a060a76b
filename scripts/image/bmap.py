#!/usr/bin/env python3
"""Writes the block map of a card image, for bmaptool: what has to be written to the card.

    bmap.py IMAGE OFFSET:LENGTH... >IMAGE.bmap

The ranges are given and not found by looking for holes: where a file system has zeros that it reads,
the card must have them, too. Standard library only."""

import hashlib
import os
import sys

BLOCK = 4096


def main():
    image, ranges = sys.argv[1], [tuple(map(int, r.split(":"))) for r in sys.argv[2:]]
    size = os.stat(image).st_size
    blocks = -(-size // BLOCK)
    spans = []
    for offset, length in sorted(ranges):
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        if spans and first <= spans[-1][1] + 1:
            spans[-1][1] = max(last, spans[-1][1])
        else:
            spans.append([first, last])
    lines, mapped = [], 0
    with open(image, "rb") as file:
        for first, last in spans:
            digest = hashlib.sha256()
            file.seek(first * BLOCK)
            left = min((last + 1) * BLOCK, size) - first * BLOCK
            while left > 0:
                piece = file.read(min(left, 1 << 22))
                if not piece:
                    sys.exit(f"bmap.py: {image} ends within {first}-{last}")
                digest.update(piece)
                left -= len(piece)
            mapped += last - first + 1
            span = str(first) if first == last else f"{first}-{last}"
            lines.append(f'        <Range chksum="{digest.hexdigest()}"> {span} </Range>')
    text = f"""<?xml version="1.0" ?>
<!-- Written by scripts/image/bmap.py of anomalyd. -->
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {BLOCK} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {"0" * 64} </BmapFileChecksum>
    <BlockMap>
{chr(10).join(lines)}
    </BlockMap>
</bmap>
"""
    # The map's own checksum is that of the map with zeros in its place.
    own = hashlib.sha256(text.encode()).hexdigest()
    sys.stdout.write(text.replace("0" * 64, own, 1))


main()
