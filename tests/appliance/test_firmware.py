"""Unit tests of firmware.py, card.py and powercut.py: made-up files, the files of the Yocto layer, and a card made
with the tools. `python3 -m unittest discover -s tests/appliance`; scripts/boot-test.sh begins with them.
"""

import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

import firmware
import made_up_tree
import powercut
from card import Card

LAYER = os.path.join(os.path.dirname(__file__), "../../meta-layer/recipes-bsp")


class Files:
    """A card that is only its FAT files: {(partition, name): content}."""

    def __init__(self, files):
        self.files = files

    def read_fat(self, partition, name):
        return self.files.get((partition, name))


def layer_file(name):
    for folder in ("anomalyd-boot-files", "anomalyd-boot-image"):
        path = os.path.join(LAYER, folder, "files", name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
    raise FileNotFoundError(name)


def tree(arguments=None):
    """A device tree with /chosen, and bootargs in it if any."""
    return made_up_tree.tree({"chosen": {} if arguments is None else {"bootargs": arguments.encode() + b"\0"}})


def layer_card(**changes):
    files = {(1, "autoboot.txt"): layer_file("autoboot.txt")}
    for slot in (2, 3):
        for name in ("config.txt", "cmdline-a.txt", "cmdline-b.txt"):
            files[slot, name] = layer_file(name)
        for name in ("start4.elf", "fixup4.dat", "kernel8.img"):
            files[slot, name] = f"{name} of {slot}".encode()
        files[slot, "bcm2711-rpi-4-b.dtb"] = tree("cgroup_disable=memory")
    return Files(files | changes.get("files", {}))


class OfTheLayer(unittest.TestCase):
    def test_slot_a_starts(self):
        boot = firmware.boot(layer_card())
        self.assertEqual((boot.partition, boot.kernel), (2, b"kernel8.img of 2"))
        self.assertIn("rauc.slot=A", boot.command_line)
        self.assertIn("root=PARTUUID=a0a1d000-0000-4000-8000-000000000004", boot.command_line)

    def test_the_flag_starts_the_other_slot(self):
        boot = firmware.boot(layer_card(), tryboot=True)
        self.assertEqual((boot.partition, boot.kernel), (3, b"kernel8.img of 3"))
        self.assertIn("rauc.slot=B", boot.command_line)
        self.assertNotIn("rauc.slot=A", boot.command_line)

    def test_the_memory_controller_is_asked_for_after_the_device_trees_words(self):
        line = firmware.boot(layer_card()).command_line
        self.assertLess(line.index("cgroup_disable=memory"), line.index("cgroup_enable=memory"))

    def test_the_serial_port_has_a_name(self):
        self.assertIn("console=ttyS0,115200", firmware.boot(layer_card()).command_line)

    def test_a_file_that_is_missing_is_named(self):
        for name in ("config.txt", "kernel8.img", "start4.elf", "cmdline-a.txt", "bcm2711-rpi-4-b.dtb"):
            card = layer_card()
            del card.files[2, name]
            with self.assertRaisesRegex(firmware.FirmwareError, name):
                firmware.boot(card)


class Autoboot(unittest.TestCase):
    def test_swapped(self):
        text = b"[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n"
        self.assertEqual(firmware.choose_partition(text, False), (3, False))
        self.assertEqual(firmware.choose_partition(text, True), (2, False))

    def test_none(self):
        self.assertEqual(firmware.choose_partition(None, False), (1, False))

    def test_without_a_b_the_flag_is_another_file(self):
        text = b"boot_partition=2\n"
        self.assertEqual(firmware.choose_partition(text, True), (2, True))

    def test_more_than_a_sector(self):
        with self.assertRaisesRegex(firmware.FirmwareError, "512"):
            firmware.choose_partition(b"#" * 90 + b"\n" + b"# x\n" * 120, False)

    def test_what_it_does_not_know(self):
        with self.assertRaisesRegex(firmware.FirmwareError, "bot_partition"):
            firmware.choose_partition(b"bot_partition=2\n", False)
        with self.assertRaisesRegex(firmware.FirmwareError, "tryboo"):
            firmware.choose_partition(b"[tryboo]\nboot_partition=2\n", False)


class Filters(unittest.TestCase):
    def test_filters_of_two_kinds_hold_together_and_all_ends_them(self):
        text = "[pi4]\n[boot_partition=2]\na=1\n[boot_partition=3]\na=2\nb=1\n[all]\nc=1\n[pi3]\nc=2\n[none]\nc=3\n"
        self.assertEqual(firmware.settings(text, "x", False, 2), {"a": "1", "c": "1"})
        self.assertEqual(firmware.settings(text, "x", False, 3), {"a": "2", "b": "1", "c": "1"})

    def test_a_later_line_wins(self):
        self.assertEqual(firmware.settings("k=1\r\nk=2\r\n", "x", False, 2), {"k": "2"})

    def test_spaces_and_long_lines(self):
        with self.assertRaisesRegex(firmware.FirmwareError, "x:1"):
            firmware.settings("kernel = a\n", "x", False, 2)
        with self.assertRaisesRegex(firmware.FirmwareError, "x:2"):
            firmware.settings("\nkernel=" + "a" * 99 + "\n", "x", False, 2)

    def test_initramfs_and_os_prefix(self):
        extra = b"\n[all]\ninitramfs initramfs.zst followkernel\nos_prefix=new/\n"
        files = {(2, "config.txt"): layer_file("config.txt") + extra}
        for name in ("kernel8.img", "initramfs.zst", "cmdline-a.txt"):
            files[2, "new/" + name] = f"root=new {name}".encode()
        files[2, "new/bcm2711-rpi-4-b.dtb"] = tree()
        boot = firmware.boot(layer_card(files=files))
        self.assertEqual(boot.initramfs, b"root=new initramfs.zst")
        self.assertEqual(boot.command_line, "root=new cmdline-a.txt")


class Restart(unittest.TestCase):
    def test_the_kernels_last_words(self):
        self.assertEqual(firmware.asked_at_restart("reboot: Restarting system with command '0 tryboot'\n"), (0, True))
        self.assertEqual(firmware.asked_at_restart("[ 9.1] reboot: Restarting system\r\n"), (0, False))
        self.assertEqual(firmware.asked_at_restart("reboot: Restarting system with command '3'\n"), (3, False))
        self.assertIsNone(firmware.asked_at_restart("Kernel panic - not syncing"))


@unittest.skipUnless(all(shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for name in ("sgdisk", "mkfs.vfat", "mcopy", "debugfs")), "needs gdisk, dosfstools, mtools, e2fsprogs")
class MadeUpCard(unittest.TestCase):
    """The layout in small."""

    def setUp(self):
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        path = os.path.join(self.folder.name, "card.img")
        with open(path, "wb") as file:
            file.truncate(200 << 20)
        places = [("boot", 34), ("boot-a", 34), ("boot-b", 34), ("root-a", 8), ("root-b", 8), ("data", 16)]
        command = ["sgdisk", "--clear"]
        for number, (name, mib) in enumerate(places, 1):
            command += [f"--new={number}:0:+{mib}M", f"--change-name={number}:{name}"]
            command += [f"--partition-guid={number}:a0a1d000-0000-4000-8000-00000000000{number}"]
        subprocess.run([*command, path], check=True, capture_output=True)
        self.card = Card(path)
        for number in (1, 2, 3):
            first, size = self.card.place(number)
            subprocess.run(
                ["mkfs.vfat", "-F", "32", "-s", "1", f"--offset={first // 512}", path, str(size // 1024)],
                check=True, capture_output=True,
            )
        first, size = self.card.place(6)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", f"offset={first}", path, f"{size // 1024}k"], check=True, capture_output=True)
        for (number, name), content in layer_card().files.items():
            self.card.write_fat(number, name, content)

    def test_the_partitions(self):
        found = self.card.partitions()
        self.assertEqual(found[6][2:], ("data", "a0a1d000-0000-4000-8000-000000000006"))
        self.assertEqual(self.card.number("root-b"), 5)

    def test_the_firmware_reads_it(self):
        self.assertEqual(firmware.boot(self.card).partition, 2)
        self.assertEqual(firmware.boot(self.card, tryboot=True).kernel, b"kernel8.img of 3")

    def test_fat_files(self):
        self.card.write_fat(1, "anomalyd.toml", b"\xef\xbb\xbfname = 1\r\n")
        self.assertEqual(self.card.read_fat(1, "anomalyd.toml"), b"\xef\xbb\xbfname = 1\r\n")
        self.assertIn("anomalyd.toml", self.card.names_fat(1))
        self.card.remove_fat(1, "anomalyd.toml")
        self.assertIsNone(self.card.read_fat(1, "anomalyd.toml"))

    def test_data_files(self):
        path = "/overlay-etc/upper/systemd/system/x.service"
        self.card.change_data([(path, "[Unit]\n", 0o644)], [("/overlay-etc/upper/systemd/system/a.wants/x.service", path)])
        self.assertEqual(self.card.read_data(path), b"[Unit]\n")
        self.card.change_data([(path, "other\n", 0o600)])
        self.assertEqual(self.card.read_data(path), b"other\n")
        self.assertIsNone(self.card.check_data())
        self.card.remove_data(path)
        self.assertIsNone(self.card.read_data(path))

    def test_raw_bytes(self):
        self.card.write_raw(5, b"hsqs")
        self.assertEqual(self.card.read_raw(5, 6), b"hsqs\0\0")


class PowerCut(unittest.TestCase):
    """A log of two writes, a flush, and 40 writes."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        log = struct.pack("<QQQI", powercut.MAGIC, 1, 43, 512).ljust(512, b"\0")
        for sector, count, flags, byte in [(0, 1, 0, 1), (1, 1, 0, 2), (0, 0, powercut.FLUSH, 0)] + [(2 + 4 * n, 4, 0, 3) for n in range(40)]:
            log += struct.pack("<4Q", sector, count, flags, 0).ljust(512, b"\0") + bytes([byte]) * (512 * count)
        self.log = os.path.join(self.folder.name, "log")
        with open(self.log, "wb") as file:
            file.write(log)

    def cut(self, seed, length=None):
        if length is not None:
            os.truncate(self.log, length)
        card = os.path.join(self.folder.name, "card")
        with open(card, "wb") as file:
            file.truncate(512 * 200)
        result = powercut.cut(self.log, card, random.Random(seed))
        with open(card, "rb") as file:
            return result, file.read()

    def test_what_was_flushed_is_there_and_of_the_rest_a_part(self):
        result, card = self.cut(1)
        self.assertEqual(card[:1024], b"\1" * 512 + b"\2" * 512)
        self.assertEqual((result.safe, result.stayed + result.torn + result.lost), (2, 40))
        self.assertTrue(result.stayed and result.torn and result.lost)
        sectors = [card[at : at + 512] for at in range(1024, 512 * 162, 512)]
        self.assertTrue(set(sectors) == {bytes(512), b"\3" * 512})
        self.assertNotEqual(card, self.cut(2)[1])
        self.assertEqual(card, self.cut(1)[1])

    def test_a_log_that_ends_within_a_write(self):
        result, _ = self.cut(1, os.path.getsize(self.log) - 100)
        self.assertEqual(result.stayed + result.torn + result.lost, 39)


if __name__ == "__main__":
    unittest.main()
