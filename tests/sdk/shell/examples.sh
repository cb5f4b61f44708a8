#!/usr/bin/env bash
# The examples of the documents by curl: calculate, look around, create and edit, upload, go on later, stream, the older tool.
set -euo pipefail

fail() { echo "line ${BASH_LINENO[0]}: $*" >&2; exit 1; }
holds() { jq -e "$1" "${2:-answer.json}" >/dev/null || fail "not so: $1 in $(cat "${2:-answer.json}")"; }
headers=(--header "x-api-key: $ANTHROPIC_API_KEY" --header "anthropic-version: 2023-06-01")
json=(--header "content-type: application/json")
files=(--header "anthropic-beta: files-api-2025-04-14")
post() { curl --silent --show-error "$ANTHROPIC_BASE_URL/v1/messages" "${headers[@]}" "${json[@]}" "$@" >answer.json; }
ask() {
  post --data "$(jq -n --arg text "$1" --arg tool "${2:-code_execution_20250825}" '{
    model: "claude-opus-4-6", max_tokens: 4096,
    messages: [{role: "user", content: $text}], tools: [{type: $tool, name: "code_execution"}]}')"
}
text='[.content[] | select(.type == "text").text] | join("\n")'
result='[.content[] | select(.type | endswith("_tool_result")).content]'

ask 'What are the mean and standard deviation of [2, 4, 4, 4, 5, 5, 7, 9]?'
holds '.type == "message" and .role == "assistant" and .stop_reason == "end_turn"'
holds "$text | contains(\"Mean: 5.0\") and contains(\"Standard deviation: 2.0\")"
holds '.usage.server_tool_use.code_execution_requests == 1'
[ "$(jq -r 'keys_unsorted | join(" ")' answer.json)" = \
  "model id type role content container stop_reason stop_sequence stop_details usage" ] || fail "$(cat answer.json)"

ask 'Which Python version is there, and what packages?'
holds "$text | test(\"Python 3.11\") and contains(\"pandas\")"

ask 'Make a config.yaml for a database and change its port from 5432 to 3306.'
holds "$result | .[0] == {type: \"text_editor_code_execution_create_result\", is_file_update: false}"
holds "$result | .[1].lines | index(\"-  port: 5432\") and index(\"+  port: 3306\")"

# An upload, then its id in a message.
printf 'city,degrees\nOslo,-4\nRome,12\n' >data.csv
curl --silent --show-error "$ANTHROPIC_BASE_URL/v1/files" "${headers[@]}" "${files[@]}" --form 'file=@"data.csv"' >file.json
holds '.filename == "data.csv" and .downloadable == false and (has("expires_at") | not)' file.json
id=$(jq -r .id file.json)
post "${files[@]}" --data '{"model": "claude-opus-4-6", "max_tokens": 4096,
  "messages": [{"role": "user", "content": [
    {"type": "text", "text": "Analyze this CSV: a summary report, some charts, and a README of what you find."},
    {"type": "container_upload", "file_id": "'"$id"'"}]}],
  "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}'
holds "$text | contains(\"data.csv: 2 rows, 2 columns\")"
output=$(jq -r "$result | [.[].content? | arrays | .[].file_id] | last" answer.json)
curl --silent --show-error "$ANTHROPIC_BASE_URL/v1/files/$output" "${headers[@]}" >meta.json
holds '.downloadable and has("expires_at")' meta.json
curl --silent --show-error --fail "$ANTHROPIC_BASE_URL/v1/files/$output/content" "${headers[@]}" >content
[ "$(stat -c %s content)" = "$(jq .size_bytes meta.json)" ] || fail "$(cat meta.json)"
curl --silent --show-error "$ANTHROPIC_BASE_URL/v1/files" "${headers[@]}" >list.json
holds '(.data | length) >= 3 and .next_page == null and (has("has_more") | not)' list.json
curl --silent --show-error --request DELETE "$ANTHROPIC_BASE_URL/v1/files/$id" "${headers[@]}" >deleted.json
holds '. == {id: "'"$id"'", type: "file_deleted"}' deleted.json
post --data '{"model": "claude-opus-4-6", "max_tokens": 64,
  "messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "file_abc123"}]}],
  "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}'
holds '.error == {type: "not_found_error", message: "File `file_abc123` not found."}'

# A number is written, and squared by the next request in the same container.
ask 'Store a random number in /tmp/number.txt.'
container=$(jq -r .container.id answer.json)
number=$(jq -r "$result | .[0].stdout | capture(\"number.txt: (?<n>[0-9]+)\").n" answer.json)
post --data '{"container": "'"$container"'", "model": "claude-opus-4-6", "max_tokens": 4096,
  "messages": [{"role": "user", "content": "Read /tmp/number.txt and calculate the square of the number."}],
  "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}'
holds "$text | contains(\"Square: $((number * number))\")"

# A stream: every event has the name of its type, and the call's input arrives in pieces.
post --no-buffer --data '{"model": "claude-opus-4-6", "max_tokens": 64, "stream": true,
  "messages": [{"role": "user", "content": "```bash\necho streamed\n```"}],
  "tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}'
grep '^event: ' answer.json | cut -c 8- >names
grep '^data: ' answer.json | cut -c 7- >events
jq -r .type events | cmp - names || fail "an event's name is not its type"
[ "$(head -n 1 names) $(tail -n 1 names)" = "message_start message_stop" ] || fail "$(cat names)"
[ "$(jq -rj 'select(.delta.type == "input_json_delta").delta.partial_json' events | jq -r .command)" = "echo streamed" ] ||
  fail "$(cat events)"
jq -es '[.[].content_block.content?.stdout // empty] == ["streamed\n"]' events >/dev/null || fail "$(cat events)"

# The older tool.
ask 'What are the mean and standard deviation of [2, 4, 4, 4, 5, 5, 7, 9]?' code_execution_20250522
holds "$result | .[0].type == \"code_execution_result\" and .[0].stdout == \"Mean: 5.0\nStandard deviation: 2.0\n\""

# No key, no version, wrong content type, unknown path: each is said in the service's envelope.
curl --silent "$ANTHROPIC_BASE_URL/v1/files" --header "anthropic-version: 2023-06-01" >answer.json
holds '.type == "error" and .error.type == "authentication_error" and (.request_id | startswith("req_"))'
curl --silent "$ANTHROPIC_BASE_URL/v1/files" --header "x-api-key: $ANTHROPIC_API_KEY" >answer.json
holds '.error == {type: "invalid_request_error", message: "anthropic-version: header is required"}'
status=$(curl --silent --output answer.json --write-out '%{http_code}' "$ANTHROPIC_BASE_URL/v1/messages" "${headers[@]}" --data '{}')
holds '.type == "error"'
case $status in 4*) ;; *) fail "$status" ;; esac
status=$(curl --silent --output answer.json --write-out '%{http_code}' "$ANTHROPIC_BASE_URL/v1/nothing" "${headers[@]}")
[ "$status" = 404 ] || fail "$status"
holds '.error.type == "not_found_error"'
