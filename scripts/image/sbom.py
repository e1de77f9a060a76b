#!/usr/bin/env python3
"""Writes the software bill of materials of a card image, CycloneDX 1.5 in JSON.

    sbom.py NAME VERSION PACKAGES CARGO_LOCK >SBOM

PACKAGES has a line a Debian package: name, version, architecture, by tabs. Dated by
SOURCE_DATE_EPOCH. Crates are those of Cargo.lock, with the ones that only tests use.
Standard library only."""

import datetime
import hashlib
import json
import os
import sys
import tomllib
import uuid
from urllib.parse import quote


def debian(line):
    name, version, arch = line.rstrip("\n").split("\t")
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={arch}&distro=trixie"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def crate(package):
    purl = f"pkg:cargo/{package['name']}@{quote(package['version'], safe='')}"
    component = {
        "type": "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "purl": purl,
    }
    if "checksum" in package:
        component["hashes"] = [{"alg": "SHA-256", "content": package["checksum"]}]
    return component


def main():
    name, version, packages, lock = sys.argv[1:]
    with open(packages) as file:
        components = [debian(line) for line in file if not line.startswith("anomalyd\t")]
    with open(lock, "rb") as file:
        listed = tomllib.load(file)["package"]
    components += [crate(package) for package in listed if "source" in package]
    own = next(package for package in listed if package["name"] == "anomalyd")
    components.append({"type": "application", "bom-ref": "anomalyd", "name": "anomalyd", "version": own["version"]})
    components.sort(key=lambda component: component["bom-ref"])
    digest = hashlib.sha256(json.dumps([name, version, components]).encode()).hexdigest()
    made = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same content has the same number.
        "serialNumber": f"urn:uuid:{uuid.UUID(digest[:32], version=4)}",
        "version": 1,
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "operating-system", "bom-ref": name, "name": name, "version": version},
        },
        "components": components,
        "dependencies": [{"ref": name, "dependsOn": [component["bom-ref"] for component in components]}],
    }
    json.dump(bill, sys.stdout, indent=1)
    sys.stdout.write("\n")


main()
