#!/usr/bin/env python3
"""Writes docs/SDKS.md: what the official SDKs do by themselves under each fault, measured.

    cargo build && python3 scripts/sdks.py            # writes the page
    python3 scripts/sdks.py --check --every 4         # compares every fourth row with the page
"""

import argparse
import concurrent.futures
import json
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/SDKS.md"
# Of the clients, so that silence ends; the SDKs' own is ten minutes.
TIMEOUT_SECONDS = 3
# Three tries that each wait for the time-out, and the pauses between them.
LIMIT_SECONDS = 15
# Of a control call, on a busy machine.
ANSWER_SECONDS = 60

SCRIPT = """
- name: an output, for the download
  when: { user: an output }
  then:
    - bash: make
      result: { files: [{ name: big.txt, text: "%s" }] }
- name: pauses
  when: { user: pauses }
  then: [{ text: Wait. }, pause_turn, { text: Done. }]
- name: stops
  when: { user: { regex: 'stops with (?P<how>\\w+)' } }
  then:
    - text: Until here
    - if: captures.how == "refusal"
      then: [{ stop: { reason: refusal, category: cyber, explanation: No. } }]
      else: [{ stop: max_tokens }]
- name: runs code
  then:
    - text: I look.
    - bash: date
      result: { stdout: "Monday\\n" }
    - text: It is Monday.
""" % ("a line of text " * 400)

PATHS = {
    "plain": "/v1/messages",
    "stream": "/v1/messages",
    "upload": "/v1/files",
    "batch": "/v1/messages/batches",
    "download": "/v1/files/*/content",
}


def http(**fault):
    return {"at": "http", **fault}


def wire(**fault):
    return {"at": "wire", **fault}


def stream(**fault):
    return {"at": "stream", **fault}


def statuses():
    for status in (401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529):
        yield f"{status}, once", "plain", http(status=status)
    yield "529, always", "plain", http(status=529, times="always")
    yield "529, once, with `x-should-retry: false`", "plain", http(status=529, headers={"x-should-retry": "false"})
    yield "429, once, with `retry-after: 2`", "plain", http(status=429, headers={"retry-after": "2"})
    yield "429, once, with `retry-after: 3600`", "plain", http(status=429, headers={"retry-after": "3600"})


def lost():
    for call, words in [("upload", "an upload"), ("batch", "a batch"), ("plain", "a plain turn that runs code")]:
        yield f"{words}: the connection closes before the work", call, http(do="cut")
        yield f"{words}: no answer, nothing done", call, http(do="stall")
        yield f"{words}: done, and the connection is reset in the body", call, wire(do="reset", after_bytes=20)
        yield f"{words}: done, and the body stops", call, wire(do="hang", after_bytes=20)


def streams():
    for after, words in [(2, "before a call"), (12, "after a call has begun")]:
        yield f"`overloaded_error` {words}", "stream", stream(after_events=after, type="overloaded_error")
        yield f"the connection closes {words}", "stream", stream(after_events=after, do="cut")
        yield f"the connection is reset {words}", "stream", wire(do="reset", after_events=after)
        yield f"silence without end {words}", "stream", wire(do="hang", after_events=after)
    yield "an event whose data is no JSON", "stream", wire(do="malformed", after_events=2)
    yield "an event of an unknown type", "stream", wire(do="unknown_event", after_events=2)
    yield "pings in a row", "stream", wire(do="pings", after_events=2, count=5)
    yield "pieces of 7 bytes", "stream", wire(do="split", bytes=7)
    yield "all events in one piece", "stream", wire(do="merge")


def downloads():
    yield "529, once", "download", http(status=529)
    yield "the connection is reset in the body", "download", wire(do="reset", after_bytes=100)
    yield "the body stops", "download", wire(do="hang", after_bytes=100)
    yield "pieces of 7 bytes", "download", wire(do="split", bytes=7)


def answers():
    yield "`pause_turn`", "stream", None, "pauses"
    yield "`refusal`", "stream", None, "stops with refusal"
    yield "`max_tokens`", "stream", None, "stops with max_tokens"
    for code in ("container_expired", "unavailable", "execution_time_exceeded"):
        yield f"a call's result is `{code}`", "stream", {"at": "tool", "error_code": code}


