//! Entries of `tools`, and `tool_choice`.

use std::sync::LazyLock;

use super::{rest, schema, texts};
use crate::decode::{Decoded, Fault, Node};
use crate::refusal;

/// One declared tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The `type`; `custom` where it is absent.
    pub tag: String,
    pub name: String,
    pub kind: ToolKind,
    /// Empty where it is absent: see [`Tool::is_called_by_code`].
    pub allowed_callers: Vec<String>,
    /// `strict`.
    pub strict: bool,
    /// A `$ref` of the `input_schema` that leads back to itself.
    pub circular_ref: Option<String>,
    /// Whether the tool is only found by searching for it.
    pub deferred: bool,
    /// Options of web tools only.
    pub web: WebOptions,
    /// Options of the advisor only.
    pub advisor: Option<AdvisorOptions>,
}

/// The options of `advisor`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdvisorOptions {
    pub model: String,
    /// Calls in one request.
    pub max_uses: Option<u64>,
    pub max_tokens: Option<u64>,
}

/// The options of `web_search` and `web_fetch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebOptions {
    /// Calls in one request.
    pub max_uses: Option<u64>,
    /// `None`: every domain.
    pub allowed_domains: Option<Vec<String>>,
    pub blocked_domains: Vec<String>,
    /// Text of a fetched page beyond this is cut off.
    pub max_content_tokens: Option<u64>,
    /// `citations.enabled`, if it is said.
    pub cites: Option<bool>,
    /// `response_inclusion: "excluded"`: calls of code that has ended are not in the answer.
    pub excluded: bool,
}

/// The executor of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolKind {
    /// The client.
    Client,
    /// The service: code execution.
    CodeExecution,
    /// The service: web search and fetch, tool search.
    OtherServer,
}

/// `tool_choice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolChoice {
    /// `none`: the model may call none.
    pub forbids: bool,
    /// `any` or `tool`: the model has to call one.
    pub forces: bool,
    /// The one tool to be called.
    pub name: Option<String>,
    pub disables_parallel: bool,
}

/// From this version on the web tools bring code execution with them, and are called from it.
const WEB_WITH_CODE: &str = "20260209";

/// Tags of the union, in the service's (alphabetical) order.
const TAGS: &[&str] = &[
    "bash_20250124",
    "browser_toolset_20260801",
    "code_execution_20250522",
    "code_execution_20250825",
    "code_execution_20260120",
    "code_execution_20260521",
    "computer_toolset_20260801",
    "custom",
    "memory_20250818",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
    "tool_search_tool_bm25_20251119",
    "tool_search_tool_regex_20251119",
    "web_fetch_20250910",
    "web_fetch_20260209",
    "web_fetch_20260309",
    "web_fetch_20260318",
    "web_search_20250305",
    "web_search_20260209",
    "web_search_20260318",
];

/// Those that need a beta (SDK 2.11).
const BETA_TAGS: &[&str] = &[
    "advisor_20260301",
    "bash_20241022",
    "computer_20241022",
    "computer_20250124",
    "computer_20251124",
    "mcp_toolset",
    "text_editor_20241022",
];

/// Every type that a tool may have.
pub static TOOL_TAGS: LazyLock<Vec<&'static str>> = LazyLock::new(|| [TAGS, BETA_TAGS].concat());

/// Types of the SDKs that are short for one with a version.
const SHORT_TAGS: &[&str] = &["tool_search_tool_bm25", "tool_search_tool_regex"];

/// Whether a tool of this type stands for several, and has no name of its own.
pub(super) fn is_toolset(tag: &str) -> bool {
    tag.contains("_toolset")
}

