"""A workspace through the fixture and the official SDK: what a user's test does."""

import datetime
import os
import pathlib

import anthropic
import pytest

import sandtable as package
from sandtable import RefusedError

MODEL = "claude-opus-4-6"
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
HELLO = "- when: { user: hello }\n  then: [{ text: Hello from a script. }]\n"


EXCHANGE = {
    "id": "req_1",
    "at": datetime.datetime.now(datetime.timezone.utc),
    "method": "POST",
    "path": "/v1/messages",
    "status": 200,
    "duration_ms": 1.0,
    "workspace": "w",
    "request_headers": {},
    "request_body": None,
    "response_headers": {},
    "response_body": None,
    "lints": [],
    "client_left": False,
}


def ask(client, prompt, **more):
    messages = [{"role": "user", "content": prompt}]
    return client.messages.create(model=MODEL, max_tokens=1024, messages=messages, **more)


def test_a_script_answers_and_the_journal_has_it(sandtable, anthropic_client):
    sandtable.scripts.put(HELLO)
    assert ask(anthropic_client, "hello").content[0].text == "Hello from a script."
    with pytest.raises(anthropic.BadRequestError):
        ask(anthropic_client, "good bye")
    first, second = sandtable.journal
    assert (first.status, second.status) == (200, 400) and str(first) == "POST /v1/messages → 200"
    assert first.request_body["messages"][0]["content"] == "hello" and first.at.tzinfo
    assert first.response_body["content"][0]["text"] == "Hello from a script."
    assert sandtable.journal.entries(status="4xx") == [second] == sandtable.journal.entries("/v1/mess", 400)
    assert [(rule.name, rule.used) for rule in sandtable.scripts.list()] == [("rule at line 1", 1)]
    sandtable.journal.clear()
    assert len(sandtable.journal) == 0


