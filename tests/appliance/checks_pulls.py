"""The plug pulled again and again: during the first starts, then while everything is written. Imports
machine, checks_start, checks_provision.
"""

import os
import random
import re
import time

import checks_provision
from checks_start import complete
from machine import HERE

# Of the pulls, so many in the first starts of a fresh card.
EARLY = 4

SETUP = """
models=/var/lib/anomalyd/models
for name in current previous; do
    install -m 0640 -o anomalyd -g anomalyd /usr/share/anomalyd/demo.pt $models/$name.pt || exit 1
done
# The shipped model is chosen by the configuration that was taken over: here it is the store's.
mkdir -p /etc/anomalyd/anomalyd.toml.d
echo 'model = "/var/lib/anomalyd/models/current.pt"' >/etc/anomalyd/anomalyd.toml.d/10-pull.toml
systemctl restart anomalyd && anomalyd model rollback && sync
"""


def put_scripts(card):
    folder = "/overlay-etc/upper/appliance-test"
    files = []
    for name in ("writer.sh", "after_pull.sh"):
        with open(os.path.join(HERE, name)) as file:
            files.append((f"{folder}/{name}", file.read(), 0o755))
    card.change_data(files)


def last_safe(console, what, before):
    found = re.findall(rf"safe {what} (\d+)[\r\n]", console)
    return int(found[-1]) if found else before


def of(lost):
    return "" if lost is None else f"; of {lost.lost + lost.torn + lost.stayed} writes after the last flush {lost.lost} lost, {lost.torn} torn"


def pulls(report, board, folder, count, seed):
    chance = random.Random(seed)
    # qemu's card reader for the Pi records no writes: there a pull loses only what the kernel held back.
    board.chance = random.Random(seed) if board.kind != "rpi4" else None
    report.note(f"seed {seed}")
    safe = {"configuration": 0, "journal": 0}
    put_scripts(board.card)
    checks_provision.put_good(board.card, folder)
    early = min(EARLY, count // 4)
    boot_seconds, worst = [], 0.0
    for number in range(1, early + 1):
        machine = board.start()
        # The first half at any moment of the start, the second while it takes over the user's file, grows
        # the data partition, brings up the service, copies the slot.
        moment = chance.uniform(2, 20)
        if number > early // 2:
            machine.wait_inside()
            moment = machine.seconds() + chance.uniform(0, 12)
        until = machine.began + moment
        while time.monotonic() < until and machine.process.poll() is None:
            time.sleep(0.05)
        alive = machine.process.poll() is None
        lost = machine.pull()
        report.check(f"pull {number}: {moment:.1f} s into a first start{of(lost)}", alive, machine.console()[-300:])
    machine = board.start()
    report.answers("after these it starts, provisioned as if nothing had been", machine.ready())
    checks_provision.good_inside(report, machine, folder)
    report.answers("models to swap are put in place", machine.run(SETUP))
    total, since = 1, early + 1
    for number in range(early + 1, count + 1):
        answer = machine.run(f"/etc/appliance-test/writer.sh {total * 1000}")
        if not answer.ok:
            report.answers("writers start", answer)
        total += 1
        # From when the first of them has something on the card: how soon that is depends on the computer.
        machine.wait_console("safe ", 120)
        moment = chance.uniform(0, 4)
        time.sleep(moment)
        lost = machine.pull()
        console = machine.console()
        safe = {what: last_safe(console, what, before) for what, before in safe.items()}
        machine = board.start()
        machine.wait_inside()
        answer = machine.run(f"/etc/appliance-test/after_pull.sh {safe['configuration']} {safe['journal']} {since}", 180)
        since = 1
        boot_seconds.append(machine.seconds())
        findings = [line for line in answer.output.splitlines() if line.startswith(("good ", "bad "))]
        bad = [line for line in findings if line.startswith("bad ")]
        report.check(
            f"pull {number}, {moment:.1f} s into writing (safe: configuration {safe['configuration']}, journal {safe['journal']}): all is intact "
            f"({machine.seconds():.0f} s to there{of(lost)})",
            len(findings) == 9 and not bad, "\n".join(bad) or answer,
        )
        worst = max(worst, machine.seconds())
    report.note(f"power-on to the end of the checks: {min(boot_seconds):.0f} to {worst:.0f} s (emulated)")
    complete(report, machine)
    wanted = ("configuration", "journal")
    report.check("the writers got to write", all(safe[what] > 1000 for what in wanted), safe)
    reason = machine.power_off()
    report.same("it switches itself off in order", reason, "guest-shutdown")
    checks_provision.wiped(report, board.card)
    found = board.card.check_data()
    report.check("e2fsck of the data partition finds nothing", found is None, found)
