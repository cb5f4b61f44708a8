//! Where sources disagree about the service: one switch per row, and the profiles that set them all.
//!
//! Layers: the server's profile and overrides, then the workspace's, then one request's. `docs/QUIRKS.md`
//! has the table.

mod layer;
mod value;

use std::borrow::Cow;

use chrono::TimeDelta;
use control_api::QuirkState;
use serde_json::{Map, Value, json};

pub use layer::{Layer, Layers};
use value::QuirkValue;

use common::hinted::Hinted;

/// Recorded for web search in 2026-05; answers with code have had 16 and 32.
const TURN_ITERATIONS: u32 = 10;

/// Which source decides the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The public documents: what clients are written against.
    #[default]
    Documented,
    /// Recordings and threads.
    Observed,
}

/// A name or value that is none, and those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QuirkError {
    pub message: String,
    pub hint: String,
}

impl Hinted for QuirkError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }
}

impl Profile {
    /// The name in flags and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Observed => "observed",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = QuirkError;

    fn from_str(text: &str) -> Result<Self, QuirkError> {
        [Self::Documented, Self::Observed]
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| QuirkError {
                message: format!("no profile `{text}`"),
                hint: "one of documented, observed".to_owned(),
            })
    }
}

/// One row: its type of value, and what each profile sets.
macro_rules! quirks {
    ($($(#[$doc:meta])* $field:ident $name:literal: $type:ty = $documented:expr, $observed:expr;)+) => {
        /// How the service behaves, row by row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Quirks {
            $($(#[$doc])* pub $field: $type,)+
        }

        /// The names of all rows.
        pub const NAMES: &[&str] = &[$($name),+];

        impl Quirks {
            /// The values that a profile sets.
            pub fn of(profile: Profile) -> Self {
                match profile {
                    Profile::Documented => Self { $($field: $documented),+ },
                    Profile::Observed => Self { $($field: $observed),+ },
                }
            }

            /// Sets one row.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), QuirkError> {
                match name {
                    $($name => self.$field = read(name, value)?,)+
                    _ => return Err(unknown(name)),
                }
                Ok(())
            }

            /// Every row: its name, present value, and the values there are.
            pub fn rows(&self) -> Vec<(&'static str, String, &'static [&'static str])> {
                vec![$(($name, self.$field.text(), <$type as QuirkValue>::VALUES)),+]
            }
        }
    };
}

/// A quirk whose values are words.
macro_rules! words {
    ($($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant),+
        }

        impl QuirkValue for $type {
            const VALUES: &'static [&'static str] = &[$($word),+];

            fn read(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn text(&self) -> String {
                match self {
                    $(Self::$variant => $word.to_owned()),+
                }
            }
        }
    )+};
}

words! {
    /// The meaning of `expires_at`.
    ExpiresAt {
        /// The last use and an hour.
        Rolling "rolling",
        /// The creation and 30 days.
        Hard "hard",
    }
    /// The answer to a request that names an expired container.
    ExpiredContainer {
        /// Each call gets `container_expired`.
        ToolError "tool-error",
        /// 500 `api_error`, as it was before.
        ServerError "server-error",
        /// 400 `invalid_request_error`.
        RequestError "request-error",
        /// 404 `not_found_error`, as clients meet it today.
        NotFound "not-found",
    }
    /// The answer to a request that names an unknown container.
    UnknownContainer {
        /// 404 `not_found_error`.
        NotFound "not-found",
        /// The same as an expired one.
        AsExpired "as-expired",
    }
    /// Whether usage counts code executions.
    CodeExecutionCounter {
        Counted "counted",
        Absent "absent",
    }
    /// The code for an `old_str` that is not in the file.
    EditorMissingString {
        StringNotFound "string_not_found",
        Unavailable "unavailable",
    }
    /// The code for viewing a directory.
    EditorDirectoryView {
        InvalidToolInput "invalid_tool_input",
        Unavailable "unavailable",
    }
    /// The last newline of stdout under `code_execution_20250522`.
    LegacyStdoutNewline {
        Kept "kept",
        Stripped "stripped",
    }
    /// `caller` on server calls that the model wrote.
    ServerCaller {
        Absent "absent",
        Direct "direct",
    }
    /// `container` when a client tool pauses pending code.
    PauseContainer {
        Sent "sent",
        Omit "omit",
    }
    /// The keys of editor results.
    EditorKeys {
        SnakeCase "snake_case",
        CamelCase "camelCase",
    }
    /// Which web tools make code execution free in the ledger.
    FreeWithWeb {
        /// `web_search` and `web_fetch` of 2026-02-09 or later.
        Newer "20260209",
        Any "any",
    }
    /// Which uploads are mounted.
    UploadScope {
        /// Those of the newest user turn; the journal notes the others.
        Newest "newest",
        /// The same, without a note.
        NewestSilently "newest-silently",
        /// Those of every user turn.
        All "all",
    }
    /// Which year's API this is.
    Era {
        /// Beta headers are optional and choose the shape.
        Current "current",
        /// Beta headers are required, and the shapes are the old ones.
        Beta2025 "beta-2025",
    }
    /// Whether files saved beside `$OUTPUT_DIR` come back.
    CaptureWorkdir {
        Never "never",
        /// New files in the working directory do, if the call left `$OUTPUT_DIR` empty.
        WhenOutputDirEmpty "when-output-dir-empty",
    }
}

words! {
    /// The member `container` of an answer without code.
    NoContainer {
        /// `"container": null`, since 2026-09-15.
        Null "null",
        /// No `container`, until 2026-09-02.
        Absent "absent",
    }
    /// How a thought is streamed whose text is hidden.
    HiddenThinking {
        /// One empty `thinking_delta` before the signature, recorded since 2026-09-22.
        EmptyDelta "empty-delta",
        /// The signature alone.
        SignatureAlone "signature-alone",
    }
    /// Which answers of models before 4.7 have `output_tokens_details`.
    ThinkingDetails {
        /// All whose request has thinking on, recorded since 2026-08.
        WithThinking "with-thinking",
        /// Of these, those of Sonnet 4.5 and 4.6 alone.
        ByModel "by-model",
    }
    /// The document of a fetched page.
    FetchDocument {
        /// `retrieved_at` without a zone, `title` null, what was said of citations; since 2026-06.
        Current "current",
        /// `retrieved_at` with a zone, no `title` without one, citations only where they are on.
        Until202605 "until-2026-05",
    }
    /// Whether tokens of a request with server tools are counted.
    CountServerTools {
        Taken "taken",
        /// 400, as clients meet it.
        Refused "refused",
    }
    /// The treatment of a request that the service is not known to refuse today.
    WeakRefusals {
        /// Refused, in the words that others quote or that it had once.
        Refused "refused",
        Taken "taken",
    }
}

/// Rounds of server tools before `pause_turn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnIterations(pub u32);

/// How long a container may idle before it expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerIdle(pub Option<TimeDelta>);

quirks! {
    container_expires_at "container-expires-at": ExpiresAt = ExpiresAt::Rolling, ExpiresAt::Rolling;
    container_idle "container-idle": ContainerIdle = ContainerIdle(None), ContainerIdle(None);
    expired_container "expired-container": ExpiredContainer = ExpiredContainer::ToolError, ExpiredContainer::ServerError;
    unknown_container "unknown-container": UnknownContainer = UnknownContainer::NotFound, UnknownContainer::AsExpired;
    code_execution_counter "code-execution-counter": CodeExecutionCounter = CodeExecutionCounter::Counted, CodeExecutionCounter::Absent;
    editor_missing_string "editor-missing-string": EditorMissingString = EditorMissingString::StringNotFound, EditorMissingString::Unavailable;
    editor_directory_view "editor-directory-view": EditorDirectoryView = EditorDirectoryView::InvalidToolInput, EditorDirectoryView::Unavailable;
    legacy_stdout_newline "legacy-stdout-newline": LegacyStdoutNewline = LegacyStdoutNewline::Kept, LegacyStdoutNewline::Stripped;
    server_caller "server-caller": ServerCaller = ServerCaller::Absent, ServerCaller::Absent;
    pause_container "pause-container": PauseContainer = PauseContainer::Sent, PauseContainer::Sent;
    editor_keys "editor-keys": EditorKeys = EditorKeys::SnakeCase, EditorKeys::SnakeCase;
    free_with_web "free-with-web": FreeWithWeb = FreeWithWeb::Newer, FreeWithWeb::Newer;
    upload_scope "upload-scope": UploadScope = UploadScope::Newest, UploadScope::NewestSilently;
    era "era": Era = Era::Current, Era::Current;
    capture_workdir "capture-workdir": CaptureWorkdir = CaptureWorkdir::Never, CaptureWorkdir::Never;
    no_container "no-container": NoContainer = NoContainer::Null, NoContainer::Null;
    hidden_thinking "hidden-thinking": HiddenThinking = HiddenThinking::EmptyDelta, HiddenThinking::EmptyDelta;
    thinking_details "thinking-details": ThinkingDetails = ThinkingDetails::WithThinking, ThinkingDetails::WithThinking;
    fetch_document "fetch-document": FetchDocument = FetchDocument::Current, FetchDocument::Current;
    count_server_tools "count-server-tools": CountServerTools = CountServerTools::Taken, CountServerTools::Refused;
    weak_refusals "weak-refusals": WeakRefusals = WeakRefusals::Refused, WeakRefusals::Refused;
    turn_iterations "turn-iterations": TurnIterations = TurnIterations(TURN_ITERATIONS), TurnIterations(TURN_ITERATIONS);
}

impl Default for Quirks {
    fn default() -> Self {
        Self::of(Profile::default())
    }
}

fn read<T: QuirkValue>(name: &str, value: &str) -> Result<T, QuirkError> {
    T::read(value).ok_or_else(|| QuirkError {
        message: format!("`{value}` is no value of `{name}`"),
        hint: format!("one of {}", T::VALUES.join(", ")),
    })
}

fn unknown(name: &str) -> QuirkError {
    QuirkError {
        message: format!("no quirk `{name}`"),
        hint: format!("one of {}, or `profile`", NAMES.join(", ")),
    }
}

/// Every row with its value and what else there is, for the control API.
pub fn describe(quirks: &Quirks) -> Map<String, Value> {
    let rows = quirks.rows().into_iter().map(|(name, value, values)| {
        let row = QuirkState {
            value,
            values: values.iter().map(ToString::to_string).collect(),
        };
        (name.to_owned(), json!(row))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_every_row_is_read_back_as_it_is_printed() {
        for (name, _, values) in Quirks::default().rows() {
            for value in values {
                let value = match (name, value.contains('<')) {
                    ("turn-iterations", true) => "16",
                    (_, true) => "270s",
                    (_, false) => value,
                };
                let mut quirks = Quirks::default();
                quirks.set(name, value).unwrap();
                let row = quirks.rows().into_iter().find(|row| row.0 == name);
                assert_eq!(row.unwrap().1, *value);
            }
        }
    }

    #[test]
    fn an_unknown_name_or_value_lists_what_there_is() {
        let error = Quirks::default().set("era", "1999").unwrap_err();
        assert_eq!(error.message, "`1999` is no value of `era`");
        assert_eq!(error.hint, "one of current, beta-2025");
        let error = Quirks::default().set("eras", "current").unwrap_err();
        assert!(error.hint.contains("container-idle"), "{}", error.hint);
    }
}
