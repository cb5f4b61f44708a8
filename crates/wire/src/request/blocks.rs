//! Messages and the content blocks a client may send.

use std::sync::LazyLock;

use serde_json::Value;

use super::sources::{self, NamedFile};
use super::{callers, hosted, rest, results, texts};
use crate::decode::{Decoded, Fault, Node};
use crate::refusal;

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub role: Role,
    pub content: Vec<Block>,
    /// It has an `output_config`: a `system` message may then be nothing else.
    pub directs_output: bool,
}

/// The role of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    User,
    Assistant,
    System,
}

/// A content block, as far as the server looks into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    Text {
        text: String,
        cited: bool,
    },
    /// The files that it shows by their ids.
    Image(Vec<NamedFile>),
    /// The same.
    Document(Vec<NamedFile>),
    ContainerUpload {
        file_id: String,
    },
    ToolUse {
        id: String,
        name: String,
        caller_tool_id: Option<String>,
    },
    ToolResult {
        tool_use_id: String,
        text: String,
        is_error: bool,
        /// Whether there is nothing in it but text.
        is_text: bool,
        /// The tools that it names in `tool_reference` blocks.
        references: Vec<String>,
        /// The files that its images and documents show by their ids.
        files: Vec<NamedFile>,
        /// The path of the citations in it, if a text has some.
        cited_at: Option<String>,
    },
    ServerToolUse {
        id: String,
        name: String,
        input: Value,
        /// The cell whose code made the call.
        caller_tool_id: Option<String>,
    },
    /// Any `*_tool_result` of a server tool; `tag` is its `type`.
    ServerToolResult {
        tag: &'static str,
        tool_use_id: String,
        /// Texts in it that the service had encrypted.
        encrypted: Vec<String>,
        /// The tools that a search for tools has found.
        references: Vec<String>,
    },
    Thinking {
        thinking: String,
        signature: String,
    },
    RedactedThinking,
    SearchResult {
        /// Whether a text in it has citations.
        cited: bool,
    },
    /// A call of a connector.
    McpToolUse {
        id: String,
        name: String,
        server: String,
        input: Value,
    },
    McpToolResult {
        tool_use_id: String,
    },
    /// It stands for all that is before it, unless nothing came of it.
    Compaction {
        stands: bool,
    },
    /// A known block that needs no look inside.
    Other,
}

/// The executor of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Client,
    Service,
    Connector,
}

/// A call of a tool, whoever carries it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call<'a> {
    pub by: By,
    pub id: &'a str,
    pub name: &'a str,
    /// The cell whose code made the call.
    pub caller_tool_id: Option<&'a str>,
}

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    pub by: By,
    /// The block's `type`.
    pub tag: &'a str,
    pub tool_use_id: &'a str,
    /// The tools that it names.
    pub references: &'a [String],
    /// The files that it shows.
    files: &'a [NamedFile],
}

