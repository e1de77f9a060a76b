"""A model in a bundle of its own: put in force without a restart of anything; one that is damaged is refused.
Imports checks_update.
"""

import json
import os
import subprocess

import checks_update

HERE = os.path.dirname(os.path.abspath(__file__))
MAKE = os.path.join(HERE, "../../scripts/model-bundle.sh")
MODEL = os.path.join(HERE, "../../models/demo.pt")


def bundle(board, keys, folder):
    """Paths of a good bundle and of one whose model is damaged."""
    with open(MODEL, "rb") as file:
        content = bytearray(file.read())
    # Within the weights, so that it is still an archive by its looks.
    content[len(content) // 2] ^= 0xFF
    damaged = os.path.join(folder, "damaged.pt")
    with open(damaged, "wb") as file:
        file.write(content)
    paths = []
    for name, model in (("model", MODEL), ("model-damaged", damaged)):
        path = os.path.join(folder, f"{name}.raucb")
        subprocess.run([MAKE, model, "--board", board, "--keys", keys, "--out", path], check=True, capture_output=True)
        paths.append(path)
    return paths


def model(report, machine, good, damaged):
    """On an appliance that learns, for it has no model."""
    pid = machine.look("systemctl show -P MainPID anomalyd")
    report.same("without a model it learns one", status(machine).get("state"), "learning")
    answer = checks_update.install(machine, damaged)
    report.check("a bundle whose model is damaged is refused", not answer.ok, answer)
    report.check("and is not in force", machine.run("test ! -e /var/lib/anomalyd/models/current.pt").ok)
    answer = checks_update.install(machine, good)
    report.check(f"rauc install of a bundle with a model ({machine.seconds():.0f} s)", answer.ok, answer)
    machine.run("for i in $(seq 30); do anomalyd status --json | grep -q '\"watching\"' && break; sleep 1; done", 100)
    said = status(machine)
    report.same("it watches with it", (said.get("state"), said.get("model")), ("watching", "demo-plant 1"))
    report.same("and was not restarted", machine.look("systemctl show -P MainPID anomalyd"), pid)


def status(machine):
    said = machine.look("anomalyd status --json")
    try:
        return json.loads(said)
    except ValueError:
        return {"said": said}
