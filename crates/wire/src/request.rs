//! The body of `POST /v1/messages`, decoded.
//!
//! Only what the server acts on becomes a field; the rest is checked where it is cheap and otherwise
//! left in the raw body.

mod blocks;
mod callers;
mod extras;
mod fallbacks;
mod hosted;
mod media;
mod rest;
mod results;
mod schema;
mod sources;
mod texts;
mod thinking;
mod tools;

pub use blocks::{Answer, Block, By, Call, Message, Role};
pub use fallbacks::{Fallback, Fallbacks, Override};
pub use hosted::{ContextManagement, McpServer};
pub use media::{MAX_IMAGE_BASE64_BYTES, is_image_type};
pub use schema::{Anchors, circle};
pub use sources::{NamedFile, Shown};
pub use thinking::{Thinking, ThinkingDisplay};
pub use tools::{AdvisorOptions, TOOL_TAGS, Tool, ToolChoice, ToolKind, WebOptions, is_tool_name};

use serde_json::Value;

use crate::decode::{Decoded, Node};
use crate::member::{self, at};
use crate::refusal;

/// Most messages of one request (F241).
pub const MAX_MESSAGES: usize = 100_000;

/// The longest name of a model (F242).
const MAX_MODEL_CHARS: usize = 256;

/// The longest `metadata.user_id` (F242).
const MAX_USER_ID_CHARS: usize = 256;

/// A decoded request.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagesRequest {
    pub model: String,
    pub max_tokens: u64,
    pub messages: Vec<Message>,
    pub stream: bool,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub container: Option<ContainerParam>,
    pub thinking: Option<Thinking>,
    /// `thinking.display`, if it is said.
    pub display: Option<ThinkingDisplay>,
    /// `output_config.effort`.
    pub effort: Option<String>,
    pub stop_sequences: Vec<String>,
    /// The sampling parameters that are present, null or not, by name.
    pub sampling: Vec<&'static str>,
    /// `mcp_servers`.
    pub mcp_servers: Vec<McpServer>,
    pub context_management: ContextManagement,
    /// Other models may go on where this one declines: `fallbacks`.
    pub fallbacks: Option<Fallbacks>,
}

/// `container`: an id, or an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerParam {
    pub id: Option<String>,
    pub skills: Vec<SkillParam>,
}

/// One of `container.skills`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkillParam {
    /// Whether it is the vendor's: `type` is `anthropic`, not `custom`.
    pub vendor: bool,
    pub skill_id: String,
    /// The newest one if `None`, or `latest`.
    pub version: Option<String>,
}

/// Every top-level field of the body, with and without betas.
const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "thread",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// Those of them that `count_tokens` takes (SDK 2.11, `message_count_tokens_params.py`).
const COUNT_FIELDS: &[&str] = &[
    "cache_control",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// The endpoint that a body is decoded for: `messages`, or `count_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Answer,
    Count,
}

/// The format that the answer is to have, and the path of the member that asks for it: `output_config.format`, or the
/// older `output_format`.
pub fn asked_format(body: &Value) -> Option<(&'static str, &Value)> {
    let formats = [
        (
            "output_config.format",
            at(at(body, "output_config"), "format"),
        ),
        ("output_format", at(body, "output_format")),
    ];
    formats.into_iter().find(|(_, format)| format.is_object())
}

impl MessagesRequest {
    /// Decodes a body. `betas` says whether any `anthropic-beta` header came: members that nothing knows
    /// are then ignored (F006), and blocks and tools that only betas have are taken.
    pub fn decode(body: &Value, betas: bool) -> Decoded<Self> {
        Self::decode_for(Purpose::Answer, body, betas)
    }

    /// Decodes the body of `POST /v1/messages/count_tokens`: nothing is generated, so `max_tokens` and
    /// what else concerns the answer are not among its fields.
    pub fn decode_count(body: &Value, betas: bool) -> Decoded<Self> {
        Self::decode_for(Purpose::Count, body, betas)
    }

    /// The last message of the conversation: a `system` message goes on with what it interrupts.
    pub fn last_said(&self) -> Option<&Message> {
        let mut messages = self.messages.iter().rev();
        messages.find(|message| message.role != Role::System)
    }

