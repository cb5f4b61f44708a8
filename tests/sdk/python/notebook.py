"""A notebook's helpers: beta headers once for the whole client, a chat function, files by short functions."""

import pathlib
import random

import anthropic

from support import CODE, LEGACY, STRICT, client, is_png, output_ids, raises, requests, results, said, write

MODEL = "claude-sonnet-4-5-20250929"
UNKNOWN = {"type": "code_execution_20260104", "name": "code_execution"}
MIME_TYPES = {".csv": "text/csv", ".md": "text/plain", ".py": "text/plain", ".json": "application/json"}
CHURN = "Analyze in detail what the major drivers of churn are, with at least one detailed plot."
api = client(default_headers={"anthropic-beta": "code-execution-2025-08-25, files-api-2025-04-14"})


def chat(messages, tools=None, **options):
    params = {"model": MODEL, "max_tokens": 10000, "messages": messages, "stop_sequences": []}
    return api.messages.create(**params, **({"tools": tools} if tools else {}), **options)


def upload(path):
    path = pathlib.Path(path)
    with path.open("rb") as file:
        return api.beta.files.upload(file=(path.name, file, MIME_TYPES[path.suffix]))


def metadata_of(file_id):
    return api.beta.files.retrieve_metadata(file_id)


def download(file_id, name=None):
    api.beta.files.download(file_id).write_to_file(name or metadata_of(file_id).filename)


def question(text, file_id):
    return [
        {
            "role": "user",
            "content": [{"type": "text", "text": text}, {"type": "container_upload", "file_id": file_id}],
        }
    ]


def customers():
    """Customers of whom those with few hours and many tickets leave."""
    chance = random.Random(7)
    rows = ["customer_id,plan,weekly_hours,tickets,churned"]
    for number in range(300):
        hours, tickets = chance.uniform(0, 30), chance.randint(0, 5)
        leaves = chance.random() < 0.8 - hours / 40 + tickets / 20
        rows.append(f"{number},{chance.choice(['solo', 'family'])},{hours:.1f},{tickets},{int(leaves)}")
    return write("streaming.csv", "\n".join(rows) + "\n")


def analyze(tool):
    """The churn analysis with this tool; checks the plot."""
    uploaded = upload(customers())
    answer = chat(question(CHURN, uploaded.id), tools=[tool])
    output = "code_execution_output" if tool == LEGACY else "bash_code_execution_output"
    assert [item["type"] for result in results(answer) for item in result["content"]] == [output], results(answer)
    assert answer.model == MODEL and answer.stop_reason == "end_turn", answer
    assert "weekly_hours" in said(answer), said(answer)
    (plot,) = output_ids(answer)
    download(plot, "plot.png")
    assert is_png(open("plot.png", "rb").read())
    download(plot)
    assert pathlib.Path(metadata_of(plot).filename).read_bytes() == open("plot.png", "rb").read()
    return uploaded, plot


def main():
    uploaded, plot = analyze(CODE)

    # The beta header decides the shape of metadata and pages, whatever the SDK.
    metadata = metadata_of(uploaded.id).to_dict()
    assert set(metadata) == {"id", "created_at", "filename", "mime_type", "size_bytes", "type", "downloadable"}
    assert metadata["type"] == "file" and metadata["downloadable"] is False, metadata
    listed = api.beta.files.list().to_dict()
    assert [file["id"] for file in listed["data"]] == [plot, uploaded.id], listed
    assert listed["has_more"] is False and listed["first_id"] == plot and listed["last_id"] == uploaded.id, listed
    assert api.beta.files.delete(uploaded.id).type == "file_deleted"
    assert [file.id for file in api.beta.files.list().data] == [plot]

    # Small files of other kinds, read in the sandbox by name.
    readme = upload(write("notes.md", "# Notes\n"))
    assert readme.mime_type == "text/plain", readme
    read = chat(question("```bash\ncat notes.md\n```", readme.id), tools=[CODE])
    assert results(read)[0]["stdout"] == "# Notes\n", read

    # A tool type that never was.
    error = raises(anthropic.BadRequestError, chat, question(CHURN, readme.id), tools=[UNKNOWN])
    text = error.body["error"]["message"]
    assert text.startswith("tools.0: Input tag 'code_execution_20260104' found using 'type' does not match"), text
    assert "'code_execution_20250825'" in text and "'custom'" in text, text

    # Sampling parameters: an argument of the older SDK, and still taken with its API version.
    plain = [{"role": "user", "content": "Say something."}]
    if STRICT:
        raises(TypeError, chat, plain, temperature=1.0)
        error = raises(anthropic.BadRequestError, chat, plain, extra_body={"temperature": 1.0})
        assert "temperature" in error.body["error"]["message"], error.body
        old = {"anthropic-version": "2023-06-01"}
        chat(plain, extra_body={"temperature": 1.0}, extra_headers=old)
    else:
        chat(plain, temperature=1.0)
        chat(plain, temperature=1.0, thinking={"type": "enabled", "budget_tokens": 2000})

    # The same question to the tool that the notebook's text describes.
    uploaded, plot = analyze(LEGACY)
    assert metadata_of(plot).filename == "churn_drivers.png", plot

    betas = {entry["request_headers"]["anthropic-beta"] for entry in requests()}
    assert betas == {"code-execution-2025-08-25, files-api-2025-04-14"}, betas


if __name__ == "__main__":
    main()
