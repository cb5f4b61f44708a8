"""The README's tutorial as a client has it: a file, a chart made of it, the chart fetched, and a question more in the same container."""

import os
import pathlib
import sys

import anthropic

client = anthropic.Anthropic(timeout=3.0)
OPTIONS = {
    "model": "claude-opus-4-6",
    "max_tokens": 4096,
    "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
}
CHART = """```bash
cd /tmp && cat > chart.py <<'EOF'
import csv, os
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

with open(os.environ["INPUT_DIR"] + "/sales.csv") as table:
    rows = list(csv.DictReader(table))
plt.bar([row["region"] for row in rows], [int(row["revenue"]) for row in rows])
plt.savefig(os.environ["OUTPUT_DIR"] + "/chart.png", metadata={"Software": None})
print(sum(int(row["revenue"]) for row in rows))
EOF
python3 chart.py
```"""


def ask(text, uploads=(), **more):
    """One question, streamed; pauses are gone on from."""
    content = [{"type": "text", "text": text}, *({"type": "container_upload", "file_id": each} for each in uploads)]
    messages = [{"role": "user", "content": content}]
    while True:
        with client.beta.messages.stream(messages=messages, betas=["files-api-2025-04-14"], **OPTIONS, **more) as stream:
            answer = stream.get_final_message()
        if answer.stop_reason != "pause_turn":
            return answer
        messages.append({"role": "assistant", "content": answer.content})


def main():
    sales = b"region,revenue\nnorth,120\nsouth,90\nwest,140\n"
    upload = client.beta.files.upload(file=("sales.csv", sales, "text/csv"))
    answer = ask(CHART, [upload.id])
    outputs = [
        output.file_id
        for block in answer.content
        if block.type == "bash_code_execution_tool_result" and block.content.type == "bash_code_execution_result"
        for output in block.content.content
    ]
    if not outputs:
        raise anthropic.AnthropicError("there is no chart")
    folder = pathlib.Path(os.environ.get("SANDTABLE_SWEEP_DIR", "."))
    client.beta.files.download(outputs[0]).write_to_file(folder / "chart.png")
    more = ask("```bash\nwc -l < $INPUT_DIR/sales.csv; ls /tmp/chart.py\n```", container=answer.container.id)
    print(more.content[-1].text if more.content[-1].type == "text" else more.content[-1].content.stdout)
    client.beta.files.delete(upload.id)


if __name__ == "__main__":
    try:
        main()
    except anthropic.AnthropicError as error:
        sys.exit(f"gave up: {error}")
