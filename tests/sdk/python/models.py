"""The list of models, and counting tokens."""

import anthropic

from support import CODE, MODEL, STRICT, client, raises, script, user

api = client()

# The SDK walks the pages; what is listed can be asked for, by alias too.
models = [model.id for model in api.models.list(limit=5)]
assert models == [model.id for model in api.models.list(limit=1000)] and len(models) > 10, models
assert "claude-opus-5" in models and "claude-opus-4-20250514" not in models, models
assert api.models.retrieve("claude-sonnet-4-5").id == "claude-sonnet-4-5-20250929"
error = raises(anthropic.NotFoundError, api.models.retrieve, "claude-does-not-exist")
assert error.body["error"]["message"] == "model: claude-does-not-exist", error.body
if STRICT:
    retired = [model.id for model in api.models.list(lifecycle=["retired"])]
    assert "claude-opus-4-20250514" in retired, retired
    model = api.models.retrieve("claude-haiku-4-5")
    assert model.capabilities.server_tools.code_execution.supported, model
    assert not model.capabilities.code_execution.supported, model

# A count is what the message then says it took, and grows with what is added.
script("- then: [{ text: Hello. }]")
asked = dict(model=MODEL, messages=[user("How long is this?")], tools=[CODE])
count = api.beta.messages.count_tokens(**asked).input_tokens
assert count == api.beta.messages.create(max_tokens=100, **asked).usage.input_tokens
more = api.messages.count_tokens(**asked, system="Be brief.").input_tokens
assert more > count > 0, (count, more)
raises(anthropic.BadRequestError, api.messages.count_tokens, model=MODEL, messages=[])
