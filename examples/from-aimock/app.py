"""The program that is tested: uses a tool, and survives an overload."""

import anthropic

OPTIONS = {"model": "claude-opus-4-6", "max_tokens": 1024}
WEATHER = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}

client = anthropic.Anthropic(max_retries=0)


def ask(text, **more):
    return client.messages.create(messages=[{"role": "user", "content": text}], **OPTIONS, **more)


print(ask("how is the weather?", tools=[WEATHER]).content[0].input["city"])
print(ask("anything", system="Talk like a pirate.").content[0].text)
print(ask("well, hello there").content[0].text)
try:
    ask("are you busy?")
except anthropic.APIStatusError as error:
    print(error.status_code)