    /// The models that may go on for the request's, as far as it names them.
    pub fn fallback_chain(&self) -> &[Fallback] {
        match &self.fallbacks {
            Some(Fallbacks::Chain(chain)) => chain,
            Some(Fallbacks::ByService) | None => &[],
        }
    }

    /// Whether only its tokens are counted.
    pub fn is_counted(&self) -> bool {
        self.max_tokens == u64::MAX
    }

    /// Whether it goes on from an answer that paused.
    pub fn resumes_pause(&self) -> bool {
        self.last_said()
            .is_some_and(|message| message.role == Role::Assistant)
    }

    fn decode_for(purpose: Purpose, body: &Value, betas: bool) -> Decoded<Self> {
        let root = Node::root(body);
        let max_tokens = match purpose {
            Purpose::Answer => max_tokens(&root.required("max_tokens")?)?,
            Purpose::Count => {
                no_fields_of_answers(&root)?;
                u64::MAX
            }
        };
        let messages_node = root.required("messages")?;
        let items = messages_node.items()?;
        if items.len() > MAX_MESSAGES {
            return Err(messages_node.fault(format!(
                "List should have at most {MAX_MESSAGES} items after validation, not {}",
                items.len()
            )));
        }
        let messages = items
            .map(|node| Message::decode(&node, betas))
            .collect::<Decoded<Vec<_>>>()?;
        if messages.is_empty() {
            return Err(messages_node.fault("at least one message is required"));
        }
        let model = root.required("model")?.name(MAX_MODEL_CHARS)?.to_owned();
        let stream = root
            .optional("stream")?
            .map(|node| node.boolean())
            .transpose()?
            .unwrap_or(false);
        let tools = match root.given("tools")? {
            Some(node) => node
                .items()?
                .map(|tool| Tool::decode(&tool, betas))
                .collect::<Decoded<Vec<_>>>()?,
            None => Vec::new(),
        };
        let stop_sequences = stop_sequences(&root)?;
        check_system(&root)?;
        let tool_choice = tools::tool_choice(&root, &tools)?;
        let sampling = sampling(&root)?;
        let thinking = match root.optional("thinking")? {
            Some(node) => Some(Thinking::decode(&node)?),
            None => None,
        };
        let display = thinking::display(&root, betas)?;
        // Without a beta these are unknown members, whatever they hold.
        let (mcp_servers, context_management, fallbacks) = if betas {
            (
                hosted::mcp_servers(&root)?,
                hosted::context_management(&root)?,
                fallbacks::decode(&root)?,
            )
        } else {
            (Vec::new(), ContextManagement::default(), None)
        };
        let effort = effort(&root)?;
        let container = match root.optional("container")? {
            Some(node) => Some(decode_container(&node)?),
            None => None,
        };
        if let Some(node) = root.optional("metadata")? {
            node.object()?;
            if let Some(user) = node.optional("user_id")? {
                user.text(MAX_USER_ID_CHARS)?;
            }
        }
        if let Some(node) = root.optional("service_tier")? {
            node.literal(&["auto", "standard_only"])?;
        }
        rest::check_options(&root)?;
        if betas {
            if let Some(format) = root.optional("output_format")? {
                rest::check_format(&format)?;
            }
        } else {
            extras::refuse(&root)?;
            if member::of(root.object()?, "output_format").is_some() {
                let node = root.required("output_format")?;
                return Err(node.fault(refusal::OUTPUT_FORMAT.text));
            }
            root.no_extras(match purpose {
                Purpose::Answer => FIELDS,
                Purpose::Count => COUNT_FIELDS,
            })?;
        }
        Ok(Self {
            model,
            max_tokens,
            messages,
            stream,
            tools,
            tool_choice,
            container,
            thinking,
            display,
            effort,
            stop_sequences,
            sampling,
            mcp_servers,
            context_management,
            fallbacks,
        })
    }
}

/// A beta may add fields to `count_tokens`, and takes none away.
fn no_fields_of_answers(root: &Node<'_>) -> Decoded<()> {
    for name in FIELDS.iter().filter(|name| !COUNT_FIELDS.contains(name)) {
        if let Some(node) = root.optional(name)? {
            return Err(node.fault("Extra inputs are not permitted"));
        }
    }
    Ok(())
}

