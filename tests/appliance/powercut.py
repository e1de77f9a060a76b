"""What a card that loses power has on it: all that was flushed, and of what was written since then a
part, in any combination. qemu's block driver blklogwrites records the writes. Imports nothing of here.
"""

import struct
from dataclasses import dataclass

# Of its log, which is that of Linux's dm-log-writes.
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
KNOWN = FLUSH | FUA | DISCARD | MARK
SECTOR = 512


class LogError(Exception):
    pass


@dataclass
class Cut:
    """How many writes were safe, and of the others how many stayed, were torn, are lost."""

    safe: int = 0
    stayed: int = 0
    torn: int = 0
    lost: int = 0


def entries(log):
    """(flags, first byte on the card, length, where its content is in the log) of each, as recorded."""
    head = log.read(SECTOR)
    if len(head) < 28:
        return
    magic, version, _, sector_size = struct.unpack_from("<QQQI", head)
    if magic != MAGIC or version != 1:
        raise LogError("the log of the writes is none")
    at = sector_size
    while True:
        log.seek(at)
        head = log.read(32)
        if len(head) < 32:
            return
        sector, count, flags, _ = struct.unpack("<4Q", head)
        # Behind the last entry there is nothing, or what was cut off with the machine.
        if flags & ~KNOWN or (count == 0 and flags == 0):
            return
        length = count * sector_size
        content = at + sector_size
        yield flags, sector * sector_size, length, content
        at = content + (0 if flags & DISCARD else length)


def cut(log_path, card_path, chance):
    """Applies the log to a card as it was when the log began."""
    result = Cut()
    with open(log_path, "rb") as log, open(card_path, "r+b") as card:
        log.seek(0, 2)
        size = log.tell()
        log.seek(0)
        all_of_them = [entry for entry in entries(log) if entry[3] + (0 if entry[0] & DISCARD else entry[2]) <= size]
        safe = max((index + 1 for index, entry in enumerate(all_of_them) if entry[0] & FLUSH), default=0)
        for index, (flags, first, length, content) in enumerate(all_of_them):
            if length == 0:
                continue
            keep = length
            if index >= safe and not flags & FUA:
                kind = chance.random()
                if kind < 0.45:
                    result.lost += 1
                    continue
                if kind < 0.55 and length > SECTOR:
                    keep = chance.randrange(1, length // SECTOR) * SECTOR
                    result.torn += 1
                else:
                    result.stayed += 1
            else:
                result.safe += 1
            card.seek(first)
            if flags & DISCARD:
                zeros(card, keep)
            else:
                log.seek(content)
                card.write(log.read(keep))
    return result


def zeros(card, length):
    while length > 0:
        card.write(bytes(min(length, 1 << 20)))
        length -= min(length, 1 << 20)
