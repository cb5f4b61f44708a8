//! One turn in a few lines: the request, what was said and called, what came of it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use cassette::{data_of_frame, message, split_frames};
use common::terminal;

/// Lines of a text, a code, or an output that are shown.
const FOLDED_LINES: usize = 3;
/// Letters of a line that are shown.
const FOLDED_CHARS: usize = 160;
const INDENT: &str = "          ";

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) colours: bool,
    pub(super) full: bool,
}

#[derive(Debug, Clone, Copy)]
enum Ink {
    Good,
    Odd,
    Bad,
    Name,
    Faint,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Odd => "33",
            Self::Bad => "31",
            Self::Name => "36",
            Self::Faint => "2",
        }
    }
}

/// An answer: its message as far as it goes, and what went wrong in it.
#[derive(Debug, Default)]
struct Said<'a> {
    message: Cow<'a, Value>,
    errors: Vec<String>,
    /// Events of a stream that are no JSON.
    unread: Vec<String>,
    /// A message's stream has no end.
    is_open: bool,
}

impl<'a> Said<'a> {
    fn of(body: &'a Value) -> Self {
        let error = |body: &Value| body["error"]["message"].as_str().map(str::to_owned);
        let Value::String(text) = body else {
            return Self {
                message: Cow::Borrowed(body),
                errors: error(body).into_iter().collect(),
                ..Self::default()
            };
        };
        let mut said = Self::default();
        let mut fold = message::Fold::default();
        for frame in split_frames(text) {
            let has_data = frame.lines().any(|line| line.starts_with("data:"));
            let Some(event) = data_of_frame(frame) else {
                if has_data {
                    said.unread.push(frame.trim_end().to_owned());
                }
                continue;
            };
            match event["type"].as_str().unwrap_or_default() {
                "message_start" => said.is_open = true,
                "message_stop" => said.is_open = false,
                "error" => said.errors.extend(error(&event)),
                _ => {}
            }
            fold.take(&event);
        }
        said.message = Cow::Owned(fold.end());
        said
    }

    fn is_broken(&self) -> bool {
        self.is_open || !self.errors.is_empty() || !self.unread.is_empty()
    }
}

impl Look {
    /// A request that has ended: `data` of its event, and what the journal has.
    pub(super) fn turn(self, data: &Value, exchange: Option<&Value>) -> String {
        let status = data["status"].as_u64().unwrap_or_default();
        let said = exchange.map(|exchange| Said::of(&exchange["response_body"]));
        let (left, broke) = (data["client_left"] == true, data["broke"] == true);
        let ink = match status {
            _ if broke || said.as_ref().is_some_and(Said::is_broken) => Ink::Bad,
            0..400 => Ink::Good,
            400..500 => Ink::Odd,
            _ => Ink::Bad,
        };
        let at = exchange.and_then(|exchange| exchange["at"].as_str());
        let time = at.and_then(|at| at.get(11..19)).unwrap_or("        ");
        let mut text = format!(
            "{}  {}  {} {}  {} ms",
            self.ink(Ink::Faint, time),
            self.ink(ink, &status.to_string()),
            terminal::line(data["method"].as_str().unwrap_or_default()),
            terminal::line(data["path"].as_str().unwrap_or_default()),
            data["duration_ms"],
        );
        if let Some(source) = data["source"].as_str() {
            text.push_str("  ");
            text.push_str(&self.ink(Ink::Faint, &terminal::line(source)));
        }
        if let Some(item) = data["batch"]["custom_id"].as_str() {
            let batch = data["batch"]["id"].as_str().unwrap_or_default();
            let item = terminal::line(&format!("  {batch}/{item}")).into_owned();
            text.push_str(&self.ink(Ink::Faint, &item));
        }
        if left {
            text.push_str(&self.ink(Ink::Odd, "  the client left"));
        }
        if broke {
            text.push_str(&self.ink(Ink::Bad, "  the connection broke"));
        }
        text.push('\n');
        if let Some(said) = said {
            self.answer(&mut text, &said, left || broke);
        }
        for lint in data["lints"].as_array().into_iter().flatten() {
            let message = terminal::line(lint["message"].as_str().unwrap_or_default());
            self.line(&mut text, Ink::Odd, "lint", &message);
        }
        text
    }

