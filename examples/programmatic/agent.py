"""Answers what code calls: over the SDK's runner, and by hand."""

import json

import anthropic
from anthropic import beta_tool

ROWS = {"harbor": [450], "valley": [450, 50], "ridge": [300]}
CODE = {"type": "code_execution_20260120", "name": "code_execution"}
OPTIONS = {"model": "claude-opus-4-6", "max_tokens": 2048}
QUESTION = {"role": "user", "content": "which is the best region?"}

client = anthropic.Anthropic()


@beta_tool(allowed_callers=["code_execution_20260120"])
def query_database(region: str) -> str:
    """The revenues of a region, as JSON.

    Args:
        region: Its name.
    """
    return json.dumps(ROWS[region])


def text(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def by_runner():
    runner = client.beta.messages.tool_runner(messages=[QUESTION], tools=[CODE, query_database], **OPTIONS)
    return runner.until_done()


def by_hand():
    messages, container = [QUESTION], {}
    while True:
        tools = [CODE, query_database.to_dict()]
        answer = client.beta.messages.create(messages=messages, tools=tools, **OPTIONS, **container)
        if answer.stop_reason != "tool_use":
            return answer
        # Code waits in this container, for at most five minutes; without its id the request is refused.
        container = {"container": answer.container.id}
        calls = [block for block in answer.content if block.type == "tool_use"]
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": query_database.call(call.input)} for call in calls
        ]
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]


print(text(by_runner()))
print(text(by_hand()))
