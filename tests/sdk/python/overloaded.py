"""Two turns; the first is met by faults that the SDK retries by itself."""

import anthropic

client = anthropic.Anthropic()
for text in ["hello", "bye"]:
    message = client.messages.create(
        model="claude-opus-4-6", max_tokens=64, messages=[{"role": "user", "content": text}]
    )
    print(message.content[0].text)
