"""A batch: made, polled, read, canceled, deleted; its items run code, each in a container of its own."""

import time

import anthropic

from support import CODE, MODEL, STRICT, client, control, raises, script, user

api = client()
batches = api.messages.batches if STRICT else api.beta.messages.batches

script("""
- when: { user: { contains: compute } }
  then:
    - bash: python3 -c 'print(6 * 7)'
    - text: "${{ last.stdout | trim }}"
- then:
    - text: Hello.
""")


def ended(batch):
    while batch.processing_status != "ended":
        assert batch.request_counts.succeeded == 0 and batch.results_url is None, batch
        time.sleep(0.05)
        batch = batches.retrieve(batch.id)
    return batch


def params(text, **more):
    return {"model": MODEL, "max_tokens": 100, "messages": [user(text)], **more}


made = batches.create(requests=[
    {"custom_id": "code-1", "params": params("compute", tools=[CODE])},
    {"custom_id": "code-2", "params": params("compute", tools=[CODE])},
    {"custom_id": "plain", "params": params("hi")},
    {"custom_id": "wrong", "params": params("hi", tool_choice={"type": "never"})},
])
assert made.id.startswith("msgbatch_") and made.request_counts.processing == 4, made
done = ended(made)
assert (done.request_counts.succeeded, done.request_counts.errored) == (3, 1), done
answers = {answer.custom_id: answer.result for answer in batches.results(made.id)}
assert answers["wrong"].type == "errored", answers["wrong"]
assert answers["wrong"].error.error.type == "invalid_request_error", answers["wrong"]
assert answers["plain"].message.content[0].text == "Hello.", answers["plain"]
assert answers["plain"].message.usage.service_tier == "batch", answers["plain"]
containers = {answers[name].message.to_dict()["container"]["id"] for name in ("code-1", "code-2")}
assert len(containers) == 2, containers
for name in ("code-1", "code-2"):
    assert answers[name].message.content[-1].text == "42", answers[name]
states = {row["id"]: row["state"] for row in control("GET", "containers")["data"]}
assert {states[container] for container in containers} == {"asleep"}, states

# Listed newest first, and gone once deleted; another key sees nothing.
second = batches.create(requests=[{"custom_id": "a", "params": params("hi")}])
assert [batch.id for batch in batches.list(limit=1)] == [second.id, made.id]
raises(anthropic.NotFoundError, client(api_key="sk-ant-other").messages.batches.retrieve, made.id)
ended(second)
error = raises(anthropic.BadRequestError, batches.cancel, second.id)
assert "ended" in error.body["error"]["message"], error.body
assert batches.delete(second.id).type == "message_batch_deleted"
raises(anthropic.NotFoundError, batches.retrieve, second.id)

# Wrong before anything runs.
error = raises(anthropic.BadRequestError, batches.create, requests=[
    {"custom_id": "same", "params": params("hi")}, {"custom_id": "same", "params": params("hi")},
])
assert "Duplicate custom_id found" in error.body["error"]["message"], error.body

# After 29 days the results are no more.
control("POST", "clock", {"advance": "29d"})
assert batches.retrieve(made.id).archived_at is not None
raises(anthropic.AnthropicError, lambda: list(batches.results(made.id)))
