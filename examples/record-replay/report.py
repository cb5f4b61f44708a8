"""The program that is tested: has a file analyzed, and fetches the chart."""

import sys

import anthropic

client = anthropic.Anthropic()
file = client.beta.files.upload(file=("sales.csv", b"region,units\nnorth,3\nsouth,4\n"))
# A block with a fence, so that a sandtable without a script can be recorded as well as the real service.
question = "```bash\nsort -t, -k2 -nr $INPUT_DIR/sales.csv | head -1 | tee $OUTPUT_DIR/best.txt\n```"
with client.beta.messages.stream(
    model="claude-opus-4-6",
    max_tokens=2048,
    tools=[{"type": "code_execution_20250825", "name": "code_execution"}],
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": question},
                {"type": "container_upload", "file_id": file.id},
            ],
        }
    ],
) as stream:
    answer = stream.get_final_message()

outputs = [
    output.file_id
    for block in answer.content
    if block.type == "bash_code_execution_tool_result" and block.content.type == "bash_code_execution_result"
    for output in block.content.content
]
if not outputs:
    sys.exit("no file came back")
print(client.beta.files.download(outputs[0]).text(), end="")
