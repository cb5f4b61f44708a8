"""The same conversation as one writes it on the first day, with nothing but Python's standard library."""

import json
import os
import pathlib
import sys
import tempfile
import urllib.request

BASE = os.environ["ANTHROPIC_BASE_URL"]
HEADERS = {
    "x-api-key": os.environ["ANTHROPIC_API_KEY"],
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "files-api-2025-04-14,code-execution-2025-08-25",
}
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
table = pathlib.Path("sales.csv")


def send(method, path, body=None, content_type="application/json"):
    request = urllib.request.Request(BASE + path, body, {**HEADERS, "content-type": content_type}, method=method)
    return urllib.request.urlopen(request)


def ask(messages, **more):
    body = {
        "model": "claude-opus-4-6",
        "max_tokens": 2048,
        "messages": messages,
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
        "stream": True,
        **more,
    }
    for line in send("POST", "/v1/messages", json.dumps(body).encode()):
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "message_start":
            message = event["message"]
        elif event["type"] == "content_block_start":
            message["content"].append(event["content_block"])
            text = ""
        elif event["type"] == "content_block_delta":
            text += event["delta"].get("text") or event["delta"].get("partial_json")
        elif event["type"] == "content_block_stop":
            block = message["content"][-1]
            if block["type"] == "text":
                block["text"] = text
            elif block["type"] == "server_tool_use":
                block["input"] = json.loads(text)
        elif event["type"] == "message_delta":
            message.update(event["delta"])
    return message


body = f'--x\r\ncontent-disposition: form-data; name="file"; filename="sales.csv"\r\n\r\n{table.read_text()}\r\n--x--\r\n'
uploaded = json.load(send("POST", "/v1/files", body.encode(), "multipart/form-data; boundary=x"))["id"]
messages = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Write the totals by region to $OUTPUT_DIR/totals.csv, and a chart to $OUTPUT_DIR/chart.txt."},
            {"type": "container_upload", "file_id": uploaded},
        ],
    }
]
answer = ask(messages)
made = []
for block in answer["content"]:
    if block["type"] == "bash_code_execution_tool_result":
        made += [output["file_id"] for output in block["content"].get("content", [])]
for file_id in made:
    name = json.load(send("GET", f"/v1/files/{file_id}"))["filename"]
    (folder / name).write_bytes(send("GET", f"/v1/files/{file_id}/content").read())
    print(name)

messages.append({"role": "assistant", "content": answer["content"]})
messages.append({"role": "user", "content": "And which product sold best?"})
print(ask(messages, container=answer["container"]["id"])["content"][-1]["text"])

for file_id in [uploaded, *made]:
    send("DELETE", f"/v1/files/{file_id}")
