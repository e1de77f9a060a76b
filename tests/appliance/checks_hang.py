"""A machine that hangs is reset by its hardware watchdog. Imports machine."""


def hang(report, machine):
    """The kernel panics with the restart after it switched off: all stands still, the watchdog too is
    fed no more. Returns the machine after it."""
    machine.run("echo 0 >/proc/sys/kernel/panic; echo 1 >/proc/sys/kernel/sysrq")
    machine.send("sync; echo c >/proc/sysrq-trigger")
    machine.wait_console("Kernel panic", 60)
    began = machine.seconds()
    board = machine.board
    machine.wait_end(120)
    report.check(
        f"a machine that hangs is reset by its watchdog ({machine.seconds() - began:.0f} s later)",
        machine.watchdog_bit(), "".join(machine.events)[-600:],
    )
    machine = board.start()
    report.answers("and starts again", machine.ready())
    return machine


def panic(report, machine):
    """A kernel that panics starts anew by itself."""
    machine.send("sync; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
    board = machine.board
    reason = machine.wait_end(120)
    report.same("a kernel that panics starts anew", reason, "guest-reset")
    machine = board.start()
    report.answers("and comes up", machine.ready())
    return machine
