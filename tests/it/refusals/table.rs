//! The table behind the generated refusals: every field, what it may be, and the path a fault there
//! is reported under.

use serde_json::{Value, json};

/// One value of each JSON type, to be put where another is expected.
pub(super) fn samples() -> [(&'static str, Value); 6] {
    [
        ("bool", json!(true)),
        ("int", json!(7)),
        ("float", json!(1.5)),
        ("string", json!("some words")),
        ("list", json!([1])),
        ("object", json!({"a": 1})),
    ]
}

/// As long as a signature of the service at least is.
const SIGNATURE: &str = "EqQBCkYIBhgCKkDVwfyh0mWSkEWlgBkoNbPbHYCUCEqQBCkYIBhgCKkDVwfyh0==";

/// A PNG of one pixel.
pub(super) const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A request in which every field that is checked is present and right.
pub(super) fn whole() -> Value {
    json!({
        "model": "claude-opus-4-6",
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
                 "title": "t", "context": "c", "citations": {"enabled": false}},
                {"type": "container_upload", "file_id": "file_1"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": SIGNATURE},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "bash_code_execution", "input": {"command": "ls"}},
                {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content":
                    {"type": "bash_code_execution_result", "stdout": "", "stderr": "", "return_code": 0,
                     "content": [{"type": "bash_code_execution_output", "file_id": "file_2"}]}},
                {"type": "server_tool_use", "id": "srvtoolu_2", "name": "text_editor_code_execution",
                 "input": {"command": "view", "path": "a"}},
                {"type": "text_editor_code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content":
                    {"type": "text_editor_code_execution_view_result", "content": "a", "file_type": "text",
                     "num_lines": 1, "start_line": 1, "total_lines": 1}},
                {"type": "server_tool_use", "id": "srvtoolu_3", "name": "bash_code_execution", "input": {"command": "ls"}},
                {"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_3", "content":
                    {"type": "bash_code_execution_tool_result_error", "error_code": "unavailable"}},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}, "caller": {"type": "direct"}},
                {"type": "text", "text": "so", "citations": [
                    {"type": "page_location", "cited_text": "a", "document_index": 0, "document_title": "t",
                     "start_page_number": 1, "end_page_number": 2}]},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": "ok"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                ], "is_error": false},
                {"type": "search_result", "source": "s", "title": "t", "citations": {"enabled": true},
                 "content": [{"type": "text", "text": "found"}]},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
            ]},
        ],
        "tools": [
            {"type": "code_execution_20250825", "name": "code_execution", "allowed_callers": ["direct"],
             "cache_control": {"type": "ephemeral"}},
            {"name": "f", "description": "does", "input_schema": {"type": "object", "properties": {}, "required": ["a"]},
             "allowed_callers": ["direct"], "defer_loading": false, "strict": false, "eager_input_streaming": false,
             "input_examples": [{}]},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "container": {"id": null, "skills": [{"type": "anthropic", "skill_id": "xlsx", "version": "latest"}]},
        "stream": false,
        "stop_sequences": ["end"],
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "temperature": 1.0,
        "top_p": 0.5,
        "top_k": 5,
        "cache_control": {"type": "ephemeral"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "string"}}},
        "inference_geo": "global",
        "speed": "standard",
        "diagnostics": {"previous_message_id": "msg_1"},
    })
}

/// Fields that `count_tokens` does not take.
pub(super) const NOT_COUNTED: [&str; 11] = [
    "max_tokens",
    "container",
    "stream",
    "stop_sequences",
    "metadata",
    "service_tier",
    "temperature",
    "top_p",
    "top_k",
    "inference_geo",
    "diagnostics",
];