SECTIONS = [
    (
        "A status in place of an answer",
        "A plain turn; with other calls, and streams that have not begun, it is the same. Where `retry-after: 3600` has no end the SDK waits the hour.",
        statuses,
    ),
    (
        "An answer that is lost",
        "Python reads the body within what it retries, so it makes things twice by itself. With TypeScript retries and time-out end with the headers.",
        lost,
    ),
    ("A stream that breaks", "The turn runs code. No SDK asks again once events have come.", streams),
    ("A download", "As with every body: Python asks again by itself, TypeScript hands the body on.", downloads),
    ("What an answer says", "None of it is an error to an SDK: the message is handed back, and the caller has to look.", answers),
]

HEAD = """\
# What the official SDKs do by themselves

How a client behaves under a fault is first of all how its SDK behaves. Each cell is measured: one call with the SDK's own settings and a time-out of {timeout} s, one fault of
[Faults](FAULTS.md), and what the server saw and the caller got. `python3 scripts/sdks.py` makes this page, and a test holds a sample of it against the SDKs.

| In a cell | |
|---|---|
| goes well | the caller gets the whole answer and notices nothing |
| tries | requests that the server saw |
| `Name` | the exception that the caller gets: the SDK's, or what lies below it |
| **made 2×** | a file, a batch, or a turn that ran code is there as often, and the caller knows of one at most |
| no end | neither an answer nor an exception within {limit} s, though the time-out is {timeout} s |

What follows from it for code that is to survive: look before an upload or a batch is sent again (or set the retries to 0 and do them yourself), ask again after an
`error` event only if no call has begun, catch what lies below the SDK while an answer is read, and end a silent body yourself where the SDK does not. An agent that does so, and
the sweep that shows it: [An agent to be swept](../examples/sweep/README.md).
"""


