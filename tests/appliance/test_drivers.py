"""Tests of scripts/image/drivers.py on a made-up board; run by scripts/boot-test.sh before it boots anything."""

import os
import subprocess
import sys
import tempfile
import unittest

from made_up_tree import tree

DRIVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/image/drivers.py")

ALIASES = """# Aliases
alias of:N*T*Cmade,netC* net_driver
alias of:N*T*Cmade,net net_driver
alias of:N*T*Cmade,screen screen_driver
alias pci:v000014E4d* other
"""


class Drivers(unittest.TestCase):
    def run_with(self, nodes, modules, *left_out):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in (("tree", tree(nodes)), ("aliases", ALIASES.encode())):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content)
            os.makedirs(os.path.join(folder, "modules/kernel"))
            for name in modules:
                open(os.path.join(folder, "modules/kernel", name), "w").close()
            paths = [os.path.join(folder, name) for name in ("tree", "aliases", "modules")]
            done = subprocess.run([sys.executable, DRIVERS, *paths, *left_out], capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

    NET = {"compatible": b"made,net-v2\0made,net\0", "status": b"okay\0"}
    SCREEN = {"compatible": b"made,screen\0"}

    def test_each_device_has_its_driver(self):
        status, said = self.run_with({"net@1": self.NET, "screen": self.SCREEN}, ["net-driver.ko.xz"], "screen-driver")
        self.assertEqual((status, said), (0, "drivers.py: 1 drivers for 2 devices, 1 left out\n"))

    def test_a_device_without_its_driver_is_named(self):
        status, said = self.run_with({"net@1": self.NET}, ["network.ko"])
        self.assertEqual((status, said), (1, "drivers.py: /net@1 wants the module net_driver\n"))

    def test_a_device_that_is_off_wants_nothing(self):
        off = {**self.NET, "status": b"disabled\0"}
        self.assertEqual(self.run_with({"net@1": off}, [])[0], 0)

    def test_what_is_left_out_for_nothing_is_told(self):
        status, said = self.run_with({"net@1": self.NET}, ["net_driver.ko"], "screen_driver")
        self.assertEqual((status, said), (1, "drivers.py: nothing wants screen_driver, which is left out\n"))


if __name__ == "__main__":
    unittest.main()
