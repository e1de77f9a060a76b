#!/usr/bin/env python3
"""Drives headless Chromium for tests/web_page.rs: a JSON command a line on stdin, its result on stdout.

Speaks the DevTools protocol over a pipe, so that no port is opened and no package is needed.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile


class Browser:
    def __init__(self, program, profile):
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()

        def descriptors():
            # Chromium reads commands from 3 and writes to 4. Both ends may be these very numbers.
            read, write = os.dup(to_read), os.dup(from_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
             "--remote-debugging-pipe", "--user-data-dir=" + profile, "about:blank"],
            preexec_fn=descriptors, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.buffer = b""
        self.number = 0
        self.errors = []
        self.asked = []
        target = self.call("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True}, None)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(domain + ".enable")

    def receive(self):
        while b"\0" not in self.buffer:
            read = os.read(self.from_read, 1 << 16)
            if not read:
                raise SystemExit("the browser is gone")
            self.buffer += read
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, params=None, session=""):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.note(answer)

    def note(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    def evaluate(self, script):
        answer = self.call("Runtime.evaluate", {
            "expression": f"(async () => {{ {script} }})()", "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def do(self, command):
        what = command["do"]
        if what == "open":
            self.errors, self.asked = [], []
            self.call("Emulation.setDeviceMetricsOverride", {
                "width": command["width"], "height": command["height"], "deviceScaleFactor": 1,
                "mobile": command["width"] < 500})
            self.call("Emulation.setEmulatedMedia", {"features": [
                {"name": "prefers-color-scheme", "value": command["scheme"]},
                {"name": "prefers-reduced-motion", "value": "reduce"}]})
            self.call("Page.navigate", {"url": command["url"]})
            return None
        if what == "run":
            return self.evaluate(command["script"])
        if what == "key":
            for kind in ("keyDown", "keyUp"):
                key = {"type": kind, "key": command["key"], "code": command["key"],
                       "windowsVirtualKeyCode": command["code"]}
                if command["key"] == "Enter" and kind == "keyDown":
                    key["text"] = "\r"
                self.call("Input.dispatchKeyEvent", key)
            return None
        if what == "type":
            self.call("Input.insertText", {"text": command["text"]})
            return None
        if what == "names":
            # What a screen reader is told of: role and name.
            nodes = self.call("Accessibility.getFullAXTree")["nodes"]
            return [[node["role"]["value"], node.get("name", {}).get("value", "")]
                    for node in nodes if not node.get("ignored")]
        if what == "picture":
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": command["width"], "height": min(size["height"], 8000), "scale": 1}
            shot = self.call("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
            with open(command["path"], "wb") as file:
                file.write(base64.b64decode(shot["data"]))
            return None
        if what == "trouble":
            self.evaluate("return 1;")
            return {"errors": self.errors, "asked": self.asked}
        raise ValueError(what)

    def close(self):
        try:
            self.call("Browser.close", session=None)
            self.process.wait(10)
        except (RuntimeError, SystemExit, OSError, subprocess.TimeoutExpired):
            self.process.kill()


def main():
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(sys.argv[1], profile)
        try:
            for line in sys.stdin:
                try:
                    answer = {"ok": browser.do(json.loads(line))}
                except RuntimeError as error:
                    answer = {"error": str(error)}
                print(json.dumps(answer), flush=True)
        finally:
            browser.close()


main()