impl Tool {
    pub(crate) fn decode(node: &Node<'_>, betas: bool) -> Decoded<Self> {
        node.dictionary()?;
        let tag = match node.optional("type")? {
            Some(kind) if betas && node.is_tagged(BETA_TAGS) => kind.string()?,
            Some(kind) if node.is_tagged(SHORT_TAGS) => kind.string()?,
            Some(_) => node.tag(TAGS)?,
            None => "custom",
        };
        let tool = node.tagged(tag);
        rest::check_cache_control(&tool)?;
        if is_toolset(tag) {
            return Self::toolset(tag, &tool);
        }
        let name_node = tool.required("name")?;
        let name = name_node.string()?.to_owned();
        let kind = if tag.starts_with("code_execution_") {
            name_node.literal(&["code_execution"])?;
            ToolKind::CodeExecution
        } else if tag.starts_with("web_") {
            name_node.literal(&[web_name(tag)])?;
            ToolKind::OtherServer
        } else if let Some(name) = hosted_name(tag) {
            name_node.literal(&[name])?;
            ToolKind::OtherServer
        } else {
            if let Some(name) = client_name(tag) {
                name_node.literal(&[name])?;
            }
            ToolKind::Client
        };
        if tag == "custom" {
            check_custom(&tool, &name_node)?;
        }
        if kind == ToolKind::Client {
            check_examples(&tool)?;
        }
        let allowed_callers = allowed_callers(&tool)?;
        let deferred = tool
            .optional("defer_loading")?
            .map(|flag| flag.boolean())
            .transpose()?
            .unwrap_or(false);
        let strict = tool
            .optional("strict")?
            .map(|flag| flag.boolean())
            .transpose()?
            .unwrap_or(false);
        let web = if tag.starts_with("web_") {
            WebOptions::decode(tag, &tool)?
        } else {
            WebOptions::default()
        };
        let advisor = if tag.starts_with("advisor_") {
            Some(AdvisorOptions::decode(&tool)?)
        } else {
            None
        };
        Ok(Self {
            web,
            advisor,
            tag: tag.to_owned(),
            name,
            kind,
            allowed_callers,
            strict,
            circular_ref: schema::circular_ref(&node.value()["input_schema"]),
            deferred,
        })
    }

    /// A toolset is named after its type.
    fn toolset(tag: &str, tool: &Node<'_>) -> Decoded<Self> {
        let kind = match tag {
            "mcp_toolset" => ToolKind::OtherServer,
            _ => ToolKind::Client,
        };
        if let Some(members) = toolset_members(tag) {
            check_configs(tool, members)?;
        }
        let name = match kind {
            ToolKind::OtherServer => tool.required("mcp_server_name")?.string()?.to_owned(),
            ToolKind::Client | ToolKind::CodeExecution => tag.to_owned(),
        };
        Ok(Self {
            tag: tag.to_owned(),
            name,
            kind,
            allowed_callers: allowed_callers(tool)?,
            strict: false,
            circular_ref: None,
            deferred: false,
            web: WebOptions::default(),
            advisor: None,
        })
    }

    /// Whether it is `web_search` or `web_fetch` of a version that brings code execution with it.
    pub fn is_web_with_code(&self) -> bool {
        self.tag
            .strip_prefix("web_search_")
            .or_else(|| self.tag.strip_prefix("web_fetch_"))
            .is_some_and(|version| version >= WEB_WITH_CODE)
    }

    /// Whether the service adds a code execution tool for it: not if only the model may call it.
    pub fn brings_code(&self) -> bool {
        self.is_web_with_code() && self.is_called_by_code()
    }

