"""An agent that asks two questions about a CSV file and brings home what was made. It survives what the service can do.

How the service is spoken to is not said here: `sdk.py` does it with the official SDK, `plain.py` with nothing but `http.client`.
"""

import hashlib
import os
import pathlib
import random
import sys
import tempfile
import time

TOTALS = "Write the totals by region to $OUTPUT_DIR/totals.csv, and a chart of them to $OUTPUT_DIR/chart.txt."
BEST = "And which product sold best?"
OPTIONS = {
    "model": "claude-opus-4-6",
    "max_tokens": 2048,
    "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
}

ATTEMPTS = 4
ASKS = 3
PAUSES = 8
RETRY_SECONDS = float(os.environ.get("RETRY_SECONDS", "0.5"))
LONGEST_WAIT_SECONDS = 30


class Failure(Exception):
    """A request that came to nothing.

    `status` is None where no answer came; `passing` says that it may go well later, `done` that its work may have been
    done all the same, `wait_seconds` how long the service asks to wait.
    """

    def __init__(self, message, *, status=None, passing=False, done=False, in_stream=False, wait_seconds=None):
        super().__init__(message)
        self.status, self.passing, self.done = status, passing, done
        self.in_stream, self.wait_seconds = in_stream, wait_seconds


class GaveUp(Exception):
    """There is nothing more to be done, and why."""


