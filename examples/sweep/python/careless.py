"""The same conversation as one writes it on the first day, with the official SDK."""

import pathlib
import sys
import tempfile

import anthropic

client = anthropic.Anthropic()
folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
table = pathlib.Path("sales.csv")


def ask(messages, **more):
    with client.beta.messages.stream(
        model="claude-opus-4-6",
        max_tokens=2048,
        messages=messages,
        tools=[{"type": "code_execution_20250825", "name": "code_execution"}],
        **more,
    ) as stream:
        return stream.get_final_message()


file = client.beta.files.upload(file=table)
messages = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Write the totals by region to $OUTPUT_DIR/totals.csv, and a chart to $OUTPUT_DIR/chart.txt."},
            {"type": "container_upload", "file_id": file.id},
        ],
    }
]
answer = ask(messages)
made = []
for block in answer.content:
    if block.type == "bash_code_execution_tool_result" and block.content.type == "bash_code_execution_result":
        made += [output.file_id for output in block.content.content]
for file_id in made:
    name = client.beta.files.retrieve_metadata(file_id).filename
    client.beta.files.download(file_id).write_to_file(folder / name)
    print(name)

messages.append({"role": "assistant", "content": answer.content})
messages.append({"role": "user", "content": "And which product sold best?"})
print(ask(messages, container=answer.container.id).content[-1].text)

for file_id in [file.id, *made]:
    client.beta.files.delete(file_id)