    /// What calls of this tool say as their `toolset_name`, if it is a toolset that has it.
    pub fn toolset_of(&self, member: &str) -> Option<&'static str> {
        let members = toolset_members(&self.tag)?;
        let family = match members {
            BROWSER_TOOLS => "browser",
            _ => "computer",
        };
        members.contains(&member).then_some(family)
    }

    /// Whether it stands for the tools of an MCP server, whose name is its own.
    pub fn is_connector(&self) -> bool {
        self.tag == "mcp_toolset"
    }

    /// Whether it is `web_search` or `web_fetch`, of any version.
    pub fn is_web(&self) -> bool {
        self.tag.starts_with("web_")
    }

    /// Whether code is among its callers.
    pub fn is_called_by_code(&self) -> bool {
        if self.allowed_callers.is_empty() {
            return self.is_web_with_code();
        }
        self.allowed_callers.iter().any(|caller| caller != "direct")
    }

    /// Whether the model is among its callers.
    pub fn is_called_directly(&self) -> bool {
        if self.allowed_callers.is_empty() {
            return !self.is_web_with_code();
        }
        self.allowed_callers.iter().any(|caller| caller == "direct")
    }
}

fn allowed_callers(tool: &Node<'_>) -> Decoded<Vec<String>> {
    let Some(list) = tool.optional("allowed_callers")? else {
        return Ok(Vec::new());
    };
    let callers = list.items()?.map(|item| {
        item.literal(&[
            "direct",
            "code_execution_20250825",
            "code_execution_20260120",
            "code_execution_20260521",
        ])
        .map(str::to_owned)
    });
    callers.collect()
}

/// The one name that a web tool of this version may have.
fn web_name(tag: &str) -> &'static str {
    if tag.starts_with("web_search_") {
        "web_search"
    } else {
        "web_fetch"
    }
}

/// The one name that a tool may have which the service carries out itself.
fn hosted_name(tag: &str) -> Option<&'static str> {
    let names = [
        ("tool_search_tool_regex", "tool_search_tool_regex"),
        ("tool_search_tool_bm25", "tool_search_tool_bm25"),
        ("advisor_", "advisor"),
    ];
    let mut names = names.into_iter();
    names
        .find(|(begin, _)| tag.starts_with(begin))
        .map(|(_, name)| name)
}

/// The one name that a tool may have which the client carries out and the service describes. Those that only
/// betas have are not looked at.
fn client_name(tag: &str) -> Option<&'static str> {
    match tag {
        "bash_20250124" => Some("bash"),
        "memory_20250818" => Some("memory"),
        "text_editor_20250124" => Some("str_replace_editor"),
        "text_editor_20250429" | "text_editor_20250728" => Some("str_replace_based_edit_tool"),
        _ => None,
    }
}

/// Checks what a tool that the client carries out may have beside what it is known by.
fn check_examples(tool: &Node<'_>) -> Decoded<()> {
    if let Some(examples) = tool.optional("input_examples")? {
        for example in examples.items()? {
            example.dictionary()?;
        }
    }
    rest::check_flags(tool, &["eager_input_streaming"])?;
    rest::check_numbers(tool, &["max_characters"])
}

impl AdvisorOptions {
    fn decode(tool: &Node<'_>) -> Decoded<Self> {
        let count = |key: &str| {
            tool.optional(key)?
                .map(|number| number.integer(1))
                .transpose()
        };
        Ok(Self {
            model: tool.required("model")?.string()?.to_owned(),
            max_uses: count("max_uses")?,
            max_tokens: count("max_tokens")?,
        })
    }
}

