"""The tool runner of the SDK 2.14, which compacts its conversation between a call and what follows its result."""

import anthropic
from anthropic import beta_tool

api = anthropic.Anthropic()


@beta_tool
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name.
    """
    return f"12 degrees in {city}"


runner = api.beta.messages.tool_runner(
    model="claude-opus-5",
    max_tokens=1024,
    betas=["compact-2026-09-04"],
    messages=[{"role": "user", "content": "What is the weather in Oslo?"}],
    tools=[get_weather],
)
answers = []
for message in runner:
    answers.append(message)
    if message.stop_reason == "tool_use":
        runner.compact_before_next_turn()
kinds = [[block.type for block in message.content] for message in answers]
assert kinds == [["text", "tool_use"], ["compaction"], ["text"]], kinds
assert answers[1].stop_reason == "compaction", answers[1]
assert answers[2].content[0].text == "They say: 12 degrees in Oslo", answers[2]