def test_rules_are_texts_files_and_objects(sandtable, anthropic_client, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(HELLO)
    one = {"name": "one", "when": {"user": "one"}, "then": [{"text": "1"}]}
    two = {"name": "two", "when": {"user": "two"}, "then": [{"text": "2"}]}
    for rules in (path, str(path), HELLO):
        sandtable.scripts.put(rules)
        assert ask(anthropic_client, "hello").content[0].text == "Hello from a script."
    sandtable.scripts.put(one)
    sandtable.scripts.add([two])
    assert [ask(anthropic_client, each).content[0].text for each in ("one", "two")] == ["1", "2"]
    sandtable.scripts.clear()
    assert sandtable.scripts.list() == []


def test_a_mistake_says_where_and_how_to_do_better(sandtable):
    with pytest.raises(RefusedError, match=r"request body:1:3: .*\n.*did you mean `then`\?") as caught:
        sandtable.scripts.put("- than: []")
    assert caught.value.status == 400 and "sandtable docs scripts" in caught.value.hint
    with pytest.raises(RefusedError, match="`a while` is no span of time"):
        sandtable.clock.advance("a while")


def test_the_clock_is_moved_and_stopped(sandtable):
    clock = sandtable.clock
    assert not clock.frozen
    stood = clock.freeze()
    assert clock.frozen and clock.now == stood == clock.now
    assert clock.advance(datetime.timedelta(days=30, milliseconds=5)) - stood == datetime.timedelta(days=30, milliseconds=5)
    assert clock.advance("1h30m") - stood == datetime.timedelta(days=30, milliseconds=5, minutes=90)
    later = datetime.datetime(2040, 1, 2, 3, 4, 5)
    assert clock.set(later) == clock.now == later.replace(tzinfo=datetime.timezone.utc)
    assert clock.freeze("2041-01-01T00:00:00Z").year == 2041
    with pytest.raises(RefusedError, match="only goes forward"):
        clock.set("2040-01-01T00:00:00Z")
    clock.thaw()
    assert not clock.frozen
    sandtable.reset()
    assert clock.now.year < 2040


@pytest.mark.sandtable(script=HELLO)
def test_each_shorthand_of_a_fault_is_met_by_the_client(sandtable):
    client = anthropic.Anthropic(max_retries=0, timeout=2.0)
    cases = [
        (sandtable.faults.overloaded(), anthropic.APIStatusError, 529),
        (sandtable.faults.server_error(), anthropic.InternalServerError, 500),
        (sandtable.faults.rate_limited(retry_after=7), anthropic.RateLimitError, 429),
        (sandtable.faults.rate_limited(retry_after=0.25), anthropic.RateLimitError, 429),
        (sandtable.faults.cut(), anthropic.APIConnectionError, None),
        (sandtable.faults.stall(), anthropic.APITimeoutError, None),
    ]
    for fault, kind, status in cases:
        assert fault.left == 1, fault
        with pytest.raises(kind) as caught:
            ask(client, "hello")
        assert getattr(caught.value, "status_code", None) == status
        if status == 429:
            headers = caught.value.response.headers
            assert headers.get("retry-after-ms") == "250" if fault.id == 4 else headers["retry-after"] == "7"
    sandtable.faults.delay(300)
    assert ask(client, "hello").content
    assert sandtable.journal[-1].duration_ms >= 300
    assert [fault.fired for fault in sandtable.faults.list()] == [1] * 7

    sandtable.faults.clear()
    sandtable.faults.add(at="http", path="/v1/messages", status=529, times=2)
    sandtable.faults.add([{"at": "http", "path": "/v1/files"}, {"at": "http"}], status=403)
    assert [fault.fault["status"] for fault in sandtable.faults.list()] == [529, 403, 403]


@pytest.mark.sandtable(script=HELLO)
def test_a_stream_breaks_where_it_is_told_to(sandtable):
    client = anthropic.Anthropic(max_retries=0)
    sandtable.faults.overloaded(after_events=3)
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(ask(client, "hello", stream=True))
    sandtable.faults.cut(after_events=2)
    with pytest.raises(Exception, match="(?i)peer closed|incomplete"):
        list(ask(client, "hello", stream=True))
    broken = sandtable.journal[0]
    assert [name for name, _ in broken.events][-1] == "error"
    assert broken.events[-1][1]["error"]["type"] == "overloaded_error"


def test_a_client_is_used_again_after_two_overloads(sandtable, anthropic_client):
    sandtable.scripts.put(HELLO)
    sandtable.faults.overloaded(times=2, headers={"retry-after-ms": "1"})
    assert ask(anthropic_client, "hello").content
    assert [entry.status for entry in sandtable.journal] == [529, 529, 200]


def test_code_really_runs_and_a_month_later_its_container_is_gone(sandbox, sandtable, anthropic_client):
    prompt = "```bash\necho $((6 * 7)); echo done > $OUTPUT_DIR/note.txt\n```"
    first = ask(anthropic_client, prompt, tools=[CODE])
    result = first.content[1].content
    assert result.stdout == "42\n"
    assert anthropic_client.beta.files.download(result.content[0].file_id).text() == "done\n"
    (container,) = sandtable.containers.list()
    assert (container.id, container.state) == (first.container.id, "awake")
    sandtable.containers.sleep(container.id)
    assert sandtable.containers.list()[0].state == "asleep"
    sandtable.faults.tool_error("too_many_requests")
    failed = ask(anthropic_client, prompt, tools=[CODE], container=container.id)
    assert failed.content[1].content.error_code == "too_many_requests"

    sandtable.clock.advance("31d")
    assert sandtable.containers.list()[0].state == "expired"
    again = ask(anthropic_client, prompt, tools=[CODE]).container.id
    sandtable.containers.expire(again)
    assert {each.id: each.state for each in sandtable.containers.list()}[again] == "expired"
    usage = sandtable.usage(month=container.created_at.strftime("%Y-%m"))
    assert usage["container_time"]["seconds"] >= 300 and usage["turns"][0]["container"]["id"] == container.id


def test_a_verdict_names_what_was_left_over_and_what_was_not_answered(sandtable):
    client = anthropic.Anthropic(max_retries=0)
    assert sandtable.verify() and str(sandtable.verify()) == "ok"
    sandtable.scripts.put(HELLO)
    sandtable.faults.add(at="http", path="/v1/files", status=500)
    with pytest.raises(anthropic.BadRequestError):
        ask(client, "good bye")
    verdict = sandtable.verify()
    assert not verdict
    assert (len(verdict.unmatched), len(verdict.unused_steps), len(verdict.unused_faults)) == (1, 1, 1)
    assert "\n  unused_faults: {" in str(verdict)
    assert ask(client, "hello").content
    assert sandtable.verify().unused_steps == []


async def _async_hello(client):
    async with client:
        return (await ask(client, "hello")).content[0].text


def test_the_asynchronous_client_leads_to_the_same_place(sandtable, async_anthropic_client):
    import asyncio

    sandtable.scripts.put(HELLO)
    assert asyncio.run(_async_hello(async_anthropic_client)) == "Hello from a script."
    assert len(sandtable.journal) == 1


def test_a_client_made_without_arguments_reaches_the_test_s_workspace(sandtable):
    sandtable.scripts.put(HELLO)
    assert ask(anthropic.Anthropic(), "hello").content
    assert len(sandtable.journal) == 1
    assert sandtable.env == {name: os.environ[name] for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY")}


def test_workspaces_do_not_see_each_other(sandtable, sandtable_server):
    other = sandtable_server.workspace()
    other.scripts.put(HELLO)
    other.faults.overloaded()
    other.clock.advance("365d")
    assert sandtable.scripts.list() == [] == sandtable.faults.list()
    assert other.clock.now - sandtable.clock.now > datetime.timedelta(days=364)


def test_the_package_is_typed():
    assert (pathlib.Path(package.__file__).parent / "py.typed").is_file()


def test_a_wait_ends_when_it_is_so_and_a_fork_goes_its_own_way(sandtable, anthropic_client):
    sandtable.scripts.put(HELLO)
    assert sandtable.wait(requests=1, timeout="20ms") is False
    ask(anthropic_client, "hello")
    assert sandtable.wait(requests=1, path="/v1/messages", status="2xx") is True
    with pytest.raises(RefusedError, match="no event `boom`"):
        sandtable.wait(event="boom")
    fork = sandtable.fork()
    client = anthropic.Anthropic(base_url=fork.base_url, api_key=fork.api_key)
    assert ask(client, "hello").content[0].text == "Hello from a script."
    fork.scripts.clear()
    assert len(sandtable.scripts.list()) == 1 and fork.scripts.list() == []
    assert (len(sandtable.journal), len(fork.journal)) == (1, 1)


def test_events_are_read_from_whatever_came():
    def events(body):
        return package.types.Exchange(**{**EXCHANGE, "response_body": body}).events

    text = "a\u2028b\u2029c\u0085d"
    whole = f'event: delta\ndata: {{"text": "{text}"}}\n\n'
    assert events(whole) == [("delta", {"text": text})]
    assert events(whole.replace("\n", "\r\n") + ": ping\n\n") == [("delta", {"text": text})]
    assert events(whole + "event: bad\ndata: {\n\n") == [("delta", {"text": text}), ("bad", "{")]
    assert events(whole + 'event: cut\ndata: {"te') == [("delta", {"text": text})]
    assert events({"id": "msg_1"}) == []


def test_any_control_call_can_be_made(sandtable):
    sandtable.scripts.put(HELLO)
    assert "sandtable_requests_total" in sandtable.call("GET", "metrics")
    assert sandtable.call("GET", "journal", query={"bodies": False})["data"] == []
    cassette = sandtable.call("GET", "journal", query={"format": "cassette"})
    assert cassette.startswith("cassette:")
    with pytest.raises(RefusedError, match="it is not said what is waited for"):
        sandtable.wait()


def test_a_limit_is_rounded_and_leaves_the_headers_of_the_caller_alone(sandtable):
    headers = {"retry-after-ms": "5", "x-more": "1"}
    given = sandtable.faults.rate_limited(1.001, headers=headers).fault["headers"]
    assert given == headers == {"retry-after-ms": "5", "x-more": "1"}
    assert sandtable.faults.rate_limited(1.001).fault["headers"] == {"retry-after-ms": "1001"}