/// The role of a block for the code that checks and follows a history.
enum Part<'a> {
    Call(Call<'a>),
    Answer(Answer<'a>),
    /// An image or a document.
    Shown(&'a [NamedFile]),
    /// Nothing that refers to anything.
    Said,
}

impl Block {
    /// Its text, if it is a text block.
    pub fn text(&self) -> Option<&str> {
        let Self::Text { text, .. } = self else {
            return None;
        };
        Some(text)
    }

    /// The call that it is, if it is one.
    pub fn call(&self) -> Option<Call<'_>> {
        match self.part() {
            Part::Call(call) => Some(call),
            Part::Answer(_) | Part::Shown(_) | Part::Said => None,
        }
    }

    /// The call that it is, if the client carries it out.
    pub fn client_call(&self) -> Option<Call<'_>> {
        self.call().filter(|call| call.by == By::Client)
    }

    /// The result that it is, if it is one.
    pub fn answer(&self) -> Option<Answer<'_>> {
        match self.part() {
            Part::Answer(answer) => Some(answer),
            Part::Call(_) | Part::Shown(_) | Part::Said => None,
        }
    }

    /// The `tool_use_id` of a client's result.
    pub fn client_answer(&self) -> Option<&str> {
        let answer = self.answer().filter(|answer| answer.by == By::Client)?;
        Some(answer.tool_use_id)
    }

    /// The files that images and documents in it show by their ids.
    pub fn files(&self) -> &[NamedFile] {
        match self.part() {
            Part::Shown(files) => files,
            Part::Answer(answer) => answer.files,
            Part::Call(_) | Part::Said => &[],
        }
    }

    /// The only place that tells one kind from another: a new block has to say what it is.
    fn part(&self) -> Part<'_> {
        let call = |by, id, name, caller_tool_id| {
            Part::Call(Call {
                by,
                id,
                name,
                caller_tool_id,
            })
        };
        let answer = |by, tag, tool_use_id, references, files| {
            Part::Answer(Answer {
                by,
                tag,
                tool_use_id,
                references,
                files,
            })
        };
        match self {
            Self::ToolUse {
                id,
                name,
                caller_tool_id,
            } => call(By::Client, id, name, caller_tool_id.as_deref()),
            Self::ServerToolUse {
                id,
                name,
                caller_tool_id,
                ..
            } => call(By::Service, id, name, caller_tool_id.as_deref()),
            Self::McpToolUse { id, name, .. } => call(By::Connector, id, name, None),
            Self::ToolResult {
                tool_use_id,
                references,
                files,
                ..
            } => answer(By::Client, "tool_result", tool_use_id, references, files),
            Self::ServerToolResult {
                tag,
                tool_use_id,
                references,
                ..
            } => answer(By::Service, tag, tool_use_id, references, &[]),
            Self::McpToolResult { tool_use_id } => {
                answer(By::Connector, "mcp_tool_result", tool_use_id, &[], &[])
            }
            Self::Image(files) | Self::Document(files) => Part::Shown(files),
            Self::Text { .. }
            | Self::ContainerUpload { .. }
            | Self::Thinking { .. }
            | Self::RedactedThinking
            | Self::SearchResult { .. }
            | Self::Compaction { .. }
            | Self::Other => Part::Said,
        }
    }
}

/// The tags of the service's own list (F132).
const TAGS: &[&str] = &[
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "connector_text",
    "container_upload",
    "document",
    "image",
    "mid_conv_system",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "text_editor_code_execution_tool_result",
    "thinking",
    "tool_result",
    "tool_search_tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
];

/// The tags of the SDK's beta types that are not among them.
const BETA_TAGS: &[&str] = &[
    "advisor_tool_result",
    "compaction",
    "fallback",
    "mcp_tool_listing",
    "mcp_tool_result",
    "mcp_tool_use",
    "tool_addition",
    "tool_removal",
];

/// With a beta, all of them, in the service's order.
static ALL_TAGS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut tags = [TAGS, BETA_TAGS].concat();
    tags.sort_unstable();
    tags
});

/// The names of the service's own calls (SDK 2.11); the first came with a beta.
const OF_SERVICE: &[&str] = &[
    "advisor",
    "web_search",
    "web_fetch",
    "code_execution",
    "bash_code_execution",
    "text_editor_code_execution",
    "tool_search_tool_regex",
    "tool_search_tool_bm25",
];

/// The longest name of a call of the client's (F242).
const MAX_CALL_NAME_CHARS: usize = 200;

impl Role {
    /// A role that is a text and none of these is told without its place (F245).
    fn decode(node: &Node<'_>) -> Decoded<Self> {
        let reason = match node.value().as_str() {
            Some("user") => return Ok(Self::User),
            Some("assistant") => return Ok(Self::Assistant),
            Some("system") => return Ok(Self::System),
            Some("tool") => refusal::TOOL_ROLE.say(&[]),
            Some(role) => refusal::UNEXPECTED_ROLE.say(&[("role", &role)]),
            None => return Err(node.fault("Input should be 'user', 'assistant' or 'system'")),
        };
        Err(Fault {
            path: String::new(),
            reason,
        })
    }
}

impl Message {
    pub(crate) fn decode(node: &Node<'_>, betas: bool) -> Decoded<Self> {
        node.dictionary()?;
        let role = Role::decode(&node.required("role")?)?;
        // One that only directs the output may leave its content out (SDKs' beta types).
        let needs_none = betas && role == Role::System && node.value()["output_config"].is_object();
        let content = match node.required("content") {
            Err(_) if needs_none => Vec::new(),
            Err(fault) => return Err(fault),
            Ok(content) => Block::decode_content(&content, betas)?,
        };
        Ok(Self {
            role,
            content,
            directs_output: role == Role::System && directs_output(node)?,
        })
    }
}

