//! The refusals that the service words itself: one row a rule, with where its text was seen.
//!
//! `docs/ERRORS.md` lists the same rows, and a test compares them. Faults of shape, whose texts follow one
//! pattern, are in `decode`.

use std::error::Error;
use std::fmt::{self, Display};

use crate::decode::Fault;

/// The message of an `invalid_request_error`, in the words that its client reads. It is no table row by
/// itself: many texts are the service's and follow no rule that is listed below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Invalid {}

impl From<Fault> for Invalid {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.0
    }
}

/// One rule, and what breaking it gives.
#[derive(Debug)]
pub struct Refusal {
    /// Stable; tests and `docs/ERRORS.md` name it.
    pub id: &'static str,
    /// Where the fault is, with `{names}` of what varies; empty where the service names no place.
    pub path: &'static str,
    pub text: &'static str,
    /// When it was seen, and where: threads as `owner/repository#number`, or what kind of probe or log it was.
    pub source: &'static str,
    /// Whether nothing shows the service itself saying so in this case: the quirk `weak-refusals` takes what
    /// it refuses.
    pub weak: bool,
}

impl Refusal {
    /// Path and text as one template.
    pub fn template(&self) -> String {
        if self.path.is_empty() {
            self.text.to_owned()
        } else {
            format!("{}: {}", self.path, self.text)
        }
    }

    /// The message, with a value for each name. A name without a value stays as it is.
    pub fn say(&self, values: &[(&str, &dyn Display)]) -> String {
        let template = self.template();
        let mut message = String::with_capacity(template.len());
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            message.push_str(before);
            let named = after.split_once('}').and_then(|(name, after)| {
                let value = values.iter().find(|(known, _)| *known == name)?;
                Some((value.1, after))
            });
            if let Some((value, after)) = named {
                message.push_str(&value.to_string());
                rest = after;
            } else {
                message.push('{');
                rest = after;
            }
        }
        message.push_str(rest);
        message
    }

    /// The message as an error.
    pub fn refuse(&self, values: &[(&str, &dyn Display)]) -> Invalid {
        Invalid(self.say(values))
    }
}

macro_rules! refusals {
    ($($name:ident $id:literal $path:literal $text:literal $source:literal $($weak:ident)?;)+) => {
        $(
            #[doc = $id]
            pub const $name: Refusal = Refusal {
                id: $id,
                path: $path,
                text: $text,
                source: $source,
                weak: refusals!(@ $($weak)?),
            };
        )+

        /// All of them, in the order of the page.
        pub const ALL: &[&Refusal] = &[$(&$name),+];
    };
    (@ weak) => { true };
    (@) => { false };
}

