//! Reading faults: every key checked, nothing guessed.

#[cfg(test)]
mod kinds;
mod turn;
mod wire;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Act, Fault, FaultError, HttpAct, Select, StreamAct, ToolAct};
use ::wire::usual;
use common::bounded;
use common::clock;
use common::document::did_you_mean;
use common::{header, hinted, limits};
use model::{Place, ServerTool, ServiceError};

const COMMON: [&str; 6] = ["at", "name", "model", "nth", "times", "probability"];
const ERROR: [&str; 5] = ["status", "type", "message", "error_code", "headers"];
const HTTP: [&str; 7] = ["path", "method", "do", "edge", "for_ms", "delay_ms", "by"];
const STREAM: [&str; 4] = ["do", "after_events", "for_ms", "delay_ms"];
const TOOL: [&str; 4] = ["tool", "do", "error_code", "error_message"];
/// The methods that a request can have.
pub const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const LONGEST_WAIT_MS: u64 = 24 * 60 * 60 * 1000;

::wire::words! {
    /// `at`.
    Layer {
        Http "http",
        Stream "stream",
        Tool "tool",
        Turn "turn",
        Wire "wire",
    }
    /// `do` of faults of HTTP and of streams.
    Transport {
        Error "error",
        Cut "cut",
        Stall "stall",
        Delay "delay_ms",
    }
    /// `do` of faults of HTTP that change what the request finds.
    Change {
        Advance "advance",
        DeleteFile "delete_file",
    }
    /// `do` of faults of tools.
    ToolWord {
        Error "error",
        KillSandbox "kill_sandbox",
        ExhaustMemory "exhaust_memory",
        FillDisk "fill_disk",
        EngineUnreachable "engine_unreachable",
    }
}

/// Reads one fault, or a list of them. Of a list with a mistake nothing is taken.
pub fn parse(value: &Value) -> Result<Vec<Fault>, FaultError> {
    match value {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, value)| {
                fault(value).map_err(|error| FaultError {
                    message: if list.len() > 1 {
                        format!("fault {}: {}", index + 1, error.message)
                    } else {
                        error.message
                    },
                    ..error
                })
            })
            .collect(),
        single => Ok(vec![fault(single)?]),
    }
}

/// Reads one fault, which is no list.
pub(super) fn fault(value: &Value) -> Result<Fault, FaultError> {
    let example = r#"such as {"at":"http","status":529,"times":2}"#;
    let Value::Object(members) = value else {
        return Err(bad("a fault is an object", example));
    };
    let Some(at) = members.get("at") else {
        return Err(bad(
            "`at` is missing",
            format!("{}; {example}", one_of(Layer::NAMES)),
        ));
    };
    let keys = Keys { members };
    keys.string("name")?;
    let layer = at.as_str().and_then(Layer::from_name);
    let Some(layer) = layer else {
        return Err(bad(format!("`at` is {at}"), one_of(Layer::NAMES)));
    };
    // A key that is misspelt is what the fault lacks.
    keys.check_known(layer)?;
    let act = match layer {
        Layer::Http => Act::Http(http(&keys)?),
        Layer::Stream => stream(&keys)?,
        Layer::Tool => Act::Tool(tool(&keys)?),
        Layer::Turn => Act::Turn(turn::read(&keys)?),
        Layer::Wire => Act::Wire(wire::read(&keys)?),
    };
    Ok(Fault {
        select: select(&keys)?,
        act,
        given: value.clone(),
    })
}

impl Layer {
    /// The keys that go with it, beside those of every fault.
    fn keys(self) -> Vec<&'static str> {
        match self {
            Self::Http => [&HTTP[..], &ERROR].concat(),
            Self::Stream => [&STREAM[..], &ERROR].concat(),
            Self::Tool => TOOL.to_vec(),
            Self::Turn => turn::KEYS.to_vec(),
            Self::Wire => wire::KEYS.to_vec(),
        }
    }
}

