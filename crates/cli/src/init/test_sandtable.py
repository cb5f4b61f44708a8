"""Tests of code that uses the code execution tool: the model is scripted, its calls really run."""

import anthropic
import pytest

CODE = {"type": "code_execution_20250825", "name": "code_execution"}


def make_table() -> bytes:
    """Stands for your own code: import it instead. No client needs a base URL or a key here."""
    client = anthropic.Anthropic()
    answer = client.messages.create(
        model="claude-opus-4-6",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Make a table of cities."}],
        tools=[CODE],
    )
    results = [block.content for block in answer.content if block.type == "bash_code_execution_tool_result"]
    files = [file.file_id for result in results for file in result.content]
    return client.beta.files.download(files[0]).read()


@pytest.mark.sandtable(script="first.yaml", verify=True)
def test_the_file_comes_back():
    assert make_table() == b"city,degrees\nOslo,4\nCairo,31\n"


@pytest.mark.sandtable(script="first.yaml")
def test_the_code_survives_an_overload(sandtable):
    sandtable.faults.overloaded(times=2, headers={"retry-after-ms": "1"})
    assert make_table().startswith(b"city")
    messages = [exchange.status for exchange in sandtable.journal if exchange.path == "/v1/messages"]
    assert messages == [529, 529, 200]
