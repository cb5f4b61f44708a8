"""Publishes the skill in `minutes/`, uses it beside one of the vendor's, and publishes it again."""

import anthropic
from anthropic.lib import files_from_dir

CODE = {"type": "code_execution_20250825", "name": "code_execution"}

client = anthropic.Anthropic()


def ask(content, container):
    return client.beta.messages.create(
        model="claude-opus-4-6",
        max_tokens=2048,
        tools=[CODE],
        messages=[{"role": "user", "content": content}],
        container=container,
    )


def outputs(answer):
    """The files that calls have left in `$OUTPUT_DIR`, by name."""
    found = {}
    for block in answer.content:
        if block.type == "bash_code_execution_tool_result" and block.content.type == "bash_code_execution_result":
            for output in block.content.content:
                name = client.beta.files.retrieve_metadata(output.file_id).filename
                found[name] = client.beta.files.download(output.file_id).read()
    return found


skill = client.skills.create(display_name="Minutes", files=files_from_dir("minutes"))
own = {"type": "custom", "skill_id": skill.id, "version": "latest"}
notes = b"We talked.\nDECIDED: Ship on Friday\nDECIDED: Tell support\n"
file = client.beta.files.upload(file=("notes.txt", notes))

question = {"type": "text", "text": "write the minutes"}
answer = ask([question, {"type": "container_upload", "file_id": file.id}], {"skills": [own]})
print(outputs(answer)["minutes.txt"].decode(), end="")

# A container keeps its skills; another one is added by naming all.
both = {"id": answer.container.id, "skills": [own, {"type": "anthropic", "skill_id": "xlsx", "version": "latest"}]}
workbook = outputs(ask("once more, as a workbook", both))["minutes.xlsx"]
assert workbook.startswith(b"PK"), "a workbook is a zip archive"

version = client.skills.versions.create(skill.id, files=files_from_dir("minutes"))
assert client.skills.retrieve(skill.id).latest_version_id == version.id
print("published", len(list(client.skills.versions.list(skill.id))), "versions")