fn select(keys: &Keys<'_>) -> Result<Select, FaultError> {
    let probability = keys.get("probability", "a number above 0, up to 1", |value| {
        value
            .as_f64()
            .filter(|number| *number > 0.0 && *number <= 1.0)
    })?;
    // A fault left to luck is meant for the whole run; any other one happens once.
    let unless_given = if probability.is_some() { None } else { Some(1) };
    let times = keys.get("times", "a number, or `always` (also 0)", |value| {
        match (value.as_u64(), value.as_str()) {
            (Some(0), _) | (_, Some("always")) => Some(None),
            (Some(times), _) => Some(Some(times)),
            _ => None,
        }
    })?;
    Ok(Select {
        path: keys.path()?,
        method: keys.method()?,
        model: keys.pattern("model")?,
        tool: keys.get("tool", &one_of(ServerTool::NAMES), |value| {
            value.as_str().and_then(ServerTool::from_name)
        })?,
        nth: keys
            .get("nth", "a number from 1", |value| {
                value.as_u64().filter(|nth| *nth > 0)
            })?
            .unwrap_or(1),
        times: times.unwrap_or(unless_given),
        probability,
    })
}

fn http(keys: &Keys<'_>) -> Result<HttpAct, FaultError> {
    let word = keys.members.get("do").and_then(Value::as_str);
    if let Some(change) = word.and_then(Change::from_name) {
        return change_before(keys, change);
    }
    if keys.members.contains_key("by") {
        return Err(bad("`by` is for `do: advance`", "such as \"by\": \"30d\""));
    }
    match keys.action(&[Transport::NAMES, Change::NAMES].concat())? {
        Action::Error => {
            let edge = keys.boolean("edge")?.unwrap_or(false);
            let mut error = service_error(keys, None)?;
            if edge && error.details.is_some() {
                return Err(bad(
                    "`error_code` does not go with `edge`",
                    "the edge's body has a type and a message alone",
                ));
            }
            if edge {
                let (kind, message) = usual::edge_of(error.status).ok_or_else(|| {
                    bad(
                        "`edge` goes with the status 403 or 413",
                        "the edge answers no other",
                    )
                })?;
                if keys.string("type")?.is_none() {
                    kind.clone_into(&mut error.kind);
                }
                if keys.string("message")?.is_none() {
                    message.clone_into(&mut error.message);
                }
            }
            Ok(HttpAct::Error { error, edge })
        }
        Action::Cut => Ok(HttpAct::Cut),
        Action::Wait(span) => Ok(HttpAct::Wait(span)),
    }
}

/// Reads a change that is made before the request is handled, which then goes its way.
fn change_before(keys: &Keys<'_>, change: Change) -> Result<HttpAct, FaultError> {
    let own: &[&str] = match change {
        Change::Advance => &["by"],
        Change::DeleteFile => &[],
    };
    let of_others = [&HTTP[3..], &ERROR].concat();
    keys.refuse_strays(change.name(), own, &of_others)?;
    let example = "a span of time such as 30d, 12h, 5m, or 90s";
    match change {
        Change::DeleteFile => Ok(HttpAct::DeleteFile),
        Change::Advance => {
            let by = keys.get("by", example, |value| clock::span(value.as_str()?))?;
            by.map(HttpAct::Advance)
                .ok_or_else(|| bad("`do: advance` needs `by`", example))
        }
    }
}

fn stream(keys: &Keys<'_>) -> Result<Act, FaultError> {
    let after = keys.get("after_events", "a number from 0", |value| {
        value.as_u64().and_then(|count| u32::try_from(count).ok())
    })?;
    let each = after.is_none() && keys.is_delay();
    // Without a number: as soon as the stream has begun.
    let after_events = if each { None } else { Some(after.unwrap_or(1)) };
    let act = match keys.action(Transport::NAMES)? {
        Action::Error => StreamAct::Error(service_error(keys, Some("stream"))?),
        Action::Cut => StreamAct::Cut,
        Action::Wait(span) => StreamAct::Wait(span),
    };
    Ok(Act::Stream { after_events, act })
}

