"""The tool of 2025-05: Python alone, its own result blocks and outputs, no memory between runs."""

from support import LEGACY, client, is_png, kinds, output_ids, requests, results, said, user

MODEL = "claude-opus-4-20250514"
BETAS = ["code-execution-2025-05-22", "files-api-2025-04-14"]
api = client()


def ask(text, **options):
    return api.beta.messages.create(
        model=MODEL, betas=BETAS, max_tokens=4096, messages=[user(text)], tools=[LEGACY], **options
    )


def python(code, **options):
    (result,) = results(ask(f"```python\n{code}\n```", **options))
    assert result["type"] == "code_execution_result", result
    return result


answer = ask("Calculate the mean and standard deviation of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]")
assert kinds(answer) == ["text", "server_tool_use", "code_execution_tool_result", "text"], kinds(answer)
assert answer.type == "message" and answer.role == "assistant" and answer.model == MODEL, answer
assert answer.content[1].name == "code_execution" and list(answer.content[1].input) == ["code"]
assert answer.content[2].tool_use_id == answer.content[1].id
assert results(answer)[0]["stdout"] == "Mean: 5.5\nStandard deviation: 2.8722813232690143\n", answer
assert answer.container.id.startswith("container_") and answer.container.expires_at.tzinfo, answer.container

# A failing program is a result, not an error.
failed = python("print(undefined_variable)")
assert failed["return_code"] == 1 and failed["stdout"] == "" and failed["content"] == [], failed
assert "NameError: name 'undefined_variable' is not defined" in failed["stderr"], failed

# Files stay in the container over requests; variables do not stay at all.
first = ask("Write a file with a random number and save it to '/tmp/number.txt'")
second = ask("Read the number from '/tmp/number.txt' and calculate its square", container=first.container.id)
assert second.container.id == first.container.id and "Square: " in said(second), said(second)
python("x = 1", container=first.container.id)
assert "NameError" in python("print(x)", container=first.container.id)["stderr"]

# Output files are `code_execution_output` blocks.
plot = ask("Create a matplotlib visualization and save it as waves.png")
(output,) = results(plot)[0]["content"]
assert output["type"] == "code_execution_output" and output_ids(plot) == [output["file_id"]], output
metadata = api.beta.files.retrieve_metadata(output["file_id"])
assert metadata.filename == "waves.png" and metadata.mime_type == "image/png" and metadata.downloadable, metadata
assert is_png(api.beta.files.download(metadata.id).read())

# The stream of the same.
with api.beta.messages.stream(
    model=MODEL, betas=BETAS, max_tokens=4096, messages=[user("```python\nprint(6 * 7)\n```")], tools=[LEGACY]
) as stream:
    events = list(stream)
    streamed = stream.get_final_message()
assert results(streamed)[0]["stdout"] == "42\n", streamed
assert streamed.content[0].input == {"code": "print(6 * 7)\n"}, streamed.content[0]
assert streamed.container.id.startswith("container_"), streamed.container
assert "input_json_delta" in {event.delta.type for event in events if event.type == "content_block_delta"}, events

for entry in requests():
    assert "code-execution-2025-05-22" in entry["request_headers"]["anthropic-beta"], entry["request_headers"]
    assert entry["status"] == 200 and entry["lints"] == [], entry