impl WebOptions {
    fn decode(tag: &str, tool: &Node<'_>) -> Decoded<Self> {
        let count = |key: &str| {
            tool.optional(key)?
                .map(|number| number.integer(1))
                .transpose()
        };
        let domains = |key: &str| -> Decoded<Option<Vec<String>>> {
            let Some(list) = tool.optional(key)? else {
                return Ok(None);
            };
            let items = list.items()?;
            items
                .map(|item| item.string().map(str::to_owned))
                .collect::<Decoded<Vec<_>>>()
                .map(Some)
        };
        // `web_fetch` is said to take them.
        for key in ["allowed_domains", "blocked_domains"] {
            if let Some(list) = tool.optional(key)?
                && tag.starts_with("web_search_")
                && list.items()?.next().is_none()
            {
                return Err(list.fault(refusal::EMPTY_DOMAINS.text));
            }
        }
        let allowed_domains = domains("allowed_domains")?;
        let blocked_domains = domains("blocked_domains")?;
        if allowed_domains.is_some() && blocked_domains.is_some() {
            return Err(
                tool.fault("Only one of `allowed_domains` and `blocked_domains` can be given")
            );
        }
        let inclusion = tool.optional("response_inclusion")?;
        let excluded = match inclusion {
            Some(node) if tag.ends_with("_20260318") => {
                node.literal(&["full", "excluded"])? == "excluded"
            }
            Some(node) => return Err(node.fault("Extra inputs are not permitted")),
            None => false,
        };
        check_user_location(tool)?;
        check_url_sources(tool)?;
        rest::check_flags(tool, &["use_cache"])?;
        Ok(Self {
            max_uses: count("max_uses")?,
            allowed_domains,
            blocked_domains: blocked_domains.unwrap_or_default(),
            max_content_tokens: count("max_content_tokens")?,
            cites: texts::cites(tool)?,
            excluded,
        })
    }
}

/// Checks where searches are asked from.
fn check_user_location(tool: &Node<'_>) -> Decoded<()> {
    let Some(location) = tool.optional("user_location")? else {
        return Ok(());
    };
    location.required("type")?.literal(&["approximate"])?;
    rest::check_texts(&location, &["city", "country", "region", "timezone"])
}

/// Checks which URLs may be fetched.
fn check_url_sources(tool: &Node<'_>) -> Decoded<()> {
    let Some(sources) = tool.optional("url_sources")? else {
        return Ok(());
    };
    sources.object()?;
    let of_tools: &[&str] = &["all", "except", "none", "only"];
    for (key, known) in [
        ("client_tool_results", of_tools),
        ("server_tool_results", of_tools),
        ("user_input", &["all", "none"]),
    ] {
        let Some(source) = sources.optional(key)? else {
            continue;
        };
        let tag = source.tag(known)?;
        if let "except" | "only" = tag {
            let tagged = source.tagged(tag);
            for tool in tagged.required("tools")?.items()? {
                tool.required("type")?.literal(&["tool_reference"])?;
                tool.required("name")?.string()?;
            }
        }
    }
    Ok(())
}

/// The tools that a toolset of the client's stands for (SDK types 2.14).
pub(super) fn toolset_members(tag: &str) -> Option<&'static [&'static str]> {
    match tag {
        "browser_toolset_20260801" => Some(BROWSER_TOOLS),
        "computer_toolset_20260801" => Some(COMPUTER_TOOLS),
        _ => None,
    }
}

const BROWSER_TOOLS: &[&str] = &[
    "close_tab",
    "double_click",
    "file_upload",
    "find",
    "form_input",
    "get_page_text",
    "hold_key",
    "hover",
    "javascript_exec",
    "key",
    "left_click",
    "left_click_drag",
    "left_mouse_down",
    "left_mouse_up",
    "list_tabs",
    "middle_click",
    "mouse_move",
    "navigate",
    "new_tab",
    "read_console",
    "read_network",
    "read_page",
    "right_click",
    "screenshot",
    "scroll",
    "scroll_to",
    "switch_tab",
    "triple_click",
    "type",
    "wait",
    "zoom",
];

const COMPUTER_TOOLS: &[&str] = &[
    "cursor_position",
    "double_click",
    "hold_key",
    "key",
    "left_click",
    "left_click_drag",
    "left_mouse_down",
    "left_mouse_up",
    "middle_click",
    "mouse_move",
    "right_click",
    "screenshot",
    "scroll",
    "triple_click",
    "type",
    "wait",
    "zoom",
];

/// Checks what a toolset says of its members.
fn check_configs(tool: &Node<'_>, members: &[&str]) -> Decoded<()> {
    let Some(configs) = tool.optional("configs")? else {
        return Ok(());
    };
    configs.object()?;
    for member in members {
        if let Some(config) = configs.optional(member)? {
            rest::check_flags(&config, &["defer_loading", "enabled"])?;
        }
    }
    Ok(())
}