fn tool(keys: &Keys<'_>) -> Result<ToolAct, FaultError> {
    let wanted = keys.string("tool")?.and_then(ServerTool::from_name);
    // Without a tool: those that run code.
    let code_tools = [ServerTool::Bash, ServerTool::Editor, ServerTool::Python];
    let tools = wanted
        .as_ref()
        .map_or(&code_tools[..], std::slice::from_ref);
    let mut names: Vec<_> = tools.iter().flat_map(|tool| tool.error_names()).collect();
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(*name));
    let codes = one_of(&names);
    let code = keys.get("error_code", &codes, |value| {
        let name = value.as_str()?;
        tools.iter().find_map(|tool| tool.error_code(name))
    })?;
    let message = keys.string("error_message")?.map(str::to_owned);
    if let (Some(tool), Some(_)) = (wanted, &message)
        && !tool.prints_messages()
    {
        return Err(bad(
            format!("an error of `{}` has no `error_message`", tool.name()),
            "only those of the text editor and of searches for tools have one",
        ));
    }
    let deeds = one_of(ToolWord::NAMES);
    let action = keys.get("do", &deeds, |value| ToolWord::from_name(value.as_str()?))?;
    let act = match action {
        None | Some(ToolWord::Error) => {
            let code = code.ok_or_else(|| {
                bad(
                    "a tool fault needs an `error_code` or a `do`",
                    format!("`error_code`: {codes}; `do`: {deeds}"),
                )
            })?;
            return Ok(ToolAct::Code { code, message });
        }
        Some(ToolWord::KillSandbox) => ToolAct::KillSandbox,
        Some(ToolWord::ExhaustMemory) => ToolAct::ExhaustMemory,
        Some(ToolWord::FillDisk) => ToolAct::FillDisk,
        Some(ToolWord::EngineUnreachable) => ToolAct::EngineUnreachable,
    };
    if code.is_some() || message.is_some() {
        return Err(bad(
            "`error_code` and `error_message` do not go with this `do`",
            "what really fails has an error of its own",
        ));
    }
    match wanted.map(ServerTool::place) {
        Some(Place::Container) | None => {}
        Some(Place::Web) => {
            return Err(bad(
                "web tools have no sandbox that could fail",
                "name an `error_code`, such as max_uses_exceeded",
            ));
        }
        Some(Place::Service) => {
            return Err(bad(
                "tool search and the advisor have no sandbox that could fail",
                format!("name an `error_code`: {codes}"),
            ));
        }
    }
    if act == ToolAct::ExhaustMemory && wanted == Some(ServerTool::Editor) {
        return Err(bad(
            "the text editor runs no program that could exhaust memory",
            "leave `tool` out, or name bash_code_execution or code_execution",
        ));
    }
    Ok(act)
}