impl Block {
    /// The blocks of a message: a list of them, or a text.
    fn decode_content(content: &Node<'_>, betas: bool) -> Decoded<Vec<Self>> {
        match content.value() {
            Value::String(text) if text.is_empty() => Ok(Vec::new()),
            Value::String(text) => Ok(vec![Self::Text {
                text: text.clone(),
                cited: false,
            }]),
            _ => content
                .items()?
                .map(|block| Self::decode(&block, betas))
                .collect(),
        }
    }

    fn decode(node: &Node<'_>, betas: bool) -> Decoded<Self> {
        if betas && node.is_tagged(BETA_TAGS) {
            return Self::decode_beta(node);
        }
        let tag = node.tag(if betas { ALL_TAGS.as_slice() } else { TAGS })?;
        let block = node.tagged(tag);
        if matches!(tag, "thinking" | "redacted_thinking")
            && let Some(control) = block.optional("cache_control")?
        {
            // Parity: thoughts cannot be cached by themselves (quoted in 2026-01).
            return Err(control.fault("Extra inputs are not permitted"));
        }
        rest::check_cache_control(&block)?;
        let string = |key: &str| block.required(key)?.string().map(str::to_owned);
        let call_id = |key: &str, of_service: bool| {
            let id = block.required(key)?;
            id.call_id(of_service).map(str::to_owned)
        };
        Ok(match tag {
            "text" => {
                let decoded = texts::text(&block)?;
                Self::Text {
                    text: decoded.text.to_owned(),
                    cited: decoded.cited,
                }
            }
            "image" => Self::Image(sources::of_image(&block)?),
            "document" => Self::Document(sources::of_document(&block)?),
            "container_upload" => Self::ContainerUpload {
                file_id: string("file_id")?,
            },
            "tool_use" => {
                block.required("input")?.dictionary()?;
                rest::check_texts(&block, &["toolset_name"])?;
                Self::ToolUse {
                    id: call_id("id", false)?,
                    name: block
                        .required("name")?
                        .name(MAX_CALL_NAME_CHARS)?
                        .to_owned(),
                    caller_tool_id: callers::cell(&block)?,
                }
            }
            "tool_result" => {
                let is_error = block
                    .optional("is_error")?
                    .map(|flag| flag.boolean())
                    .transpose()?
                    .unwrap_or(false);
                rest::check_texts(&block, &["toolset_name"])?;
                let shown = Shown::decode(&block)?;
                Self::ToolResult {
                    tool_use_id: call_id("tool_use_id", false)?,
                    text: shown.text.unwrap_or_default(),
                    is_error,
                    is_text: shown.is_text,
                    references: shown.references,
                    files: shown.files,
                    cited_at: shown.cited_at,
                }
            }
            "server_tool_use" => Self::ServerToolUse {
                id: call_id("id", true)?,
                name: {
                    let name = block.required("name")?;
                    // The beta types of the SDKs know it, and can be sent without the header.
                    let betas = betas || name.value() == OF_SERVICE[0];
                    let known = if betas { OF_SERVICE } else { &OF_SERVICE[1..] };
                    name.literal(known)?.to_owned()
                },
                input: {
                    let input = block.required("input")?;
                    input.dictionary()?;
                    input.value().clone()
                },
                caller_tool_id: callers::cell(&block)?,
            },
            "thinking" => Self::Thinking {
                thinking: string("thinking")?,
                signature: string("signature")?,
            },
            "redacted_thinking" => {
                string("data")?;
                Self::RedactedThinking
            }
            "search_result" => Self::SearchResult {
                cited: texts::search_result(&block)?,
            },
            "tool_search_tool_result" => Self::ServerToolResult {
                tag,
                tool_use_id: call_id("tool_use_id", true)?,
                encrypted: Vec::new(),
                references: hosted::tool_search(&block.required("content")?)?,
            },
            tag if tag.ends_with("_tool_result") => {
                results::check(tag, &block)?;
                Self::ServerToolResult {
                    tag,
                    tool_use_id: call_id("tool_use_id", true)?,
                    encrypted: results::encrypted(&block.value()["content"]),
                    references: Vec::new(),
                }
            }
            _ => Self::Other,
        })
    }
}

