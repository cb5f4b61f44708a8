"""The code under test: a question, and a second one in the same conversation."""

import anthropic

OPTIONS = {"model": "claude-opus-4-6", "max_tokens": 256}


def greet(name):
    client = anthropic.Anthropic()
    history = [{"role": "user", "content": f"My name is {name}."}]
    first = client.messages.create(messages=history, **OPTIONS)
    history += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "What is my name?"}]
    second = client.messages.create(messages=history, **OPTIONS)
    return second.content[0].text
