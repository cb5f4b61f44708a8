//! The tools, each of them one or two control calls.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ContentBlock, Implementation, IntoContents, ServerCapabilities, ServerConfig};
use rmcp::schemars::{self, JsonSchema};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::VERSION;
use crate::docs::{self, NoPage};
use crate::remote::{Remote, RemoteError};
use common::document;
use common::hinted::{self, Hinted, Mistake};
use model::script::{self, Diagnostic};

/// The instructions that an agent gets before its first call.
const INSTRUCTIONS: &str = "\
sandtable emulates the code execution side of Anthropic's API on this machine. What the model says is scripted: rules, each with `when` (which \
requests) and `then` (which steps), whose calls really run in sandboxes. A turn that no rule matches is refused. To make a client's test pass: look \
at `unmatched_turns`, read one with `turn`, start from `draft_rule`, check with `check_script`, and load it with `add_rules`. `docs` prints the \
manual: `scripts` for the rules, `faults` for what can be made to fail.";

/// Entries that a list has if nobody says how many.
const USUAL_LIMIT: u16 = 20;

/// A server that runs, and who asks.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    server: Arc<Server>,
    tool_router: ToolRouter<Self>,
}

#[derive(Debug)]
struct Server {
    url: String,
    token: Option<String>,
    key: Option<String>,
}

/// Why a tool has no good answer.
#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error(transparent)]
    Server(#[from] RemoteError),
    #[error(transparent)]
    Page(#[from] NoPage),
    #[error("{}", hinted::told_all(.0))]
    Script(Vec<Diagnostic>),
    #[error("`id` and `action` belong together")]
    HalfAnOrder,
}

impl Hinted for ToolError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Server(error) => error.hint(),
            Self::Page(error) => error.hint(),
            Self::Script(_) => None,
            Self::HalfAnOrder => Some("without both the containers are listed".into()),
        }
    }
}

impl IntoContents for ToolError {
    fn into_contents(self) -> Vec<ContentBlock> {
        hinted::told(&self).into_contents()
    }
}

/// The result of a tool: text, or an error and what helps.
type Answer = Result<String, ToolError>;

