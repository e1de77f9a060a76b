"""A line a check, and the sum at the end. Imports nothing of here."""

import sys
import time


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.began = time.monotonic()

    def _line(self, text):
        print(text)
        sys.stdout.flush()

    def check(self, name, holds, detail=""):
        """`detail` is what was seen, shown where the check fails."""
        if holds:
            self.passed += 1
            self._line(f"ok    {name}")
        else:
            self.failed += 1
            seen = " | ".join(str(detail).strip().splitlines())
            self._line(f"FAIL  {name}{': ' if seen else ''}{seen[-1200:]}")
        return bool(holds)

    def same(self, name, got, expected):
        return self.check(name, got == expected, f"{got!r}, not {expected!r}")

    def answers(self, name, answer):
        """A script inside succeeded."""
        return self.check(name, answer.ok, answer)

    def note(self, text):
        for line in str(text).splitlines():
            self._line(f"      {line}")

    def step(self, name):
        self._line(f"== {name} ({time.monotonic() - self.began:.0f} s)")

    def end(self):
        self._line(f"{self.passed} passed, {self.failed} failed")
        return self.failed == 0 and self.passed > 0
