"""Boots a card image and checks what docs/appliance.md promises; started by scripts/boot-test.sh.
Steps go on where the one before left the machine, so that one start serves many checks.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bundles
import checks_hang
import checks_lost_data
import checks_model
import checks_provision
import checks_pulls
import checks_start
import checks_stick
import checks_time
import checks_update
import machine
from card import Card, decompressed
from report import Report

STEPS = {
    "qemu-amd64": ["start", "slots", "model", "bad-file", "good-file", "update", "refused", "stick", "both-bad", "broken", "garbage", "hang", "lost-data", "pulls"],
    "rpi4": ["start"],
}
MORE = {"qemu-amd64": ["time", "panic", "torch"], "rpi4": ["time", "slots", "model", "bad-file", "good-file", "update", "garbage", "torch", "pulls"]}
CARD = 2 << 30


class Test:
    def __init__(self, options, report):
        self.options, self.report = options, report
        self.work = options.work
        image = decompressed(options.image, self.work)
        self.card = Card.copy_of(image, os.path.join(self.work, "card.img"), CARD)
        machine.let_in(self.card, options.board)
        self.fresh = self.card.copy_to(os.path.join(self.work, "fresh.img"))
        self.port = free_port()
        self.board = self.new_board(self.card, "main")
        self.machine = None
        self._made = None

    def new_board(self, card, name, forward=None):
        folder = os.path.join(self.work, name)
        os.makedirs(folder, exist_ok=True)
        return machine.Board(self.options.board, card, folder, forward or (self.port, checks_provision.ADDRESS, 22))

    def on(self):
        if self.machine is None:
            self.machine = self.board.start()
            self.report.answers("it starts", self.machine.ready())
        return self.machine

    def off(self):
        if self.machine is not None:
            self.machine.power_off()
            self.machine = None

    def made(self):
        """The bundles, made when the first is wanted."""
        if self._made is None:
            began = time.monotonic()
            key, certificate = bundles.keys(self.options.keys)
            make = bundles.Bundles(self.fresh, os.path.join(self.work, "bundles"), key, certificate, f"anomalyd-{self.options.board}")
            make.version("2")
            two = make.pack()
            self._made = {"good": make.bundle("good", "2", two)}
            key, certificate = make.other_key()
            self._made["stranger"] = make.bundle("stranger", "2", two, key=key, certificate=certificate)
            self._made["other board"] = make.bundle("other-board", "2", two, compatible="something-else")
            make.version("3")
            make.break_service()
            self._made["broken"] = make.bundle("broken", "3", make.pack())
            garbage = os.path.join(make.folder, "garbage.img")
            with open(garbage, "wb") as file:
                file.write(os.urandom(1 << 20))
            self._made["garbage"] = make.bundle("garbage", "4", garbage)
            self.make = make
            self.report.note(f"bundles made in {time.monotonic() - began:.0f} s")
        return self._made

    def bundle(self, name):
        path = self.made()[name]
        if self.options.board == "rpi4":
            # No network there: it comes on the data partition, as from a stick.
            self.off()
            self.card.change_data([(f"/{os.path.basename(path)}", Path(path), 0o644)])
        return path

    # ---- steps

    def start(self):
        # The emulated Pi takes minutes to start, so there one start has to do for both.
        slow = self.options.board == "rpi4"
        if slow:
            checks_start.configure(self.card, checks_start.SHIPPED_MODEL)
        self.machine = self.board.start()
        checks_start.first_start(self.report, self.machine)
        if slow:
            checks_start.firmware_bits(self.report, self.machine)
            checks_start.complete(self.report, self.machine)
            checks_start.shipped_model(self.report, self.machine)
            checks_start.timing(self.report, self.machine)
        else:
            checks_start.safe_default(self.report, self.machine)

    def slots(self):
        checks_update.second_slot(self.report, self.on())

    def model(self):
        key, _ = bundles.keys(self.options.keys)
        paths = checks_model.bundle(self.options.board, os.path.dirname(key), self.work)
        if self.options.board == "rpi4":
            self.off()
            self.card.change_data([(f"/{os.path.basename(path)}", Path(path), 0o644) for path in paths])
        checks_model.model(self.report, self.on(), *paths)

    def bad_file(self):
        self.off()
        checks_provision.put_bad(self.card)
        checks_provision.bad_inside(self.report, self.on())
        self.off()
        checks_provision.left(self.report, self.card)

    def good_file(self):
        self.off()
        checks_provision.put_good(self.card, self.work)
        checks_provision.good_inside(self.report, self.on(), self.work)
        # Some time after READY, and only then systemd-analyze has its times.
        checks_start.complete(self.report, self.machine)
        checks_start.timing(self.report, self.machine)
        self.off()
        checks_provision.wiped(self.report, self.card)

    def update(self):
        path = self.bundle("good")
        self.machine = checks_update.update(self.report, self.on(), path, "2")

    def refused(self):
        checks_update.refused(self.report, self.on(), self.bundle("stranger"), "signed by somebody else")
        checks_update.refused(self.report, self.on(), self.bundle("other board"), "for another board")

    def stick(self):
        made = self.made()
        self.machine = checks_stick.sticks(self.report, self.on(), self.work, made["stranger"], made["good"], "2")

    def broken(self):
        path = self.bundle("broken")
        self.machine = checks_update.falls_back(self.report, self.on(), path, "3", "the service ends at once")

    def garbage(self):
        path = self.bundle("garbage")
        self.machine = checks_update.falls_back(self.report, self.on(), path, "4", "the root is none")

    def both_bad(self):
        self.machine = checks_update.both_bad(self.report, self.on())

    def hang(self):
        self.machine = checks_hang.hang(self.report, self.on())

    def panic(self):
        self.machine = checks_hang.panic(self.report, self.on())

    def torch(self):
        answer = self.on().run("anomalyd model verify /usr/share/anomalyd/demo.pt", 300)
        self.report.check("the model verifies on both engines", answer.ok and "torch" in answer.output and "native" in answer.output, answer)
        self.report.note(answer.output)

    def time(self):
        self.off()
        card = self.card.copy_to(os.path.join(self.work, "time.img"))
        checks_start.configure(card, checks_start.SHIPPED_MODEL)
        checks_time.measure(self.report, self.new_board(card, "time"), self.options.rounds)
        os.remove(card.path)

    def lost_data(self):
        self.off()
        card = self.fresh.copy_to(os.path.join(self.work, "lost.img"))
        forward = (free_port(), checks_lost_data.ADDRESS, 8080)
        checks_lost_data.lost_data(self.report, self.new_board(card, "lost", forward))
        os.remove(card.path)

    def pulls(self):
        self.off()
        card = self.fresh.copy_to(os.path.join(self.work, "pulls.img"))
        checks_pulls.pulls(self.report, self.new_board(card, "pulls"), self.work, self.options.pulls, self.options.seed)
        os.remove(card.path)

    def run(self):
        for name in self.options.steps:
            self.report.step(name)
            try:
                getattr(self, name.replace("-", "_"))()
            except Exception as error:
                if not isinstance(error, (machine.MachineError, machine.firmware.FirmwareError)):
                    traceback.print_exc()
                self.report.check(f"step {name}", False, error)
                if self.machine is not None:
                    self.machine.pull()
                    self.machine = None
        try:
            self.off()
        except machine.MachineError as error:
            self.report.check("it switches itself off", False, error)


class Beside:
    """The step `pulls` in a process of its own, on a card of its own: each machine has one processor, and
    this step takes as long as the others together. What it prints comes when it is waited for."""

    def __init__(self, options):
        self.said = os.path.join(options.work, "pulls.txt")
        command = [sys.executable, os.path.abspath(__file__), "--board", options.board, "--image", options.image]
        command += ["--steps", "pulls", "--pulls", str(options.pulls), "--seed", str(options.seed)]
        command += ["--work", os.path.join(options.work, "beside"), "--keep"]
        with open(self.said, "w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        machine.running.add(self.process)

    def end(self, report):
        self.process.wait()
        machine.running.discard(self.process)
        with open(self.said) as file:
            lines = file.read().splitlines()
        print("\n".join(lines[:-1]))
        counts = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1] if lines else "")
        if counts:
            report.passed += int(counts[1])
            report.failed += int(counts[2])
        else:
            report.check("the pulls came to an end", False, "\n".join(lines[-3:]))


def free_port():
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return there.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(prog="scripts/boot-test.sh")
    parser.add_argument("--board", choices=list(STEPS), default="qemu-amd64")
    parser.add_argument("--image", required=True, help="card image, .img or .img.zst")
    parser.add_argument("--steps", help="names of steps, parted by blanks or commas")
    parser.add_argument("--pulls", type=int, default=20, help="how often the plug is pulled")
    parser.add_argument("--seed", type=int, default=2026, help="of the moments of the pulls")
    parser.add_argument("--rounds", type=int, default=3, help="starts with and without the service")
    parser.add_argument("--keys", help="folder with update.key.pem and update.cert.pem of the image")
    parser.add_argument("--work", required=True, help="folder for the cards and consoles")
    parser.add_argument("--keep", action="store_true", help="leave that folder also after a success")
    options = parser.parse_args()
    known = STEPS[options.board] + MORE[options.board]
    options.steps = options.steps.replace(",", " ").split() if options.steps else STEPS[options.board]
    unknown = [name for name in options.steps if name not in known]
    if unknown:
        parser.error(f"no step {', '.join(unknown)} for {options.board}: {', '.join(known)}")
    # As an end of one's own, so that no machine is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.makedirs(options.work, exist_ok=True)
    report = Report()
    beside = None
    if "pulls" in options.steps and len(options.steps) > 1:
        options.steps = [name for name in options.steps if name != "pulls"]
        beside = Beside(options)
    test = Test(options, report)
    test.run()
    if beside is not None:
        beside.end(report)
    good = report.end()
    if test._made is not None:
        test.make.clean()
    if good and not options.keep:
        shutil.rmtree(options.work)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
