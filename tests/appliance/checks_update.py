"""Updates: into the other slot and committed, broken ones that fall back, a stranger's refused, and the
way out when both slots are marked bad. Imports machine, bundles, server.
"""

import json
import os

import firmware
from checks_start import complete
from server import serve


def marks(machine):
    """{"booted": "good", "inactive": "bad"} and the like, as rauc sees the root slots."""
    said = machine.look("rauc status --output-format=json 2>/dev/null")
    try:
        slots = [slot for entry in json.loads(said)["slots"] for slot in entry.values()]
        return {slot["state"]: slot["boot_status"] for slot in slots if slot["class"] == "rootfs"}
    except (ValueError, KeyError):
        return said


def other(slot):
    return {"A": "B", "B": "A"}[slot]


def current(machine):
    return machine.look("/usr/libexec/anomalyd/tryboot get-current")


def committed(card):
    """The slot that autoboot.txt starts."""
    partition, _ = firmware.choose_partition(card.read_fat(1, "autoboot.txt"), False)
    return {2: "A", 3: "B"}[partition]


def version(machine):
    return machine.look("sed -n 's/^IMAGE_VERSION=\"*\\([^\"]*\\)\"*$/\\1/p' /etc/os-release /usr/lib/os-release | tail -n 1")


def second_slot(report, machine):
    """The other slot is filled on the first start (docs/decisions/0019-second-slot.md)."""
    answer = machine.run(
        "for i in $(seq 300); do [ \"$(systemctl show -P ActiveState slot-copy.service)\" = activating ] || break; sleep 1; done\n"
        "cmp /dev/disk/by-partlabel/boot-a /dev/disk/by-partlabel/boot-b || exit 1\n"
        # What a squashfs says of its own length.
        "length=$(od -An -t u8 -j 40 -N 8 /dev/disk/by-partlabel/root-a)\n"
        "cmp -n $length /dev/disk/by-partlabel/root-a /dev/disk/by-partlabel/root-b && cat /proc/uptime", 330)
    report.check("slot B holds what slot A holds", answer.ok, answer)
    if answer.ok:
        report.note(f"compared {answer.output.split()[0]} s after the kernel's start")
    report.same("no unit failed on the first start", machine.look("systemctl --failed --no-legend --plain"), "")


def install(machine, path):
    """`rauc install` of a bundle: over HTTP where there is a network, else from the data partition."""
    if machine.board.kind == "rpi4":
        return machine.run(f"rauc install /data/{os.path.basename(path)}", 400)
    server = serve(os.path.dirname(path))
    try:
        answer = machine.run(f"rauc install http://10.0.2.2:{server.server_address[1]}/{os.path.basename(path)}", 400)
        answer.parts = server.asked_for_parts
        return answer
    finally:
        server.shutdown()


def update(report, machine, path, number):
    """A good update of version `number`. Returns the machine that runs it, committed."""
    before = current(machine)
    answer = install(machine, path)
    report.check(f"rauc install of a signed bundle ({machine.seconds():.0f} s)", answer.ok, answer)
    if machine.board.kind != "rpi4":
        report.check("read over HTTP in parts", getattr(answer, "parts", 0) > 1)
    report.same("autoboot.txt is not changed yet", machine.look("sed -n 's/^boot_partition=//p' /boot/autoboot.txt | head -n 1"), {"A": "2", "B": "3"}[before])
    return tried(report, machine.restart(), before, number)


def tried(report, machine, before, number):
    """What follows the restart after an update that was installed in slot `before`: on trial, healthy,
    committed, started again. Returns the machine that runs it."""
    report.check("the restart carries the tryboot flag", machine.boot.tryboot)
    report.answers("the new slot brings the service up", machine.ready())
    report.same("the other slot runs", current(machine), other(before))
    report.same("it is the new version", version(machine), number)
    report.check("and is on trial", machine.run("/usr/libexec/anomalyd/tryboot on-trial").ok)
    complete(report, machine)
    answer = machine.run("for i in $(seq 60); do /usr/libexec/anomalyd/tryboot on-trial || exit 0; sleep 1; done; exit 1", 90)
    report.answers(f"healthy, it is committed ({machine.seconds():.0f} s after power-on)", answer)
    report.same("rauc calls both slots good", marks(machine), {"booted": "good", "inactive": "good"})
    machine.power_off()
    report.same("autoboot.txt starts the new slot", committed(machine.board.card), other(before))
    machine = machine.board.start()
    report.check("without the flag", not machine.boot.tryboot)
    report.answers("it starts again", machine.ready())
    report.same("from the new slot", current(machine), other(before))
    return machine


def falls_back(report, machine, path, number, why):
    """A broken update. Returns the machine that runs the slot of before."""
    before = current(machine)
    answer = install(machine, path)
    report.check(f"an update where {why} is installed", answer.ok, answer)
    machine = machine.restart()
    report.check("and started on trial", machine.boot.tryboot)
    card, board = machine.board.card, machine.board
    reason = machine.wait_end(400)
    report.check(f"it ends by itself ({machine.seconds():.0f} s after power-on: {reason})", reason == "guest-reset", reason)
    report.check("with no flag for the next start", board.next == (0, False), board.next)
    report.same("autoboot.txt is as before", committed(card), before)
    machine = board.start()
    report.answers("the start after that brings the service up", machine.ready())
    report.same("in the slot of before", current(machine), before)
    report.check("which is not the broken version", version(machine) != number)
    return machine


def written(machine):
    """Tells whether an update wrote anything: sums of the beginnings of both roots, and of what chooses one."""
    return machine.look("cat /boot/autoboot.txt | sha256sum; for slot in a b; do dd if=/dev/disk/by-partlabel/root-$slot bs=1M count=4 status=none | sha256sum; done")


def refused(report, machine, path, why):
    before = written(machine)
    answer = install(machine, path)
    report.check(f"a bundle {why} is refused", not answer.ok, answer)
    report.note(next((line for line in answer.output.splitlines() if "LastError" in line), answer.output.strip()))
    report.same("and nothing was written", written(machine), before)
    report.check("no trial waits", not machine.run("test -e /run/systemd/reboot-param").ok)


def both_bad(report, machine):
    """Both slots marked bad: it starts all the same, and the marks are cleared; then the way out on
    another computer. Returns the running machine."""
    before = current(machine)
    machine.look("rauc status mark-bad booted && rauc status mark-bad other")
    report.same("both slots are marked bad", marks(machine), {"booted": "bad", "inactive": "bad"})
    machine.look("sync")
    board = machine.board
    machine.pull()
    machine = board.start()
    report.answers("it starts all the same", machine.ready())
    report.same("from the slot in autoboot.txt", current(machine), before)
    report.same("the marks are still there", marks(machine), {"booted": "bad", "inactive": "bad"})
    machine.look("rauc status mark-good booted && rauc status mark-good other")
    report.same("`rauc status mark-good` clears them", marks(machine), {"booted": "good", "inactive": "good"})
    machine.power_off()
    text = board.card.read_fat(1, "autoboot.txt").decode()
    swapped = text.translate(str.maketrans("23", "32"))
    board.card.write_fat(1, "autoboot.txt", swapped.encode())
    machine = board.start()
    report.answers("on another computer the two digits in autoboot.txt are swapped: it starts", machine.ready())
    report.same("from the other slot", current(machine), other(before))
    report.check("which is no trial", not machine.run("/usr/libexec/anomalyd/tryboot on-trial").ok)
    return machine
