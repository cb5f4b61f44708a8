"""Web search and fetch, canned by a script: called by the model, awaited by code, paused, and sent back."""

import json

import anthropic

from support import MODEL, STRICT, client, kinds, raises, said, script, user

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 1}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
CODE = {"type": "code_execution_20260120", "name": "code_execution"}
BY_CODE = [
    {"type": "web_search_20260318", "name": "web_search"},
    {"type": "web_fetch_20260318", "name": "web_fetch", "response_inclusion": "excluded"},
    CODE,
]
script("""
- name: model
  when: { user: model }
  web:
    - search: harbor
      results: [{ url: "https://harbor.example/", title: Harbor, text: Ships., page_age: 3 days ago }]
    - fetch: https://harbor.example/*
      title: Harbor
      text: Ships come at noon.
  then:
    - web_search: when do ships come to the harbor
    - web_search: harbor again
    - web_fetch: ${{ results[0].content[0].url }}
    - text: "${{ last.stdout }}"
- name: code
  when: { user: code }
  web:
    - search: { regex: . }
      results: [{ url: "https://harbor.example/", title: Harbor, text: Ships. }]
    - fetch: "*"
      text: Ships come at noon.
  then:
    - python: |
        import json
        pages = json.loads(await web_search({"query": "ships"}))
        page = json.loads(await web_fetch({"url": pages[0]["url"]}))
        print(page["content"]["source"]["data"])
    - text: "${{ last.stdout | trim }}"
    - python: |
        print(json.loads(await web_fetch({"url": "https://a.example/"}))["url"])
- name: cite
  when: { user: cite }
  then:
    - redacted_thinking: EmwKAhgB
    - text: Ships come at noon, they say.
      citations:
        - { type: web_search_result_location, url: "https://a.example/", title: A, cited_text: Ships. }
        - { type: char_location, cited_text: noon, document_index: 0, start_char_index: 3, end_char_index: 7 }
- name: pause
  when: { user: pause }
  then:
    - web_search: { query: a, results: [] }
    - pause_turn
    - text: Done.
""")
api = client()


def create(text, tools, messages=(), **options):
    messages = [user(text), *messages]
    return api.beta.messages.create(model=MODEL, max_tokens=1024, messages=messages, tools=tools, **options)


def stream(text, tools):
    with api.beta.messages.stream(model=MODEL, max_tokens=1024, messages=[user(text)], tools=tools) as events:
        return events.get_final_message()


for way in (create, stream):
    # Called by the model: no container, one search too many.
    answer = way("model", [SEARCH, FETCH])
    pair = ["server_tool_use", "web_search_tool_result"]
    assert kinds(answer) == [*pair, *pair, "server_tool_use", "web_fetch_tool_result", "text"], kinds(answer)
    found, refused, fetched = (answer.content[at].to_dict()["content"] for at in (1, 3, 5))
    assert found[0]["title"] == "Harbor" and found[0]["page_age"] == "3 days ago", found
    assert found[0]["encrypted_content"].startswith("EqoBCio"), found
    assert refused == {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}, refused
    assert fetched["content"]["source"]["data"] == "Ships come at noon.", fetched
    assert said(answer) == "Ships come at noon."
    assert answer.usage.server_tool_use.web_search_requests == 1
    assert answer.container is None

    # Awaited by code: what it has searched is encrypted, and the excluded fetch is counted alone.
    answer = way("code", BY_CODE)
    assert kinds(answer) == [
        "server_tool_use", *pair, "code_execution_tool_result", "text", "server_tool_use", "code_execution_tool_result",
    ], kinds(answer)
    cell, search, pages, result, _, _, plain = (block.to_dict() for block in answer.content)
    for block in (search, pages):
        assert block["caller"] == {"type": "code_execution_20260120", "tool_id": cell["id"]}, block
    assert result["content"]["type"] == "encrypted_code_execution_result", result
    assert result["content"]["encrypted_stdout"].startswith("EqoBCio"), result
    assert plain["content"]["stdout"] == "https://a.example/\n", plain
    assert said(answer) == "Ships come at noon."

# All of it goes back as it came, and nothing in it may change.
history = [{"role": "assistant", "content": answer.content}, user("pause")]
assert create("code", BY_CODE, history).stop_reason == "pause_turn"
broken = json.loads(json.dumps([block.to_dict() for block in answer.content], default=str))
broken[3]["content"]["encrypted_stdout"] = broken[3]["content"]["encrypted_stdout"][:-4]
history[0]["content"] = broken
error = raises(anthropic.BadRequestError, create, "code", BY_CODE, history)
assert "encrypted content must be sent back as it was received" in str(error), error

# A pause goes on with what is new.
first = create("pause", [SEARCH])
assert first.stop_reason == "pause_turn"
second = create("pause", [SEARCH], [{"role": "assistant", "content": first.content}])
assert kinds(second) == ["text"] and second.stop_reason == "end_turn", kinds(second)

if STRICT:
    # The types know the blocks.
    assert answer.content[2].content[0].encrypted_content
    assert answer.content[3].content.encrypted_stdout

# Citations and a redacted thought, plain and gathered from the stream.
THINKS = {"thinking": {"type": "adaptive"}}
plain = create("cite", [SEARCH], **THINKS)
with api.beta.messages.stream(model=MODEL, max_tokens=1024, messages=[user("cite")], tools=[SEARCH], **THINKS) as stream:
    gathered = stream.get_final_message()
for answer in (plain, gathered):
    thought, text = answer.content
    assert thought.type == "redacted_thinking" and thought.data == "EmwKAhgB", thought
    assert text.text == "Ships come at noon, they say.", text
    web, place = text.citations
    assert (web.url, web.cited_text) == ("https://a.example/", "Ships."), web
    assert (place.type, place.start_char_index, place.document_title) == ("char_location", 3, None), place
create("cite", [SEARCH], [{"role": "assistant", "content": gathered.content}, user("cite again")], **THINKS)