/// The longest name of a tool of the client's (F242).
const MAX_TOOL_NAME_CHARS: usize = 128;

/// Whether a tool of the client's can have this name.
pub fn is_tool_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=MAX_TOOL_NAME_CHARS).contains(&name.len()) && name.chars().all(plain)
}

fn check_custom(tool: &Node<'_>, name: &Node<'_>) -> Decoded<()> {
    let text = name.name(MAX_TOOL_NAME_CHARS)?;
    if !is_tool_name(text) {
        return Err(name.fault("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
    }
    let schema = tool.required("input_schema")?;
    schema.dictionary()?;
    schema.required("type")?.literal(&["object"])?;
    if let Some(properties) = schema.optional("properties")? {
        properties.dictionary()?;
    }
    rest::check_list_of_texts(&schema, "required")?;
    schema::check(&schema)?;
    if let Some(description) = tool.optional("description")? {
        description.string()?;
    }
    Ok(())
}

/// The members that each form of `tool_choice` has.
pub(super) fn choice_members(tag: &str) -> &'static [&'static str] {
    match tag {
        "none" => &["type"],
        "tool" => &["type", "name", "disable_parallel_tool_use"],
        _ => &["type", "disable_parallel_tool_use"],
    }
}

pub(super) fn tool_choice(root: &Node<'_>, tools: &[Tool]) -> Decoded<Option<ToolChoice>> {
    let Some(choice) = root.optional("tool_choice")? else {
        return Ok(None);
    };
    // Parity: the order of the tags is the service's.
    let tag = choice.tag(&["auto", "any", "tool", "none"])?;
    let tagged = choice.tagged(tag);
    let disables_parallel = tagged
        .optional("disable_parallel_tool_use")?
        .map(|flag| flag.boolean())
        .transpose()?
        .unwrap_or(false);
    let mut chosen = None;
    if tag == "tool" {
        let name = tagged.required("name")?;
        let wanted = name.string()?;
        chosen = Some(wanted.to_owned());
        if !tools.iter().any(|tool| tool.name == wanted) {
            return Err(Fault {
                path: String::new(),
                reason: format!("Tool '{wanted}' not found in provided tools"),
            });
        }
    }
    if tag == "any" && tools.is_empty() {
        return Err(Fault {
            path: String::new(),
            reason: refusal::TOOL_CHOICE_WITHOUT_TOOLS.text.to_owned(),
        });
    }
    Ok(Some(ToolChoice {
        forbids: tag == "none",
        forces: matches!(tag, "any" | "tool"),
        name: chosen,
        disables_parallel,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn decode(tool: &Value) -> Result<Tool, String> {
        Tool::decode(&Node::root(tool), false).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_custom_tool_needs_a_schema_of_an_object() {
        let fault = decode(&json!({"name": "f", "input_schema": {}})).unwrap_err();
        assert_eq!(fault, "custom.input_schema.type: Field required");
        assert!(decode(&json!({"name": "f", "input_schema": {"type": "object"}})).is_ok());
    }

    #[test]
    fn an_unknown_version_lists_what_there_is() {
        let fault = decode(&json!({"type": "code_execution_20260104", "name": "code_execution"}))
            .unwrap_err();
        assert!(
            fault.starts_with(
                "Input tag 'code_execution_20260104' found using 'type' does not match"
            )
        );
        assert!(fault.contains("'code_execution_20250825'"));
    }

    #[test]
    fn the_name_of_code_execution_is_fixed() {
        let fault =
            decode(&json!({"type": "code_execution_20250825", "name": "python"})).unwrap_err();
        assert_eq!(
            fault,
            "code_execution_20250825.name: Input should be 'code_execution'"
        );
    }
}
