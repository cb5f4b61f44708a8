"""Files: metadata, pages, names, expiry, and uploads side by side; without any sandbox."""

import asyncio
import datetime
import os

import anthropic

from support import STRICT, async_client, client, control, raises

api = client()
files = api.files if STRICT else api.beta.files

# Metadata, as a user sees it.
made = files.upload(file=("notes.txt", b"one\n", "text/plain"))
assert made.id.startswith("file_") and made.type == "file" and made.size_bytes == 4, made
assert made.filename == "notes.txt" and made.mime_type == "text/plain" and made.downloadable is False, made
age = datetime.datetime.now(datetime.timezone.utc) - made.created_at
assert abs(age) < datetime.timedelta(minutes=1), made.created_at
assert files.retrieve_metadata(made.id) == made
assert ("expires_at" in made.to_dict()) == STRICT, "the beta shape has no expiry"

# Names: the last part counts, whatever the language; what no file system takes is refused.
for sent, kept in [("a/b/c.csv", "c.csv"), ("übersicht ☂.csv", "übersicht ☂.csv"), ("x" * 255, "x" * 255)]:
    assert files.upload(file=(sent, b"1", "text/csv")).filename == kept
for sent in ["a<b.csv", "what?.csv", "x" * 256]:
    error = raises(anthropic.BadRequestError, files.upload, file=(sent, b"1", "text/csv"))
    assert error.body["error"]["type"] == "invalid_request_error", error.body
assert files.upload(file=b"nameless").filename, "a name is made up"

# Pages, newest first, walked by the SDK.
for file in list(files.list()):
    files.delete(file.id)
ids = [files.upload(file=(f"{number}.txt", b"", "text/plain")).id for number in range(7)]
assert [file.id for file in files.list(limit=3)] == ids[::-1]
page = files.list(limit=3)
assert [file.id for file in page.data] == ids[:3:-1] and page.has_next_page(), page
assert [file.id for file in page.get_next_page().data] == ids[3:0:-1]
if STRICT:
    chosen = files.list(ids=[ids[2], ids[5], "file_01nope"])
    assert {file.id for file in chosen.data} == {ids[2], ids[5]} and not chosen.has_next_page(), chosen
else:
    assert page.first_id == ids[6] and page.last_id == ids[4] and page.has_more, page
    assert [file.id for file in files.list(before_id=ids[4]).data] == ids[:4:-1]
    assert not files.list(after_id=ids[0]).data
raises(anthropic.BadRequestError, files.list, limit=1001)

# Deleted is gone; the others stay.
assert files.delete(ids[3]).to_dict() == {"id": ids[3], "type": "file_deleted"}
raises(anthropic.NotFoundError, files.delete, ids[3])
assert [file.id for file in files.list()] == [*ids[:3:-1], *ids[2::-1]]

# Five megabytes, and twenty uploads at a time.
assert files.upload(file=("noise.bin", os.urandom(5 << 20))).size_bytes == 5 << 20


async def at_once():
    async with async_client() as api:
        files = api.files if STRICT else api.beta.files
        made = await asyncio.gather(
            *(files.upload(file=(f"part-{number}.txt", b"x" * number, "text/plain")) for number in range(20))
        )
        seen = await asyncio.gather(*(files.retrieve_metadata(file.id) for file in made))
        walked = [file async for file in files.list(limit=7)]
        return made, seen, walked


made, seen, walked = asyncio.run(at_once())
assert made == seen and [file.size_bytes for file in made] == list(range(20)), made
assert {file.id for file in made} < {file.id for file in walked} and len(walked) == 27, len(walked)

# A file with an expiry, before and after it.
if STRICT:
    error = raises(anthropic.BadRequestError, files.upload, file=("a.txt", b"1"), expires_in_seconds=60)
    assert "expires_in_seconds" in error.body["error"]["message"], error.body
    short = files.upload(file=("a.txt", b"1", "text/plain"), expires_in_seconds=3600)
    assert short.expires_at - short.created_at == datetime.timedelta(hours=1), short
    control("POST", "clock", {"advance": "61m"})
    assert files.retrieve_metadata(short.id) == short, "the metadata stays readable"
    error = raises(anthropic.BadRequestError, files.download, short.id)
    assert error.error_code == "file_not_downloadable", error.body

# Other keys see nothing of this.
assert list(client(api_key="sk-ant-other").beta.files.list()) == []
