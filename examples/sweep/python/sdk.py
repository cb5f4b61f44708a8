"""The service through the official SDK."""

import contextlib
import os

import anthropic

try:
    import httpx2 as httpx  # what the SDK speaks through since 2.0
except ImportError:
    import httpx

from agent import Failure
from retry_after import PASSING, PASSING_TYPES, retry_after

TIMEOUT_SECONDS = float(os.environ.get("TIMEOUT_SECONDS", "60"))


class Sdk:
    def __init__(self, **options):
        # The SDK would send an upload again without a look at what became of the first, so it is not to retry.
        self.client = anthropic.Anthropic(max_retries=0, timeout=TIMEOUT_SECONDS, **options)
        self.files = self.client.beta.files

    def upload(self, name, data):
        with failures():
            return self.files.upload(file=(name, data, "text/csv")).id

    def find(self, name):
        with failures():
            return next((file.id for file in self.files.list(limit=100) if file.filename == name), None)

    def metadata(self, file_id):
        with failures():
            return self.files.retrieve_metadata(file_id).to_dict()

    def download(self, file_id):
        with failures():
            return self.files.download(file_id).read()

    def delete(self, file_id):
        with failures():
            self.files.delete(file_id)

    def turn(self, body):
        began = called = False
        try:
            with failures(), self.client.beta.messages.stream(**body) as stream:
                for event in stream:
                    began = True
                    if event.type == "content_block_start" and event.content_block.type == "server_tool_use":
                        called = True
                message = stream.get_final_message()
        except Failure as failure:
            failure.in_stream = began
            failure.done |= called
            raise
        if message.stop_reason is None:
            raise Failure("the answer has no end", passing=True, done=True, in_stream=True)
        return message.to_dict(mode="json", warnings=False)


@contextlib.contextmanager
def failures():
    """Whatever the SDK raises, as a `Failure`."""
    try:
        yield
    except anthropic.APIStatusError as error:
        status = error.status_code
        passing = status in PASSING or error.type in PASSING_TYPES
        raise Failure(
            f"HTTP {status} {error.type or ''}: {error.message}",
            status=status,
            passing=passing,
            wait_seconds=retry_after(error.response.headers),
        ) from error
    except anthropic.APIConnectionError as error:
        connected = type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout")
        raise Failure(f"no answer: {error.message}", passing=True, done=connected) from error
    except (anthropic.APIError, httpx.HTTPError, ValueError) as error:
        # The SDK hands on what happens while an answer is read as it is.
        raise Failure(f"the answer broke off: {type(error).__name__}: {error}", passing=True, done=True) from error
