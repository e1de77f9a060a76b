"""A card whose data partition cannot be mounted: the appliance watches all the same, on memory, and says so
where it can, for the way in was on that partition, too. Imports machine.
"""

import http.client
import json
import time

# What the emulated network gives to the first who asks.
ADDRESS = "10.0.2.15"


def wipe(card):
    """Nothing is left of the file system, so that there is nothing to repair."""
    number = card.number("data")
    card.write_raw(number, bytes(card.place(number)[1]))


def get(port, path):
    """(status, body) of the page's server; None as long as it does not answer."""
    there = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        there.request("GET", path)
        answer = there.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        there.close()


def lost_data(report, board):
    """`board` forwards a port to the page's."""
    wipe(board.card)
    machine = board.start()
    port = board.forward[0]
    machine.wait_console("the data partition cannot be mounted")
    report.check("the console says that the data partition cannot be mounted", True)
    until = time.monotonic() + 300
    answer = None
    while answer is None and time.monotonic() < until and machine.process.poll() is None:
        time.sleep(1)
        answer = get(port, "/healthz")
    report.check(f"it starts all the same: the page answers ({machine.seconds():.0f} s after power-on)", answer is not None and answer[0] == 200, answer)
    status, health = {}, {}
    # The first look of the service at itself comes a moment later.
    while time.monotonic() < until and not health:
        time.sleep(1)
        status = (json.loads((get(port, "/api/state") or (0, "{}"))[1]).get("service") or {}).get("status") or {}
        health = status.get("health") or {}
    report.same("the service takes samples", status.get("state"), "learning")
    report.same("and its page says that the state is in memory", health.get("state_volatile"), True)
    report.check("so does its line", "STATE IN MEMORY ONLY" in (status.get("health_text") or ""), status.get("health_text"))
    metrics = (get(port, "/metrics") or (0, ""))[1]
    report.check("and its metrics", "\nanomalyd_state_volatile 1\n" in metrics, [line for line in metrics.splitlines() if "volatile" in line])
    machine.pull()
