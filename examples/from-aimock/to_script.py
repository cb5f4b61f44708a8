"""Turns aimock fixtures into rules of a sandtable script: `to_script.py fixtures.json > script.json`.

What has no place in a rule is told on stderr, and the exit code is 1."""

import json
import re
import sys

# Members of `match`, and the clauses of `when` that say the same.
CLAUSES = {
    "userMessage": lambda text: {"user": {"contains": text}},
    "systemMessage": lambda text: {"system": {"contains": text}},
    # A date may follow.
    "model": lambda name: {"model": {"regex": rf"^{re.escape(name)}(-\d.*)?$"}},
    "toolName": lambda name: {"tools": [name]},
}
STOPS = {"length": "max_tokens", "content_filter": "refusal"}


def literal(value):
    """As it is: in a rule `${{ … }}` would be a template."""
    if isinstance(value, str):
        return value.replace("${", "${{ '${' }}")
    if isinstance(value, list):
        return [literal(each) for each in value]
    return {name: literal(each) for name, each in value.items()} if isinstance(value, dict) else value


def steps(response):
    if "error" in response:
        error = response["error"]
        known = {"type": error.get("type"), "message": error.get("message")}
        return [{"http_error": {"status": response.get("status", 500), **{k: v for k, v in known.items() if v}}}]
    found = []
    if response.get("content"):
        found.append({"text": literal(response["content"])})
    calls = [
        {"tool_use": {"name": call["name"], "input": literal(json.loads(call["arguments"] or "{}"))}}
        for call in response.get("toolCalls", [])
    ]
    found += calls if len(calls) < 2 else [{"parallel": calls}]
    stop = STOPS.get(response.get("finishReason"))
    return found + ([{"stop": stop}] if stop else [])


def rule(number, fixture):
    """The rule, or None, and what is lost. Without one of its clauses a rule would answer more than the fixture does."""
    taken = {name: each for name, each in fixture["match"].items() if name in CLAUSES and isinstance(each, str)}
    unknown = [f"match.{name}" for name in fixture["match"] if name not in taken]
    then = steps(fixture["response"])
    if unknown or not then:
        return None, [f"fixture {number} is left out: `{name}` has no place in a rule" for name in unknown or ["response"]]
    when = {}
    for name, value in taken.items():
        when |= CLAUSES[name](value)
    others = [name for name in fixture if name not in ("match", "response")]
    return {"name": f"fixture {number}", "when": when, "then": then}, [f"fixture {number}: `{name}` is lost" for name in others]


if __name__ == "__main__":
    fixtures = json.load(open(sys.argv[1], encoding="utf-8"))
    fixtures = fixtures["fixtures"] if isinstance(fixtures, dict) else fixtures
    rules, lost = zip(*(rule(number, fixture) for number, fixture in enumerate(fixtures, 1)))
    json.dump([each for each in rules if each], sys.stdout, indent=2)
    print(*sum(lost, []), sep="\n", end="\n" if any(lost) else "", file=sys.stderr)
    sys.exit(1 if any(lost) else 0)
