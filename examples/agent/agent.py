"""Asks about a CSV file. Survives an overload in mid-stream, a pause, and the end of its container."""

import random
import time

import anthropic

OPTIONS = {
    "model": "claude-opus-4-6",
    "max_tokens": 2048,
    "tools": [{"type": "code_execution_20250825", "name": "code_execution"}],
}
ATTEMPTS = 4
RETRIED = ("overloaded_error", "api_error", "rate_limit_error")

client = anthropic.Anthropic()


def stream(messages, container):
    """One answer. The SDK sends a refused request again, but not one whose stream broke off: that is done here."""
    more = {"container": container} if container else {}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with client.beta.messages.stream(messages=messages, **OPTIONS, **more) as events:
                return events.get_final_message()
        except anthropic.APIStatusError as error:
            if error.type not in RETRIED or attempt == ATTEMPTS:
                raise
            time.sleep(random.uniform(0.1, 0.2) * 2**attempt)


def expired(answer):
    results = [block.content for block in answer.content if block.type.endswith("code_execution_tool_result")]
    return any(getattr(result, "error_code", None) == "container_expired" for result in results)


class Conversation:
    def __init__(self, path):
        self.file = client.beta.files.upload(file=open(path, "rb"))
        self.container = None
        self.messages = []

    def ask(self, text):
        answer = self._turn(text)
        if expired(answer):
            # What was in the container is gone: the same question again, without it, and with the file.
            self.container = None
            answer = self._turn(text)
        return "".join(block.text for block in answer.content if block.type == "text")

    def _turn(self, text):
        content = [{"type": "text", "text": text}]
        if self.container is None:
            content.append({"type": "container_upload", "file_id": self.file.id})
        messages = [*self.messages, {"role": "user", "content": content}]
        container = self.container
        while True:
            answer = stream(messages, container)
            messages.append({"role": "assistant", "content": answer.content})
            container = answer.container.id if answer.container else container
            if answer.stop_reason != "pause_turn":
                break
        if not expired(answer):
            self.messages, self.container = messages, container
        return answer


if __name__ == "__main__":
    conversation = Conversation("sales.csv")
    print(conversation.ask("how many rows are there?"))
    print(conversation.ask("which region sold the most?"))
