"""A client that asks for a table and a word, without an SDK. MISTAKE names what it does wrong."""

import http.client
import json
import os
import sys
import time
import urllib.parse

BASE = urllib.parse.urlsplit(os.environ["ANTHROPIC_BASE_URL"])
KEY = os.environ["ANTHROPIC_API_KEY"]
MISTAKE = os.environ.get("MISTAKE", "")
HEADERS = {
    "x-api-key": KEY,
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "files-api-2025-04-14,code-execution-2025-08-25",
}
TOOLS = [{"type": "code_execution_20250825", "name": "code_execution"}]
ATTEMPTS = 60 if MISTAKE == "endless" else 4
TIMEOUT = None if MISTAKE == "patient" else 4


class GaveUp(Exception):
    pass


class Refused(Exception):
    def __init__(self, status):
        super().__init__(f"the service said {status}")
        self.status = status


class Broken(Exception):
    """The answer did not come, or not to its end."""


class Overloaded(Exception):
    pass


def once(method, path, body=None, kind="application/json"):
    """An answer whose head has come."""
    connection = http.client.HTTPConnection(BASE.hostname, BASE.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body, {**HEADERS, "content-type": kind})
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Broken("no answer came") from error
    if answer.status >= 400:
        wait = answer.getheader("retry-after-ms")
        wait = float(wait) / 1000 if wait else float(answer.getheader("retry-after") or 0.01)
        refused = Refused(answer.status)
        refused.wait = 0 if MISTAKE == "hasty" else wait
        raise refused
    return answer


def read(answer):
    try:
        return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Broken("the answer broke off") from error


def again(do, repeatable):
    """Tries what is refused for a while again, and what is lost if that does no harm."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return do()
        except Refused as refused:
            if refused.status not in (408, 429, 500, 502, 503, 504, 529) or attempt == ATTEMPTS:
                raise GaveUp(str(refused)) from refused
            time.sleep(refused.wait)
        except Overloaded as error:
            if attempt == ATTEMPTS:
                raise GaveUp("the service is overloaded") from error
        except Broken as error:
            if not repeatable or attempt == ATTEMPTS:
                raise GaveUp(str(error)) from error


def listed(name):
    data = json.loads(again(lambda: read(once("GET", "/v1/files")), True))["data"]
    return next((file["id"] for file in data if file["filename"] == name), None)


def upload(name, text):
    form = f'--b\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n{text}\r\n--b--\r\n'
    send = lambda: json.loads(read(once("POST", "/v1/files", form, "multipart/form-data; boundary=b")))["id"]
    if MISTAKE == "twice":
        return again(send, True)
    try:
        return again(send, False)
    except GaveUp as error:
        if isinstance(error.__cause__, Broken):
            # It may be there all the same.
            return listed(name) or again(send, False)
        raise


def events(answer):
    """The events of a stream; a broken one ends it."""
    data = ""
    try:
        for line in answer:
            line = line.decode().rstrip("\n")
            if line.startswith("data:"):
                data += line[5:]
            elif not line and data:
                event, data = json.loads(data), ""
                yield event
                if event["type"] == "message_stop":
                    return
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Broken("the stream broke off") from error
    raise Broken("the stream ended early")


def streamed(answer):
    message = {"content": [], "container": None}
    called = False
    try:
        for event in events(answer):
            kind = event["type"]
            if kind == "content_block_start":
                message["content"].append(event["content_block"])
                called |= event["content_block"]["type"] == "server_tool_use"
            elif kind == "content_block_delta":
                block, delta = message["content"][-1], event["delta"]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                elif delta["type"] == "input_json_delta":
                    block["json"] = block.get("json", "") + delta["partial_json"]
            elif kind == "content_block_stop":
                block = message["content"][-1]
                if "json" in block:
                    block["input"] = json.loads(block.pop("json") or "{}")
            elif kind == "message_delta":
                message["stop_reason"] = event["delta"]["stop_reason"]
                message["container"] = event["delta"].get("container") or message["container"]
            elif kind == "error":
                if called:
                    raise GaveUp("the service failed while code ran")
                raise Overloaded
    except Broken as error:
        if MISTAKE == "swallow":
            return message
        if MISTAKE == "rerun":
            raise
        raise GaveUp(str(error)) from error
    return message


def ask(text, container=None):
    messages = [{"role": "user", "content": text}]
    content = []
    while True:
        body = {"model": "claude-opus-4-6", "max_tokens": 99, "messages": messages, "tools": TOOLS, "stream": True}
        if container:
            body["container"] = container
        turn = again(lambda: streamed(once("POST", "/v1/messages", json.dumps(body))), MISTAKE == "rerun")
        content += turn["content"]
        container = (turn["container"] or {}).get("id", container)
        messages.append({"role": "assistant", "content": turn["content"]})
        if turn.get("stop_reason") != "pause_turn" or MISTAKE == "unpaused":
            break
    if turn.get("stop_reason") != "end_turn" and MISTAKE not in ("swallow", "unpaused"):
        raise GaveUp(f"the answer ended with {turn.get('stop_reason')}")
    for block in content:
        result = block.get("content")
        if isinstance(result, dict) and "error_code" in result:
            raise GaveUp(f"a call failed: {result['error_code']}")
    return content, container


def main():
    upload("in.csv", "x\n1\n")
    content, container = ask("make a table")
    for block in content:
        if block["type"].endswith("_tool_result"):
            result = block["content"]
            for file in result.get("content") or [] if isinstance(result, dict) else []:
                if not isinstance(file, dict) or "file_id" not in file:
                    continue
                table = again(lambda: read(once("GET", f"/v1/files/{file['file_id']}/content")), True)
                print(table.decode(errors="strict" if MISTAKE == "strict" else "replace"))
    content, _ = ask("say the word", container)
    print("".join(block["text"] for block in content if block["type"] == "text"))


if MISTAKE == "crash":
    main()
else:
    try:
        main()
    except GaveUp as error:
        tail = f" with {KEY}" if MISTAKE == "leak" else ""
        sys.exit(f"error: gave up{tail}: {error}")