    /// Anything else that happened.
    pub(super) fn event(self, kind: &str, data: &Value) -> String {
        let mut said = kind.replace('_', " ");
        for (name, value) in data.as_object().into_iter().flatten() {
            if !matches!(name.as_str(), "type" | "workspace" | "at") && !value.is_null() {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                write!(said, "  {name}={value}").expect("a String takes every write");
            }
        }
        format!(
            "{}\n",
            self.ink(
                Ink::Faint,
                &format!("{INDENT}{}", cut(&terminal::line(&said)))
            )
        )
    }

    fn answer(self, out: &mut String, said: &Said<'_>, is_told: bool) {
        let body = &*said.message;
        for block in body["content"].as_array().into_iter().flatten() {
            self.block(out, block);
        }
        if let Some(reason @ ("pause_turn" | "max_tokens" | "refusal")) =
            body["stop_reason"].as_str()
        {
            self.line(out, Ink::Odd, "stop", reason);
        }
        for error in &said.errors {
            self.line(out, Ink::Bad, "error", error);
        }
        for event in &said.unread {
            self.line(out, Ink::Bad, "no JSON", event);
        }
        if said.is_open && said.errors.is_empty() && !is_told {
            self.line(out, Ink::Bad, "end", "the stream broke off");
        }
    }

    fn block(self, out: &mut String, block: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = block["type"].as_str().unwrap_or_default();
        match kind {
            "text" => self.line(out, Ink::Name, "text", &text(&block["text"])),
            "thinking" => self.line(out, Ink::Faint, "thinking", &text(&block["thinking"])),
            "server_tool_use" | "tool_use" | "mcp_tool_use" => {
                let input = &block["input"];
                let code = ["command", "code", "query", "url"].iter().find_map(|key| {
                    let is_editor = block["name"] == "text_editor_code_execution";
                    input[key].as_str().filter(|_| !is_editor)
                });
                let code = code.map_or_else(|| input.to_string(), str::to_owned);
                self.line(out, Ink::Name, &text(&block["name"]), &code);
            }
            _ if kind.ends_with("_tool_result") => self.result(out, &block["content"]),
            _ => self.line(out, Ink::Name, kind, ""),
        }
    }

    fn result(self, out: &mut String, content: &Value) {
        if let Some(code) = content["error_code"].as_str() {
            return self.line(out, Ink::Bad, "→", code);
        }
        if let Some(code) = content["return_code"].as_i64() {
            let ink = if code == 0 { Ink::Good } else { Ink::Odd };
            self.line(
                out,
                ink,
                &format!("→ {code}"),
                content["stdout"].as_str().unwrap_or_default(),
            );
            let stderr = content["stderr"].as_str().filter(|text| !text.is_empty());
            if let Some(stderr) = stderr {
                self.line(out, Ink::Odd, "stderr", stderr);
            }
            for file in content["content"].as_array().into_iter().flatten() {
                self.line(
                    out,
                    Ink::Good,
                    "file",
                    file["file_id"].as_str().unwrap_or_default(),
                );
            }
            return;
        }
        let brief = match content {
            Value::Array(items) => format!("{} results", items.len()),
            other => other["type"].as_str().unwrap_or_default().to_owned(),
        };
        self.line(out, Ink::Good, "→", &brief);
    }

    /// A name, and a text beside it, folded.
    fn line(self, out: &mut String, ink: Ink, name: &str, text: &str) {
        let lines: Vec<_> = text.trim_end().lines().map(terminal::line).collect();
        let shown = if self.full {
            lines.len()
        } else {
            FOLDED_LINES.min(lines.len())
        };
        let name = self.ink(ink, &terminal::line(name));
        let first = lines.first().map(AsRef::as_ref).unwrap_or_default();
        let first = if self.full {
            first.to_owned()
        } else {
            cut(first)
        };
        let mut wanted = vec![format!("{INDENT}{name}  {first}").trim_end().to_owned()];
        for line in lines.iter().take(shown).skip(1) {
            let line = if self.full {
                line.to_string()
            } else {
                cut(line)
            };
            wanted.push(format!("{INDENT}  {line}"));
        }
        if shown < lines.len() {
            let more = format!("… {} more lines", lines.len() - shown);
            wanted.push(format!("{INDENT}  {}", self.ink(Ink::Faint, &more)));
        }
        for line in wanted {
            out.push_str(&line);
            out.push('\n');
        }
    }

