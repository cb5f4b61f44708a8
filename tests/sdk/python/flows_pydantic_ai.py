"""Pydantic AI: what its agents make of texts, streams, tools, code, containers, and errors."""

import asyncio

import anthropic
from pydantic_ai import Agent, ModelHTTPError, NativeToolReturnPart, UploadedFile
from pydantic_ai.capabilities import NativeTool
from pydantic_ai.native_tools import CodeExecutionTool

from support import control, raises, requests

NAME = "anthropic:claude-opus-4-6"
api = anthropic.Anthropic()
plain = Agent(NAME)
coder = Agent(NAME, capabilities=[NativeTool(CodeExecutionTool())])


@plain.tool_plain
@coder.tool_plain
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"-4 degrees in {city}"


def container(result):
    return (result.new_messages()[-1].provider_details or {}).get("container_id")


def returned(result):
    """What the code that ran has returned."""
    parts = [part for message in result.new_messages() for part in message.parts]
    return [part.content for part in parts if isinstance(part, NativeToolReturnPart)]


async def streamed(agent, prompt):
    """The texts of a stream as they come, and its result."""
    async with agent.run_stream(prompt) as result:
        return [text async for text in result.stream_text(delta=True)], result


def stream(agent, prompt):
    return asyncio.run(streamed(agent, prompt))


# A text, plain and in pieces.
greeting = plain.run_sync("Greet me")
assert greeting.output == "Hello from a script." and greeting.usage.output_tokens > 0, greeting
texts, _ = stream(plain, "Greet me")
assert "".join(texts) == "Hello from a script.", texts

# A tool of the client's, by the library's own loop.
asked = plain.run_sync("How is the weather in Oslo?")
assert asked.output == "They say: -4 degrees in Oslo" and asked.usage.tool_calls == 1, asked

# Code runs, and its file comes back, plain and streamed.
made = coder.run_sync("Write a table")
assert made.output == "I'll write it.It has 2 lines." or made.output.endswith("It has 2 lines."), made.output
(result,) = returned(made)
assert result["stdout"] == "2\n" and result["return_code"] == 0, result
(file,) = result["content"]
assert api.beta.files.download(file["file_id"]).read() == b"region,revenue\nharbor,450\n"
texts, from_stream = stream(coder, "Write a table")
assert texts[-1].endswith("lines.") and returned(from_stream)[0]["stdout"] == "2\n", texts
assert container(from_stream) and container(from_stream) != container(made), from_stream

# The next run finds what the first left, because the library sends the history's container.
for kept in (made, from_stream):
    found = coder.run_sync("Read the table", message_history=kept.all_messages())
    assert found.output == "It says: region,revenue\nharbor,450" and container(found) == container(kept), found

# Within one run too, around a tool of the client's.
both = coder.run_sync("Do both")
assert both.output == "Both: -4 degrees in Oslo, kept", both.output

# The container is over: the code is told so, and the library sends it again until it is told not to.
control("POST", f"containers/{container(made)}/expire")
late = coder.run_sync("Read the table", message_history=made.all_messages())
assert returned(late) == [{"type": "bash_code_execution_tool_result_error", "error_code": "container_expired"}], late
assert late.output == "The container is gone: container_expired" and container(late) is None, late
again = coder.run_sync("Read the table", message_history=late.all_messages())
assert again.output == late.output, again.output
fresh = coder.run_sync(
    "Read the table", message_history=late.all_messages(), model_settings={"anthropic_container": False}
)
assert "No such file" in fresh.output and container(fresh) not in (None, container(made)), fresh

# Refused as a whole: a 404 that says so, and before that a 500 without a reason. With an upload the library drops the
# history's container by itself.
upload = api.beta.files.upload(file=("sales.csv", b"region\nharbor\n", "text/csv"))
files = [UploadedFile(file_id=upload.id, provider_name="anthropic")]
counter = Agent(NAME, capabilities=[NativeTool(CodeExecutionTool(files=files))])
for quirk, status, kind in [("not-found", 404, "not_found_error"), ("server-error", 500, "api_error")]:
    control("PUT", "quirks", {"expired-container": quirk})
    first = counter.run_sync("Count the upload")
    assert first.output.endswith("It has 2 lines."), first.output
    control("POST", f"containers/{container(first)}/expire")
    before = len(requests())
    second = counter.run_sync("Count the upload", message_history=first.all_messages())
    assert second.output == first.output and container(second) not in (None, container(first)), second
    sent = [(entry["status"], entry["request_body"].get("container")) for entry in requests()[before:]]
    assert sent[0] == (status, container(first)) and sent[-1] == (200, None), sent
    # Without one it gives up.
    error = raises(ModelHTTPError, coder.run_sync, "Read the table", message_history=made.all_messages())
    assert error.status_code == status and error.body["error"]["type"] == kind, error

# Overloaded: in a stream for good, before it the SDK tries twice more.
control("POST", "faults", {"at": "stream", "after_events": 4, "type": "overloaded_error"})
error = raises(ModelHTTPError, stream, plain, "Greet me")
assert error.status_code == 529 and error.body["error"]["type"] == "overloaded_error", error
busy = {"at": "http", "status": 529, "headers": {"retry-after-ms": "1"}}
control("POST", "faults", {**busy, "times": 2})
assert plain.run_sync("Greet me").output == greeting.output
control("POST", "faults", {**busy, "times": 3})
assert raises(ModelHTTPError, plain.run_sync, "Greet me").status_code == 529
