"""The careful agent with one bug: `planted.py --client sdk|plain --bug NAME [FOLDER]`. For tests of what finds bugs."""

import argparse
import http.client
import json
import os

from agent import Agent, Failure, main
from plain import Message, Plain


class NoReuploadAfterExpiry(Agent):
    """Asks again in a new container, without the file."""

    asked = False

    def question(self, text):
        content = super().question(text)
        if self.asked:
            content = content[:1]
        self.asked = True
        return content


class FirstOutputOnly(Agent):
    """Takes it that a call hands back one file."""

    def outputs(self, results):
        return super().outputs(results)[:1]

    def is_whole(self, results, made, outputs):
        return super().is_whole(results, made, min(outputs, 1))


class NoRetryInStream(Agent):
    """Asks again after a refusal, and not after an error that comes in the stream."""

    def may_try_again(self, failure, attempt, repeatable):
        return not failure.in_stream and super().may_try_again(failure, attempt, repeatable)


class RetryDuplicates(Agent):
    """Sends an upload or a question again without a look whether the first arrived."""

    def upload(self, look_first=False):
        file_id = self.persist(lambda _: self.service.upload(self.name, self.data))
        self.left.append(file_id)
        return file_id

    def may_try_again(self, failure, attempt, repeatable):
        return super().may_try_again(failure, attempt, repeatable=True)


class IgnoredPause(Agent):
    """Takes a pause for the end."""

    def paused(self, answer):
        return False

    def is_whole(self, results, made, outputs):
        return True


class SwallowedError(Agent):
    """Goes on without a file that it could not fetch, as if nothing were missing."""

    def fetch(self, file_id, folder):
        self.attempts = 1
        try:
            super().fetch(file_id, folder)
        except Failure:
            pass
        finally:
            del self.attempts


class EndlessRetry(Agent):
    """Never has enough."""

    attempts = float("inf")


class LostContainer(Agent):
    """Forgets its container when a turn has to be asked again."""

    def once(self, body):
        try:
            return super().once(body)
        except Failure:
            body.pop("container", None)
            raise


class KeyInLog(Agent):
    """Logs the headers of what failed."""

    def log(self, text):
        super().log(f"{text} (sent with x-api-key: {os.environ['ANTHROPIC_API_KEY']})")


def whole_events(pieces):
    """Takes each piece that arrives for whole events."""
    for piece in pieces:
        for line in piece.splitlines():
            if line.startswith(b"data:"):
                yield json.loads(line[5:])


class Roomy(http.client.HTTPResponse):
    """Its pieces are those that arrive: Python's usual buffer would cut them at 8 KiB."""

    def __init__(self, sock, *rest, **more):
        super().__init__(sock, *rest, **more)
        self.fp = sock.makefile("rb", 1 << 20)


class PartialJsonPlain(Plain):
    def __init__(self):
        super().__init__()
        http.client.HTTPConnection.response_class = Roomy

    def events(self, response):
        return whole_events(iter(lambda: response.read1(1 << 16), b""))


def sdk(bug):
    from sdk import Sdk, failures

    class PartialJsonSdk(Sdk):
        def turn(self, body):
            message = Message()
            create = self.client.beta.messages.with_streaming_response.create
            with failures(), create(**body, stream=True) as response:
                for event in whole_events(response.iter_bytes()):
                    message.take(event)
                message.check_whole()
            return message.value

    return PartialJsonSdk() if bug == "partial_json" else Sdk()


def plain(bug):
    return PartialJsonPlain() if bug == "partial_json" else Plain()


AGENTS = {
    "no_reupload_after_expiry": NoReuploadAfterExpiry,
    "first_output_only": FirstOutputOnly,
    "no_retry_in_stream": NoRetryInStream,
    "retry_duplicates": RetryDuplicates,
    "ignored_pause": IgnoredPause,
    "swallowed_error": SwallowedError,
    "endless_retry": EndlessRetry,
    "lost_container": LostContainer,
    "partial_json": Agent,  # the bug is in how the service is spoken to
    "key_in_log": KeyInLog,
}

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--client", choices=["sdk", "plain"], default="sdk")
    arguments.add_argument("--bug", choices=AGENTS, default=os.environ.get("BUG"))
    arguments.add_argument("folder", nargs="?")
    chosen = arguments.parse_args()
    if chosen.bug is None:
        arguments.error("which bug? Say --bug NAME, or set BUG")
    speak = {"sdk": sdk, "plain": plain}[chosen.client]
    main(AGENTS[chosen.bug](speak(chosen.bug)), chosen.folder)
