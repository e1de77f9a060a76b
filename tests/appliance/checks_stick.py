"""A USB stick with an update, for an appliance that nobody can log in to: installed and tried when it is put
in, once; a stranger's is refused. Imports checks_update, card.
"""

import os

import checks_update
from card import tool

UNIT = "usb-update@*.service"
SECTOR = 512
# Where the one partition of a stick begins, as they are sold.
FIRST = 2048


def stick(path, bundle, system):
    """A stick of one partition that is formatted as `system`, vfat or exfat; without `bundle` with nothing on it."""
    size = (os.path.getsize(bundle) if bundle else 0) + (64 << 20)
    sectors = size // SECTOR
    with open(path, "wb") as file:
        file.truncate((FIRST + sectors) * SECTOR)
        # One entry of the old table: not active, of the kind, without cylinders.
        kind = {"vfat": 0x0C, "exfat": 0x07}[system]
        file.seek(446)
        file.write(bytes([0, 0, 0, 0, kind, 0, 0, 0]) + FIRST.to_bytes(4, "little") + sectors.to_bytes(4, "little"))
        file.seek(510)
        file.write(b"\x55\xaa")
    part = path + ".part"
    with open(part, "wb") as file:
        file.truncate(sectors * SECTOR)
    tool(f"mkfs.{system}", *(["-F", "32"] if system == "vfat" else []), part)
    if bundle:
        tool("mcopy", "-i", part, bundle, "::/anomalyd-update.raucb")
    tool("dd", f"if={part}", f"of={path}", f"bs={SECTOR}", f"seek={FIRST}", "conv=notrunc,sparse", "status=none")
    os.remove(part)
    return path


def sticks(report, machine, folder, stranger, good, number):
    """Bundles of a stranger and of a good version `number`. Returns the machine that runs that one."""
    log = f"journalctl -b --no-pager -o cat -u '{UNIT}'"

    def waited(text):
        """Until the unit says so, in the machine that runs then."""
        return machine.run(
            f"end=$((SECONDS + 100)); until {log} | grep -q '{text}'; do\n"
            f"[ $SECONDS -lt $end ] || {{ {log}; systemctl --no-pager status '{UNIT}'; journalctl -k -n 20 --no-pager -o cat; exit 1; }}; sleep 1; done", 150)

    before, sums = checks_update.current(machine), checks_update.written(machine)
    # As large sticks are sold. There is no tool that would put a file on it without mounting it.
    machine.plug(stick(os.path.join(folder, "empty.img"), None, "exfat"))
    report.answers("a stick without an update, formatted as exFAT, is read", waited("holds no anomalyd-update.raucb"))
    machine.unplug()
    machine.plug(stick(os.path.join(folder, "stranger.img"), stranger, "vfat"))
    report.answers("a stick with an update signed by somebody else is refused", waited("signature verification failed"))
    report.answers("and the unit says so", machine.run(
        "for i in $(seq 30); do systemctl --failed --no-legend --plain | grep -q ^usb-update@ && exit; sleep 1; done; exit 1"))
    report.same("nothing was written", checks_update.written(machine), sums)
    machine.unplug()
    machine.run("systemctl reset-failed")
    machine.plug(stick(os.path.join(folder, "good.img"), good, "vfat"))
    board = machine.board
    reason = machine.wait_end(600)
    report.same("a stick with an update: installed, and restarted to try it", reason, "guest-reset")
    machine = checks_update.tried(report, board.start(), before, number)
    report.answers("the stick is still in, and not installed again", waited("installed from a stick before"))
    report.check("no trial waits", not machine.run("test -e /run/systemd/reboot-param").ok)
    machine.unplug()
    return machine