/// The error that `status`, `type`, and the rest amount to.
fn service_error(keys: &Keys<'_>, place: Option<&str>) -> Result<ServiceError, FaultError> {
    let status = keys.get("status", "a number from 400 to 599", |value| {
        let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
        status.filter(|status| (400..600).contains(status))
    })?;
    let kind = keys.string("type")?;
    let status = match (status, kind) {
        (Some(status), _) => status,
        (None, Some(kind)) => usual::status_of(kind).ok_or_else(|| {
            bad(
                format!("`{kind}` is no error type of the API; with a `status` it passes as given"),
                one_of(&usual::kinds()),
            )
        })?,
        (None, None) => {
            let deeds = match place {
                Some(_) => one_of(Transport::NAMES),
                None => one_of(&[Transport::NAMES, Change::NAMES].concat()),
            };
            let place = place.unwrap_or("http");
            return Err(bad(
                format!("{place} fault without `status`, `type`, or `do`"),
                format!(
                    "`status` such as 429, 500, 529; `type` such as overloaded_error; `do`: {deeds}"
                ),
            ));
        }
    };
    let kind = kind.unwrap_or_else(|| usual::kind_of(status));
    let code = keys.string("error_code")?;
    let mut headers = keys.headers()?;
    let named = headers.iter().map(|(name, _)| name.as_str());
    if let Some((name, value)) = usual::retry_after(status, code, named) {
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(ServiceError {
        status,
        kind: kind.to_owned(),
        message: keys
            .string("message")?
            .unwrap_or_else(|| usual::message_of(status, kind))
            .to_owned(),
        details: code.map(|code| Box::new(json!({ "error_code": code }))),
        headers,
        after_events: None,
    })
}

/// The value of `do`.
enum Action {
    Error,
    Cut,
    Wait(Option<Duration>),
}

/// The members of a fault, read by name and type.
struct Keys<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    fn get<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FaultError> {
        let Some(value) = self.members.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(bad(
                format!("`{key}` is {value}"),
                format!("`{key}` takes {expected}"),
            )),
        }
    }

    fn string(&self, key: &str) -> Result<Option<&'a str>, FaultError> {
        self.get(key, "a string", Value::as_str)
    }

    fn boolean(&self, key: &str) -> Result<Option<bool>, FaultError> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn pattern(&self, key: &str) -> Result<Option<glob::Pattern>, FaultError> {
        let most = limits::GLOB_STARS;
        let expected = format!("a name, or a pattern with `?` and at most {most} `*`");
        self.get(key, &expected, |value| bounded::glob(value.as_str()?).ok())
    }

    /// One that a path can fit: every path begins with a slash.
    fn path(&self) -> Result<Option<glob::Pattern>, FaultError> {
        let pattern = self.pattern("path")?;
        let fits = |pattern: &glob::Pattern| pattern.as_str().starts_with(['/', '*', '?', '[']);
        match pattern {
            Some(pattern) if !fits(&pattern) => Err(bad(
                format!("no path fits `{pattern}`"),
                "it begins with `/` or `*`, such as /v1/messages",
            )),
            pattern => Ok(pattern),
        }
    }

    fn method(&self) -> Result<Option<String>, FaultError> {
        self.get("method", &one_of(METHODS), |value| {
            let method = value.as_str()?.to_ascii_uppercase();
            METHODS.contains(&&*method).then_some(method)
        })
    }

    fn headers(&self) -> Result<Vec<(String, String)>, FaultError> {
        let expected = "an object of header names and texts";
        let headers = self.get("headers", expected, |value| {
            let pairs = value.as_object()?.iter().map(|(name, value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(flag) => flag.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => return None,
                };
                Some((name.to_ascii_lowercase(), value))
            });
            pairs.collect::<Option<Vec<_>>>()
        })?;
        let headers = headers.unwrap_or_default();
        let names = headers.iter().map(|(name, _)| name.as_str());
        if let Some(twice) = header::named_twice(names) {
            let (message, hint) = hinted::split(&twice);
            let hint = hint.unwrap_or_default();
            return Err(bad(format!("`headers`: {message}"), hint));
        }
        for (name, value) in &headers {
            let checked = header::check_name(name).and_then(|()| header::check_value(name, value));
            checked.map_err(|wrong| {
                let (message, hint) = hinted::split(&wrong);
                bad(format!("`headers`: {message}"), hint.unwrap_or_default())
            })?;
        }
        Ok(headers)
    }

    fn milliseconds(&self, key: &str) -> Result<Option<Duration>, FaultError> {
        self.get(key, "milliseconds, up to a day", |value| {
            let span = value.as_u64().filter(|span| *span <= LONGEST_WAIT_MS);
            span.map(Duration::from_millis)
        })
    }

    /// `delay_ms: N` is short for `do: delay_ms` and `for_ms: N`.
    fn is_delay(&self) -> bool {
        let action = self.members.get("do").and_then(Value::as_str);
        action.map_or(self.members.contains_key("delay_ms"), |action| {
            action == "delay_ms"
        })
    }

    /// Refuses those of the keys `of_others` that are not the action's `own`.
    fn refuse_strays(
        &self,
        action: &str,
        own: &[&str],
        of_others: &[&str],
    ) -> Result<(), FaultError> {
        let mut strays = of_others.iter().filter(|key| !own.contains(key));
        match strays.find(|key| self.members.contains_key(**key)) {
            None => Ok(()),
            Some(stray) => Err(bad(
                format!("`{stray}` does not go with `do: {action}`"),
                match own {
                    [] => "leave it out".to_owned(),
                    own => format!("it takes {}", own.join(", ")),
                },
            )),
        }
    }

    fn action(&self, names: &[&str]) -> Result<Action, FaultError> {
        let action = self.get("do", &one_of(names), |value| {
            Transport::from_name(value.as_str()?)
        })?;
        let span = self.milliseconds("for_ms")?;
        let delay = self.milliseconds("delay_ms")?;
        let action = match action {
            Some(action) => action,
            None if delay.is_some() => Transport::Delay,
            None => Transport::Error,
        };
        let stray = |key: &str, of: &str| {
            bad(
                format!("`{key}` does not go with `do: {}`", action.name()),
                format!("`{key}` is for {of}"),
            )
        };
        if span.is_some() && delay.is_some() {
            return Err(bad(
                "`delay_ms` and `for_ms` say two lengths",
                "leave one out",
            ));
        }
        let waits = matches!(action, Transport::Stall | Transport::Delay);
        if span.is_some() && !waits {
            return Err(stray("for_ms", "`stall` and `delay_ms`"));
        }
        if delay.is_some() && action != Transport::Delay {
            return Err(stray("delay_ms", "a fault that only delays"));
        }
        if action != Transport::Error
            && let Some(key) = ERROR
                .iter()
                .chain(&["edge"])
                .find(|key| self.members.contains_key(**key))
        {
            return Err(stray(key, "a fault that is an error"));
        }
        match action {
            Transport::Error => Ok(Action::Error),
            Transport::Cut => Ok(Action::Cut),
            Transport::Stall => Ok(Action::Wait(span)),
            Transport::Delay => match delay.or(span) {
                Some(span) => Ok(Action::Wait(Some(span))),
                None => Err(bad("a delay needs its length", "such as \"delay_ms\": 250")),
            },
        }
    }

    fn check_known(&self, layer: Layer) -> Result<(), FaultError> {
        let known = [&COMMON[..], &layer.keys()].concat();
        let Some(key) = self
            .members
            .keys()
            .find(|key| !known.contains(&key.as_str()))
        else {
            return Ok(());
        };
        let at = &self.members["at"];
        let others = Layer::ALL
            .iter()
            .filter(|other| other.keys().contains(&key.as_str()));
        let others: Vec<&str> = others.map(|other| other.name()).collect();
        let hint = if others.is_empty() {
            did_you_mean(key, known.iter().copied(), || one_of(&known))
        } else {
            format!("it goes with `at`: {}", others.join(", "))
        };
        Err(bad(format!("`{key}` is no key of a fault at {at}"), hint))
    }
}