    fn ink(self, ink: Ink, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code())
        } else {
            text.to_owned()
        }
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(FOLDED_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Look = Look {
        colours: false,
        full: false,
    };

    fn ended() -> (Value, Value) {
        let data = json!({"request_id": "req_1", "method": "POST", "path": "/v1/messages", "status": 200, "duration_ms": 12,
            "source": "a.yaml:1 a rule", "lints": [{"message": "an output was never fetched"}], "client_left": false});
        let exchange = json!({"at": "2030-01-02T03:04:05.000000Z", "response_body": {"stop_reason": "end_turn", "content": [
            {"type": "text", "text": "I look."},
            {"type": "server_tool_use", "name": "bash_code_execution", "input": {"command": "seq 9\nls"}},
            {"type": "bash_code_execution_tool_result", "content": {"return_code": 3, "stdout": "1\n2\n3\n4\n5\n", "stderr": "\u{1b}[2J",
                "content": [{"file_id": "file_1"}]}},
            {"type": "server_tool_use", "name": "text_editor_code_execution", "input": {"command": "view", "path": "a"}},
            {"type": "text_editor_code_execution_tool_result", "content": {"error_code": "file_not_found"}},
        ]}});
        (data, exchange)
    }

    #[test]
    fn a_turn_is_a_line_and_what_happened_in_it_is_folded() {
        let (data, exchange) = ended();
        insta::assert_snapshot!(PLAIN.turn(&data, Some(&exchange)));
    }

    #[test]
    fn a_stream_and_an_error_are_shown_like_plain_answers() {
        let (mut data, _) = ended();
        let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[]}}\n\n\
            event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
            event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n";
        let text = PLAIN.turn(&data, Some(&json!({"response_body": events})));
        assert!(text.contains("text  Hi\n"), "{text}");
        data["status"] = json!(529);
        let error = json!({"response_body": {"error": {"message": "Overloaded"}}});
        assert!(
            PLAIN
                .turn(&data, Some(&error))
                .contains("error  Overloaded\n")
        );
        assert!(PLAIN.turn(&data, None).contains("529"));
    }

    #[test]
    fn a_stream_that_goes_wrong_says_so() {
        let (data, _) = ended();
        let look = Look {
            colours: true,
            full: false,
        };
        let begin = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"Hi\"}]}}\n\n";
        let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let error =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"Overloaded\"}}\n\n";
        let shown =
            |events: &[&str]| look.turn(&data, Some(&json!({"response_body": events.concat()})));
        for (events, part) in [
            (vec![begin, error], "Overloaded"),
            (vec![begin, "event: x\ndata: {\"bad\n\n", end], "{\"bad"),
            (vec![begin], "the stream broke off"),
        ] {
            let text = shown(&events);
            assert!(text.contains(part) && text.contains("Hi"), "{text}");
            assert!(text.contains("\u{1b}[31m200"), "{text}");
        }
        let fine = shown(&[begin, ": ping\n\n", end]);
        assert!(
            fine.contains("\u{1b}[32m200") && !fine.contains("broke off"),
            "{fine}"
        );
    }

    #[test]
    fn a_connection_that_was_closed_is_told_also_where_nothing_was_answered() {
        let (mut data, _) = ended();
        data["broke"] = json!(true);
        data["status"] = json!(444);
        let text = PLAIN.turn(&data, Some(&json!({"response_body": null})));
        let line = text.lines().next().unwrap();
        assert!(
            line.contains("444  POST") && line.ends_with("the connection broke"),
            "{text}"
        );
        let half = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
        let text = PLAIN.turn(&data, Some(&json!({"response_body": half})));
        assert_eq!(text.matches("broke").count(), 1, "{text}");
    }

    #[test]
    fn an_item_of_a_batch_is_named() {
        let (mut data, _) = ended();
        data["batch"] = json!({"id": "msgbatch_1", "custom_id": "one"});
        assert!(PLAIN.turn(&data, None).contains("msgbatch_1/one"));
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_comes_through() {
        let (data, exchange) = ended();
        let look = Look {
            colours: false,
            full: true,
        };
        let text = look.turn(&data, Some(&exchange))
            + &look.event("fault_fired", &json!({"at": 1, "what": "\u{202e}x\r\n"}));
        assert!(text.contains("5\n"), "{text}");
        assert!(
            text.lines().all(|line| terminal::line(line) == line),
            "{text:?}"
        );
    }
}
