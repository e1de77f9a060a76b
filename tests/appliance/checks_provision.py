"""The user's file on the first partition: a good one, a bad one. Imports machine, checks_start."""

import os
import subprocess
import time

from checks_start import shipped_model

ADDRESS = "10.0.2.77"
# Stands nowhere else: to be looked for in the card's raw bytes. In the bad file too, which the good one
# replaces as on any computer: the old version stays in the free space of the FAT, and is wiped with it.
SECRET = "wiped-7f3a9c51"

GOOD = """# {secret}\r
# A broker that is not there, for the sake of its password.\r
model = "/usr/share/anomalyd/demo.pt"\r
max_false_alarms_per_week = 5\r
\r
[source.simulator]\r
rate = 2\r
\r
[source.mqtt]\r
host = "10.0.2.2"\r
username = "anomalyd"\r
password_file = "mqtt-password"\r
topics.LIT101 = "plant/lit101"\r
\r
[appliance]\r
hostname = "plant-7"\r
ssh_keys = ["{key}"]\r
ntp = ["10.0.2.2"]\r
address = "{address}/24"\r
gateway = "10.0.2.2"\r
dns = ["10.0.2.3"]\r
"""

BAD = """# {secret}
model = "/usr/share/anomalyd/demo.pt"
max_false_alarms_per_weak = 5

[appliance]
hostname = "plant-8"
"""


def ssh_key(folder):
    path = os.path.join(folder, "ssh-key")
    if not os.path.exists(path):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "boot-test", "-f", path], check=True)
    with open(path + ".pub") as file:
        return path, file.read().strip()


def put_good(card, folder):
    """With a byte order mark and the line ends of Windows."""
    text = GOOD.format(secret=SECRET, key=ssh_key(folder)[1], address=ADDRESS)
    card.write_fat(1, "anomalyd.toml", b"\xef\xbb\xbf" + text.encode())
    card.write_fat(1, "mqtt-password", f"{SECRET}-password\n".encode())


def put_bad(card):
    card.write_fat(1, "anomalyd.toml", BAD.format(secret=SECRET).encode())


def result_of(card):
    content = card.read_fat(1, "anomalyd-result.txt")
    return None if content is None else content.decode(errors="replace").strip()


def bad_inside(report, machine):
    """The machine has started with the bad file."""
    result = machine.look("cat /boot/anomalyd-result.txt")
    report.check("the bad file: the result names line and key", "anomalyd.toml:3" in result and "max_false_alarms_per_week" in result, result)
    report.note(result)
    report.check("nothing of it was taken over", machine.look("cat /proc/sys/kernel/hostname") != "plant-8")
    report.check("the service runs as before", machine.run("systemctl -q is-active anomalyd").ok)
    report.check("the file stays for correction", machine.run("test -s /boot/anomalyd.toml").ok)
    report.answers("the journal has the refusal", machine.run("journalctl -q -b -o cat | grep -q 'max_false_alarms_per_week'"))


def good_inside(report, machine, folder):
    """The machine has started with the good file."""
    result = machine.look("cat /boot/anomalyd-result.txt")
    report.check("the good file: the result says what was set", "was taken over" in result and all(word in result for word in ("plant-7", ADDRESS, "10.0.2.3", "ssh-ed25519")), result)
    report.check("and tells no secret", SECRET not in result, result)
    report.note(result)
    report.same("host name", machine.look("cat /proc/sys/kernel/hostname"), "plant-7")
    report.check("it knows its own name", machine.run("grep -qx '127.0.1.1 plant-7' /etc/hosts").ok)
    report.answers("the configuration is in force", machine.run("grep -q '^max_false_alarms_per_week = 5' /etc/anomalyd/anomalyd.toml && anomalyd check-config"))
    report.answers("the password went over, for the service alone", machine.run(
        f"cd /etc/anomalyd && grep -q {SECRET}-password mqtt-password && stat -c '%a %U:%G' mqtt-password && [ $(($(stat -c 0%a mqtt-password) & 7)) = 0 ]"))
    shipped_model(report, machine)
    report.check("the time servers are the file's", "10.0.2.2" in machine.look("systemd-analyze cat-config systemd/timesyncd.conf | grep ^NTP= | tail -n 1; grep -rhs ^NTP= /etc/systemd/network || true"))
    if machine.board.kind != "rpi4":
        report.answers("the address is the file's", machine.run(
            f"for i in $(seq 60); do networkctl status 2>/dev/null | grep -q '{ADDRESS}' && exit; sleep 1; done; networkctl status; exit 1", 90))
        report.check("the name server is the file's", machine.run("for i in $(seq 30); do grep -qs 10.0.2.3 /etc/resolv.conf /run/systemd/resolve/resolv.conf && exit; sleep 1; done; exit 1").ok)
        ssh(report, machine, folder)


def ssh(report, machine, folder):
    port = machine.board.forward[0]
    common = ["ssh", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
              "-o", "ConnectTimeout=60", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]
    until = time.monotonic() + 120
    while True:
        done = subprocess.run([*common, "-i", ssh_key(folder)[0], "root@127.0.0.1", "anomalyd status --json >/dev/null && hostname"], capture_output=True, text=True)
        if done.returncode == 0 or time.monotonic() > until:
            break
        time.sleep(2)
    report.check("SSH with the file's key", done.returncode == 0 and done.stdout.strip() == "plant-7", done.stdout + done.stderr)
    stranger = os.path.join(folder, "stranger")
    if not os.path.exists(stranger):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    done = subprocess.run([*common, "-i", stranger, "root@127.0.0.1", "true"], capture_output=True, text=True)
    report.check("SSH with another key is refused", done.returncode == 255 and "denied" in done.stderr, done.stdout + done.stderr)
    done = subprocess.run([*common, "-v", "-o", "PubkeyAuthentication=no", "-o", "LogLevel=VERBOSE", "root@127.0.0.1", "true"], capture_output=True, text=True)
    report.check("no password is asked for", "(publickey)" in done.stderr, done.stderr)


def wiped(report, card):
    """The machine is off."""
    report.same("the files are gone from the card", [card.read_fat(1, name) for name in ("anomalyd.toml", "mqtt-password")], [None, None])
    raw = card.read_raw(1)
    report.check("its secrets are in no byte of the first partition", SECRET.encode() not in raw and b"AAAAC3Nza" not in raw)


def left(report, card):
    """The machine is off; the bad file has to be as it was."""
    report.same("the bad file is unchanged", card.read_fat(1, "anomalyd.toml"), BAD.format(secret=SECRET).encode())
    report.check("the result is on the card", "anomalyd.toml:3" in (result_of(card) or ""))
