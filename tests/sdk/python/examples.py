"""The examples of the documents: calculate, look around, create and edit, analyze an upload, fetch a chart, go on later."""

import hashlib
import os
import re

from support import CODE, LEGACY, MODEL, SALES, client, is_png, kinds, output_ids, results, said, user, write

api = client()


def ask(text, **options):
    return api.messages.create(model=MODEL, max_tokens=4096, messages=[user(text)], **{"tools": [CODE], **options})


def ask_with(name, text):
    uploaded = api.beta.files.upload(file=open(name, "rb"))
    blocks = [{"type": "text", "text": text}, {"type": "container_upload", "file_id": uploaded.id}]
    return api.beta.messages.create(
        model=MODEL,
        max_tokens=4096,
        betas=["files-api-2025-04-14"],
        messages=[{"role": "user", "content": blocks}],
        tools=[CODE],
    )


# A calculation, and the same by the older tool.
numbers = "What are the mean and standard deviation of [2, 4, 4, 4, 5, 5, 7, 9]?"
answer = ask(numbers)
assert kinds(answer) == ["text", "server_tool_use", "bash_code_execution_tool_result", "text"], kinds(answer)
assert "Mean: 5.0" in said(answer) and "Standard deviation: 2.0" in said(answer), said(answer)
assert answer.usage.server_tool_use.code_execution_requests == 1, answer.usage
answer = ask(numbers, tools=[LEGACY])
assert kinds(answer) == ["text", "server_tool_use", "code_execution_tool_result", "text"], kinds(answer)
assert answer.content[1].name == "code_execution" and "code" in answer.content[1].input, answer.content[1]
assert answer.content[2].content.stdout == "Mean: 5.0\nStandard deviation: 2.0\n", answer.content[2]

# Bash.
answer = ask("Which Python version is there, and what packages?")
assert re.search(r"Python 3\.11\.\d+", said(answer)), said(answer)
assert all(package in said(answer) for package in ("pandas", "matplotlib", "openpyxl")), said(answer)

# The editor: made, changed, looked at.
answer = ask("Make a config.yaml for a database and change its port from 5432 to 3306.")
create, replace, view = results(answer)
assert create == {"type": "text_editor_code_execution_create_result", "is_file_update": False}, create
assert replace["type"] == "text_editor_code_execution_str_replace_result", replace
assert [line for line in replace["lines"] if line[0] in "+-"] == ["-  port: 5432", "+  port: 3306"], replace
assert view["file_type"] == "text" and "port: 3306" in view["content"] and view["start_line"] == 1, view

# An upload, looked at.
answer = ask_with(write("data.csv", SALES), "Analyze this CSV.")
assert "6 rows, 5 columns" in said(answer) and "lantern" in said(answer), said(answer)

# A file that is made comes back by its id.
answer = api.beta.messages.create(
    model=MODEL,
    max_tokens=4096,
    betas=["files-api-2025-04-14"],
    messages=[user("Draw a matplotlib visualization and store it as output.png.")],
    tools=[CODE],
)
(file_id,) = output_ids(answer)
assert api.beta.files.retrieve_metadata(file_id).filename == "output.png"
api.beta.files.download(file_id).write_to_file("output.png")
assert is_png(open("output.png", "rb").read())

# Everything at once: shell, editor, several files.
answer = ask_with("data.csv", "Analyze this CSV: a summary report, some charts, and a README of what you find.")
tools = {block.name for block in answer.content if block.type == "server_tool_use"}
assert tools == {"bash_code_execution", "text_editor_code_execution"}, tools
names = {api.beta.files.retrieve_metadata(file_id).filename for file_id in output_ids(answer)}
assert {"README.md", "summary_report.txt"} < names and any(name.endswith(".png") for name in names), names

# A number is written, and squared by the next request in the same container.
first = ask("Store a random number in /tmp/number.txt.")
number = int(re.search(r"number\.txt: (\d+)", results(first)[0]["stdout"])[1])
second = ask("Read /tmp/number.txt and calculate the square of the number.", container=first.container.id)
assert f"Square: {number**2}" in said(second), said(second)
assert second.container.id == first.container.id
assert second.container.expires_at >= first.container.expires_at
stranger = ask("Read /tmp/number.txt and calculate the square of the number.")
assert results(stranger)[0]["return_code"] == 1 and stranger.container.id != first.container.id

# The whole answer goes back as history, and the conversation goes on.
history = [user(numbers), {"role": "assistant", "content": answer.content}, user("```bash\necho next\n```")]
answer = api.messages.create(model=MODEL, max_tokens=100, messages=history, tools=[CODE])
assert results(answer)[0]["stdout"] == "next\n", answer

# Five megabytes arrive whole.
data = os.urandom(5 << 20)
uploaded = api.beta.files.upload(file=("noise.bin", data, "application/octet-stream"))
blocks = [{"type": "container_upload", "file_id": uploaded.id}]
blocks.append({"type": "text", "text": '```bash\nsha256sum < noise.bin; cp noise.bin "$OUTPUT_DIR/back.bin"\n```'})
answer = ask(blocks)
assert results(answer)[0]["stdout"].split()[0] == hashlib.sha256(data).hexdigest(), results(answer)
assert api.beta.files.download(output_ids(answer)[0]).read() == data
