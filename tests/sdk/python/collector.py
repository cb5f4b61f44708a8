"""A collector: takes traces over HTTP, decodes them with the official classes, and checks what a run must have left."""

import json
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

spans = []
services = set()
arrived = threading.Condition()


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/traces", self.path
        assert self.headers["content-type"] == "application/x-protobuf"
        body = self.rfile.read(int(self.headers["content-length"]))
        request = ExportTraceServiceRequest.FromString(body)
        # Whatever is not known would be kept aside: nothing may be.
        assert request.SerializeToString() == body or len(request.SerializeToString()) == len(body)
        with arrived:
            for resource_spans in request.resource_spans:
                services.update(
                    each.value.string_value for each in resource_spans.resource.attributes if each.key == "service.name"
                )
                for scope_spans in resource_spans.scope_spans:
                    spans.extend(scope_spans.spans)
            arrived.notify_all()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def ask(url, prompt, code=False, **headers):
    body = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}
    if code:
        body["tools"] = [{"type": "code_execution_20250825", "name": "code_execution"}]
    fixed = {"x-api-key": "sk-ant-otlp", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/messages", json.dumps(body).encode(), {**fixed, **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def batch(url):
    """One item, run to its end."""
    headers = {"x-api-key": "sk-ant-otlp", "anthropic-version": "2023-06-01", "content-type": "application/json"}
    params = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps({"requests": [{"custom_id": "first", "params": params}]}).encode()
    made = json.load(urllib.request.urlopen(urllib.request.Request(f"{url}/v1/messages/batches", body, headers)))
    waits = urllib.request.Request(f"{url}/_sandtable/wait?requests=4&timeout=30s", headers=headers)
    assert json.load(urllib.request.urlopen(waits))["met"], made


def attributes(span):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def check():
    assert services == {"sandtable"}, services
    known = {span.span_id for span in spans}
    (request,) = [span for span in spans if span.parent_span_id.hex() == PARENT]
    assert request.trace_id.hex() == TRACE and request.kind == Span.SPAN_KIND_SERVER
    assert request.name == "POST /v1/messages", request.name
    assert attributes(request)["http.response.status_code"] == 200
    (turn,) = [span for span in spans if span.parent_span_id == request.span_id]
    said = attributes(turn)
    assert turn.name == "chat claude-opus-4-6" and turn.trace_id.hex() == TRACE
    assert said["gen_ai.operation.name"] == "chat" and said["gen_ai.provider.name"] == "anthropic"
    assert said["gen_ai.usage.input_tokens"] > 0 and said["gen_ai.usage.output_tokens"] > 0
    (call,) = [span for span in spans if span.parent_span_id == turn.span_id]
    said = attributes(call)
    assert call.name == "execute_tool bash_code_execution"
    assert said["gen_ai.tool.name"] == "bash_code_execution" and said["gen_ai.tool.call.id"].startswith("srvtoolu_")
    assert request.start_time_unix_nano <= call.start_time_unix_nano <= call.end_time_unix_nano
    assert call.end_time_unix_nano <= request.end_time_unix_nano + 1_000_000
    # An item of a batch has a trace of its own, and its turn.
    (item,) = [span for span in spans if span.name == "batch item"]
    said = attributes(item)
    assert said["sandtable.custom_id"] == "first" and said["sandtable.batch_id"].startswith("msgbatch_")
    assert item.kind == Span.SPAN_KIND_INTERNAL and not item.parent_span_id
    assert [span.name for span in spans if span.parent_span_id == item.span_id] == ["chat claude-opus-4-6"]
    # Another request, another trace; and a refused one says so.
    others = [span for span in spans if span.trace_id.hex() != TRACE]
    assert {span.name for span in others} >= {"POST /v1/messages"}
    failed = [span for span in others if span.status.code == Status.STATUS_CODE_ERROR]
    assert any(attributes(span).get("http.response.status_code") == 529 for span in failed), failed
    assert all(not span.parent_span_id or span.parent_span_id in known for span in others)


def main(program):
    import subprocess

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector = f"http://127.0.0.1:{server.server_address[1]}"
    flags = ["--port", "0", "--backend", "none", "--otlp", collector]
    process = subprocess.Popen([program, *flags], stdout=subprocess.PIPE, text=True)
    try:
        url = next(line.split("listening ")[1].strip() for line in process.stdout if "listening " in line)
        ask(url, "```bash\ndate\n```", code=True, traceparent=f"00-{TRACE}-{PARENT}-01")
        fault = json.dumps({"at": "http", "path": "/v1/messages", "status": 529}).encode()
        headers = {"x-api-key": "sk-ant-otlp", "content-type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(f"{url}/_sandtable/faults", fault, headers)).read()
        ask(url, "```bash\ndate\n```")
        batch(url)
    finally:
        # What is left is sent before the end.
        process.terminate()
        assert process.wait(60) == 0
    check()
    print(f"{len(spans)} spans")


if __name__ == "__main__":
    main(sys.argv[1])
