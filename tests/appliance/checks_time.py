"""What the service adds to the start: the same card with it and without it. Imports nothing of here."""

import os

# Takes a minute by design, in both kinds of start.
AFTER = ("anomalyd-healthy.service", "rauc-mark-good.service")

# With more than this at work on the computer, differences of a second say nothing.
QUIET = 1.5


def mask(card, *units):
    card.change_data(links=[(f"/overlay-etc/upper/systemd/system/{unit}", "/dev/null") for unit in units])


def measure(report, board, rounds):
    """Seconds from the kernel's start to multi-user.target, `rounds` times each way, in turns; the
    shortest counts, for other load on the computer only adds."""
    mask(board.card, *AFTER)
    seconds = {"with": [], "without": []}
    loads = []
    for _ in range(rounds):
        for way in seconds:
            if way == "without":
                mask(board.card, "anomalyd.service")
            machine = board.start()
            machine.wait_inside()
            machine.run("systemctl is-system-running --wait", 300)
            # Of the last minute, in which this machine itself counts as one.
            loads.append(os.getloadavg()[0])
            active = machine.look("systemctl is-active anomalyd || true")
            report.same(f"start {way} the service", active, {"with": "active", "without": "inactive"}[way])
            seconds[way].append(int(machine.look("systemctl show -P ActiveEnterTimestampMonotonic multi-user.target")) / 1e6)
            machine.power_off()
            if way == "without":
                board.card.remove_data("/overlay-etc/upper/systemd/system/anomalyd.service")
    for way, list_ in seconds.items():
        report.note(f"kernel to multi-user.target {way} the service: {', '.join(f'{s:.2f}' for s in list_)} s")
    report.note(f"load of the computer {min(loads):.2f} to {max(loads):.2f}")
    added = min(seconds["with"]) - min(seconds["without"])
    report.check(f"the service adds at most 1 s to the emulated start ({added:+.2f} s)", added <= 1.0)
    report.check(f"the computer did nothing else (load below {QUIET})", max(loads) < QUIET)
