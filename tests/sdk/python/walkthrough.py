"""A CSV is uploaded, analyzed with pandas, its chart downloaded, its container used again, and all is cleaned up."""

from support import MODEL, CODE, SALES, VERSION, client, is_png, kinds, output_ids, raises, results, said, user, write
import anthropic

BETAS = ["files-api-2025-04-14"]
api = client()

uploaded = api.beta.files.upload(file=("sales.csv", write("sales.csv", SALES).open("rb"), "text/csv"))
assert uploaded.id.startswith("file_") and uploaded.size_bytes == len(SALES), uploaded
assert uploaded.filename == "sales.csv" and uploaded.mime_type == "text/csv" and uploaded.downloadable is False

first = api.beta.messages.create(
    model=MODEL,
    max_tokens=4096,
    betas=BETAS,
    tools=[CODE],
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "container_upload", "file_id": uploaded.id},
                {"type": "text", "text": "Read sales.csv, show the revenue by region, and save a bar chart as chart.png."},
            ],
        }
    ],
)
assert first.stop_reason == "end_turn", first
assert kinds(first)[0] == "text" and "bash_code_execution_tool_result" in kinds(first), kinds(first)
assert "harbor: 450" in said(first) and "valley: 450" in said(first) and "ridge: 300" in said(first), said(first)
assert all(result["return_code"] == 0 for result in results(first)), results(first)

# As clients find the files: through attributes, not dictionaries.
found = []
for block in first.content:
    if block.type == "bash_code_execution_tool_result":
        for item in block.content.content:
            if getattr(item, "file_id", None):
                found.append(item.file_id)
assert found and found == output_ids(first), first.content
for file_id in found:
    metadata = api.beta.files.retrieve_metadata(file_id)
    assert metadata.downloadable is True and metadata.size_bytes > 1000, metadata
    api.beta.files.download(file_id).write_to_file(metadata.filename)
chart = open("chart.png", "rb").read()
assert is_png(chart) and len(chart) == metadata.size_bytes, metadata

assert first.container.id.startswith("container_") and first.container.expires_at.tzinfo, first.container
second = api.beta.messages.create(
    model=MODEL,
    max_tokens=2048,
    betas=BETAS,
    container=first.container.id,
    tools=[CODE],
    messages=[user("Now compute revenue per unit by product and save it as summary.csv.")],
)
assert second.container.id == first.container.id, second.container
(summary,) = output_ids(second)
assert api.beta.files.retrieve_metadata(summary).filename == "summary.csv"
table = api.beta.files.download(summary).read().decode()
assert "kettle,12,300,25.0" in table and "lantern,18,900,50.0" in table, table

usage = first.usage
assert usage.input_tokens > 0 and usage.output_tokens > 0, usage
assert usage.server_tool_use.code_execution_requests == len(results(first)), usage

for file_id in [uploaded.id, *found, summary]:
    assert api.beta.files.delete(file_id).type == "file_deleted"
    error = raises(anthropic.NotFoundError, api.beta.files.retrieve_metadata, file_id)
    assert f"File `{file_id}` not found." in error.message, error.message
if VERSION >= (2, 0):
    assert list(api.files.list()) == []
