"""The board: qemu with a card, its console, its way in, and the firmware's one-shot flag.

A `Board` is what stays while it is switched on and off: card and board. Its `start` is a `Machine`.
Imports firmware, card, powercut, raspi4b.
"""

import atexit
import base64
import json
import os
import select
import signal
import socket
import subprocess
import time

import firmware
import powercut
import raspi4b

HERE = os.path.dirname(os.path.abspath(__file__))

# How long things may take, in seconds. Everything is emulated, and the computer may be busy.
PATIENCE = {"qemu-amd64": 1, "rpi4": 4}
BOOT = 300

AGENT_UNIT = """[Unit]
Description=Way in for the test driver
DefaultDependencies=no
After=systemd-tmpfiles-setup-dev.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart=/bin/sh /etc/appliance-test/agent.sh /dev/{port}
Restart=always
RestartSec=1
# What it starts must not be ended with it.
KillMode=process
"""


class MachineError(Exception):
    pass


# Those that run, for the end of the test, whatever it comes by.
running = set()


def end_all():
    for process in list(running):
        if process.poll() is None:
            process.terminate()


atexit.register(end_all)


class Answer:
    def __init__(self, status, output):
        self.status, self.output = status, output
        self.ok = status == 0

    def __str__(self):
        return f"status {self.status}: {self.output.strip()[-600:]}"


def let_in(card, board):
    """Puts the way in on the card: files in the overlay of /etc."""
    with open(os.path.join(HERE, "agent.sh")) as file:
        agent = file.read()
    units = "/overlay-etc/upper/systemd/system"
    unit = AGENT_UNIT.format(port="ttyAMA0" if board == "rpi4" else "ttyS1")
    card.change_data(
        [
            ("/overlay-etc/upper/appliance-test/agent.sh", agent, 0o755),
            (f"{units}/appliance-test.service", unit, 0o644),
        ],
        [(f"{units}/sysinit.target.wants/appliance-test.service", "/etc/systemd/system/appliance-test.service")],
    )


def medium(name, path):
    """For qemu: what is on a USB stick."""
    content = {"driver": "file", "filename": path, "read-only": True}
    return {"driver": "raw", "node-name": f"on-{name}", "read-only": True, "file": content}


def storage(name):
    return {"driver": "usb-storage", "bus": "usb.0", "id": name, "drive": f"on-{name}"}


class Board:
    def __init__(self, kind, card, folder, forward=None, chance=None):
        self.kind, self.card, self.folder = kind, card, folder
        # (port here, address there, port there)
        self.forward = forward
        # USB sticks that are in it, also after a restart: {name: file}.
        self.sticks = {}
        self.plugged = 0
        # With one, a pulled plug loses a part of what was not flushed (powercut.py).
        self.chance = chance
        self.next = (0, False)
        self.starts = 0

    def start(self):
        """Switches it on, or lets it go on with the restart that it asked for."""
        partition, tryboot = self.next
        self.next = (0, False)
        self.starts += 1
        boot = firmware.boot(self.card, tryboot=tryboot, board=self.kind, partition=partition)
        return Machine(self, boot)