/// The fields of a Messages request: where, which types it takes, the path of a fault, and whether it
/// is `required` (missing and null are wrong) and `closed` (unknown members are wrong).
pub(super) const MESSAGES: &str = "
/                                              -         - closed
/model                                         string    model required
/max_tokens                                    int       max_tokens required
/system                                        string    system
/system/0                                      -         system.0 closed
/system/0/cache_control                        -         system.0.cache_control closed
/system/0/text                                 string    system.0.text required
/system/0/type                                 -         system.0 required
/messages                                      -         messages required
/messages/0                                    -         messages.0 closed
/messages/0/content                            string    messages.0.content required
/messages/0/content/0                          -         messages.0.content.0 closed
/messages/0/content/0/cache_control            -         messages.0.content.0.text.cache_control closed
/messages/0/content/0/cache_control/ttl        -         messages.0.content.0.text.cache_control.ephemeral.ttl
/messages/0/content/0/cache_control/type       -         messages.0.content.0.text.cache_control required
/messages/0/content/0/text                     string    messages.0.content.0.text.text required
/messages/0/content/0/type                     -         messages.0.content.0 required
/messages/0/content/1                          -         messages.0.content.1 closed
/messages/0/content/1/source                   -         messages.0.content.1.image.source required closed
/messages/0/content/1/source/data              string    messages.0.content.1.image.source.base64.data required
/messages/0/content/1/source/media_type        string    messages.0.content.1.image.source.base64.media_type required
/messages/0/content/1/source/type              -         messages.0.content.1.image.source required
/messages/0/content/2                          -         messages.0.content.2 closed
/messages/0/content/2/source                   -         messages.0.content.2.document.source required closed
/messages/0/content/2/source/data              string    messages.0.content.2.document.source.text.data required
/messages/0/content/2/source/media_type        -         messages.0.content.2.document.source.text.media_type required
/messages/0/content/2/source/type              -         messages.0.content.2.document.source required
/messages/0/content/2/title                    string    messages.0.content.2.document.title
/messages/0/content/2/context                  string    messages.0.content.2.document.context
/messages/0/content/2/citations                -         messages.0.content.2.document.citations closed
/messages/0/content/2/citations/enabled        bool      messages.0.content.2.document.citations.enabled
/messages/0/content/3                          -         messages.0.content.3 closed
/messages/0/content/3/file_id                  string    messages.0.content.3.container_upload.file_id required
/messages/0/role                               -         messages required
/messages/1/content/0                          -         messages.1.content.0 closed
/messages/1/content/0/signature                string    messages.1.content.0.thinking.signature required
/messages/1/content/0/thinking                 string    messages.1.content.0.thinking.thinking required
/messages/1/content/1                          -         messages.1.content.1 closed
/messages/1/content/1/data                     string    messages.1.content.1.redacted_thinking.data required
/messages/1/content/2                          -         messages.1.content.2 closed
/messages/1/content/2/id                       string    messages.1.content.2.server_tool_use.id required
/messages/1/content/2/input                    object    messages.1.content.2.server_tool_use.input required
/messages/1/content/2/name                     -         messages.1.content.2.server_tool_use.name required
/messages/1/content/3                          -         messages.1.content.3 closed
/messages/1/content/3/content                  -         messages.1.content.3.bash_code_execution_tool_result.content required closed
/messages/1/content/3/content/content          -         messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.content required
/messages/1/content/3/content/content/0        -         messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.content.0
/messages/1/content/3/content/content/0/file_id string    messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.content.0.file_id required
/messages/1/content/3/content/content/0/type   -         messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.content.0.type required
/messages/1/content/3/content/return_code      int       messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.return_code required
/messages/1/content/3/content/stderr           string    messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.stderr required
/messages/1/content/3/content/stdout           string    messages.1.content.3.bash_code_execution_tool_result.content.bash_code_execution_result.stdout required
/messages/1/content/3/content/type             -         messages.1.content.3.bash_code_execution_tool_result.content.RequestBash required
/messages/1/content/3/tool_use_id              string    messages.1.content.3.bash_code_execution_tool_result.tool_use_id required
/messages/1/content/4                          -         messages.1.content.4 closed
/messages/1/content/5                          -         messages.1.content.5 closed
/messages/1/content/5/content                  -         messages.1.content.5.text_editor_code_execution_tool_result.content required closed
/messages/1/content/5/content/content          string    messages.1.content.5.text_editor_code_execution_tool_result.content.text_editor_code_execution_view_result.content required
/messages/1/content/5/content/file_type        -         messages.1.content.5.text_editor_code_execution_tool_result.content.text_editor_code_execution_view_result.file_type required
/messages/1/content/5/content/num_lines        int       messages.1.content.5.text_editor_code_execution_tool_result.content.text_editor_code_execution_view_result.num_lines
/messages/1/content/5/tool_use_id              string    messages.1.content.5.text_editor_code_execution_tool_result.tool_use_id required
/messages/1/content/6                          -         messages.1.content.6 closed
/messages/1/content/7                          -         messages.1.content.7 closed
/messages/1/content/7/content                  -         messages.1.content.7.bash_code_execution_tool_result.content required closed
/messages/1/content/7/content/error_code       -         messages.1.content.7.bash_code_execution_tool_result.content.bash_code_execution_tool_result_error.error_code required
/messages/1/content/8                          -         messages.1.content.8 closed
/messages/1/content/8/id                       string    messages.1.content.8.tool_use.id required
/messages/1/content/8/input                    object    messages.1.content.8.tool_use.input required
/messages/1/content/8/name                     string    messages.1.content.8.tool_use.name required
/messages/1/content/8/caller                   -         messages.1.content.8.tool_use.caller closed
/messages/1/content/8/caller/type              -         messages.1.content.8.tool_use.caller required
/messages/1/content/9/citations                -         messages.1.content.9.text.citations
/messages/1/content/9/citations/0              -         messages.1.content.9.text.citations.0
/messages/1/content/9/citations/0/cited_text   string    messages.1.content.9.text.citations.0.page_location.cited_text required
/messages/1/content/9/citations/0/document_index int     messages.1.content.9.text.citations.0.page_location.document_index required
/messages/1/content/9/citations/0/document_title string  messages.1.content.9.text.citations.0.page_location.document_title
/messages/1/content/9/citations/0/end_page_number int    messages.1.content.9.text.citations.0.page_location.end_page_number required
/messages/2/content/0                          -         messages.2.content.0 closed
/messages/2/content/0/content                  string    messages.2.content.0.tool_result.content
/messages/2/content/0/content/0                -         messages.2.content.0.tool_result.content.0 closed
/messages/2/content/0/content/0/text           string    messages.2.content.0.tool_result.content.0.text.text required
/messages/2/content/0/content/1                -         messages.2.content.0.tool_result.content.1 closed
/messages/2/content/0/content/1/source         -         messages.2.content.0.tool_result.content.1.image.source required closed
/messages/2/content/0/content/1/source/data    -         messages.2.content.0.tool_result.content.1.image.source.base64 required
/messages/2/content/0/is_error                 bool      messages.2.content.0.tool_result.is_error
/messages/2/content/0/tool_use_id              string    messages.2.content.0.tool_result.tool_use_id required
/messages/2/content/1                          -         messages.2.content.1 closed
/messages/2/content/1/citations                -         messages.2.content.1.search_result.citations closed
/messages/2/content/1/content                  -         messages.2.content.1.search_result.content required
/messages/2/content/1/content/0                -         messages.2.content.1.search_result.content.0 closed
/messages/2/content/1/content/0/text           string    messages.2.content.1.search_result.content.0.text required
/messages/2/content/1/content/0/type           -         messages.2.content.1.search_result.content.0.type required
/messages/2/content/1/source                   string    messages.2.content.1.search_result.source required
/messages/2/content/1/title                    string    messages.2.content.1.search_result.title required
/messages/2/content/2/source/content           string    messages.2.content.2.document.source.content.content required
/messages/2/content/2/source/content/0         -         messages.2.content.2.document.source.content.content.0 closed
/messages/2/content/2/source/content/0/text    string    messages.2.content.2.document.source.content.content.0.text.text required
/tools                                         -         tools
/tools/0                                       -         tools.0 closed
/tools/0/allowed_callers                       -         tools.0.code_execution_20250825.allowed_callers
/tools/0/cache_control                         -         tools.0.code_execution_20250825.cache_control closed
/tools/0/name                                  -         tools.0.code_execution_20250825.name required
/tools/0/type                                  -         tools.0
/tools/1                                       -         tools.1 closed
/tools/1/allowed_callers                       -         tools.1.custom.allowed_callers
/tools/1/allowed_callers/0                     -         tools.1.custom.allowed_callers.0
/tools/1/defer_loading                         bool      tools.1.custom.defer_loading
/tools/1/description                           string    tools.1.custom.description
/tools/1/eager_input_streaming                 bool      tools.1.custom.eager_input_streaming
/tools/1/input_examples                        -         tools.1.custom.input_examples
/tools/1/input_examples/0                      object    tools.1.custom.input_examples.0
/tools/1/input_schema                          -         tools.1.custom.input_schema required
/tools/1/input_schema/type                     -         tools.1.custom.input_schema.type required
/tools/1/input_schema/properties               object    tools.1.custom.input_schema.properties
/tools/1/input_schema/required                 -         tools.1.custom.input_schema.required
/tools/1/name                                  string    tools.1.custom.name required
/tools/1/strict                                bool      tools.1.custom.strict
/tool_choice                                   -         tool_choice closed
/tool_choice/disable_parallel_tool_use         bool      tool_choice.auto.disable_parallel_tool_use
/tool_choice/type                              -         tool_choice required
/thinking                                      -         thinking closed
/thinking/budget_tokens                        -         thinking.enabled.budget_tokens required
/thinking/type                                 -         thinking required
/container                                     string    container closed
/container/id                                  string    container.ContainerParams.id
/container/skills                              -         container.ContainerParams.skills
/container/skills/0                            -         container.ContainerParams.skills.0 closed
/container/skills/0/skill_id                   string    container.ContainerParams.skills.0.skill_id required
/container/skills/0/type                       -         container.ContainerParams.skills.0.type required
/container/skills/0/version                    string    container.ContainerParams.skills.0.version
/cache_control                                 -         cache_control closed
/diagnostics                                   object    diagnostics closed
/diagnostics/previous_message_id               string    diagnostics.previous_message_id
/inference_geo                                 string    inference_geo
/metadata                                      object    metadata closed
/metadata/user_id                              string    metadata.user_id
/output_config                                 -         output_config closed
/output_config/effort                          -         output_config.effort
/output_config/format                          -         output_config.format closed
/output_config/format/schema                   object    output_config.format.schema required
/output_config/format/type                     -         output_config.format.type required
/service_tier                                  -         service_tier
/speed                                         -         speed
/stop_sequences                                -         stop_sequences
/stop_sequences/0                              string    stop_sequences.0
/stream                                        bool      stream
/temperature                                   int,float temperature
/top_k                                         int       top_k
/top_p                                         int,float top_p
";

