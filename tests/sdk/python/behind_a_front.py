"""Tests as a team's CI has them, whose server is a front: each test's key is led to one of two servers."""

import anthropic
import pytest


@pytest.mark.parametrize("number", range(20))
def test_everything_a_test_does_meets_its_own_workspace(sandtable, number):
    sandtable.scripts.add([{"when": {"user": "hi"}, "then": [{"text": f"I am {number}."}]}])
    # The SDK waits before it tries again: not in every test.
    fails = number % 5 == 0
    if fails:
        sandtable.faults.add({"at": "http", "status": 529})
    client = anthropic.Anthropic()
    message = [{"role": "user", "content": "hi"}]
    with client.messages.stream(model="claude-opus-4-6", max_tokens=50, messages=message) as stream:
        answer = stream.get_final_message()
    assert answer.content[0].text == f"I am {number}."
    client.beta.files.upload(file=("a.txt", b"a", "text/plain"))
    assert len(client.beta.files.list().data) == 1
    before = sandtable.clock.now
    assert (sandtable.clock.advance("30d") - before).days >= 30
    assert [exchange.status for exchange in sandtable.journal] == [529] * fails + [200, 200, 200]