refusals! {
    CACHE_COUNT "cache-count" ""
        "A maximum of 4 blocks with cache_control may be provided. Found {found}."
        "2026-05-29, log of a proxy; github/copilot-cli#4185";
    CACHE_TTL_ORDER "cache-ttl-order" "{path}.cache_control.ttl"
        "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`."
        "2026, three logs, the whole text in one";
    CACHE_EMPTY_TEXT "cache-empty-text" "{path}"
        "cache_control cannot be set for empty text blocks"
        "2026, log with request id";
    DEFERRED_CACHE "deferred-cache" ""
        "Tool '{name}' cannot have both defer_loading=true and cache_control set. Tools with defer_loading cannot use prompt caching."
        "2026, router-for-me/CLIProxyAPI#4561";
    EMPTY_TEXT "empty-text" "{path}"
        "text content blocks must be non-empty"
        "2026-10-06, probes of claude-opus-5-5";
    BLANK_TEXT "blank-text" "{path}"
        "text content blocks must contain non-whitespace text"
        "2026, live run and two probes";
    USER_EMPTY "user-empty" "messages.{message}"
        "user messages must have non-empty content"
        "2026-08-31, probe of claude-sonnet-5; many logs";
    BLANK_STOP "blank-stop" "stop_sequences"
        "each stop sequence must contain non-whitespace"
        "2026-10-04, live run";
    SAMPLING_RANGE "sampling-range" "{name}"
        "range: 0..1"
        "2026-08-31 to 2026-10-08, probes of claude-sonnet-5 and a live capture";
    UNEXPECTED_ROLE "unexpected-role" "messages"
        "Unexpected role \"{role}\". Allowed roles are \"user\" or \"assistant\""
        "2026-08-31, probe of claude-sonnet-5";
    TOOL_ROLE "tool-role" "messages"
        "Unexpected role \"tool\". Allowed roles are \"user\" or \"assistant\". For instructions on how to use tools, see https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview."
        "2026, live run of claude-haiku-4-5";
    TOOL_CHOICE_WITHOUT_TOOLS "tool-choice-without-tools" ""
        "tool_choice.any may only be specified while providing tools"
        "2026-08-31, probe of claude-sonnet-5; logs of two gateways";
    INFERENCE_GEO "inference-geo" "inference_geo"
        "must be one of ['global', 'us']"
        "2026-07-30 to 2026-09-30, probes of four models";
    INFERENCE_GEO_MODEL "inference-geo-model" ""
        "'{model}' does not support inference_geo."
        "2026-07-16 to 2026-10-09, probes of claude-haiku-4-5";
    SPEED_MODEL "speed-model" ""
        "'{model}' does not support the `speed` parameter."
        "2026, logs and probes of five models; NousResearch/hermes-agent#82348";
    TOOL_TYPES "tool-types" ""
        "'{model}' does not support tool types: {tools}. Did you mean one of {known}?"
        "2026-09-22, probe of claude-opus-5-5; document; logs of claude-fable-5 and claude-haiku-4-5";
    ADVISOR_PAIR "advisor-pair" "tools.{tool}.model"
        "'{advisor}' cannot be used as an advisor when the request model is '{model}'."
        "2026-06 to 2026-09, anthropics/claude-code#67405, #67764, #91281, the first two with request ids";
    EMPTY_DOMAINS "empty-domains" "{path}"
        "Empty list of domains is ambiguous. Provide at least one domain or null."
        "2025-09-26, CherryHQ/cherry-studio#10374; router-for-me/CLIProxyAPI#2681";
    OUTPUT_FORMAT "output-format" "output_format"
        "This field is deprecated. Use 'output_config.format' instead."
        "2026, recorded, and three logs";
    PREWARM "prewarm" ""
        "max_tokens: 0 is not supported with {what}"
        "document, 2026-10; the text is inferred" weak;
    CITATIONS_WITH_FORMAT "citations-with-format" ""
        "Citations cannot be enabled when output format is set. Please disable citations on uploaded document blocks."
        "2026, live runs of three projects, the last of claude-opus-5 on 2026-09-16";
    SEARCH_RESULTS_MIXED "search-results-mixed" "messages.{message}.content.{block}.tool_result"
        "if any blocks in a tool result are of type `search_result`, all blocks must be of that type"
        "2026-08-08, live run; the beginning and the path are of a project that quotes it";
    CLEARING_ORDER "clearing-order" ""
        "`clear_thinking_20251015` strategy must be listed first in `edits`"
        "document, 2026; the text is inferred" weak;
    COMPACTION_BESIDE "compaction-beside" "compaction"
        "Cannot be combined with `{what}`"
        "SDK 2.14 and 1.14, types and tool runner; the text is inferred from them" weak;
    TRAILING_SPACE "trailing-space" "messages"
        "final assistant content cannot end with trailing whitespace"
        "2025 to 2026, live run; the path is of older threads";
    THINKING_FORCED "thinking-forced-tool" ""
        "Thinking may not be enabled when tool_choice forces tool use."
        "2026, live run";
    THINKING_TEMPERATURE "thinking-temperature" ""
        "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking"
        "2026, two threads; the end is of an older one";
    THINKING_TOP_P "thinking-top-p" ""
        "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking"
        "2026-01-08, log; the end as for `temperature`";
    THINKING_TOP_K "thinking-top-k" ""
        "`top_k` must be unset when thinking is enabled or in adaptive mode. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#important-considerations-when-using-extended-thinking"
        "2025 to 2026, threads; the end as for `temperature`";
    THINKING_FIRST "thinking-first" "messages.{message}.content.0.type"
        "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
        "2025 to 2026, three threads, the whole text in one";
    THINKING_SIGNATURE "thinking-signature" "messages.{message}.content.{block}"
        "Invalid `signature` in `thinking` block"
        "2026-07 to 2026-08, logs with request ids; microsoft/vscode#322138";
    THINKING_ENABLED "thinking-enabled" ""
        "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        "2026, three threads";
    THINKING_DISABLED "thinking-disabled" ""
        "\"thinking.type.disabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        "2026, two threads";
    THINKING_DISABLED_BETWEEN "thinking-disabled-between" ""
        "To turn thinking off on this model, send \"thinking\": {\"type\": \"between_tools\"} instead of {\"type\": \"disabled\"}. The model does not think before responding. The short updates it writes between tool calls come back as thinking blocks."
        "document, 2026-09; live tests of 2026-09-29 have a part of it";
    EFFORT_UNTHOUGHT "effort-unthought" ""
        "output_config.effort '{effort}' is not supported when thinking is disabled on this model. Use effort 'high' or below, or enable thinking."
        "2026-07-30 to 2026-09-29, live tests of claude-opus-5 and claude-sonnet-5-5, one with a request id";
    ASSISTANT_IMAGE "assistant-image" "messages.{message}.content"
        "'image' blocks are not permitted within assistant turns."
        "2026-09-20, logs with request ids";
    THINKING_DISABLED_PREVIEW "thinking-disabled-preview" ""
        "\"thinking.type.disabled\" is not supported for this model. Thinking defaults to adaptive mode when not specified; use \"thinking.type.enabled\" with \"budget_tokens\" for extended thinking."
        "2026, two gateways that quote it" weak;
    THINKING_ADAPTIVE "thinking-adaptive" ""
        "adaptive thinking is not supported on this model"
        "2026, threads";
    THINKING_BETWEEN_TOOLS "thinking-between-tools" ""
        "\"thinking.type.between_tools\" is not supported for this model."
        "inferred from the texts for `enabled` and `disabled`, and from model objects of SDK 2.11" weak;
    CLEARING_WITHOUT_THINKING "clearing-without-thinking" ""
        "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive"
        "2026, router-for-me/CLIProxyAPI#4957";
    FORCED_TOOL_MODEL "forced-tool-model" ""
        "tool_choice: type \"tool\" and \"any\" are not supported for this model."
        "2026-09-29, live test of claude-sonnet-5-5; two gateways" weak;
    SAMPLING_DEPRECATED "sampling-deprecated" ""
        "`{name}` is deprecated for this model."
        "2026-08-29, probe of claude-sonnet-5; many threads";
    SAMPLING_BOTH "sampling-both" ""
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        "2026-08-30, probe of claude-sonnet-4-5; many threads";
    PROGRAMMATIC_MODEL "programmatic-model" ""
        "'{model}' does not support programmatic tool calling. The following tools have `allowed_callers` that require it: {tools}. Explicitly set `allowed_callers=[\"direct\"]` on these tools, or use a model that supports programmatic tool calling."
        "2026-04-02 to 2026-08-28, logs, one with a request id";
    INJECTION_CONFLICT "injection-conflict" ""
        "Auto-injecting tools would conflict with existing tool names: ['code_execution']. Each tool name must be unique."
        "2026, four logs";
    STRICT_SCHEMA "strict-schema" "{path}"
        "For 'object' type, 'additionalProperties' must be explicitly set to false"
        "2026-08-28, probe of claude-haiku-4-5; many threads";
    STRICT_OPEN "strict-open" "{path}"
        "For 'object' type, 'additionalProperties: {given}' is not supported. Please set 'additionalProperties' to false"
        "2026-07-27, probe of claude-opus-4-8; many logs, one with a request id";
    STRICT_KEYWORD "strict-keyword" "{path}"
        "For '{kind}' type, property '{name}' is not supported"
        "2026-05-13 to 2026-09-27, probes of claude-haiku-4-5 and claude-opus-5-5, and logs with request ids";
    STRICT_KEYWORDS "strict-keywords" "{path}"
        "For '{kind}' type, properties {names} are not supported"
        "2026-07-07 to 2026-09-19, probes and logs";
    STRICT_MAX_LENGTH "strict-max-length" "{path}"
        "For 'string' type, property 'maxLength' is not supported"
        "2026, quoted by one project; probes of 2026-08-16 and 2026-09-21 have it taken" weak;
    STRICT_MIN_ITEMS "strict-min-items" "{path}"
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: [2, 5])"
        "2026-07-01 to 2026-09-21, logs: the numbers are the same whatever the schema holds";
    STRICT_ITEMS "strict-items" "{path}"
        "Invalid schema: Array types must be specified with a single object schema for 'items'."
        "2026-09-27, probe of claude-opus-5-5; logs of three clients";
    STRICT_ONE_OF "strict-one-of" "{path}"
        "Schema type 'oneOf' is not supported"
        "2026-05-22 to 2026-09-27, vercel/ai#12876, live runs, and a log with a request id";
    STRICT_NOT "strict-not" "{path}"
        "Schema keyword 'not' is not supported"
        "2026-09-27, probes of two projects, one of claude-opus-5-5";
    STRICT_SIBLINGS "strict-siblings" "{path}"
        "For 'anyOf', '{names}' is not supported"
        "2026-09-17 to 2026-09-27, probe of claude-opus-5-5 and live runs; `allOf` is told as `anyOf`";
    STRICT_EMPTY "strict-empty" "{path}"
        "Empty schema ({}) that accepts any JSON value is not supported. Please specify a concrete type."
        "2026-06 to 2026-09-27, probes and logs";
    STRICT_UNTYPED "strict-untyped" "{path}"
        "Invalid schema: Schema type is missing for schema: {schema}"
        "2026-05-07 to 2026-09-15, probes and logs; langgenius/dify-official-plugins#3886";
    STRICT_ENUM "strict-enum" "{path}"
        "Invalid schema: Enum value {value} does not match declared type '{kind}'"
        "2026-04-10 to 2026-10-07, probe of claude-haiku-4-5; some twenty logs, one with a request id";
    STRICT_REFERENCE "strict-reference" "{path}"
        "Invalid schema: Reference to non-existent definition: {reference}"
        "2026, logs of three clients, the newest of 2026-09-27";
    STRICT_CIRCLE "strict-circle" "{path}"
        "Invalid schema: Circular reference detected in schema definitions: {circle}. Self-referencing or mutually-referencing definitions are not supported."
        "2026-07-09 to 2026-09, probes; how more than one definition is told is inferred";
    STRICT_TOOLS "strict-tools" ""
        "Too many strict tools ({found}). The maximum number of strict tools supported is {most}. Try reducing the number of tools marked as strict."
        "2026-08-16 to 2026-10-01, probes of claude-haiku-4-5 and claude-sonnet-5-5; many logs";
    STRICT_OPTIONAL "strict-optional" ""
        "Schemas contains too many optional parameters ({found}), which would make grammar compilation inefficient. Reduce the number of optional parameters in your tool schemas (limit: {most})."
        "2026-10-03, recorded with its request id; probes of 2026-08-16";
    STRICT_UNIONS "strict-unions" ""
        "Schemas contains too many parameters with union types ({found} parameters with type arrays or anyOf). This causes exponential compilation cost. Reduce the number of nullable or union-typed parameters (limit: {most} parameters with unions)."
        "2026-10-03, recorded with its request id; probe of claude-haiku-4-5 on 2026-09-02";
    SCHEMA_INVALID "schema-invalid" "{path}.input_schema"
        "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). Learn more about tool use at https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview."
        "2025-06-06 to 2026-09, anthropics/claude-code#1690, #20720, and #86664, with this end since 2026-08; which schemas do not is inferred";
    SCHEMA_COMBINED "schema-combined" "{path}.input_schema"
        "input_schema does not support oneOf, allOf, or anyOf at the top level"
        "2026-05-07 to 2026-08-17, probe and logs";
    SCHEMA_KEYS "schema-keys" "{path}.input_schema.properties"
        "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'"
        "2026-04-13 to 2026-09-19, microsoft/pylance-release#7986 and logs";
    SKILLS_WITHOUT_CODE "skills-without-code" "container"
        "skills can only be used when a code execution tool is enabled"
        "2026-04, five failed runs";
    SKILLS_BETA_WITHOUT_CODE "skills-beta-without-code" ""
        "Skills beta requires the code_execution tool to be included in the request."
        "2026-08-18, probes of three models";
    CONTAINER_WITHOUT_CODE "container-without-code" "container"
        "Container identifier can only be provided when using the code execution tool"
        "2026-08-30 to 2026-09-05, probe of claude-sonnet-5 and live runs of three clients";
    SYSTEM_FIRST "system-first" "messages.{message}"
        "use the top-level 'system' parameter for the initial system prompt; the directive-only form (content: [] with output_config) is accepted at any position"
        "2026-10-06, probes of claude-opus-5-5";
    SYSTEM_MODEL "system-model" ""
        "role 'system' is not supported on this model"
        "2026-07 to 2026-09, live tests of several models";
    SYSTEM_AFTER "system-after" "messages.{message}"
        "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result; the directive-only form (content: [] with output_config) is accepted at any position"
        "2026-10-06, probes of claude-opus-5-5";
    SYSTEM_BEFORE "system-before" "messages.{message}"
        "role 'system' must precede an 'assistant' message or end the array; the directive-only form (content: [] with output_config) is accepted at any position"
        "2026-10-06, probes of claude-opus-5-5";
    SYSTEM_EMPTY "system-empty" "messages.{message}"
        "system content must contain at least one block"
        "2026-10-06, probes of claude-opus-5-5";
    SYSTEM_BLOCKS "system-blocks" "messages.{message}"
        "role 'system' supports text, tool_addition, and tool_removal blocks only"
        "2026-10-06, probes of claude-opus-5-5";
    SYSTEM_BLANK "system-blank" "messages.{message}"
        "system text blocks must contain non-whitespace text"
        "2026-08-31, probe of claude-sonnet-5";
    BLOCK_ROLE "block-role" "messages.{message}"
        "`{kind}` blocks can only be in `{role}` messages"
        "2026-08-28, probe of claude-haiku-4-5, for `tool_result`; others after it";
    THOUGHT_ROLE "thought-role" "messages.{message}.content"
        "thinking blocks may only be in `assistant` messages"
        "2026, log with a request id; two gateways";
    DOUBLED_ID "doubled-id" "messages.{message}.content.{block}"
        "`tool_use` ids must be unique"
        "2026, logs with request ids";
    DOUBLED_RESULT "doubled-result" "messages.{message}.content.{block}"
        "each tool_use must have a single result. Found multiple `{kind}` blocks with id: {id}"
        "2025-11-17, BerriAI/litellm#16711; 2026-10-08, log";
    ORPHAN_RESULT "orphan-result" "messages.{message}.content.{block}"
        "unexpected `tool_use_id` found in `{kind}` blocks: {id}. Each `{kind}` block must have a corresponding `{call}` block before it."
        "2026-05-26 and 2026-09-18, anthropics/claude-code#62577 and #95406";
    ERROR_RESULT_TEXT "error-result-text" "messages.{message}.content.{block}.tool_result"
        "all content must be type `text` if `is_error` is true"
        "2026, five clients that met it, can1357/oh-my-pi among them";
    FINAL_THOUGHT "final-thought" "messages.{message}"
        "The final block in an assistant message cannot be `thinking`."
        "2026-07-25, probe; logs with request ids";
    CONTAINER_REQUIRED "container-required" ""
        "container_id is required when there are pending tool uses generated by code execution with tools."
        "2026-04 to 2026-08-05, anthropics/anthropic-sdk-python#1424 and #1801";
    IMAGE_PIXELS "image-pixels" "{path}.image.source.base64.data"
        "At least one of the image dimensions exceed max allowed size: {most} pixels"
        "2025-08-04 to 2026-09-03, anthropics/claude-code#4778 and can1357/oh-my-pi#10633";
    IMAGE_PIXELS_OF_MANY "image-pixels-of-many" "{path}.image.source.base64.data"
        "At least one of the image dimensions exceed max allowed size for many-image requests: {most} pixels"
        "2025-10-11 to 2026-09-12, anthropics/claude-code#9375 and charmbracelet/crush#3810";
    PDF_PAGES "pdf-pages" "{path}.pdf.source.base64.data"
        "A maximum of {most} PDF pages may be provided."
        "2025-08-21 and 2025-11-20, anthropics/claude-code#6231 and warpdotdev/warp#8114";
    PDF_PAGES_IN_ALL "pdf-pages-in-all" ""
        "A maximum of {most} PDF pages may be provided."
        "2025-08-13 and 2026-02-05, anthropics/claude-code#5707 and warpdotdev/warp#8573; that it is for all together is inferred" weak;
    MEDIA_COUNT "media-count" ""
        "Too much media: {pages} document pages + {images} images > {most}"
        "2026, logs of two clients, and of others on Bedrock";
    MEDIA_COUNT_OF_LONG_CONTEXT "media-count-of-long-context" ""
        "Too much media: {pages} document pages + {images} images > {most}"
        "document, 2026-03, for the number; the text is that of shorter contexts" weak;
    CITATIONS_MIXED "citations-mixed" ""
        "citations must be enabled on all or none of the {what} within a request"
        "document, 2026-07; the text is inferred from it" weak;
    MCP_UNREFERENCED "mcp-unreferenced" ""
        "MCP server '{name}' is defined but not referenced by any `mcp_toolset` in `tools`."
        "2026-09-01, anthropics/anthropic-sdk-csharp#255";
    COUNT_SERVER_TOOLS "count-server-tools" ""
        "Server tools are not supported in the count_tokens endpoint: {tools}. Use the /v1/messages endpoint instead."
        "2026-04 to 2026-09-18, a dozen logs and probes, one with a request id; with the quirk `count-server-tools`";
    COUNT_FILES "count-files" ""
        "File sources are not supported in the token counting endpoint."
        "2026-08-21, live run; logs of five other clients";
    MODEL_UNKNOWN "model-unknown" "model"
        "{model}"
        "2026-07-22, log with request ids";
    SKILL_DISPLAY_NAME "skill-display-name" ""
        "{field} must be at most 255 characters long"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_TITLE_TAKEN "skill-title-taken" ""
        "Skill cannot reuse an existing display_title: {title}"
        "2026-07-10, probe; logs of many clients";
    SKILL_FILES "skill-files" "files[]"
        "Field required"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_NAME_CHANGED "skill-name-changed" ""
        "Skill name '{name}' in SKILL.md must be consistent across all versions for a given `skill_id`. Expected '{expected}'."
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_VERSION_ID "skill-version-id" ""
        "Invalid version id: '{version}'"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform; the status is inferred";
    SKILL_VERSION_FORMAT "skill-version-format" ""
        "Invalid version format: '{version}'. Version must be a numeric timestamp (e.g., '1759178010641129')."
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_LATEST "skill-latest" ""
        "'latest' is not accepted when {doing} a skill version. Address a specific version id: read the skill's latest_version_id, or GET /v1/skills/{skill_id}/versions/latest, and use that id."
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_ONLY_VERSION "skill-only-version" ""
        "cannot delete a Skill's only version. Delete the Skill, or create another version first"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_HAS_VERSIONS "skill-has-versions" ""
        "Cannot delete skill with existing versions. Delete all versions first."
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_SOURCE "skill-source" ""
        "source must be one of custom, anthropic"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_LIMIT "skill-limit" ""
        "limit must be between 1 and {most}"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_PAGE "skill-page" ""
        "page is not a valid page token."
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
    SKILL_NOT_FOUND "skill-not-found" ""
        "Skill not found: {id}"
        "2026-09-04, recorded by OpenSDLC-Dev/managed-agent-platform";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_values_and_other_braces_stay() {
        let said = SKILL_LATEST.say(&[("doing", &"deleting")]);
        assert!(said.starts_with("'latest' is not accepted when deleting a skill version."));
        assert!(said.contains("/v1/skills/{skill_id}/versions"), "{said}");
        assert_eq!(
            DOUBLED_ID.say(&[("message", &1), ("block", &2)]),
            "messages.1.content.2: `tool_use` ids must be unique"
        );
    }

    #[test]
    fn every_id_is_there_once() {
        let mut ids: Vec<_> = ALL.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
