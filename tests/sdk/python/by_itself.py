"""One call of the SDK for each job on stdin, as it comes: what came of it, as JSON, for `scripts/sdks.py`."""

import concurrent.futures
import json
import os
import sys
import tempfile

import anthropic

TOOLS = [{"type": "code_execution_20250825", "name": "code_execution"}]


def params(job):
    return {
        "model": "claude-opus-4-6",
        "max_tokens": 1024,
        "tools": TOOLS,
        "messages": [{"role": "user", "content": job["prompt"]}],
    }


def told(message):
    """How the answer ended, and the errors of its calls."""
    said = [message.stop_reason]
    for block in message.to_dict(mode="json", warnings=False)["content"]:
        content = block.get("content")
        if isinstance(content, dict) and content.get("error_code"):
            said.append(content["error_code"])
    return said


def plain(client, job):
    return told(client.beta.messages.create(**params(job)))


def stream(client, job):
    with client.beta.messages.stream(**params(job)) as events:
        return told(events.get_final_message())


def upload(client, job):
    client.beta.files.upload(file=("a.csv", b"a,b\n1,2\n", "text/csv"))
    return []


def download(client, job):
    with tempfile.TemporaryFile() as file:
        file.write(client.beta.files.download(job["file_id"]).read())
        return [] if file.tell() == job["size"] else ["short"]


def batch(client, job):
    client.beta.messages.batches.create(requests=[{"custom_id": "a", "params": params(job)}])
    return []


def run(job):
    client = anthropic.Anthropic(api_key=job["key"], timeout=job["timeout"])
    try:
        return {"id": job["id"], "said": globals()[job["call"]](client, job)}
    except Exception as error:
        kind = type(error)
        package = kind.__module__.split(".")[0]
        name = kind.__name__ if package in ("anthropic", "builtins") else f"{package}.{kind.__name__}"
        return {"id": job["id"], "raised": name}


def within(job, done):
    """The result of a job, or that there is none within its limit."""
    try:
        return done.result(timeout=job["limit"])
    except concurrent.futures.TimeoutError:
        return {"id": job["id"], "endless": True}


jobs = [json.loads(line) for line in sys.stdin]
pool = concurrent.futures.ThreadPoolExecutor(len(jobs))
for job, done in [(job, pool.submit(run, job)) for job in jobs]:
    print(json.dumps(within(job, done)))
sys.stdout.flush()
os._exit(0)
