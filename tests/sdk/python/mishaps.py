"""What goes wrong in the documents goes wrong here, with the same error classes and blocks."""

import os

import anthropic

from support import CODE, MODEL, SALES, STRICT, client, control, kinds, raises, requests, results, user, write

BETAS = ["files-api-2025-04-14"]
api = client()
uploaded = api.beta.files.upload(file=("sales.csv", write("sales.csv", SALES).open("rb"), "text/csv"))


def ask(*content, api=api, **options):
    blocks = [{"type": "text", "text": each} if isinstance(each, str) else each for each in content]
    return api.beta.messages.create(
        model=MODEL,
        max_tokens=1024,
        betas=BETAS,
        tools=[CODE],
        messages=[{"role": "user", "content": blocks}],
        **options,
    )


def bash(command, **options):
    return ask(f"```bash\n{command}\n```", **options)


def upload(file_id):
    return {"type": "container_upload", "file_id": file_id}


# A CSV is no document.
document = {"type": "document", "source": {"type": "file", "file_id": uploaded.id}}
error = raises(anthropic.BadRequestError, ask, document, "What is in it?")
assert error.body["error"]["type"] == "invalid_request_error", error.body
assert "messages.0.content.0" in error.body["error"]["message"], error.body
assert [entry["status"] for entry in requests()] == [400], requests()

# No network: neither for a program nor for an installer.
(result,) = results(ask("```python\nimport requests\nrequests.get('https://example.com', timeout=20)\n```"))
assert result["return_code"] == 1 and "ConnectionError" in result["stderr"], result
(result,) = results(bash("timeout 60 pip install --retries 0 left-pad"))
assert result["return_code"] != 0, result

# Thirty days later the container is gone, and a request without it gets a new one.
kept = bash("ls sales.csv && echo mine > note.txt && cat note.txt", container=None, api=api)
(result,) = results(kept)
assert result["return_code"] == 2 and "sales.csv" in result["stderr"], "without a container_upload there is no file"
kept = ask(upload(uploaded.id), "```bash\nwc -l < sales.csv; echo mine > note.txt\n```")
assert results(kept)[0]["stdout"] == "7\n", results(kept)
control("POST", "clock", {"advance": "29d"})
assert results(bash("cat note.txt sales.csv", container=kept.container.id))[0]["stdout"] == "mine\n" + SALES
control("POST", "clock", {"advance": "1d"})
late = bash("cat note.txt", container=kept.container.id)
(result,) = results(late)
assert result["type"] == "bash_code_execution_tool_result_error", result
assert result["error_code"] == "container_expired", result
assert late.container is None, late.container
fresh = bash("cat note.txt")
assert results(fresh)[0]["return_code"] == 1 and fresh.container.id != kept.container.id, fresh

# The same, on purpose and at once.
control("POST", f"containers/{fresh.container.id}/expire")
(result,) = results(bash("true", container=fresh.container.id))
assert result["error_code"] == "container_expired", result

# Asleep is not gone.
asleep = bash("echo 1 > /tmp/number.txt")
control("POST", f"containers/{asleep.container.id}/sleep")
assert results(bash("cat /tmp/number.txt", container=asleep.container.id))[0]["stdout"] == "1\n"

# Unknown, deleted, and somebody else's are the same: not found.
unknown = "container_01AAAAAAAAAAAAAAAAAAAAAA"
texts = set()
stranger = client(api_key="sk-ant-somebody-else")
for who, container in [(api, unknown), (stranger, asleep.container.id)]:
    error = raises(anthropic.NotFoundError, bash, "true", api=who, container=container)
    texts.add(error.body["error"]["message"].replace(container, "ID"))
assert texts == {"Container `ID` not found."}, texts
texts = set()
for who, file_id in [(api, "file_01AAAAAAAAAAAAAAAAAAAAAA"), (stranger, uploaded.id)]:
    for call in (who.beta.files.retrieve_metadata, who.beta.files.delete, who.beta.files.download):
        error = raises(anthropic.NotFoundError, call, file_id)
        texts.add(error.body["error"]["message"].replace(file_id, "ID"))
    error = raises(anthropic.NotFoundError, ask, upload(file_id), "Look.", api=who)
    texts.add(error.body["error"]["message"].replace(file_id, "ID"))
assert texts == {"File `ID` not found."}, texts

# A deleted upload stays where it is already mounted, and nowhere else.
mounted = ask(upload(uploaded.id), "```bash\ntrue\n```")
api.beta.files.delete(uploaded.id)
assert results(bash("cat sales.csv", container=mounted.container.id))[0]["stdout"] == SALES
raises(anthropic.NotFoundError, ask, upload(uploaded.id), "Look.")
raises(anthropic.NotFoundError, api.beta.files.delete, uploaded.id)

# An upload is not downloadable.
again = api.beta.files.upload(file=("sales.csv", SALES.encode(), "text/csv"))
error = raises(anthropic.BadRequestError, api.beta.files.download, again.id)
assert not STRICT or type(error).__name__ == "FileNotDownloadableError", type(error)
assert error.body["error"]["details"]["error_code"] == "file_not_downloadable", error.body

# Nothing of this was retried: each refusal is one request.
assert {entry["request_headers"]["x-stainless-retry-count"] for entry in requests()} == {"0"}
assert kinds(fresh)[-1] == "text" and os.path.exists("sales.csv")