fn stop_sequences(root: &Node<'_>) -> Decoded<Vec<String>> {
    let Some(node) = root.optional("stop_sequences")? else {
        return Ok(Vec::new());
    };
    let texts = node.items()?.map(|item| item.string().map(str::to_owned));
    let texts = texts.collect::<Decoded<Vec<_>>>()?;
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(node.fault(refusal::BLANK_STOP.text));
    }
    Ok(texts)
}

fn check_system(root: &Node<'_>) -> Decoded<()> {
    let Some(system) = root.given("system")? else {
        return Ok(());
    };
    if system.value().is_string() {
        return Ok(());
    }
    for block in system.items()? {
        // Parity: there is no union, and no tag in the path: `system.1.cache_control.ephemeral.scope`
        // (F144).
        texts::bare(&block)?;
    }
    Ok(())
}

/// Zero only fills the cache (F007); the words are those of 2026 (F256).
fn max_tokens(node: &Node<'_>) -> Decoded<u64> {
    u64::try_from(node.whole()?).map_err(|_| node.fault("must be greater than or equal to 0"))
}

fn sampling(root: &Node<'_>) -> Decoded<Vec<&'static str>> {
    let mut present = Vec::new();
    for name in ["temperature", "top_p", "top_k"] {
        match root.optional(name)? {
            Some(node) if name == "top_k" => node.integer(0).map(|_| ())?,
            Some(node) if !(0.0..=1.0).contains(&node.number()?) => {
                return Err(node.fault(refusal::SAMPLING_RANGE.text));
            }
            Some(_) | None => {}
        }
        if root.object()?.contains_key(name) {
            present.push(name);
        }
    }
    Ok(present)
}

fn effort(root: &Node<'_>) -> Decoded<Option<String>> {
    let Some(config) = root.optional("output_config")? else {
        return Ok(None);
    };
    Ok(rest::effort(&config)?.map(str::to_owned))
}

/// A text is an id; what is wrong in anything else is told with the name of the object's class (F251).
fn decode_container(node: &Node<'_>) -> Decoded<ContainerParam> {
    if let Some(id) = node.value().as_str() {
        return Ok(ContainerParam {
            id: Some(id.to_owned()),
            skills: Vec::new(),
        });
    }
    let node = node.tagged("ContainerParams");
    node.no_extras(&["id", "skills"])?;
    let id = node
        .optional("id")?
        .map(|id| id.string().map(str::to_owned))
        .transpose()?;
    let skills = match node.optional("skills")? {
        Some(skills) => {
            let skills = skills.items()?.map(|skill| {
                let kind = skill.required("type")?.literal(&["anthropic", "custom"])?;
                let version = skill.optional("version")?;
                let param = SkillParam {
                    vendor: kind == "anthropic",
                    skill_id: skill.required("skill_id")?.string()?.to_owned(),
                    version: version
                        .map(|version| version.string().map(str::to_owned))
                        .transpose()?,
                };
                skill.no_extras(&["type", "skill_id", "version"])?;
                Ok(param)
            });
            skills.collect::<Decoded<_>>()?
        }
        None => Vec::new(),
    };
    Ok(ContainerParam { id, skills })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(body: &Value) -> String {
        MessagesRequest::decode(body, false)
            .unwrap_err()
            .to_string()
    }

    fn valid() -> Value {
        json!({"model": "claude-opus-5", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut body = valid();
        body[key] = value;
        body
    }

    #[test]
    fn a_missing_field_is_named() {
        for field in ["model", "max_tokens", "messages"] {
            let mut body = valid();
            body.as_object_mut().unwrap().remove(field);
            assert_eq!(fault(&body), format!("{field}: Field required"));
        }
    }

    #[test]
    fn wrong_types_are_named_with_their_path() {
        let cases = [
            (
                with("max_tokens", json!("16")),
                "max_tokens: Input should be a valid integer",
            ),
            (
                with("max_tokens", json!(-1)),
                "max_tokens: must be greater than or equal to 0",
            ),
            (
                with("messages", json!([])),
                "messages: at least one message is required",
            ),
            (
                with("container", json!(5)),
                "container.ContainerParams: Input does not match the expected shape.",
            ),
            (
                with("surprise", json!(1)),
                "surprise: Extra inputs are not permitted",
            ),
            (
                with("thinking", json!({"type": "enabled"})),
                "thinking.enabled.budget_tokens: Field required",
            ),
            (
                with(
                    "messages",
                    json!([{"role": "user", "content": [{"type": "text", "text": 7}]}]),
                ),
                "messages.0.content.0.text.text: Input should be a valid string",
            ),
            (
                with("messages", json!([{"role": "robot", "content": "x"}])),
                "messages: Unexpected role \"robot\". Allowed roles are \"user\" or \"assistant\"",
            ),
            (
                with("messages", json!([{"role": 7, "content": "x"}])),
                "messages.0.role: Input should be 'user', 'assistant' or 'system'",
            ),
            (with("temperature", json!(-0.1)), "temperature: range: 0..1"),
            (with("top_p", json!(1.5)), "top_p: range: 0..1"),
            (
                with("inference_geo", json!("mars")),
                "inference_geo: must be one of ['global', 'us']",
            ),
            (
                with("output_format", json!({"type": "json_schema"})),
                "output_format: This field is deprecated. Use 'output_config.format' instead.",
            ),
            (
                with("tool_choice", json!({"type": "any"})),
                "tool_choice.any may only be specified while providing tools",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(fault(&body), expected);
        }
    }

    #[test]
    fn a_request_has_at_most_as_many_messages_as_the_service_takes() {
        let message = json!({"role": "user", "content": "hi"});
        let mut body = with("messages", Value::Array(vec![message; MAX_MESSAGES]));
        assert!(MessagesRequest::decode(&body, false).is_ok());
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(messages[0].clone());
        assert_eq!(
            fault(&body),
            "messages: List should have at most 100000 items after validation, not 100001"
        );
    }

    #[test]
    fn a_system_message_that_directs_the_output_needs_no_content_with_a_beta() {
        let user = json!({"role": "user", "content": "hi"});
        let system = json!({"role": "system", "output_config": {"effort": "low"}});
        let body = with("messages", json!([user, system]));
        let decoded = MessagesRequest::decode(&body, true).unwrap();
        assert!(decoded.messages[1].content.is_empty() && decoded.messages[1].directs_output);
        assert_eq!(fault(&body), "messages.1.content: Field required");
        let empty = with("messages", json!([user, {"role": "system"}]));
        assert!(MessagesRequest::decode(&empty, true).is_err());
    }

    #[test]
    fn names_are_as_long_as_the_service_takes_them() {
        let call = |name: &str| {
            let call = json!({"type": "tool_use", "id": "t", "name": name, "input": {}});
            with(
                "messages",
                json!([{"role": "assistant", "content": [call]}]),
            )
        };
        let tool = |name: &str| {
            let tool = json!({"name": name, "input_schema": {"type": "object"}});
            with("tools", json!([tool]))
        };
        let model = |name: &str| with("model", json!(name));
        let check = |body: &dyn Fn(&str) -> Value, most: usize, path: &str| {
            assert!(MessagesRequest::decode(&body(&"n".repeat(most)), false).is_ok());
            let expected = format!("{path}: String should have at most {most} characters");
            assert_eq!(fault(&body(&"n".repeat(most + 1))), expected);
        };
        check(&model, MAX_MODEL_CHARS, "model");
        check(&call, 200, "messages.0.content.0.tool_use.name");
        check(&tool, 128, "tools.0.custom.name");
        // Characters, not bytes.
        assert!(MessagesRequest::decode(&model(&"é".repeat(MAX_MODEL_CHARS)), false).is_ok());
    }

    #[test]
    fn a_call_of_the_service_has_one_of_its_names() {
        let call = |name: &str| {
            let call =
                json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": name, "input": {}});
            with(
                "messages",
                json!([{"role": "assistant", "content": [call]}]),
            )
        };
        assert!(MessagesRequest::decode(&call("tool_search_tool_bm25"), false).is_ok());
        for betas in [true, false] {
            assert!(MessagesRequest::decode(&call("advisor"), betas).is_ok());
        }
        let said = fault(&call("foo_code_execution"));
        let begin = "messages.0.content.0.server_tool_use.name: Input should be 'web_search', ";
        assert!(said.starts_with(begin), "{said}");
    }

    #[test]
    fn files_are_found_by_their_path_wherever_they_are_shown() {
        let image = json!({"type": "image", "source": {"type": "file", "file_id": "file_1"}});
        let document =
            json!({"type": "document", "source": {"type": "content", "content": [image]}});
        let text = json!({"type": "text", "text": "a", "citations": [{
            "type": "char_location", "cited_text": "a", "document_index": 0, "start_char_index": 0, "end_char_index": 1,
        }]});
        let result =
            json!({"type": "tool_result", "tool_use_id": "t", "content": [text, document]});
        let body = with(
            "messages",
            json!([{"role": "user", "content": [result, image]}]),
        );
        let request = MessagesRequest::decode(&body, false).unwrap();
        let blocks = &request.messages[0].content;
        let [file] = blocks[0].files() else {
            panic!("{blocks:?}");
        };
        assert_eq!(
            file.path,
            "messages.0.content.0.tool_result.content.1.document.source.content.content.0.image.source.file.file_id"
        );
        assert_eq!(
            (file.shown, file.file_id.as_str()),
            (Shown::Image, "file_1")
        );
        assert_eq!(blocks[1].files().len(), 1);
        let Block::ToolResult { cited_at, .. } = &blocks[0] else {
            panic!("{blocks:?}");
        };
        assert_eq!(
            cited_at.as_deref(),
            Some("messages.0.content.0.tool_result.content.0.text.citations")
        );
    }

    #[test]
    fn an_unknown_block_lists_what_there_is_with_betas_and_without() {
        let body = with(
            "messages",
            json!([{"role": "user", "content": [{"type": "foo"}]}]),
        );
        assert!(!fault(&body).contains("'compaction'"));
        let with_betas = MessagesRequest::decode(&body, true)
            .unwrap_err()
            .to_string();
        assert!(
            with_betas.contains("'code_execution_tool_result', 'compaction', 'connector_text'")
        );
    }

    #[test]
    fn a_compaction_has_a_trigger_of_fifty_thousand() {
        let edit = |value: u64| {
            let trigger = json!({"type": "input_tokens", "value": value});
            with(
                "context_management",
                json!({"edits": [{"type": "compact_20260112", "trigger": trigger}]}),
            )
        };
        assert!(MessagesRequest::decode(&edit(50_000), true).is_ok());
        assert_eq!(
            MessagesRequest::decode(&edit(49_999), true)
                .unwrap_err()
                .to_string(),
            "context_management.edits.0.compact_20260112: trigger.value must be at least 50000"
        );
    }

    #[test]
    fn a_beta_header_lets_unknown_top_level_fields_pass() {
        assert!(MessagesRequest::decode(&with("mcp_servers", json!([])), true).is_ok());
    }

    #[test]
    fn counting_takes_neither_max_tokens_nor_what_concerns_the_answer() {
        let mut body = valid();
        let count = |body: &Value, betas| {
            MessagesRequest::decode_count(body, betas).map_err(|fault| fault.to_string())
        };
        for betas in [false, true] {
            assert_eq!(
                count(&body, betas).unwrap_err(),
                "max_tokens: Extra inputs are not permitted"
            );
        }
        body.as_object_mut().unwrap().remove("max_tokens");
        body["thinking"] = json!({"type": "enabled", "budget_tokens": 30_000});
        assert!(count(&body, false).is_ok());
        let mut more = body.clone();
        more["metadata"] = json!({"a": 1});
        assert_eq!(
            count(&more, false).unwrap_err(),
            "metadata: Extra inputs are not permitted"
        );
        body["mcp_servers"] = json!([]);
        assert!(count(&body, false).is_err() && count(&body, true).is_ok());
    }

    #[test]
    fn both_forms_of_container_are_read() {
        let id = |value| {
            MessagesRequest::decode(&with("container", value), false)
                .unwrap()
                .container
                .unwrap()
                .id
        };
        assert_eq!(id(json!("container_1")).as_deref(), Some("container_1"));
        assert_eq!(
            id(json!({"id": "container_1"})).as_deref(),
            Some("container_1")
        );
        assert_eq!(id(json!({"skills": []})), None);
    }
}
