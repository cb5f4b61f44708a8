"""Client tools: called and answered by hand, mixed with server tools, and by the SDK's own runner."""

import asyncio

import anthropic
from anthropic import beta_async_tool, beta_tool

from support import CODE, MODEL, STRICT, async_client, client, kinds, raises, requests, results, said, script, user

RULES = """
- name: weather
  when: { tools: get_weather, user: { regex: 'weather in (?P<city>\\w+)' } }
  then:
    - text: I'll ask.
    - tool_use: { name: get_weather, input: { city: "${{ captures.city }}" } }
      capture: { degrees: '-?\\d+' }
    - bash: 'echo "${{ captures.degrees }} * 2" | bc > twice.txt; cat twice.txt'
    - tool_use: { name: get_weather, input: { city: Elsewhere } }
    - text: "Twice as warm: ${{ results[1].stdout | trim }}. Elsewhere: ${{ last.stdout }}"
- name: mixed
  when: { tools: get_weather, user: mixed }
  then:
    - parallel:
        - bash: echo from the server
        - tool_use: { name: get_weather, input: { city: Oslo } }
    - text: "${{ results[0].stdout | trim }}, ${{ results[1].stdout }}"
- name: pauses
  when: { user: pauses }
  then:
    - text: First half.
    - bash: echo kept > half.txt
    - pause_turn
    - bash: cat half.txt
    - text: Second half.
- name: fails
  when: { tools: get_weather, user: fails }
  then:
    - tool_use: { name: get_weather, input: { city: Nowhere } }
    - if: last.error_code
      then: [{ text: "It failed: ${{ last.stdout }}" }]
      else: [{ text: It worked. }]
"""
SCHEMA = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
script(RULES)
api = client()
TEMPERATURES = {"Oslo": "-4 degrees", "Elsewhere": "9 degrees"}


def weather_of(city):
    if city not in TEMPERATURES:
        raise ValueError(f"no city named {city}")
    return TEMPERATURES[city]


def turn(messages, **options):
    return api.beta.messages.create(model=MODEL, max_tokens=1024, messages=messages, tools=[CODE, SCHEMA], **options)


def answers_to(message):
    """What a client tells the tools that a message calls."""
    found = []
    for block in message.content:
        if block.type == "tool_use":
            answer = {"type": "tool_result", "tool_use_id": block.id}
            try:
                found.append({**answer, "content": weather_of(block.input["city"])})
            except ValueError as error:
                found.append({**answer, "content": str(error), "is_error": True})
    return {"role": "user", "content": found}


def by_hand(text):
    """The loop that clients write, until there is nothing more to do."""
    messages, seen, options = [user(text)], [], {}
    while True:
        message = turn(messages, **options)
        seen.append(message)
        messages.append({"role": "assistant", "content": message.content})
        if message.container:
            options["container"] = message.container.id
        if message.stop_reason == "tool_use":
            messages.append(answers_to(message))
        elif message.stop_reason != "pause_turn":
            return seen


# One after the other.
first, second, third = by_hand("How is the weather in Oslo?")
assert kinds(first) == ["text", "tool_use"] and first.stop_reason == "tool_use", first
assert first.content[1].input == {"city": "Oslo"} and first.content[1].id.startswith("toolu_"), first
assert first.container is None, first.container
assert kinds(second) == ["server_tool_use", "bash_code_execution_tool_result", "tool_use"], kinds(second)
assert results(second)[0]["stdout"] == "-8\n", second
assert kinds(third) == ["text"] and said(third) == "Twice as warm: -8. Elsewhere: 9 degrees", third

# At once: the server's call runs when the client has answered, and its result comes first.
first, second = by_hand("mixed")
assert kinds(first) == ["server_tool_use", "tool_use"] and first.stop_reason == "tool_use", first
assert kinds(second) == ["bash_code_execution_tool_result", "text"], kinds(second)
assert second.content[0].tool_use_id == first.content[0].id, second
assert said(second) == "from the server, -4 degrees", second
# Anything but results is refused while the server's call waits, and so is silence.
messages = [user("mixed"), {"role": "assistant", "content": first.content}]
extra = answers_to(first)
extra["content"].append({"type": "text", "text": "And?"})
error = raises(anthropic.BadRequestError, turn, [*messages, extra])
assert "was found without a corresponding `bash_code_execution_tool_result` block" in error.body["error"]["message"]
error = raises(anthropic.BadRequestError, turn, [*messages, user("And?")])
assert "`tool_use` ids were found without `tool_result` blocks immediately after" in error.body["error"]["message"]

# A pause goes on where it was.
first, second = by_hand("pauses")
assert first.stop_reason == "pause_turn" and second.stop_reason == "end_turn", (first, second)
assert results(second)[0]["stdout"] == "kept\n" and said(second) == "Second half.", second

# A failing tool.
assert said(by_hand("fails")[-1]) == "It failed: no city named Nowhere"


@beta_tool
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name.
    """
    return weather_of(city)


@beta_async_tool(name="get_weather")
async def get_weather_later(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name.
    """
    await asyncio.sleep(0)
    return weather_of(city)


def runner(text, api=api, tool=get_weather, **options):
    # The older SDK's runner takes client tools alone.
    tools = [CODE, tool] if STRICT else [tool]
    return api.beta.messages.tool_runner(
        model=MODEL, max_tokens=1024, tools=tools, messages=[user(text)], **options
    )


assert "no city named Nowhere" in said(runner("fails").until_done())


async def at_once(text):
    async with async_client() as api:

        async def one():
            return await runner(text, api=api, tool=get_weather_later).until_done()

        return await asyncio.gather(*(one() for _ in range(4)))


for message in asyncio.run(at_once("fails")):
    assert "no city named Nowhere" in said(message), message
if not STRICT:
    raise SystemExit

# The runner sends a thread: later requests bring what is new alone, and none is refused.
before = len(requests())
last = list(runner("How is the weather in Oslo?"))[-1]
assert said(last) == "Twice as warm: -8. Elsewhere: 9 degrees", last
entries = requests()[before:]
assert [entry["status"] for entry in entries] == [200, 200, 200], entries
assert entries[0]["request_body"]["thread"] == {"type": "create"}, entries[0]
for entry, previous in zip(entries[1:], entries):
    body = entry["request_body"]
    assert "message-threads-2026-08-12" in entry["request_headers"]["anthropic-beta"], entry
    assert body["thread"] == {"type": "continue", "previous_message_id": previous["response_body"]["id"]}, body
    assert len(body["messages"]) == 1 and "tools" not in body and "system" not in body, body

# The same by hand, with the helper that has no way around a refusal.
thread = api.beta.messages.thread(model=MODEL, max_tokens=1024, tools=[CODE], system="Be short.")
first = thread.send(user("pauses"))
second = thread.send()
sent = requests()[-1]["request_body"]
assert first.stop_reason == "pause_turn" and said(second) == "Second half.", second
assert sent["thread"]["previous_message_id"] == first.id and sent["messages"] == [], sent
assert sent["container"] == first.container.id == second.container.id, sent

# The same for mixed calls, pauses, streams, and four at a time.
assert said(runner("mixed").until_done()) == "from the server, -4 degrees"
assert said(runner("pauses").until_done()) == "Second half."
for stream in runner("How is the weather in Oslo?", stream=True):
    last = stream.get_final_message()
assert said(last) == "Twice as warm: -8. Elsewhere: 9 degrees", last
for message in asyncio.run(at_once("How is the weather in Oslo?")):
    assert said(message) == "Twice as warm: -8. Elsewhere: 9 degrees", message