fn bad(message: impl Into<String>, hint: impl Into<String>) -> FaultError {
    FaultError {
        message: message.into(),
        hint: hint.into(),
    }
}

fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(value: &Value) -> (String, String) {
        let error = parse(value).unwrap_err();
        (error.message, error.hint)
    }

    #[test]
    fn status_and_type_imply_each_other_and_the_message() {
        let error = |value: &Value| match parse(value).unwrap().remove(0).act {
            Act::Http(HttpAct::Error { error, .. }) => error,
            other => panic!("{other:?}"),
        };
        let overloaded = error(&json!({"at": "http", "status": 529}));
        assert_eq!(overloaded.kind, "overloaded_error");
        assert_eq!(
            overloaded,
            error(&json!({"at": "http", "type": "overloaded_error"}))
        );
        let limited = error(&json!({"at": "http", "status": 429}));
        assert_eq!(
            limited.headers,
            [("retry-after".to_owned(), "1".to_owned())]
        );
        let soon = error(&json!({"at": "http", "status": 429, "headers": {"retry-after-ms": 1}}));
        assert_eq!(
            soon.headers,
            [("retry-after-ms".to_owned(), "1".to_owned())]
        );
        let spent = error(
            &json!({"at": "http", "status": 429, "error_code": "enforced_spend_limit_reached"}),
        );
        assert_eq!(spent.headers, []);
    }

    #[test]
    fn a_code_meets_only_the_tools_that_can_have_it() {
        let meets = |fault: &Value| {
            let fault = parse(fault).unwrap().remove(0);
            let model = "claude-opus-4-6";
            let tools = [
                ServerTool::Bash,
                ServerTool::Editor,
                ServerTool::Python,
                ServerTool::WebFetch,
            ];
            tools.map(|tool| {
                fault.fits(crate::fault::Occasion::Tool {
                    model,
                    tool,
                    goes_on: false,
                })
            })
        };
        for (code, tools) in [
            ("unavailable", [true, true, true, false]),
            ("string_not_found", [false, true, false, false]),
            ("output_file_too_large", [true, false, false, false]),
        ] {
            let found = meets(&json!({"at": "tool", "error_code": code}));
            assert_eq!(found, tools, "{code}");
        }
        let with_text = json!({"at": "tool", "error_code": "unavailable", "error_message": "x"});
        assert_eq!(meets(&with_text), [true, true, true, false]);
    }

    #[test]
    fn a_mistake_is_named_with_a_way_out() {
        let (message, hint) = wrong(&json!({"at": "http", "satus": 529, "status": 500}));
        assert_eq!(message, "`satus` is no key of a fault at \"http\"");
        assert_eq!(hint, "did you mean `status`?");
        let (message, hint) = wrong(&json!([{"at": "http", "status": 500}, {"at": "tool"}]));
        assert!(
            message.starts_with("fault 2: a tool fault needs"),
            "{message}"
        );
        assert!(hint.contains("kill_sandbox"), "{hint}");
        let (message, hint) = wrong(&json!({"at": "http", "staus": 529}));
        assert_eq!(message, "`staus` is no key of a fault at \"http\"");
        assert_eq!(hint, "did you mean `status`?");
        let (_, hint) = wrong(&json!({"at": "stream", "path": "/v1/messages", "do": "cut"}));
        assert_eq!(hint, "it goes with `at`: http, wire");
        let (_, hint) = wrong(&json!({"at": "http"}));
        assert!(hint.ends_with("delay_ms, advance, delete_file"), "{hint}");
        let (_, hint) = wrong(&json!({"at": "http", "type": "oops_error"}));
        assert_eq!(hint.matches("timeout_error").count(), 1, "{hint}");
        for value in [
            json!({"at": "http", "status": 500, "path": "v1/messages"}),
            json!({"at": "wire", "do": "merge", "path": ""}),
            json!({"at": "http", "status": 500, "method": "FETCH"}),
            json!({"at": "tool", "tool": "bash_code_execution", "error_code": "string_not_found"}),
            json!({"at": "tool", "tool": "text_editor_code_execution", "error_code": "output_file_too_large"}),
            json!({"at": "tool", "tool": "code_execution", "error_code": "file_not_found"}),
            json!({"at": "tool", "tool": "bash_code_execution", "error_code": "unavailable", "error_message": "x"}),
            json!(7),
            json!({}),
            json!({"at": "disk"}),
            json!({"at": "http"}),
            json!({"at": "http", "status": "529"}),
            json!({"at": "http", "status": 200}),
            json!({"at": "http", "status": 500, "times": -1}),
            json!({"at": "http", "status": 500, "nth": 0}),
            json!({"at": "http", "status": 500, "probability": 2}),
            json!({"at": "http", "status": 500, "edge": true}),
            json!({"at": "http", "status": 403, "edge": true, "error_code": "x"}),
            json!({"at": "http", "delay_ms": 5, "for_ms": 7}),
            json!({"at": "stream", "do": "delay_ms", "delay_ms": 5, "for_ms": 7}),
            json!({"at": "wire", "do": "pace", "tokens_per_second": 1e-30}),
            json!({"at": "wire", "do": "pace", "tokens_per_second": 0}),
            json!([[{"at": "http", "status": 500}]]),
            json!({"at": "http", "status": 500, "headers": {"anthropic-workspace-id": "x"}}),
            json!({"at": "http", "status": 500, "after_events": 1}),
            json!({"at": "http", "status": 500, "headers": {"a b": "c"}}),
            json!({"at": "http", "status": 500, "headers": {"a": "b\r\nc: d"}}),
            json!({"at": "http", "status": 500, "headers": {"a": []}}),
            json!({"at": "http", "status": 500, "headers": {"Content-Length": 5}}),
            json!({"at": "http", "status": 500, "headers": {"transfer-encoding": "chunked"}}),
            json!({"at": "stream", "status": 500, "headers": {"connection": "upgrade"}}),
            json!({"at": "http", "type": "oops_error"}),
            json!({"at": "http", "do": "advance"}),
            json!({"at": "http", "do": "advance", "by": "a month"}),
            json!({"at": "http", "do": "advance", "by": "1d", "status": 500}),
            json!({"at": "http", "do": "delete_file", "by": "1d"}),
            json!({"at": "http", "status": 500, "by": "1d"}),
            json!({"at": "stream", "do": "advance", "by": "1d"}),
            json!({"at": "stream", "do": "explode"}),
            json!({"at": "stream", "do": "cut", "status": 500}),
            json!({"at": "stream", "do": "cut", "for_ms": 5}),
            json!({"at": "stream", "do": "delay_ms"}),
            json!({"at": "stream", "path": "/v1/messages", "do": "cut"}),
            json!({"at": "tool", "error_code": "boom"}),
            json!({"at": "tool", "tool": "bash", "error_code": "unavailable"}),
            json!({"at": "tool", "do": "kill_sandbox", "error_code": "unavailable"}),
            json!({"at": "tool", "do": "exhaust_memory", "tool": "text_editor_code_execution"}),
        ] {
            let (message, hint) = wrong(&value);
            assert!(!message.is_empty() && !hint.is_empty(), "{value}");
        }
    }
}