class Machine:
    def __init__(self, board, boot):
        self.board, self.boot = board, boot
        self.patience = PATIENCE[board.kind]
        self.work = os.path.join(board.folder, f"start-{board.starts:02}")
        os.makedirs(self.work, exist_ok=True)
        self.console_path = os.path.join(self.work, "console.log")
        self._count = 0
        self._in = b""
        self.events = []
        self.before = self.log = None
        self.began = time.monotonic()
        self._start()

    # ---- switched on

    def _start(self):
        board, boot = self.board, self.boot
        files = {"kernel": boot.kernel, "initramfs": boot.initramfs, "tree": boot.device_tree}
        for name, content in files.items():
            if content is not None:
                with open(os.path.join(self.work, name), "wb") as file:
                    file.write(content)
        agent = os.path.join(self.work, "agent")
        console = ["-chardev", f"file,id=console,path={self.console_path}"]
        inside = ["-chardev", f"socket,id=inside,path={agent},server=on,wait=off"]
        if board.kind == "rpi4":
            # One port for both: what comes over it is in the console's file, too.
            console, ports = [], ["inside"]
            inside[1] += f",logfile={self.console_path}"
            with open(self.console_path, "wb"):
                pass
            command = [os.environ.get("QEMU_AARCH64", "qemu-system-aarch64"), "-M", "raspi4b", "-m", "2G", "-accel", "tcg"]
            raspi4b.fit(os.path.join(self.work, "tree"))
            command += ["-dtb", os.path.join(self.work, "tree")]
            command += ["-drive", f"file={board.card.path},if=sd,format=raw,cache=unsafe"]
        else:
            ports = ["console", "inside"]
            command = ["qemu-system-x86_64", "-M", "pc", "-m", "1G", "-smp", "1", "-cpu", "max"]
            # One processor: with two the kernel, which patches its own code, has died under emulation.
            command += ["-accel", "tcg", "-device", "virtio-rng-pci"]
            command += ["-device", "i6300esb", "-action", "watchdog=reset"]
            command += self._card_options()
            command += ["-device", "qemu-xhci,id=usb"]
            for name, stick in board.sticks.items():
                command += ["-blockdev", json.dumps(medium(name, stick)), "-device", json.dumps(storage(name))]
            network = "user,id=lan"
            if board.forward:
                network += f",hostfwd=tcp:127.0.0.1:{board.forward[0]}-{board.forward[1]}:{board.forward[2]}"
            command += ["-netdev", network, "-device", "virtio-net-pci,netdev=lan,romfile="]
        command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        line = boot.command_line
        if board.kind == "rpi4":
            line = raspi4b.command_line(line)
        command += ["-kernel", os.path.join(self.work, "kernel"), "-append", line]
        if boot.initramfs is not None:
            command += ["-initrd", os.path.join(self.work, "initramfs")]
        command += console + inside
        for port in ports:
            command += ["-serial", f"chardev:{port}"]
        control = os.path.join(self.work, "qmp")
        command += ["-qmp", f"unix:{control},server=on,wait=off"]
        with open(os.path.join(self.work, "command"), "w") as file:
            file.write(" ".join(command) + "\n")
        self.said = open(os.path.join(self.work, "qemu.log"), "wb")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.said, stderr=self.said)
        running.add(self.process)
        self.control = self._connect(control)
        self.inside = self._connect(agent)
        self.control.sendall(b'{"execute":"qmp_capabilities"}\n')

    def _card_options(self):
        """The card as a disk; one that loses what was not flushed has its writes recorded."""
        card = self.board.card
        if self.board.chance is None:
            return ["-drive", f"file={card.path},if=virtio,format=raw,cache=unsafe"]
        self.before = card.copy_to(os.path.join(self.work, "before.img"))
        self.log = os.path.join(self.work, "writes.log")
        with open(self.log, "wb"):
            pass
        nodes = [
            f"driver=file,node-name=card-file,filename={card.path},cache.no-flush=on",
            "driver=raw,node-name=card-raw,file=card-file",
            f"driver=file,node-name=log-file,filename={self.log},cache.no-flush=on",
            "driver=blklogwrites,node-name=card,file=card-raw,log=log-file",
        ]
        options = [word for node in nodes for word in ("-blockdev", node)]
        return [*options, "-device", "virtio-blk-pci,drive=card,write-cache=on"]

    def _connect(self, path):
        until = time.monotonic() + 20
        while True:
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(path)
                there.setblocking(False)
                return there
            except OSError:
                there.close()
                if self.process.poll() is not None or time.monotonic() > until:
                    with open(os.path.join(self.work, "qemu.log")) as log:
                        raise MachineError(f"qemu does not start: {log.read().strip()}") from None
                time.sleep(0.05)

    # ---- looked at

    def console(self):
        with open(self.console_path, "rb") as file:
            return file.read().decode(errors="replace")

    def seconds(self):
        return time.monotonic() - self.began

    def _listen(self, timeout):
        """Takes in what came from the agent and from qemu."""
        sockets = [there for there in (self.inside, self.control) if there is not None]
        readable, _, _ = select.select(sockets, [], [], timeout)
        for there in readable:
            try:
                got = there.recv(65536)
            except OSError:
                got = b""
            if there is self.inside:
                if got:
                    self._in += got
                else:
                    self.inside = None
            elif got:
                self.events.append(got.decode(errors="replace"))
            else:
                self.control = None

    def _wait(self, found, timeout, what):
        until = time.monotonic() + timeout * self.patience
        while True:
            result = found()
            if result is not None:
                return result
            if self.process.poll() is not None:
                self._listen(0)
                result = found()
                if result is not None:
                    return result
                raise MachineError(f"the machine ended while {what} was waited for; its console ends:\n{self._end()}")
            if time.monotonic() > until:
                raise MachineError(f"{what} did not come within {timeout * self.patience} s; the console ends:\n{self._end()}")
            self._listen(0.2)

    def _end(self):
        return "\n".join("    " + line for line in self.console().splitlines()[-12:])

    def wait_console(self, text, timeout=BOOT):
        return self._wait(lambda: True if text in self.console() else None, timeout, f"{text!r} on the console")

    def wait_inside(self, timeout=BOOT):
        """Until the way in is there."""
        self._wait(lambda: True if b"<agent>\n" in self._in else None, timeout, "the way in")
        self._in = self._in.split(b"<agent>\n")[-1]

    def run(self, script, timeout=60):
        """Runs a bash script inside as root."""
        self.send(script)
        return self.answer(timeout)

    def send(self, script):
        self._count += 1
        text = base64.b64encode(script.encode())
        if len(text) > 3900:
            raise MachineError("a script for the way in is too long for a line")
        self.inside.setblocking(True)
        self.inside.sendall(b"%d %s\n" % (self._count, text))
        self.inside.setblocking(False)

    def answer(self, timeout=60):
        mark = b"<%d " % self._count

        def found():
            at = self._in.find(mark)
            end = self._in.find(b">\n", at)
            if at < 0 or end < 0:
                return None
            _, status, length = self._in[at + 1 : end].split()
            if len(self._in) < end + 2 + int(length):
                return None
            output = self._in[end + 2 : end + 2 + int(length)]
            self._in = self._in[end + 2 + int(length) :]
            return Answer(int(status), output.decode(errors="replace"))

        return self._wait(found, timeout, "an answer from inside")

    def out(self, script, timeout=60):
        """Its output, stripped; an error where it fails."""
        answer = self.run(script, timeout)
        if not answer.ok:
            raise MachineError(f"`{script}` inside: {answer}")
        return answer.output.strip()

    def look(self, script, timeout=60):
        """As `out`, for a check: what fails is in the text."""
        answer = self.run(script, timeout)
        return answer.output.strip() if answer.ok else str(answer)

    def ready(self, timeout=BOOT):
        """Until the service is READY: joins the job that starts it."""
        self.wait_inside(timeout)
        return self.run("systemctl start anomalyd", timeout)

    # ---- a USB stick

    def plug(self, path):
        """Puts a stick in; it stays in over a restart."""
        self.board.plugged += 1
        name = f"stick-{self.board.plugged}"
        self._ask("blockdev-add", medium(name, path))
        self._ask("device_add", storage(name))
        self.board.sticks[name] = path

    def unplug(self):
        """Pulls the stick that was put in last."""
        name, _ = self.board.sticks.popitem()
        self._ask("device_del", {"id": name})
        self._wait(lambda: True if f'"device": "{name}"' in "".join(self.events) else None, 30, "the stick's end")
        self._ask("blockdev-del", {"node-name": f"on-{name}"})

    def _ask(self, command, arguments):
        """Has qemu do something."""
        self._count += 1
        name = f"ask-{self._count}"
        text = json.dumps({"execute": command, "arguments": arguments, "id": name}) + "\n"
        self.control.setblocking(True)
        self.control.sendall(text.encode())
        self.control.setblocking(False)

        def answer():
            lines = "".join(self.events).splitlines()
            return next((line for line in lines if f'"id": "{name}"' in line), None)

        said = json.loads(self._wait(answer, 30, f"qemu's answer to {command}"))
        if "error" in said:
            raise MachineError(f"qemu, asked for {command}: {said['error']['desc']}")

    # ---- switched off

    def reason(self):
        """Why the machine ended, in qemu's words; None while it runs."""
        for line in "".join(self.events).splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event.get("event") == "SHUTDOWN":
                return event["data"]["reason"]
        return None

    def watchdog_bit(self):
        return '"event": "WATCHDOG"' in "".join(self.events)

    def wait_end(self, timeout=BOOT):
        """Until it ends by itself; keeps what it asked the firmware for."""
        until = time.monotonic() + timeout * self.patience
        restarting = None
        while self.process.poll() is None:
            self._listen(0.1)
            if self.process.poll() is None and time.monotonic() > until:
                end = self._end()
                self.pull()
                raise MachineError(f"the machine did not end within {timeout * self.patience} s; its console ends:\n{end}")
            # A board whose reset or whose end qemu does not have stands still after its last words.
            if restarting is None and any(words in self.console() for words in ("reboot: Restarting system", "System halted")):
                restarting = time.monotonic()
            if restarting is not None and time.monotonic() - restarting > 10:
                self.process.kill()
        self.process.wait()
        self._listen(0)
        self.board.next = firmware.asked_at_restart(self.console()) or (0, False)
        self._close()
        return self.reason()

    def restart(self, timeout=BOOT):
        """Restarts it in order and switches it on again."""
        self.send("systemctl --no-block reboot")
        self.wait_end(timeout)
        return self.board.start()

    def power_off(self, timeout=BOOT):
        self.send("systemctl --no-block poweroff")
        return self.wait_end(timeout)

    def pull(self):
        """The plug. Says what that did to the card, where it is one that loses writes."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.board.next = (0, False)
        done = None
        if self.log is not None:
            done = powercut.cut(self.log, self.before.path, self.board.chance)
            os.replace(self.before.path, self.board.card.path)
        self._close()
        return done

    def _close(self):
        running.discard(self.process)
        for there in (self.inside, self.control):
            if there is not None:
                there.close()
        self.said.close()
        for name in ("kernel", "initramfs", "tree", "before.img", "writes.log"):
            path = os.path.join(self.work, name)
            if os.path.exists(path):
                os.remove(path)
