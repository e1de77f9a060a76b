"""As flashed: what an appliance is at its first start, and what its service is READY with. Imports
machine.
"""

import time

MIB = 1 << 20

# The service's configuration that chooses the model that came with the image.
SHIPPED_MODEL = 'model = "/usr/share/anomalyd/demo.pt"\n\n[source.simulator]\nrate = 2\n'


def configure(card, text, name="10-test"):
    """A configuration as one that was taken over by an earlier start."""
    card.change_data([(f"/overlay-etc/upper/anomalyd/anomalyd.toml.d/{name}.toml", text, 0o644)])


def first_start(report, machine, expected_slot="A"):
    """The checks of a card that was just flashed."""
    answer = machine.ready()
    report.answers(f"the first start brings the service up ({machine.seconds():.0f} s after power-on)", answer)
    machine_checks(report, machine, expected_slot)


def complete(report, machine):
    """The start is over (a minute after the service: anomalyd-healthy.service), and all is well."""
    state = machine.run("systemctl is-system-running --wait", 400)
    report.same(f"systemctl is-system-running ({machine.seconds():.0f} s)", state.output.strip(), "running")
    report.same("no unit failed", machine.look("systemctl --failed --no-legend --plain"), "")


def machine_checks(report, machine, expected_slot):
    script = machine.run
    report.same("the firmware's choice is the slot that runs", machine.look("/usr/libexec/anomalyd/tryboot get-current"), expected_slot)
    caps(report, machine)
    report.same("the root is a squashfs, read-only", machine.look("findmnt -n -o FSTYPE,OPTIONS / | cut -d, -f1 | tr -s ' '"), "squashfs ro")
    report.check("nothing can be written to /usr", not script("touch /usr/x").ok)
    for folder in ("/etc", "/var"):
        report.same(f"{folder} is an overlay", machine.look(f"findmnt -n -o FSTYPE {folder}"), "overlay")
        report.answers(f"{folder} is written to the data partition", script(
            f"echo x >{folder}/written && test -s /data/overlay-{folder[1:]}/upper/written && rm {folder}/written"
        ))
    grown(report, machine)
    watchdog(report, machine)
    report.answers("the password of root is locked", script("getent shadow root | grep -q '^root:[*!]'"))
    report.same("no other user has a password", machine.look(r"getent shadow | awk -F: '$2 !~ /^[*!]/ {print $1}'"), "")
    report.same("no getty", machine.look("systemctl list-units --no-legend --plain 'getty@*' 'serial-getty@*' | awk '$3 == \"active\"'"), "")
    report.same("no swap on the card", machine.look("awk 'NR > 1 && $1 !~ /zram/' /proc/swaps"), "")
    report.answers("zram", script("grep -q /dev/zram /proc/swaps"))
    report.same("the journal is kept on the data partition and capped", machine.look(
        "test -d /var/log/journal/$(cat /etc/machine-id) && systemd-analyze cat-config systemd/journald.conf | sed -n 's/^SystemMaxUse=//p' | tail -n 1"
    ), "48M")


def caps(report, machine):
    group = "/sys/fs/cgroup/system.slice/anomalyd.service"
    report.same("the caps are real (memory.high, max, swap.max in the cgroup)", machine.look(
        f"cat {group}/memory.high {group}/memory.max {group}/memory.swap.max | tr '\\n' ' '"
    ), "94371840 104857600 0")


def grown(report, machine):
    card = machine.board.card
    try:
        size = int(machine.look("blockdev --getsize64 /dev/disk/by-partlabel/data"))
        whole = int(machine.look("blockdev --getsize64 /dev/$(lsblk -n -o PKNAME $(readlink -f /dev/disk/by-partlabel/data) | head -n 1)"))
        start = card.place(6)[0]
        report.check(f"the data partition grew to the card ({size // MIB} MiB)", whole - start - size <= 2 * MIB and size > 256 * MIB, f"{size} bytes of {whole - start}")
        # growfs runs beside the service.
        until = time.monotonic() + 60 * machine.patience
        while True:
            system = int(machine.look("stat -f -c '%b %S' /data | awk '{print $1 * $2}'"))
            if system > 0.9 * size or time.monotonic() > until:
                break
            time.sleep(1)
        report.check(f"and its file system with it ({system // MIB} MiB)", system > 0.9 * size, f"{system} bytes of {size}")
    except Exception as error:
        report.check("the data partition grew", False, error)


def watchdog(report, machine):
    if machine.board.kind == "rpi4":
        report.same("the manager's watchdog is 15 s", machine.look("systemctl show -P RuntimeWatchdogUSec"), "15s")
        report.note("qemu's raspi4b: " + machine.look("ls /dev/watchdog* 2>&1 || true"))
        return
    report.same("the hardware watchdog is set to 15 s", machine.look("systemctl show -P RuntimeWatchdogUSec"), "15s")
    report.answers("systemd holds /dev/watchdog0", machine.run("ls -l /proc/1/fd | grep -q /dev/watchdog"))
    report.same("and the device counts", machine.look("cat /sys/class/watchdog/watchdog0/state /sys/class/watchdog/watchdog0/timeout | tr '\\n' ' '"), "active 15")


def shipped_model(report, machine):
    status = machine.look("systemctl show -P StatusText anomalyd")
    report.check("READY on the shipped model", "demo-plant" in status, status)
    report.note(f"status: {status}")
    report.note(machine.look("anomalyd status"))


def firmware_bits(report, machine):
    """What the Raspberry Pi's firmware knows of throttling comes as far as the service."""
    answer = machine.run("cat /sys/devices/platform/soc/soc:firmware/get_throttled")
    report.answers("the firmware's bits of throttling are there", answer)
    report.note(f"get_throttled: {answer.output.strip()}")
    report.answers("and the service reads them", machine.run("anomalyd status --json | grep -q '\"under_voltage\": *false'"))


def safe_default(report, machine):
    """Nothing was provisioned."""
    report.check("no SSH server runs", not machine.run("systemctl is-active ssh.service ssh.socket sshd.service | grep -qx active").ok)
    report.check("and nothing listens on its port", not machine.run("grep -q ':0016 ' <(awk '$4 == \"0A\" {print $2 \" \"}' /proc/net/tcp /proc/net/tcp6)").ok)
    report.check("the service is up without a configuration of one's own", machine.run("systemctl -q is-active anomalyd").ok)
    report.note(f"status: {machine.look('systemctl show -P StatusText anomalyd')}")
    report.same("host name", machine.look("cat /proc/sys/kernel/hostname"), "anomalyd")
    if machine.board.kind != "rpi4":
        report.answers("DHCP: an address of the emulated network", machine.run(
            "for i in $(seq 60); do ip -4 -o address 2>/dev/null | grep -q ' 10.0.2.15/' && exit; "
            "grep -q 10.0.2.15 /run/systemd/netif/leases/* 2>/dev/null && exit; sleep 1; done; networkctl; exit 1", 90))


def timing(report, machine):
    """Kernel to READY, and who took the time."""
    ready = int(machine.look("systemctl show -P ActiveEnterTimestampMonotonic anomalyd"))
    started = int(machine.look("systemctl show -P ExecMainStartTimestampMonotonic anomalyd"))
    report.check("kernel to READY was measured", ready > started > 0)
    report.note(f"kernel to READY: {ready / 1e6:.1f} s (emulated); from the service's start to READY: {(ready - started) / 1e6:.2f} s")
    report.note(machine.look("systemd-analyze critical-chain --no-pager anomalyd.service"))
    report.note(machine.look("systemd-analyze blame --no-pager | head -n 8"))
    return ready / 1e6
