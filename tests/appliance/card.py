"""The card as a file: its partitions, its FAT file systems (mtools), its data partition (e2fsprogs).
Needs no root. Imports nothing of here.
"""

import os
import shutil
import struct
import subprocess
import tempfile

SECTOR = 512


class CardError(Exception):
    pass


def tool(*command, stdin=None, okay=(0,)):
    done = subprocess.run(command, input=stdin, capture_output=True)
    if done.returncode not in okay:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise CardError(f"{' '.join(str(word) for word in command)}: {said}")
    return done


class Card:
    def __init__(self, path):
        self.path = str(path)

    @classmethod
    def copy_of(cls, image, path, size):
        """A card of `size` bytes that `image` was written to."""
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(image), str(path)], check=True)
        if os.path.getsize(path) > size:
            raise CardError(f"{image} does not fit on a card of {size} bytes")
        os.truncate(path, size)
        return cls(path)

    def copy_to(self, path):
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", self.path, str(path)], check=True)
        return Card(path)

    # ---- partitions

    def partitions(self):
        """{number: (first byte, bytes, name, unique id)} of the GPT in the second sector."""
        with open(self.path, "rb") as card:
            card.seek(SECTOR)
            header = card.read(92)
            if header[:8] != b"EFI PART":
                raise CardError(f"{self.path} has no GPT")
            table, count, length = struct.unpack_from("<QII", header, 72)
            card.seek(table * SECTOR)
            entries = card.read(count * length)
        found = {}
        for index in range(count):
            entry = entries[index * length : (index + 1) * length]
            if entry[:16] == bytes(16):
                continue
            first, last = struct.unpack_from("<QQ", entry, 32)
            name = entry[56:128].decode("utf-16-le").rstrip("\0")
            found[index + 1] = (first * SECTOR, (last - first + 1) * SECTOR, name, guid(entry[16:32]))
        return found

    def number(self, name):
        for number, (_, _, label, _) in self.partitions().items():
            if label == name:
                return number
        raise CardError(f"{self.path} has no partition {name}")

    def place(self, number):
        try:
            return self.partitions()[number][:2]
        except KeyError:
            raise CardError(f"{self.path} has no partition {number}") from None

    def read_raw(self, number, length=None):
        first, size = self.place(number)
        with open(self.path, "rb") as card:
            card.seek(first)
            return card.read(min(size, length or size))

    def write_raw(self, number, content):
        first, size = self.place(number)
        if len(content) > size:
            raise CardError(f"{len(content)} bytes do not fit into partition {number}")
        with open(self.path, "r+b") as card:
            card.seek(first)
            card.write(content)

    # ---- FAT

    def _fat(self, number):
        return f"{self.path}@@{self.place(number)[0]}"

    def names_fat(self, number):
        listed = tool("mdir", "-b", "-i", self._fat(number), "::/").stdout.decode()
        return sorted(line.removeprefix("::/") for line in listed.splitlines() if line)

    def read_fat(self, number, name):
        """The file's content, None where there is none."""
        if name.lower() not in (there.lower().rstrip("/") for there in self.names_fat(number)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "file")
            tool("mcopy", "-n", "-i", self._fat(number), f"::/{name}", out)
            with open(out, "rb") as file:
                return file.read()

    def write_fat(self, number, name, content):
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            tool("mcopy", "-o", "-i", self._fat(number), file.name, f"::/{name}")

    def remove_fat(self, number, name):
        tool("mdel", "-i", self._fat(number), f"::/{name}")

    # ---- the data partition, ext4

    def _data(self):
        return f"{self.path}?offset={self.place(self.number('data'))[0]}"

    def _be_clean(self):
        """debugfs does not replay a journal, and e2fsck cannot behind an offset: only a card that was
        taken out of a machine that ended in order is changed here."""
        tool("e2fsck", "-p", self._data(), okay=(0, 1))

    def check_data(self):
        """Changes nothing; None when e2fsck finds nothing wrong."""
        done = subprocess.run(["e2fsck", "-fn", self._data()], capture_output=True)
        return None if done.returncode == 0 else done.stdout.decode(errors="replace")

    def change_data(self, files=(), links=()):
        """Puts files, (path, content or a file's Path, mode), and symbolic links, (path, target), into
        the data partition, owned by root."""
        self._be_clean()
        commands, made = [], self._folders_there([path for path, *_ in [*files, *links]])
        with tempfile.TemporaryDirectory() as folder:
            for index, (path, content, mode) in enumerate(files):
                source = os.path.join(folder, str(index))
                if isinstance(content, os.PathLike):
                    os.symlink(os.path.abspath(content), source)
                else:
                    with open(source, "wb") as file:
                        file.write(content if isinstance(content, bytes) else content.encode())
                commands += self._folders(path, made)
                commands += [f"rm {path}", f"write {source} {path}", f"sif {path} mode 0100{mode:03o}"]
                commands += [f"sif {path} uid 0", f"sif {path} gid 0"]
            for path, target in links:
                commands += self._folders(path, made)
                commands += [f"rm {path}", f"symlink {path} {target}"]
            self._debugfs(commands, write=True)
            for path, _, _ in files:
                if "Inode:" not in self._debugfs([f"stat {path}"]):
                    raise CardError(f"{path} was not written to the data partition of {self.path}")

    def remove_data(self, *paths):
        self._be_clean()
        self._debugfs([f"rm {path}" for path in paths], write=True)

    def read_data(self, path):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "file")
            self._debugfs([f"dump {path} {out}"])
            if not os.path.exists(out):
                return None
            with open(out, "rb") as file:
                return file.read()

    def _folders(self, path, made):
        parts = path.strip("/").split("/")[:-1]
        commands = []
        for depth in range(len(parts)):
            folder = "/" + "/".join(parts[: depth + 1])
            if folder not in made:
                made.add(folder)
                commands.append(f"mkdir {folder}")
        return commands

    def _folders_there(self, paths):
        """Of the folders of `paths` those that are there: debugfs' mkdir of such a one leaves a
        second one that hangs nowhere."""
        parents = {path.strip("/").rsplit("/", depth)[0] for path in paths for depth in range(1, path.strip("/").count("/") + 1)}
        wanted = sorted("/" + parent for parent in parents)
        if not wanted:
            return set()
        answers = self._debugfs([f"stat {folder}" for folder in wanted]).split("debugfs: stat ")[1:]
        return {answer.split("\n", 1)[0].strip() for answer in answers if "Inode:" in answer}

    def _debugfs(self, commands, write=False):
        with tempfile.NamedTemporaryFile("w") as script:
            script.write("\n".join(commands) + "\n")
            script.flush()
            done = tool("debugfs", *(["-w"] if write else []), "-f", script.name, self._data())
        return (done.stdout + done.stderr).decode(errors="replace")


def guid(raw):
    first, second, third = struct.unpack("<IHH", raw[:8])
    rest = raw[8:].hex()
    return f"{first:08x}-{second:04x}-{third:04x}-{rest[:4]}-{rest[4:]}"


def decompressed(image, folder):
    """The image itself, where it is given as .zst."""
    if not str(image).endswith(".zst"):
        return str(image)
    out = os.path.join(folder, os.path.basename(str(image))[: -len(".zst")])
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(image):
        tool("zstd", "-q", "-d", "-f", "--sparse", str(image), "-o", out)
        shutil.copystat(image, out)
    return out
