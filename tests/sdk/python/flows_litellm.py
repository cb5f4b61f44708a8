"""LiteLLM: what its completions make of texts, streams, tools, code, containers, and errors."""

import os

# Prices and headers as they came with the package: this program asks nobody else.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = os.environ["LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS"] = "True"

import anthropic
import litellm

from support import CODE, MODEL, control, raises, user

litellm.suppress_debug_info = True
api = anthropic.Anthropic()
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def complete(*messages, **options):
    messages = [user(each) if isinstance(each, str) else each for each in messages]
    return litellm.completion(model=f"anthropic/{MODEL}", messages=messages, max_tokens=1024, **options)


def ask(*messages, **options):
    return complete(*messages, **options).choices[0].message


def stream(prompt, **options):
    """The pieces of a stream."""
    return list(complete(prompt, stream=True, **options))


def loop(prompt, **options):
    """What clients write around tools of their own: the last message."""
    messages = [prompt]
    while True:
        message = ask(*messages, **options)
        if not message.tool_calls:
            return message
        if container(message):
            options["container"] = container(message)
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": "-4 degrees in Oslo"} for call in message.tool_calls
        ]


def container(message):
    return (message.provider_specific_fields.get("container") or {}).get("id")


def returned(message):
    """What the code that ran has returned."""
    return [result["content"] for result in message.provider_specific_fields["tool_results"]]


# A text, plain and in pieces.
greeting = complete("Greet me")
assert greeting.choices[0].message.content == "Hello from a script.", greeting
assert greeting.choices[0].finish_reason == "stop" and greeting.usage.completion_tokens > 0, greeting
pieces = [chunk.choices[0].delta.content for chunk in stream("Greet me")]
assert "".join(filter(None, pieces)) == "Hello from a script." and len(pieces) > 2, pieces

# A tool of the client's.
asked = complete("How is the weather in Oslo?", tools=[WEATHER]).choices[0]
assert asked.finish_reason == "tool_calls" and asked.message.content == "I'll ask.", asked
assert asked.message.tool_calls[0].function.arguments == '{"city": "Oslo"}', asked
assert loop("How is the weather in Oslo?", tools=[WEATHER]).content == "They say: -4 degrees in Oslo"

# Code runs, and its file comes back, plain and streamed.
made = ask("Write a table", tools=[CODE])
assert made.content == "I'll write it.It has 2 lines." and made.tool_calls is None, made
(result,) = returned(made)
assert result["stdout"] == "2\n" and result["return_code"] == 0, result
(call,) = made.provider_specific_fields["code_interpreter_results"]
assert call["container_id"] == container(made), call
assert [(output["type"], output["logs"]) for output in call["outputs"]] == [("logs", "2\n")], call
(file,) = result["content"]
assert api.beta.files.download(file["file_id"]).read() == b"region,revenue\nharbor,450\n"
from_stream = litellm.stream_chunk_builder(stream("Write a table", tools=[CODE])).choices[0].message
assert from_stream.content == made.content and returned(from_stream)[0]["stdout"] == "2\n", from_stream
assert container(from_stream) and container(from_stream) != container(made), from_stream

# The next question finds what the first left, if the client sends the container.
for kept in (made, from_stream):
    found = ask("Write a table", kept, "Read the table", tools=[CODE], container=container(kept))
    assert found.content == "It says: region,revenue\nharbor,450" and container(found) == container(kept), found
assert loop("Do both", tools=[CODE, WEATHER]).content == "Both: -4 degrees in Oslo, kept"

# The container is over: the code is told so, and a request without it gets a new one.
control("POST", f"containers/{container(made)}/expire")
late = ask("Read the table", tools=[CODE], container=container(made))
assert returned(late) == [{"type": "bash_code_execution_tool_result_error", "error_code": "container_expired"}], late
assert late.content == "The container is gone: container_expired" and container(late) is None, late
fresh = ask("Read the table", late, "Read the table", tools=[CODE])
assert "No such file" in fresh.content and container(fresh) not in (None, container(made)), fresh
control("PUT", "quirks", {"expired-container": "server-error"})
error = raises(litellm.InternalServerError, ask, "Read the table", tools=[CODE], container=container(made))
assert error.status_code == 500 and '"api_error"' in error.message, error
unknown = "container_01AAAAAAAAAAAAAAAAAAAAAA"
error = raises(litellm.NotFoundError, ask, "Read the table", tools=[CODE], container=unknown)
assert f"Container `{unknown}` not found." in error.message, error

# Overloaded: in a stream for good, before it the library tries as often as it is told to.
control("POST", "faults", {"at": "stream", "after_events": 4, "type": "overloaded_error"})
error = raises(litellm.exceptions.MidStreamFallbackError, stream, "Greet me")
assert "Overloaded" in error.message and error.generated_content == "Hello from a", error
busy = {"at": "http", "status": 529, "headers": {"retry-after-ms": "1"}}
control("POST", "faults", {**busy, "times": 2})
assert ask("Greet me", num_retries=2).content == "Hello from a script."
control("POST", "faults", busy)
error = raises(litellm.InternalServerError, ask, "Greet me", num_retries=0)
assert "overloaded_error" in error.message, error