impl Block {
    /// A block of the SDK's beta types: calls and their results are looked at, the rest is not.
    fn decode_beta(node: &Node<'_>) -> Decoded<Self> {
        let tag = node.tag(BETA_TAGS)?;
        let block = node.tagged(tag);
        rest::check_cache_control(&block)?;
        Ok(match tag {
            "advisor_tool_result" => Self::ServerToolResult {
                tag,
                tool_use_id: block.required("tool_use_id")?.call_id(true)?.to_owned(),
                encrypted: hosted::advice(&block.required("content")?)?,
                references: Vec::new(),
            },
            "mcp_tool_use" => hosted::mcp_call(&block)?,
            "mcp_tool_result" => hosted::mcp_result(&block)?,
            "mcp_tool_listing" => {
                hosted::mcp_listing(&block)?;
                Self::Other
            }
            "compaction" => Self::Compaction {
                stands: hosted::compaction(&block)?,
            },
            "fallback" => {
                hosted::fallback(&block)?;
                Self::Other
            }
            _ => Self::Other,
        })
    }
}

/// Whether a `system` message says how answers are to be from there on.
fn directs_output(message: &Node<'_>) -> Decoded<bool> {
    if let Some(time) = message.optional("clear_at")? {
        time.literal(&["next_user_message", "never"])?;
    }
    match message.optional("output_config")? {
        Some(config) => Ok(rest::effort(&config)?.is_some()),
        None => Ok(false),
    }
}

/// The tags of what a `tool_result` may hold.
const SHOWN: &[&str] = &[
    "text",
    "image",
    "document",
    "search_result",
    "tool_reference",
    "browser_state",
];

/// The content of a `tool_result`.
struct Shown {
    /// Its texts, a line each.
    text: Option<String>,
    /// Whether there is nothing in it but text.
    is_text: bool,
    /// The tools that it names.
    references: Vec<String>,
    /// The files that it shows.
    files: Vec<NamedFile>,
    /// Where its first citations are.
    cited_at: Option<String>,
}

impl Shown {
    fn decode(block: &Node<'_>) -> Decoded<Self> {
        let mut shown = Self {
            text: None,
            is_text: true,
            references: Vec::new(),
            files: Vec::new(),
            cited_at: None,
        };
        let Some(content) = block.optional("content")? else {
            return Ok(shown);
        };
        if let Some(text) = content.value().as_str() {
            shown.text = Some(text.to_owned());
            return Ok(shown);
        }
        let mut has_others = false;
        let mut has_findings = false;
        for item in content.items()? {
            let tag = item.tag(SHOWN)?;
            let part = item.tagged(tag);
            rest::check_cache_control(&part)?;
            has_findings |= tag == "search_result";
            has_others |= tag != "search_result";
            if tag == "text" {
                let texts::Text { text, cited } = texts::text(&part)?;
                if cited && shown.cited_at.is_none() {
                    shown.cited_at = Some(format!("{}.citations", part.path()));
                }
                match &mut shown.text {
                    Some(before) => {
                        before.push('\n');
                        before.push_str(text);
                    }
                    None => shown.text = Some(text.to_owned()),
                }
                continue;
            }
            shown.is_text = false;
            match tag {
                "image" => shown.files.extend(sources::of_image(&part)?),
                "document" => shown.files.extend(sources::of_document(&part)?),
                "search_result" => {
                    let cited = texts::search_result(&part)?.then(|| part.path() + ".content");
                    shown.cited_at = shown.cited_at.or(cited);
                }
                "tool_reference" => {
                    let name = part.required("tool_name")?.string()?;
                    shown.references.push(name.to_owned());
                }
                // What a browser shows: the server has none.
                _ => {}
            }
        }
        if has_findings && has_others {
            return Err(block.fault(refusal::SEARCH_RESULTS_MIXED.text));
        }
        Ok(shown)
    }
}
