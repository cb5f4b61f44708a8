"""Two servers behind a front, and the SDK before it: by key, by bearer token, in streams, and over the kill of a server.

    front.py SANDTABLE FRONT SERVER SERVER
"""

import json
import pathlib
import subprocess
import sys
import threading
import urllib.request

import anthropic

PROGRAM, FRONT, *SERVERS = sys.argv[1:]
TOOLS = [{"type": "code_execution_20250825", "name": "code_execution"}]
running = {}


def start(number):
    """Returns when the server answers, after a kill, too."""
    host, port = SERVERS[number].rsplit(":", 1)
    folder = pathlib.Path(f"data-{number}")
    flags = ("--port", port, "--backend", "local", "--provision", "never", "--data-dir", folder)
    with open(f"log-{number}", "ab") as log:
        child = subprocess.Popen([PROGRAM, "serve", *flags], stdout=subprocess.PIPE, stderr=log, text=True)
    running[number] = child
    for line in child.stdout:
        if "listening" in line:
            return
    raise AssertionError(pathlib.Path(f"log-{number}").read_text())


def client_of(key, **more):
    return anthropic.Anthropic(base_url=f"http://{FRONT}", api_key=key, **more)


def home(client):
    answer = client.beta.files.with_raw_response.list()
    return int(answer.headers["x-sandtable-server"].removeprefix("sandtable-"))


def bash(client, command, container=None, stream=False):
    """The result of one call, and the container."""
    asked = {
        "model": "claude-opus-4-6",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": f"```bash\n{command}\n```"}],
        "tools": TOOLS,
        **({"container": container} if container else {}),
    }
    if stream:
        with client.messages.stream(**asked) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**asked)
    result = next(block.content for block in answer.content if block.type == "bash_code_execution_tool_result")
    assert result.return_code == 0, result
    return result, answer.container.id


def ready(number):
    with urllib.request.urlopen(f"http://{SERVERS[number]}/_sandtable/ready", timeout=30) as answer:
        return json.load(answer)["sandboxes"]


def work():
    assert ready(0) and ready(1), "nothing runs code here"
    clients = {}
    for number in range(40):
        client = client_of(f"sk-ant-front-{number}")
        clients.setdefault(home(client), client)
        if len(clients) == 2:
            break
    doomed, other = clients[0], clients[1]

    # One workspace, however its key is sent.
    uploaded = doomed.beta.files.upload(file=("a.txt", b"kept", "text/plain"))
    bearer = anthropic.Anthropic(base_url=f"http://{FRONT}", api_key=None, auth_token=doomed.api_key)
    assert [file.id for file in bearer.beta.files.list()] == [uploaded.id]
    assert [file.id for file in other.beta.files.list()] == []

    _, container = bash(doomed, "echo 41 > n")
    result, _ = bash(bearer, "cat n; cp n $OUTPUT_DIR/out.txt", container, stream=True)
    assert result.stdout == "41\n", result
    output = result.content[0].file_id
    _, elsewhere = bash(other, "echo 42 > n")

    # Killed; the next calls come before it is there again, and the SDK as it is by default tells its user nothing.
    running[0].kill()
    running[0].wait()
    again = threading.Thread(target=start, args=(0,))
    again.start()
    result, same = bash(other, "cat n", elsewhere)
    assert (result.stdout, same) == ("42\n", elsewhere)
    result, same = bash(doomed, "cat n", container)
    assert (result.stdout, same) == ("41\n", container)
    again.join()
    assert doomed.beta.files.download(output).text() == "41\n"
    assert [file.id for file in doomed.beta.files.list() if file.id == uploaded.id] == [uploaded.id]
    print("outlived the kill")

    # Gone for good: told as an error of the service, in words, and after the SDK has tried again.
    running[0].kill()
    running[0].wait()
    try:
        client_of(doomed.api_key, max_retries=0).beta.files.list()
    except anthropic.InternalServerError as error:
        assert error.status_code == 503 and "its workspace is there again" in error.body["error"]["message"], error
    else:
        raise AssertionError("a server that is gone has answered")
    assert home(other) == 1


try:
    for number in range(len(SERVERS)):
        start(number)
    work()
finally:
    for child in running.values():
        child.terminate()
        child.wait()