class Server:
    """A sandtable of its own on a free port, with the script."""

    def __init__(self, program, folder):
        script = folder / "script.yaml"
        script.write_text(SCRIPT)
        self.process = subprocess.Popen(
            [program, "--port", "0", "--backend", "none", "--script", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = next(line.split()[1] for line in self.process.stdout if line.strip().startswith("listening "))
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, key, method, path, body=None):
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with self.opener.open(request, timeout=ANSWER_SECONDS) as response:
            return json.load(response)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def rows():
    for title, _, faults in SECTIONS:
        for words, call, fault, *prompt in faults():
            yield {"section": title, "words": words, "call": call, "fault": fault, "prompt": (prompt or ["run"])[0]}


def job(server, number, row):
    """A key with its fault, and what the client is to do with it."""
    key = f"sk-ant-{secrets.token_hex(12)}"
    made = {"id": number, "key": key, "call": row["call"], "prompt": row["prompt"], "timeout": TIMEOUT_SECONDS, "limit": LIMIT_SECONDS}
    if row["call"] == "download":
        tools = [{"type": "code_execution_20250825", "name": "code_execution"}]
        body = {"model": "claude-opus-4-6", "max_tokens": 64, "tools": tools, "messages": [{"role": "user", "content": "an output"}]}
        server.ask(key, "POST", "/v1/messages", body)
        [file] = server.ask(key, "GET", "/v1/files")["data"]
        made |= {"file_id": file["id"], "size": file["size_bytes"]}
    if row["fault"] is not None:
        fault = dict(row["fault"])
        if fault["at"] in ("http", "wire"):
            fault["path"] = PATHS[row["call"]]
        server.ask(key, "POST", "/_sandtable/faults", fault)
    return made


def cell(server, job, result):
    """What the server saw, and what the caller got, in words."""
    requests = server.ask(job["key"], "GET", "/_sandtable/journal?limit=100")["data"]
    pattern = PATHS[job["call"]].split("*")
    seen = [each for each in requests if each["path"].startswith(pattern[0]) and each["path"].endswith(pattern[-1])]
    if job["call"] == "download":
        seen = [each for each in seen if each["path"].endswith("/content")]
    words = outcome(job, result, len(seen))
    verdict = server.ask(job["key"], "GET", "/_sandtable/verify")
    count = made(server, job, verdict)
    return f"{words}, **made {count}×**" if count > 1 else words


def outcome(job, result, tries):
    after = "" if tries == 1 else f", {tries} tries"
    if result.get("endless"):
        return f"no end{after}"
    if "raised" in result:
        return f"`{result['raised']}`{after}"
    said = [word for word in result["said"] if word not in (None, "end_turn")]
    if "short" in said:
        return f"a short file, and no error{after}"
    if said:
        return f"returned: `{'`, `'.join(said)}`{after}"
    if result["said"] == [None]:
        return f"half a message, and no error{after}"
    return f"goes well{after}"


def made(server, job, verdict):
    """How often the work is there."""
    if job["call"] == "upload":
        return len(server.ask(job["key"], "GET", "/v1/files")["data"])
    if job["call"] == "batch":
        return len(server.ask(job["key"], "GET", "/v1/messages/batches")["data"])
    chains = verdict["faults"]
    return max((sum(bool(each.get("made")) for each in chain["attempts"]) for chain in chains), default=0)


class Client:
    """An SDK of one language and version."""

    def __init__(self, name, command, program):
        self.name, self.command, self.program = name, command, program

    def measure(self, server, rows):
        jobs = [job(server, number, row) for number, row in enumerate(rows)]
        done = subprocess.run(
            [*self.command, self.program],
            input="\n".join(map(json.dumps, jobs)),
            env={"PATH": "/usr/bin:/bin", "ANTHROPIC_BASE_URL": server.url, "NO_PROXY": "*", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=8 * LIMIT_SECONDS,
        )
        results = {result["id"]: result for result in map(json.loads, done.stdout.splitlines())}
        if len(results) < len(jobs):
            sys.exit(f"{self.name}: {done.stderr}")
        return [cell(server, each, results[each["id"]]) for each in jobs]


def clients(options, folder):
    program = ROOT / "tests/sdk/python/by_itself.py"
    for python in (options.python, options.python_075):
        version = subprocess.run([python, "-c", "import anthropic; print(anthropic.__version__)"], capture_output=True, text=True, check=True)
        yield Client(f"Python {version.stdout.strip()}", [python], program)
    copy = folder / "by-itself.ts"
    shutil.copy(ROOT / "tests/sdk/typescript/by-itself.ts", copy)
    shutil.copy(ROOT / "tests/sdk/typescript/package.json", folder)
    (folder / "node_modules").symlink_to(options.modules)
    version = json.loads((options.modules / "@anthropic-ai/sdk/package.json").read_text())["version"]
    yield Client(f"TypeScript {version}", [shutil.which("node"), options.modules / "tsx/dist/cli.mjs"], copy)


def measure(options, rows):
    """The names of the SDKs, and each row with a cell for each of them."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = Server(options.sandtable, folder)
        try:
            asked = list(clients(options, folder))
            with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
                cells = list(pool.map(lambda client: client.measure(server, rows), asked))
        finally:
            server.stop()
    return [client.name for client in asked], [[row["words"], *each] for row, *each in zip(rows, *cells)]


def line(cells):
    return f"| {' | '.join(cells)} |"


def page(names, rows, measured):
    parts = [HEAD.format(timeout=TIMEOUT_SECONDS, limit=LIMIT_SECONDS)]
    for title, words, _ in SECTIONS:
        table = [line(["", *names]), line(["---"] * (len(names) + 1)).replace(" ", "")]
        table += [line(cells) for row, cells in zip(rows, measured) if row["section"] == title]
        parts.append(f"## {title}\n\n{words}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def stale(names, rows, measured):
    """What the page says otherwise."""
    sections = PAGE.read_text().split("\n## ")
    problems = []
    if line(["", *names]) not in sections[1]:
        problems.append(f"it is about other versions than {', '.join(names)}")
    for row, cells in zip(rows, measured):
        section = next((text for text in sections if text.startswith(row["section"])), "")
        if line(cells) not in section.splitlines():
            problems.append(f"{row['section']}: measured {line(cells)}")
    return problems


def main():
    environments = ROOT / ".venv"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandtable", default=ROOT / "target/debug/sandtable")
    parser.add_argument("--python", default=environments / "sdk-2.11/bin/python")
    parser.add_argument("--python-075", default=environments / "sdk-0.75/bin/python")
    parser.add_argument("--modules", type=pathlib.Path, default=ROOT / "tests/sdk/typescript/node_modules")
    parser.add_argument("--check", action="store_true", help="compare with the page in place of writing it")
    parser.add_argument("--every", type=int, default=1, help="measure every N-th row alone, for a check")
    options = parser.parse_args()
    chosen = list(rows())[:: options.every]
    names, measured = measure(options, chosen)
    if not options.check:
        PAGE.write_text(page(names, chosen, measured))
        return None
    if problems := stale(names, chosen, measured):
        return "docs/SDKS.md is stale; `python3 scripts/sdks.py` makes it anew:\n  " + "\n  ".join(problems)
    print(f"docs/SDKS.md holds: {len(chosen)} rows measured")
    return None


if __name__ == "__main__":
    sys.exit(main())