class Agent:
    attempts = ATTEMPTS

    def __init__(self, service):
        self.service = service
        self.container = None
        self.messages = []
        self.file_id = None
        self.left = []  # ids of files to be deleted at the end

    # What is asked.

    def run(self, table, folder):
        data = table.read_bytes()
        # The name follows from the content, so that an upload whose answer was lost can be found.
        self.name = f"{table.stem}-{hashlib.sha256(data).hexdigest()[:12]}{table.suffix}"
        self.data = data
        try:
            self.file_id = self.upload()
            self.ask(TOTALS, outputs=2, folder=folder)
            self.ask(BEST, outputs=0, folder=folder)
        except (Failure, GaveUp):
            for problem in self.clean_up():
                self.log(problem)
            raise
        if problems := self.clean_up():
            raise GaveUp("; ".join(problems))

    def ask(self, question, outputs, folder):
        """Asks until the answer is whole: what a call that failed has left is deleted, and the question asked again."""
        text = question
        for _ in range(ASKS):
            content, known = self.conversation(text)
            results = results_of(content)
            made = self.outputs(results)
            if any(result.get("error_code") == "container_expired" for result in results):
                # What was in the container is gone: the same question again, in a new one, and with the file.
                self.log("the container has expired")
                self.container = None
            elif self.is_whole(results, made, outputs):
                self.messages = known
                print("\n".join(block["text"] for block in content if block["type"] == "text"))
                for file_id in made:
                    self.fetch(file_id, folder)
                return
            else:
                self.log(f"not whole: {problem_of(results)}")
                self.messages = known
                text = f"That did not work, please try once more. {question}"
            for file_id in made:
                self.delete(file_id)
                self.left.remove(file_id)
        raise GaveUp(f"no whole answer in {ASKS} attempts")

    def conversation(self, text):
        """Sends a question, and goes on after pauses: the blocks of the answer, and the conversation with it."""
        messages = [*self.messages, {"role": "user", "content": self.question(text)}]
        content = []
        for _ in range(PAUSES):
            answer = self.turn(messages)
            content += answer["content"]
            self.left += self.outputs(results_of(answer["content"]))
            messages.append({"role": "assistant", "content": answer["content"]})
            if answer.get("container"):
                self.container = answer["container"]["id"]
            if not self.paused(answer):
                self.check_end(answer)
                return content, messages
        raise GaveUp(f"the answer paused {PAUSES} times")

    def question(self, text):
        content = [{"type": "text", "text": text}]
        if self.container is None:
            content.append({"type": "container_upload", "file_id": self.file_id})
        return content

    def is_whole(self, results, made, outputs):
        return bool(results) and not failed(results[-1]) and len(made) >= outputs

    def paused(self, answer):
        return answer["stop_reason"] == "pause_turn"

    def check_end(self, answer):
        if answer["stop_reason"] not in ("end_turn", "pause_turn"):
            details = answer.get("stop_details") or {}
            raise GaveUp(f"the answer ended with `{answer['stop_reason']}` {details.get('explanation') or ''}".rstrip())

    def turn(self, messages):
        body = {**OPTIONS, "messages": messages}
        if self.container:
            body["container"] = self.container
        try:
            return self.persist(lambda _: self.once(body), repeatable=False)
        except Failure as failure:
            if failure.status != 404 or self.container:
                raise
        # The file is gone: once more, with a new one.
        old, self.file_id = self.file_id, self.upload(look_first=True)
        for block in messages[-1]["content"]:
            if block.get("file_id") == old:
                block["file_id"] = self.file_id
        return self.persist(lambda _: self.once(body), repeatable=False)

    def once(self, body):
        return self.service.turn(body)

    # Files.

    def upload(self, look_first=False):
        def once(attempt):
            found = self.service.find(self.name) if look_first or attempt > 1 else None
            return found or self.service.upload(self.name, self.data)

        file_id = self.persist(once)
        if file_id not in self.left:
            self.left.append(file_id)
        return file_id

    def outputs(self, results):
        """Ids of the files that calls have handed back."""
        return [item["file_id"] for result in results for item in result.get("content") or [] if "file_id" in item]

    def fetch(self, file_id, folder):
        described = self.persist(lambda _: self.service.metadata(file_id))
        data = self.persist(lambda _: self.service.download(file_id))
        if len(data) != described["size_bytes"]:
            raise GaveUp(f"`{described['filename']}` has {len(data)} bytes of {described['size_bytes']}")
        path = folder / pathlib.PurePosixPath(described["filename"]).name
        path.write_bytes(data)
        print(path.name, len(data), "bytes")

    def delete(self, file_id):
        try:
            self.persist(lambda _: self.service.delete(file_id))
        except Failure as failure:
            if failure.status != 404:  # 404: gone already
                raise

    def clean_up(self):
        """Deletes whatever is left, and says what it could not."""
        problems = []
        for file_id in self.left:
            try:
                self.delete(file_id)
            except Failure as failure:
                problems.append(f"could not delete {file_id}: {failure}")
        return problems

    # What goes wrong.

    def persist(self, call, repeatable=True):
        """Calls until it goes well; what may have been done is done again only if that is harmless."""
        attempt = 1
        while True:
            try:
                return call(attempt)
            except Failure as failure:
                if not self.may_try_again(failure, attempt, repeatable):
                    raise
                self.log(f"attempt {attempt} failed: {failure}")
                time.sleep(wait_seconds(failure, attempt))
            attempt += 1

    def may_try_again(self, failure, attempt, repeatable):
        if failure.done and not repeatable:
            self.log("not asked again: what it runs may have run")
            return False
        too_long = (failure.wait_seconds or 0) > LONGEST_WAIT_SECONDS
        return failure.passing and not too_long and attempt < self.attempts

    def log(self, text):
        print(f"agent: {text}", file=sys.stderr)


def results_of(content):
    return [block["content"] for block in content if block["type"].endswith("code_execution_tool_result")]


def failed(result):
    return bool(result.get("error_code")) or result.get("return_code", 0) != 0


def problem_of(results):
    if not results:
        return "nothing was run"
    last = results[-1]
    return f"the last call ended with {last.get('error_code') or last.get('return_code')}" if failed(last) else "an output is missing"


def wait_seconds(failure, attempt):
    """As the service asks; else twice as long each time, and never the same for all clients."""
    if failure.wait_seconds is not None:
        return failure.wait_seconds
    return RETRY_SECONDS * 2 ** (attempt - 1) * random.uniform(0.75, 1)


def main(agent, folder=None):
    folder = pathlib.Path(folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        agent.run(pathlib.Path("sales.csv"), folder)
    except (Failure, GaveUp) as problem:
        raise SystemExit(f"agent: gave up: {problem}") from None
