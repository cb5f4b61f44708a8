"""Summarizes reports in a batch, waits for it, and sends what failed once more."""

import os
import time

import anthropic

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "60"))
ROUNDS = 3

batches = anthropic.Anthropic().messages.batches


def params(name):
    return {
        "model": "claude-opus-4-6",
        "max_tokens": 1024,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        "messages": [{"role": "user", "content": f"summarize {name}"}],
    }


def run(names):
    """The results of one batch by name; they come in any order."""
    batch = batches.create(requests=[{"custom_id": name, "params": params(name)} for name in names])
    while batch.processing_status != "ended":
        time.sleep(POLL_SECONDS)
        batch = batches.retrieve(batch.id)
    return {line.custom_id: line.result for line in batches.results(batch.id)}


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


open_names, done = ["report-1", "report-2", "report-3"], {}
for _ in range(ROUNDS):
    results = run(open_names)
    done |= {name: text(result.message) for name, result in results.items() if result.type == "succeeded"}
    for name, result in results.items():
        if result.type == "errored" and result.error.error.type == "invalid_request_error":
            raise SystemExit(f"{name}: {result.error.error.message}")  # it would be refused again
    open_names = [name for name in open_names if name not in done]
    if not open_names:
        break
    print("once more:", *open_names)

for name in sorted(done):
    print(done[name])
raise SystemExit(1 if open_names else 0)
