"""The tutorial of the public documents with nothing but the standard library: a table is uploaded, code draws its
chart, the chart is downloaded.

    python3 tutorial.py http://127.0.0.1:4010 chart.png
"""

import json
import sys
import urllib.request

SALES = b"region,product,units,revenue\nharbor,lantern,9,450\nvalley,lantern,9,450\nridge,kettle,12,300\n"
BOUNDARY = "sandtable-tutorial"


def call(base, path, body=None, kind="application/json"):
    headers = {
        "x-api-key": "sk-ant-tutorial",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "code-execution-2025-08-25,files-api-2025-04-14",
        "content-type": kind,
    }
    request = urllib.request.Request(base + path, data=body, headers=headers)
    # Nothing of a proxy: the server is on this machine.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=300) as answer:
        return answer.read()


def upload(base, name, content):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return json.loads(call(base, "/v1/files", body, f"multipart/form-data; boundary={BOUNDARY}"))["id"]


def follow(base, chart):
    """Writes the chart to `chart`, and returns the answer that made it."""
    content = [
        {"type": "container_upload", "file_id": upload(base, "sales.csv", SALES)},
        {"type": "text", "text": "Read sales.csv, show the revenue by region, and save a bar chart as chart.png."},
    ]
    request = {
        "model": "claude-opus-4-6",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": content}],
        "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
    }
    answer = json.loads(call(base, "/v1/messages", json.dumps(request).encode()))
    results = [block["content"] for block in answer["content"] if block["type"].endswith("_tool_result")]
    files = [file["file_id"] for result in results for file in result.get("content", ())]
    if not files:
        raise SystemExit(f"no file came back: {json.dumps(answer)[:2000]}")
    with open(chart, "wb") as out:
        out.write(call(base, f"/v1/files/{files[-1]}/content"))
    return answer


if __name__ == "__main__":
    follow(sys.argv[1].rstrip("/"), sys.argv[2])
