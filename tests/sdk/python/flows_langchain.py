"""LangChain: what its chat model makes of texts, streams, tools, code, containers, and errors."""

import functools
import operator

import anthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from support import CODE, MODEL, control, raises

api = anthropic.Anthropic()


def chat(**options):
    return ChatAnthropic(model=MODEL, max_tokens=1024, **options)


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"-4 degrees in {city}"


def ask(model, *messages):
    return model.invoke([HumanMessage(each) if isinstance(each, str) else each for each in messages])


def stream(model, prompt):
    """The pieces of a stream."""
    return list(model.stream([HumanMessage(prompt)]))


def loop(model, prompt):
    """What clients write around tools of their own: the whole conversation."""
    messages = [HumanMessage(prompt)]
    while True:
        messages.append(ask(model, *messages))
        if not messages[-1].tool_calls:
            return messages
        messages += [get_weather.invoke(call) for call in messages[-1].tool_calls]


def container(message):
    return (message.response_metadata.get("container") or {}).get("id")


def returned(message):
    """What the code that ran has returned, as the library's own blocks say it."""
    return [block["output"] for block in message.content_blocks if block["type"] == "server_tool_result"]


# A text, plain and in pieces.
greeting = ask(chat(), "Greet me")
assert greeting.content == "Hello from a script." and greeting.response_metadata["stop_reason"] == "end_turn", greeting
assert greeting.usage_metadata["output_tokens"] > 0 and container(greeting) is None, greeting
pieces = stream(chat(), "Greet me")
assert "".join(piece.text for piece in pieces) == greeting.content and len(pieces) > 2, pieces

# A tool of the client's.
asked = loop(chat().bind_tools([get_weather]), "How is the weather in Oslo?")
assert asked[1].text == "I'll ask." and asked[1].tool_calls[0]["args"] == {"city": "Oslo"}, asked[1]
assert asked[-1].text == "They say: -4 degrees in Oslo", asked[-1]

# Code runs, and its file comes back, plain and streamed.
coder = chat(reuse_last_container=True).bind_tools([CODE, get_weather])
made = ask(coder, "Write a table")
assert made.text == "I'll write it.It has 2 lines.", made.text
(result,) = returned(made)
assert result["stdout"] == "2\n" and result["return_code"] == 0, result
(file,) = result["content"]
assert api.beta.files.download(file["file_id"]).read() == b"region,revenue\nharbor,450\n"
from_stream = functools.reduce(operator.add, stream(coder, "Write a table"))
assert from_stream.text == made.text and returned(from_stream)[0]["stdout"] == "2\n", from_stream
assert container(from_stream) and container(from_stream) != container(made), from_stream

# The next question finds what the first left, because the library sends the history's container.
for kept in (made, from_stream):
    found = ask(coder, "Write a table", kept, "Read the table")
    assert found.text == "It says: region,revenue\nharbor,450" and container(found) == container(kept), found
both = loop(coder, "Do both")
assert both[-1].text == "Both: -4 degrees in Oslo, kept", both

# The container is over: the code is told so, and the library sends it again until it is told not to.
control("POST", f"containers/{container(made)}/expire")
history = ["Write a table", made, "Read the table"]
late = ask(coder, *history)
assert returned(late) == [{"type": "bash_code_execution_tool_result_error", "error_code": "container_expired"}], late
assert late.text == "The container is gone: container_expired" and container(late) is None, late
history += [late, "Read the table"]
assert ask(coder, *history).text == late.text
fresh = ask(chat().bind_tools([CODE]), *history)
assert "No such file" in fresh.text and container(fresh) not in (None, container(made)), fresh
control("PUT", "quirks", {"expired-container": "server-error"})
once = chat(reuse_last_container=True, max_retries=0).bind_tools([CODE])
error = raises(anthropic.InternalServerError, ask, once, *history)
assert error.status_code == 500 and error.body["error"]["type"] == "api_error", error

# Overloaded: in a stream for good, before it the SDK tries twice more.
control("POST", "faults", {"at": "stream", "after_events": 4, "type": "overloaded_error"})
error = raises(anthropic.APIStatusError, stream, chat(), "Greet me")
assert error.body["error"]["type"] == "overloaded_error", error
busy = {"at": "http", "status": 529, "headers": {"retry-after-ms": "1"}}
control("POST", "faults", {**busy, "times": 2})
assert ask(chat(), "Greet me").content == greeting.content
control("POST", "faults", {**busy, "times": 3})
assert raises(anthropic.APIStatusError, ask, chat(), "Greet me").status_code == 529
