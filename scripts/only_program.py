"""Of cargo's messages on standard input, lets through the one about the program, and the last."""

import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    target, profile = message.get("target", {}), message.get("profile", {})
    is_program = target.get("kind") == ["bin"] and target.get("name") == "sandtable" and not profile.get("test")
    if message["reason"] == "build-finished" or (message["reason"] == "compiler-artifact" and is_program):
        print(line, end="")
