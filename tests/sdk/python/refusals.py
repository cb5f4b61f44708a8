"""What the service refuses: the error class, the status, the text with its path, and whether the SDK tries again."""

import anthropic

from support import CODE, MODEL, STRICT, client, raises, requests, said, script, user

api = client()


def ask(api=api, **options):
    return api.messages.create(**{"model": MODEL, "max_tokens": 64, "messages": [user("Hello")], **options})


def refused(kind, status, text, *args, **options):
    """The call is refused so, once; answers the error."""
    before = len(requests(""))
    error = raises(kind, *args, **options)
    assert error.status_code == status, error
    assert error.body["type"] == "error" and text in error.body["error"]["message"], error.body
    assert error.request_id == error.response.headers["request-id"], error.response.headers
    assert error.response.headers["x-should-retry"] == "false", error.response.headers
    assert len(requests("")) <= before + 1, "it was tried again"
    return error


# Who, and where.
stranger = client(api_key="sk-ant-invalid")
error = refused(anthropic.AuthenticationError, 401, "invalid x-api-key", ask, api=stranger)
assert error.body["error"]["type"] == "authentication_error", error.body
refused(anthropic.NotFoundError, 404, "", api.get, "/v1/nothing", cast_to=object)
refused(anthropic.NotFoundError, 404, "File `file_01nope` not found.", api.beta.files.retrieve_metadata, "file_01nope")
raises(anthropic.APIStatusError, api.post, "/v1/files/file_01nope", cast_to=object)

# Too much: 32 MB are the limit of a request.
too_large = "ContentTooLargeError" if STRICT else "RequestTooLargeError"
error = raises(anthropic.APIStatusError, ask, messages=[user("x" * (33 << 20))])
assert type(error).__name__ == too_large and error.body["error"]["type"] == "request_too_large", error.body
assert said(ask()), "the server goes on"

# Mistakes in the request, each with its path.
upload = {"type": "container_upload"}
for text, options in [
    ("messages: Unexpected role", {"messages": [{"role": "robot", "content": "Hello"}]}),
    ("messages.0.content.0.text.text:", {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}),
    ("messages.0.content.0: Input tag 'txt'", {"messages": [{"role": "user", "content": [{"type": "txt"}]}]}),
    ("messages.0.content.0.container_upload.file_id:", {"messages": [{"role": "user", "content": [upload]}]}),
    ("tools.0: Input tag 'code_execution_19990101'", {"tools": [{**CODE, "type": "code_execution_19990101"}]}),
    ("tools.0.custom.input_schema", {"tools": [{"name": "get_weather"}]}),
    ("max_tokens", {"max_tokens": -1}),
    ("nonsense: Extra inputs are not permitted", {"extra_body": {"nonsense": True}}),
    ("messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1", {
        "messages": [
            user("Hello"),
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}]},
            user("And?"),
        ]
    }),
]:  # fmt: skip
    error = refused(anthropic.BadRequestError, 400, text, ask, **options)
    assert error.body["error"]["type"] == "invalid_request_error", error.body

# With a script, a turn that no rule knows fails loudly and at once, and says which rule was near.
script(
    """
- name: greeting
  when: { user: { contains: Good morning } }
  then:
    - text: Good morning.
- name: too many
  when: { user: limited }
  times: 2
  then:
    - http_error: { status: 429, headers: { retry-after: "0.01" } }
- name: enough
  when: { user: limited }
  then:
    - text: Now it is your turn.
- name: down
  when: { user: down }
  then:
    - http_error: 529
"""
)
error = refused(anthropic.BadRequestError, 400, "greeting", ask)
assert "Good morning" in error.body["error"]["message"], error.body
assert said(ask(messages=[user("Good morning!")])) == "Good morning."

# What the SDK tries again: twice refused, then answered, with its own count of tries.
before = len(requests())
assert said(ask(messages=[user("limited")])) == "Now it is your turn."
tries = requests()[before:]
assert [entry["status"] for entry in tries] == [429, 429, 200], tries
assert [entry["request_headers"]["x-stainless-retry-count"] for entry in tries] == ["0", "1", "2"], tries
error = raises(anthropic.APIStatusError, ask, api=client(max_retries=0), messages=[user("down")])
assert type(error).__name__ == "OverloadedError" and error.status_code == 529, error
assert error.body["error"] == {"type": "overloaded_error", "message": "Overloaded"}, error.body

# The raw response: the same id in the header, on the object, and in the journal.
raw = api.messages.with_raw_response.create(model=MODEL, max_tokens=64, messages=[user("Good morning!")])
message = raw.parse()
assert raw.status_code == 200 and raw.headers["content-type"] == "application/json", raw.headers
assert raw.headers["request-id"] == message._request_id == requests()[-1]["id"], raw.headers
assert raw.headers["anthropic-organization-id"], raw.headers
limits = [name for name in raw.headers if name.startswith("anthropic-ratelimit-")]
assert "anthropic-ratelimit-requests-remaining" in limits and len(limits) == 12, limits

# A model's alias is answered by the name of what it stands for.
message = ask(model="claude-sonnet-4-5", messages=[user("Good morning!")])
assert message.model == "claude-sonnet-4-5-20250929", message.model
