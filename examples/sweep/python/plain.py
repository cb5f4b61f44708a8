"""The service through `http.client` alone; the events of a stream are read by hand."""

import http.client
import json
import os
import urllib.parse
import uuid

from agent import Failure
from retry_after import PASSING, PASSING_TYPES, retry_after

TIMEOUT_SECONDS = float(os.environ.get("TIMEOUT_SECONDS", "60"))
CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


class Plain:
    def __init__(self):
        self.base = urllib.parse.urlsplit(os.environ["ANTHROPIC_BASE_URL"])
        self.key = os.environ["ANTHROPIC_API_KEY"]

    def upload(self, name, data):
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\ncontent-type: text/csv\r\n\r\n'
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self.json("POST", "/v1/files", body, f"multipart/form-data; boundary={boundary}")["id"]

    def find(self, name):
        page = self.json("GET", "/v1/files?limit=100")
        while True:
            for file in page["data"]:
                if file["filename"] == name:
                    return file["id"]
            if not page.get("has_more"):
                return None
            page = self.json("GET", f"/v1/files?limit=100&after_id={page['last_id']}")

    def metadata(self, file_id):
        return self.json("GET", f"/v1/files/{file_id}")

    def download(self, file_id):
        return self.read("GET", f"/v1/files/{file_id}/content")

    def delete(self, file_id):
        self.json("DELETE", f"/v1/files/{file_id}")

    def turn(self, body):
        body = json.dumps({**body, "stream": True}).encode()
        message = Message()
        with self.request("POST", "/v1/messages", body) as response:
            try:
                for event in self.events(response):
                    message.take(event)
                message.check_whole()
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise Failure(
                    f"the answer broke off: {type(error).__name__}: {error}",
                    passing=True,
                    done=True,  # the service goes on when nobody listens any more
                    in_stream=True,
                ) from error
        return message.value

    def events(self, response):
        """The data of each event. An event ends with an empty line, wherever the pieces of it begin and end."""
        data = []
        for line in response:
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data.append(line[5:])
            elif not line and data:
                yield json.loads(b"\n".join(data))
                data = []

    def json(self, *request):
        try:
            return json.loads(self.read(*request))
        except ValueError as error:
            raise Failure(f"the answer is no JSON: {error}", passing=True, done=True) from error

    def read(self, *request):
        with self.request(*request) as response:
            try:
                return response.read()
            except (OSError, http.client.HTTPException) as error:
                raise Failure(f"the answer broke off: {type(error).__name__}", passing=True, done=True) from error

    def request(self, method, path, body=None, content_type="application/json"):
        """An answer that is no error; whoever reads it closes it, and the connection with it."""
        connection = CONNECTIONS[self.base.scheme](self.base.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            raise Failure(f"no connection: {error}", passing=True) from error
        headers = {
            "x-api-key": self.key,
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "files-api-2025-04-14,code-execution-2025-08-25",
            "connection": "close",
        }
        if body is not None:
            headers["content-type"] = content_type
        try:
            connection.request(method, self.base.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Failure(f"no answer: {type(error).__name__}: {error}", passing=True, done=True) from error
        if response.status >= 400:
            raise refused(response)
        return response


def refused(response):
    try:
        with response:
            error = json.loads(response.read())["error"]
            kind, message = error.get("type"), error.get("message")
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError):
        kind, message = None, response.reason
    return Failure(
        f"HTTP {response.status} {kind or ''}: {message}",
        status=response.status,
        passing=response.status in PASSING or kind in PASSING_TYPES,
        wait_seconds=retry_after(response.headers),
    )


class Message:
    """A message as its events come. Events and deltas that are not known are passed over."""

    def __init__(self):
        self.value = None
        self.called = self.ended = False
        self.pieces = {}  # of a block's input, by its index: JSON only when all are there

    def take(self, event):
        kind = event.get("type")
        if kind == "message_start":
            self.value = event["message"]
        elif kind == "content_block_start":
            self.start(event["content_block"])
        elif kind == "content_block_delta":
            self.add(event["index"], event["delta"])
        elif kind == "content_block_stop" and event["index"] in self.pieces:
            self.value["content"][event["index"]]["input"] = json.loads("".join(self.pieces.pop(event["index"])) or "{}")
        elif kind == "message_delta":
            self.value.update(event["delta"])
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            self.fail(event["error"])

    def start(self, block):
        self.value["content"].append(block)
        self.called |= block["type"] == "server_tool_use"

    def add(self, index, delta):
        block = self.value["content"][index]
        if delta["type"] == "text_delta":
            block["text"] += delta["text"]
        elif delta["type"] == "input_json_delta":
            self.pieces.setdefault(index, []).append(delta["partial_json"])

    def fail(self, error):
        passing = error.get("type") in PASSING_TYPES
        message = f"{error.get('type')} in the stream: {error.get('message')}"
        raise Failure(message, passing=passing, done=self.called, in_stream=True)

    def check_whole(self):
        if not self.ended:
            raise ValueError("it has no end")
