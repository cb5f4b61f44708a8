"""Tools that code awaits: by hand, gathered, over the SDK's runner, and as a stream; cells keep their variables."""

import anthropic
from anthropic import beta_tool

from support import MODEL, STRICT, client, control, kinds, raises, results, said, script, user

CODE = {"type": "code_execution_20260120", "name": "code_execution"}
QUERY = {
    "name": "query_database",
    "description": "Rows of a region, as JSON.",
    "input_schema": {"type": "object", "properties": {"region": {"type": "string"}}, "required": ["region"]},
    "allowed_callers": ["code_execution_20260120"],
}
TOOLS = [CODE, QUERY]
ROWS = {"harbor": "[450]", "valley": "[450, 50]", "ridge": "[300]"}
script("""
- name: revenue
  when: { user: revenue, tools: query_database }
  then:
    - text: I'll query each region.
    - python: |
        import asyncio, json
        regions = ["harbor", "valley"]
        async def total(region):
            return sum(json.loads(await query_database({"region": region})))
        totals = dict(zip(regions, await asyncio.gather(*map(total, regions))))
        if totals["valley"] > totals["harbor"]:
            totals["ridge"] = await total("ridge")
        print(totals)
      expect: { return_code: 0 }
    - python: print(max(totals, key=totals.get))
    - text: "The best is ${{ last.stdout | trim }} of ${{ results[0].stdout | trim }}."
- name: again
  when: { user: again }
  then:
    - python: print(sorted(totals))
    - text: "${{ last.stdout | trim }}"
- name: fails
  when: { user: fails }
  then:
    - python: |
        print(await query_database({"region": "nowhere"}))
    - text: "${{ last.stdout | trim }}"
""")
api = client()
END = "The best is valley of {'harbor': 450, 'valley': 500, 'ridge': 300}."


def answers(message):
    calls = [block for block in message.content if block.type == "tool_use"]
    return [{"type": "tool_result", "tool_use_id": call.id, "content": ROWS[call.input["region"]]} for call in calls]


def by_hand(create, text):
    """The loop of the documents: the same tools, the container by its id, results alone."""
    messages, seen, container = [user(text)], [], {}
    while True:
        message = create(messages, **container)
        seen.append(message)
        if message.stop_reason != "tool_use":
            return seen, container
        container = {"container": message.container.id}
        messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": answers(message)}]


def create(messages, **options):
    return api.beta.messages.create(model=MODEL, max_tokens=1024, messages=messages, tools=TOOLS, **options)


def stream(messages, **options):
    with api.beta.messages.stream(model=MODEL, max_tokens=1024, messages=messages, tools=TOOLS, **options) as events:
        return events.get_final_message()


for way in (create, stream):
    (first, second, third), container = by_hand(way, "revenue")
    assert kinds(first) == ["text", "server_tool_use", "tool_use", "tool_use"], kinds(first)
    assert kinds(second) == ["tool_use"]
    assert kinds(third) == ["code_execution_tool_result", "server_tool_use", "code_execution_tool_result", "text"]
    cell = first.content[1]
    assert cell.name == "code_execution" and "asyncio.gather" in cell.input["code"]
    for call in (*first.content[2:], *second.content):
        caller = call.caller if isinstance(call.caller, dict) else call.caller.to_dict()
        assert caller == {"type": "code_execution_20260120", "tool_id": cell.id}, caller
    assert third.content[0].tool_use_id == cell.id
    assert said(third) == END, said(third)
    # Another request on the same container finds the variables.
    again = create([user("again")], **container)
    assert said(again) == "['harbor', 'ridge', 'valley']"

# The rules of a continuation.
start = create([user("revenue")])
history = [user("revenue"), {"role": "assistant", "content": start.content}]
missing = raises(anthropic.BadRequestError, create, [*history, {"role": "user", "content": answers(start)}])
assert missing.body["error"]["message"].startswith("container_id is required when there are pending tool uses")
control("POST", "clock", {"advance": "5m"})
late = create([*history, {"role": "user", "content": answers(start)}], container=start.container.id)
(over, *_) = results(late)
assert over["stderr"].startswith("TimeoutError: Calling tool ['query_database', 'query_database'] timed out"), over
assert over["return_code"] == 0

if STRICT:
    # The runner answers what code calls as it answers the model, and passes the container on by itself.
    @beta_tool(allowed_callers=["code_execution_20260120"])
    def query_database(region: str) -> str:
        """Rows of a region, as JSON.

        Args:
            region: Its name.
        """
        if region not in ROWS:
            raise ValueError(f"no region named {region}")
        return ROWS[region]

    def runner(text, **options):
        tools = [CODE, query_database]
        return api.beta.messages.tool_runner(
            model=MODEL, max_tokens=1024, messages=[user(text)], tools=tools, **options
        )

    assert said(runner("revenue").until_done()) == END
    for stream in runner("revenue", stream=True):
        last = stream.get_final_message()
    assert said(last) == END
    failed = said(runner("fails").until_done())
    assert "no region named nowhere" in failed, failed
