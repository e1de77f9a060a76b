"""Updates made out of the image under test: its own root with another version, a root whose service
ends at once, a root that is none. Real bundles by rauc, signed with a key of the caller's. Unpacking
and packing a root keeps its owners, so this part wants root. Imports card.
"""

import os
import shutil
import subprocess
import sys
import time

from card import tool


class Bundles:
    def __init__(self, card, folder, key, certificate, compatible):
        self.folder = folder
        self.key, self.certificate, self.compatible = key, certificate, compatible
        os.makedirs(folder, exist_ok=True)
        self.boot = os.path.join(folder, "anomalyd-boot.vfat")
        with open(self.boot, "wb") as file:
            file.write(card.read_raw(card.number("boot-a")))
        packed = os.path.join(folder, "old.squashfs")
        with open(packed, "wb") as file:
            file.write(card.read_raw(card.number("root-a")))
        self.root = os.path.join(folder, "root")
        self._as_root("rm", "-rf", self.root)
        self._as_root("unsquashfs", "-q", "-n", "-d", self.root, packed)

    def _as_root(self, *command):
        return tool(*([] if os.geteuid() == 0 else ["sudo"]), *command)

    def _write(self, path, content, mode="0644"):
        place = os.path.join(self.folder, "content")
        with open(place, "w") as file:
            file.write(content)
        self._as_root("install", "-m", mode, "-o", "0", "-g", "0", place, self.root + path)

    def pack(self):
        """The root as it is now, packed fast: its size is of no concern here."""
        out = os.path.join(self.folder, f"root-{time.monotonic_ns()}.img")
        self._as_root("mksquashfs", self.root, out, "-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-Xcompression-level", "1", "-b", "256K")
        self._as_root("chown", str(os.getuid()), out)
        return out

    def version(self, version):
        """From here on the root says that it is of `version`."""
        path = os.path.realpath(self.root + "/usr/lib/os-release")
        with open(path) as file:
            lines = [line for line in file.read().splitlines() if not line.startswith("IMAGE_VERSION=")]
        self._write("/usr/lib/os-release", "\n".join([*lines, f'IMAGE_VERSION="{version}"']) + "\n")

    def break_service(self):
        """From here on the service ends as soon as it is started."""
        self._write("/usr/bin/anomalyd", "#!/bin/sh\necho 'this version does not work' >&2\nexit 1\n", "0755")

    def bundle(self, name, version, root, boot=None, key=None, certificate=None, compatible=None):
        out = os.path.join(self.folder, f"{name}.raucb")
        content = os.path.join(self.folder, f"{name}.content")
        shutil.rmtree(content, ignore_errors=True)
        os.makedirs(content)
        for path, inside in ((root, "rootfs.squashfs"), (boot or self.boot, "anomalyd-boot.vfat")):
            os.link(path, os.path.join(content, inside))
        with open(os.path.join(content, "manifest.raucm"), "w") as file:
            file.write(
                f"[update]\ncompatible={compatible or self.compatible}\nversion={version}\n\n"
                "[bundle]\nformat=verity\n\n"
                "[image.rootfs]\nfilename=rootfs.squashfs\n\n[image.boot]\nfilename=anomalyd-boot.vfat\n"
            )
        if os.path.exists(out):
            os.remove(out)
        tool("rauc", "bundle", f"--key={key or self.key}", f"--cert={certificate or self.certificate}", content, out)
        shutil.rmtree(content)
        return out

    def other_key(self):
        """(key, certificate) of somebody else."""
        key, certificate = (os.path.join(self.folder, f"other.{end}.pem") for end in ("key", "cert"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7300", "-subj", "/CN=somebody else",
             "-addext", "keyUsage=digitalSignature", "-addext", "extendedKeyUsage=emailProtection",
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )
        return key, certificate

    def clean(self):
        self._as_root("rm", "-rf", self.folder)


def keys(folder):
    """(key, certificate) that the image was signed with: ANOMALYD_KEYS, or those of build-image.sh."""
    base = folder or os.environ.get("ANOMALYD_KEYS")
    if not base:
        home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        base = os.path.join(home, "anomalyd/keys")
    found = tuple(os.path.join(base, name) for name in ("update.key.pem", "update.cert.pem"))
    for path in found:
        if not os.path.exists(path):
            sys.exit(f"boot-test.sh: {path} is missing: the key that the image takes updates under (ANOMALYD_KEYS)")
    return found