/// The fields of a batch.
pub(super) const BATCH: &str = "
/                        -      -                    closed
/requests                -      requests             required
/requests/0              -      requests.0           closed
/requests/0/custom_id    string requests.0.custom_id required
/requests/0/params       object requests.0.params    required
";

/// A request with one fault, and what the answer must name.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) field: &'static str,
    pub(super) mutation: String,
    pub(super) body: Value,
    /// How the message begins.
    pub(super) path: &'static str,
}

/// Every fault of every field of `table` that is there in `whole`.
pub(super) fn cases(table: &'static str, whole: &Value) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in table.lines().filter(|row| !row.is_empty()) {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let [field, takes, path, flags @ ..] = columns.as_slice() else {
            panic!("too few columns: {row}");
        };
        let (field, path) = (*field, if *path == "-" { "" } else { *path });
        let pointer = if field == "/" { "" } else { field };
        if whole.pointer(pointer).is_none() {
            continue;
        }
        let mut add = |mutation: &str, body: Value| {
            let mutation = mutation.to_owned();
            cases.push(Case {
                field,
                mutation,
                body,
                path,
            });
        };
        let with = |value: Value| {
            let mut body = whole.clone();
            *body.pointer_mut(pointer).expect("the field is there") = value;
            body
        };
        for (kind, sample) in samples() {
            let taken = takes.split(',').any(|taken| taken == kind)
                || (pointer.is_empty() && kind == "object");
            if !taken {
                add(kind, with(sample));
            }
        }
        if flags.contains(&"required") {
            add("null", with(Value::Null));
            let mut body = whole.clone();
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let parent = body.pointer_mut(parent).expect("the parent is there");
            parent.as_object_mut().expect("an object").remove(key);
            add("missing", body);
        }
        if flags.contains(&"closed") {
            let mut value = whole.pointer(pointer).expect("the field is there").clone();
            value["surprise"] = json!(1);
            add("unknown member", with(value));
        }
    }
    cases
}
