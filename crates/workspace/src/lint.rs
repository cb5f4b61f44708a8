//! Lints: behavior of a client that the real service punishes silently, or would refuse.
//!
//! Codes are stable: tests and reports name them. `docs/VERIFY.md` lists them, and a test holds the two
//! together.

use std::borrow::Cow;

pub use control_api::LintLevel as Level;

/// A kind of mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub code: &'static str,
    pub level: Level,
    pub hint: &'static str,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    pub rule: &'static Rule,
    pub message: Cow<'static, str>,
}

impl Lint {
    pub fn new(rule: &'static Rule, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            rule,
            message: message.into(),
        }
    }

    pub(crate) fn cost_bytes(&self) -> usize {
        self.message.len()
    }
}

impl Lint {
    /// As control calls tell it.
    pub fn told(&self) -> control_api::Lint {
        control_api::Lint {
            code: self.rule.code.to_owned(),
            level: self.rule.level,
            message: self.message.clone().into_owned(),
            hint: self.rule.hint.to_owned(),
        }
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal, $level:ident, $hint:literal;)*) => {
        $(pub static $name: Rule = Rule { code: $code, level: Level::$level, hint: $hint };)*
        /// Every one of them.
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    INERT_UPLOAD = "inert_container_upload", Error,
        "send the `container_upload` block in the newest user message, or send the id of the container that has the file";
    DROPPED_CONTAINER = "dropped_container", Error,
        "send `container` with the id of the answer before: another container has none of its files and variables";
    IGNORED_PAUSE = "ignored_pause_turn", Error,
        "when `stop_reason` is `pause_turn`, append the answer's content as it is and send the request again";
    FORGOTTEN_UPLOAD = "upload_not_sent_again", Error,
        "a new container is empty: send every `container_upload` that is still needed in the message that starts it";
    IGNORED_EXPIRY = "ignored_container_expired", Error,
        "`container_expired` is no answer: send the question again without `container`, and with its files";
    LOST_CALLER = "lost_caller", Error,
        "send every block of the answer back as it came, `caller` included";
    FURTHER_OUTPUT = "unread_further_output", Error,
        "an answer may hold several files, in one result and in several: go through all of them";
    UNFETCHED_OUTPUT = "unfetched_output", Warning,
        "fetch it with `GET /v1/files/{id}/content`, hand it on, or delete it";
    UNRETURNED_OUTPUT = "output_not_returned", Warning,
        "it stays in the container: have code give it a name that the Files API takes, delete files that are no longer needed, or have a command copy to `$OUTPUT_DIR` what the editor has written elsewhere";
    SHORTENED_NAME = "shortened_filename", Warning,
        "keep names of files within 255 bytes: a directory holds no longer ones";
    MISSING_INPUT = "input_not_in_container", Warning,
        "make room in the container, give the file a shorter name, or one that nothing else has there, or keep it until a call has had it";
    SERVER_TOOL_RESULT = "tool_result_for_server_tool", Error,
        "`server_tool_use` blocks are answered by the service: send `tool_result` for `tool_use` blocks alone";
    EXPIRED_CONTAINER = "expired_container_reused", Error,
        "look at `expires_at`, and leave `container` out once it is over; the files have to be sent again";
    UNKNOWN_VERSION = "unknown_version", Warning,
        "send `anthropic-version: 2023-06-01`";
    UNKNOWN_BETA = "unknown_beta", Warning,
        "the service refuses betas that it does not know: look for a misspelling";
    STATE_LOST = "interpreter_state_lost", Warning,
        "keep in files what a later cell needs";
    FILES_LOST = "container_files_lost", Warning,
        "leave to the server what lies in its data directory and on its engine: calls of `/_sandtable` and of the API remove it";
    WEB_WITHOUT_SCRIPT = "web_without_script", Warning,
        "write what it finds under `web` in a rule";
    CHOICE_WITHOUT_EFFECT = "tool_choice_without_effect", Warning,
        "the service's model follows `tool_choice`: send another, or have the script follow it";
    FORMAT_WITHOUT_EFFECT = "format_without_effect", Warning,
        "the service's model writes JSON of the schema: have a rule write it as its text";
    UNCOUNTED_TOOLS = "server_tools_counted", Warning,
        "count without the tools that the service runs, or read `usage` of an answer";
    FAULT_WITHOUT_EFFECT = "fault_without_effect", Warning,
        "let it meet a call that runs in a sandbox, `fill_disk` one whose disk is limited: `sandtable docs faults`";
}
