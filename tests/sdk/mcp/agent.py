"""A coding agent's session, by the protocol's own client: over pipes, then over HTTP.

It finds why a turn was not answered, drafts a rule from it, loads it, and lets the client's next try pass.
"""

import asyncio
import json
import os
import subprocess
import urllib.error
import urllib.request

from mcp import Client, StdioServerParameters

URL, KEY, PROGRAM = os.environ["ANTHROPIC_BASE_URL"], os.environ["ANTHROPIC_API_KEY"], os.environ["SANDTABLE_BIN"]
COMMAND = ["mcp", "--url", URL, "--key", KEY]


def ask(prompt):
    """The client under test: status, answer."""
    body = {"model": "claude-opus-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": prompt}]}
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{URL}/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def call(client, name, fails=False, **arguments):
    result = await client.call_tool(name, arguments)
    text = result.content[0].text
    assert bool(result.is_error) == fails, (name, text)
    return text


async def session(client):
    assert client.server_info.name == "sandtable", client.server_info
    assert "unmatched_turns" in client.instructions
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for tool in tools.values():
        assert tool.description and tool.input_schema["type"] == "object", tool

    await call(client, "reset")
    rules = "- when: { user: hello }\n  then: [{ text: Hello. }]"
    await call(client, "replace_rules", rules=rules)
    assert ask("good evening")[0] == 400
    [miss] = json.loads(await call(client, "unmatched_turns"))
    assert "good evening" in json.dumps(await call(client, "turn", request_id=miss["request_id"]))
    draft = await call(client, "draft_rule", request_id=miss["request_id"])
    assert "equals: good evening" in draft, draft
    draft = draft.replace("What the model is to say.", "Good evening to you.")
    await call(client, "check_script", rules=draft)
    wrong = await call(client, "check_script", fails=True, rules=draft.replace("then:", "than:"))
    assert "did you mean `then`" in wrong, wrong
    await call(client, "add_rules", rules=draft)
    status, answer = ask("good evening")
    assert (status, answer["content"][0]["text"]) == (200, "Good evening to you.")
    # The other way round: from what was answered.
    again = await call(client, "draft_rule", request_id=json.loads(await call(client, "requests", limit=1))[0]["id"])
    assert "text: Good evening to you." in again, again
    assert any(rule["used"] == 1 for rule in json.loads(await call(client, "list_rules"))["data"])

    await call(client, "add_faults", faults={"at": "http", "status": 529, "times": 1})
    assert ask("hello")[0] == 529
    assert ask("hello")[0] == 200
    assert json.loads(await call(client, "list_faults"))["data"]
    await call(client, "clear_faults")
    overloaded = json.loads(await call(client, "requests", status="529", path="/v1/messages"))
    assert len(overloaded) == 1 and "request_body" not in overloaded[0]

    before = json.loads(await call(client, "clock", move="freeze"))
    after = json.loads(await call(client, "clock", move={"advance": "30d"}))
    assert before["frozen"] and after["now"] > before["now"]
    assert "containers" in await call(client, "containers") or "data" in await call(client, "containers")
    assert json.loads(await call(client, "verdict"))["ok"] is False
    assert "# Scripts" in await call(client, "docs", page="scripts")
    assert "no page" in await call(client, "docs", fails=True, page="nothing")
    assert "hint:" in await call(client, "turn", fails=True, request_id="req_none")
    await call(client, "containers", fails=True, id="container_1")
    await call(client, "reset")


async def main():
    async with Client(StdioServerParameters(command=PROGRAM, args=COMMAND)) as client:
        await session(client)
    server = subprocess.Popen([PROGRAM, *COMMAND, "--http", "0"], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        async with Client(url) as client:
            await session(client)
        # No web page gets through, by its origin or by a name of its own.
        for header, value in [("Origin", "http://evil.example"), ("Host", "evil.example")]:
            headers = {header: value, "content-type": "application/json", "accept": "application/json, text/event-stream"}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
            try:
                urllib.request.urlopen(urllib.request.Request(url, body, headers))
                raise AssertionError(f"{header} was not looked at")
            except urllib.error.HTTPError as error:
                assert error.code == 403, error
    finally:
        server.terminate()
        assert server.wait(10) == 0
    nobody = subprocess.run([PROGRAM, "mcp", "--url", "http://127.0.0.1:9"], capture_output=True, text=True, timeout=30)
    assert nobody.returncode == 1 and "hint: start one" in nobody.stderr, nobody


asyncio.run(main())
