"""What qemu's raspi4b lacks of a Raspberry Pi 4, taken out of its copy of the device tree. Stands alone.

The card keeps its tree as it is; a real board has all of these. `fdtput` and `fdtget` are in Debian's
device-tree-compiler.
"""

import subprocess

# The SD card hangs on the controller that a Pi has for Wi-Fi, and the mailbox knows no GPIO expander,
# which powers the card and resets the radio: both controllers would wait for it for ever.
WITHOUT = [
    ("/emmc2bus/mmc@7e340000", ["vmmc-supply", "vqmmc-supply"]),
    ("/soc/mmc@7e300000", ["mmc-pwrseq", "non-removable"]),
]
# The radio, on that controller and on the large serial port, which a program can open only without it.
RADIO = ["/soc/mmc@7e300000/wifi@1", "/soc/serial@7e201000/bluetooth"]
# The HDMI part: the first touch of its registers is a fault that ends the kernel.
# The small serial port: opened by a program, its interrupt never ends.
NO_SUCH = ("hdmi@7ef", "clock@7ef", "interrupt-controller@7ef", "i2c@7ef", "serial@7e215040")

# Said to the kernel besides. The watchdog is there, but arming it resets the machine at once. One serial
# port has to do for console and way in: systemd's progress stays off it.
ARGUMENTS = "module_blacklist=bcm2835_wdt systemd.show_status=no"


def command_line(line):
    """The card's own, with the console on the port that works."""
    words = ["console=ttyAMA0,115200" if word.startswith("console=ttyS") else word for word in line.split()]
    return " ".join([*words, ARGUMENTS])


def fit(tree):
    """Changes the device tree in the file `tree`."""

    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    for node, properties in WITHOUT:
        for name in properties:
            run("fdtput", "-d", tree, node, name)
    for node in RADIO:
        run("fdtput", "-r", tree, node)
    for node in run("fdtget", "-l", tree, "/soc").split():
        if node.startswith(NO_SUCH):
            run("fdtput", "-t", "s", tree, f"/soc/{node}", "status", "disabled")
