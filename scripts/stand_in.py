#!/usr/bin/env python3
"""A cargo for maturin, whose own `cargo rustc` would compile all of it once more, with other flags: says that the program
`SANDTABLE_BUILT` was built. All else the real cargo answers."""

import json
import os
import subprocess
import sys

if sys.argv[1] != "rustc":
    os.execvp("cargo", ["cargo", *sys.argv[1:]])

built = os.environ["SANDTABLE_BUILT"]
manifest = sys.argv[sys.argv.index("--manifest-path") + 1]
command = ["cargo", "metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest]
metadata = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
(package,) = [package for package in metadata["packages"] if package["name"] == "sandtable"]
(target,) = [target for target in package["targets"] if target["kind"] == ["bin"]]
profile = {"opt_level": "3", "debuginfo": 0, "debug_assertions": False, "overflow_checks": False, "test": False}
artifact = {
    "reason": "compiler-artifact",
    "package_id": package["id"],
    "manifest_path": package["manifest_path"],
    "target": target,
    "profile": profile,
    "features": [],
    "filenames": [built],
    "executable": built,
    "fresh": True,
}
print(json.dumps(artifact))
print(json.dumps({"reason": "build-finished", "success": True}))
