"""Writes a bill of materials (CycloneDX 1.5) from what `cargo metadata` says on standard input: the crates that the
program for one platform is made of, without those of tests alone."""

import json
import sys

metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
(root,) = [package["id"] for package in metadata["packages"] if package["name"] == "sandtable"]


def url(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def needs(node):
    """What ends up in the program, or builds it."""
    return [found["pkg"] for found in node["deps"] if any(kind["kind"] != "dev" for kind in found["dep_kinds"])]


seen, waiting = set(), [root]
while waiting:
    at = waiting.pop()
    if at not in seen:
        seen.add(at)
        waiting.extend(needs(nodes[at]))


def component(package, kind="library"):
    told = {"type": kind, "bom-ref": url(package), "name": package["name"], "version": package["version"]}
    if package["license"]:
        told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    told["purl"] = url(package)
    return told


others = sorted((packages[at] for at in seen if at != root), key=url)
json.dump(
    {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[root], "application")},
        "components": [component(package) for package in others],
        "dependencies": [
            {"ref": url(packages[at]), "dependsOn": sorted(url(packages[need]) for need in set(needs(nodes[at])))}
            for at in sorted(seen, key=lambda at: url(packages[at]))
        ],
    },
    sys.stdout,
    indent=1,
)
print()