/// The arguments of a tool that has none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Page {
    /// The page, such as `scripts`, `faults`, or `errors`; without it the list of pages.
    page: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// How many at most, the newest first; 20 if not given.
    limit: Option<u16>,
    /// Requests of this path, such as `/v1/messages`.
    path: Option<String>,
    /// With this status, such as `529`, or one of a class, such as `4xx`.
    status: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Turn {
    /// The request's id, `req_…`, as lists and answers of the API have it.
    request_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Script {
    /// Rules in YAML or JSON: a list of maps with `when` and `then`.
    rules: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Faults {
    /// A fault or a list of them, as `docs` with the page `faults` describes them, such as
    /// `{"at": "http", "status": 529, "times": 2}`.
    faults: Value,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Move {
    /// Let it pass, such as `90s`, `61m`, `30d`.
    Advance(String),
    /// Set it to this time (RFC 3339), and let it stand still.
    Set(String),
    /// Let it stand still.
    Freeze,
    /// Let it run.
    Thaw,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    /// What to do with it; without this it is only read.
    r#move: Option<Move>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ContainerMove {
    /// `container_…`; without it all are listed.
    id: Option<String>,
    /// `expire` (as after 30 days) or `sleep` (processes end, files stay).
    action: Option<ContainerAction>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ContainerAction {
    Expire,
    Sleep,
}

#[tool_router]
impl Tools {
    pub(super) fn new(url: String, token: Option<String>, key: Option<String>) -> Self {
        Self {
            server: Arc::new(Server { url, token, key }),
            tool_router: Self::tool_router(),
        }
    }

    /// Asks the server whether it is one.
    pub(super) async fn greet(&self) -> Result<(), RemoteError> {
        let _: Value = self.remote().get("health").await?;
        Ok(())
    }

    fn remote(&self) -> Remote<'_> {
        Remote {
            url: &self.server.url,
            key: self.server.key.as_deref(),
            token: self.server.token.as_deref(),
        }
    }

    async fn call(
        &self,
        method: &str,
        call: &str,
        body: impl Into<bytes::Bytes>,
    ) -> Result<Value, ToolError> {
        Ok(self.remote().call(method, call, body).await?)
    }

    async fn get(&self, call: &str) -> Result<Value, ToolError> {
        self.call("GET", call, "").await
    }

    async fn text(&self, call: &str) -> Answer {
        Ok(self.remote().text(call).await?)
    }

    #[tool(
        description = "Turns that no rule answered, each with the rules that came nearest and the clause that did not fit. Begin here."
    )]
    async fn unmatched_turns(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        let verdict = self.get("verify").await?;
        Ok(pretty(&verdict["unmatched"]))
    }

    #[tool(
        description = "The verdict on the run so far: unmatched turns, rules and steps that were never used, faults left over, lints."
    )]
    async fn verdict(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        self.get("verify").await.map(|verdict| pretty(&verdict))
    }

    #[tool(
        description = "What clients have asked and got, newest first: ids, paths, statuses, what answered, lints. Without bodies: `turn` has them."
    )]
    async fn requests(&self, Parameters(wanted): Parameters<Wanted>) -> Answer {
        let mut call = format!(
            "journal?bodies=false&limit={}",
            wanted.limit.unwrap_or(USUAL_LIMIT)
        );
        for (name, value) in [("path", wanted.path), ("status", wanted.status)] {
            if let Some(value) = value {
                call.push_str(&format_args!("&{name}={}", encoded(&value)).to_string());
            }
        }
        let found = self.get(&call).await?;
        let brief = |exchange: &Value| {
            let mut brief = json!({});
            for key in [
                "id",
                "at",
                "method",
                "path",
                "status",
                "duration_ms",
                "source",
                "lints",
                "client_left",
                "broke",
                "batch",
            ] {
                if !exchange[key].is_null() {
                    brief[key] = exchange[key].clone();
                }
            }
            brief
        };
        let exchanges = found["data"].as_array().into_iter().flatten();
        Ok(pretty(&exchanges.map(brief).collect()))
    }

    #[tool(
        description = "One request and its answer, whole, with the rule that answered (file and line) and what the real service would punish."
    )]
    async fn turn(&self, Parameters(Turn { request_id }): Parameters<Turn>) -> Answer {
        let call = format!("page/turns/{}", encoded(&request_id));
        let mut shown = self.get(&call).await?;
        let mut take = |key: &str| shown.get_mut(key).map(Value::take).unwrap_or_default();
        let mut turn = take("entry");
        for key in ["rule", "steps", "miss", "faults", "findings"] {
            let mut value = take(key);
            // The steps that it has are those of the rule in `list_rules`; these ran.
            if let (Some(rule), "rule") = (value.as_object_mut(), key) {
                rule.remove("steps");
            }
            if let Some(turn) = turn
                .as_object_mut()
                .filter(|_| !value.is_null() && value != json!([]))
            {
                turn.insert(key.to_owned(), value);
            }
        }
        Ok(pretty(&turn))
    }

    #[tool(
        description = "Drafts a rule that matches a turn and says what was answered, or leaves a step to write where there was no answer. Loads nothing."
    )]
    async fn draft_rule(&self, Parameters(Turn { request_id }): Parameters<Turn>) -> Answer {
        let call = format!("journal?format=script&id={}", encoded(&request_id));
        self.text(&call).await
    }

    #[tool(
        description = "The rules that are loaded, in the order in which they are tried, with how often each has answered."
    )]
    async fn list_rules(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        self.get("scripts").await.map(|rules| pretty(&rules))
    }

    #[tool(description = "Says what is wrong with rules, with line and column, and loads nothing.")]
    async fn check_script(&self, Parameters(Script { rules }): Parameters<Script>) -> Answer {
        let loaded = script::Scripts::default().replace(&rules, "rules");
        let loaded = loaded.map_err(ToolError::Script)?;
        let warnings = script::examine(&rules, "rules").warnings;
        if warnings.is_empty() {
            return Ok(format!("nothing is wrong with it: {} rules", loaded.rules));
        }
        let warnings = warnings.into_iter().map(|warning| {
            let control_api::Diagnostic {
                file,
                line,
                column,
                message,
                hint,
            } = warning;
            let told = Mistake::new(format!("{file}:{line}:{column}: {message}"));
            match hint {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        });
        let told = hinted::told_all(&warnings.collect::<Vec<_>>());
        Ok(format!(
            "{} rules would be loaded, but:\n{told}",
            loaded.rules
        ))
    }

    #[tool(
        description = "Adds rules after the workspace's own; the first that matches a turn answers it."
    )]
    async fn add_rules(&self, Parameters(Script { rules }): Parameters<Script>) -> Answer {
        self.call("POST", "scripts", rules)
            .await
            .map(|done| pretty(&done))
    }

    #[tool(description = "Replaces the workspace's own rules; an empty list drops them.")]
    async fn replace_rules(&self, Parameters(Script { rules }): Parameters<Script>) -> Answer {
        let done = if is_empty(&rules) {
            self.call("DELETE", "scripts", "").await
        } else {
            self.call("PUT", "scripts", rules).await
        };
        done.map(|done| pretty(&done))
    }

    #[tool(
        description = "Makes requests, streams, or tool calls fail on purpose, from the next one on."
    )]
    async fn add_faults(&self, Parameters(Faults { faults }): Parameters<Faults>) -> Answer {
        let done = self.call("POST", "faults", faults.to_string()).await;
        done.map(|done| pretty(&done))
    }

    #[tool(description = "The faults that are set, and how often each has fired.")]
    async fn list_faults(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        self.get("faults").await.map(|faults| pretty(&faults))
    }

    #[tool(description = "Drops all faults of the workspace.")]
    async fn clear_faults(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        self.call("DELETE", "faults", "")
            .await
            .map(|_| "no fault is set".to_owned())
    }

    #[tool(
        description = "Reads or moves the workspace's clock: containers expire, files end, batches age by it."
    )]
    async fn clock(&self, Parameters(ClockMove { r#move }): Parameters<ClockMove>) -> Answer {
        let body = match r#move {
            None => return self.get("clock").await.map(|clock| pretty(&clock)),
            Some(Move::Advance(span)) => json!({ "advance": span }),
            Some(Move::Set(time)) => json!({ "set": time, "freeze": true }),
            Some(Move::Freeze) => json!({ "freeze": true }),
            Some(Move::Thaw) => json!({ "freeze": false }),
        };
        let done = self.call("POST", "clock", body.to_string()).await;
        done.map(|clock| pretty(&clock))
    }

    #[tool(
        description = "Lists the workspace's containers, or lets one of them expire or fall asleep."
    )]
    async fn containers(&self, Parameters(wanted): Parameters<ContainerMove>) -> Answer {
        let done = match (wanted.id, wanted.action) {
            (None, None) => self.get("containers").await,
            (Some(id), Some(action)) => {
                let action = match action {
                    ContainerAction::Expire => "expire",
                    ContainerAction::Sleep => "sleep",
                };
                let call = format!("containers/{}/{action}", encoded(&id));
                self.call("POST", &call, "").await
            }
            _ => return Err(ToolError::HalfAnOrder),
        };
        done.map(|done| pretty(&done))
    }

    #[tool(
        description = "Empties the workspace: files, containers, scripts, faults, journal. Scripts and faults of the server's own files stay."
    )]
    async fn reset(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Answer {
        self.call("POST", "reset", "")
            .await
            .map(|_| "the workspace is empty".to_owned())
    }

    #[tool(description = "Prints a page of the manual, or the list of pages.")]
    async fn docs(&self, Parameters(Page { page }): Parameters<Page>) -> Answer {
        Ok(docs::print(page.as_deref())?)
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let mut config = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        config.server_info = Implementation::new("sandtable", VERSION);
        config.instructions = Some(INSTRUCTIONS.to_owned());
        config
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Whether a text is a list of rules with none in it.
fn is_empty(rules: &str) -> bool {
    match document::read(rules, "rules").map(|node| node.map(|node| node.to_json())) {
        Ok(None | Some(Value::Null)) => true,
        Ok(Some(Value::Object(members))) => {
            members.len() == 1 && members.get("rules") == Some(&json!([]))
        }
        Ok(Some(other)) => other == json!([]),
        Err(_) => false,
    }
}

/// A text as a part of a path or query.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    #[test]
    fn a_list_of_no_rules_is_empty_however_it_is_written() {
        for text in [
            "",
            "[]",
            " [ ]\n",
            "rules: []",
            r#"{"rules": []}"#,
            "# none\n",
        ] {
            assert!(is_empty(text), "{text}");
        }
        for text in ["- then: []", "rules: [{}]", "other: []", "[", "{}"] {
            assert!(!is_empty(text), "{text}");
        }
    }

    #[test]
    fn an_argument_that_a_tool_does_not_have_is_refused() {
        fn refused<T: DeserializeOwned>(mut arguments: Value) {
            assert!(T::deserialize(&arguments).is_ok(), "{arguments}");
            arguments["advance"] = "30d".into();
            let error = T::deserialize(&arguments).err().map(|it| it.to_string());
            assert!(error.is_some_and(|it| it.contains("unknown field `advance`")));
        }
        refused::<Nothing>(json!({}));
        refused::<Page>(json!({}));
        refused::<Wanted>(json!({}));
        refused::<Turn>(json!({"request_id": "req_1"}));
        refused::<Script>(json!({"rules": "[]"}));
        refused::<Faults>(json!({"faults": []}));
        refused::<ClockMove>(json!({}));
        refused::<ContainerMove>(json!({}));
    }
}
