//! What a request has made by a recorded answer, or by one that is being recorded: a look at retries needs it.

use cassette::{Request, Response, data_of_frame, split_frames};
use serde_json::Value;
use workspace::verify::Made;

/// Errors of a call under which its code has run all the same.
const RAN: [&str; 2] = ["execution_time_exceeded", "output_file_too_large"];

/// Notes the file, batch, skill, or version that an answer names; of a turn what it made, if code ran by its end.
pub(super) fn note(made: &Made, asked: &Request, response: &Response) {
    if asked.method != "POST" || !(200..300).contains(&response.status) {
        return;
    }
    match asked.path.trim_end_matches('/') {
        "/v1/messages" => Ran::of(made, asked, response).sees(&response.blocks()),
        "/v1/files" | "/v1/messages/batches" | "/v1/skills" => {
            response.id().into_iter().for_each(|id| made.note(id));
        }
        path => {
            let skill = path.strip_prefix("/v1/skills/");
            let skill = skill.and_then(|rest| rest.strip_suffix("/versions"));
            let body = response.body.json().unwrap_or_default();
            let version = body["version"].as_str().or_else(|| body["id"].as_str());
            if let (Some(skill), Some(version)) = (skill, version) {
                made.note(format!("{skill}/versions/{version}"));
            }
        }
    }
}

/// What a turn has made once its code has run: its message, and the container that came with it.
#[derive(Debug)]
pub(super) struct Ran {
    made: Made,
    ids: Vec<String>,
    /// Calls whose code has asked for a client's tool, and so ran before this request.
    waiting: Vec<String>,
}

impl Ran {
    pub(super) fn of(made: &Made, asked: &Request, response: &Response) -> Self {
        let body = asked.body.json().unwrap_or_default();
        let named = &body["container"];
        let is_named = named.is_string() || named["id"].is_string();
        let container = response.container().filter(|_| !is_named);
        let messages = body["messages"].as_array().into_iter().flatten();
        let blocks = messages.filter_map(|message| message["content"].as_array());
        let callers = blocks
            .flatten()
            .filter_map(|block| block["caller"]["tool_id"].as_str());
        Self {
            made: made.clone(),
            ids: response.id().into_iter().chain(container).collect(),
            waiting: callers.map(str::to_owned).collect(),
        }
    }

    /// Blocks of the answer have come to be.
    pub(super) fn sees(&self, blocks: &[Value]) {
        if blocks.iter().any(|block| self.is_run(block)) {
            self.ids.iter().for_each(|id| self.made.note(id));
        }
    }

    /// The same of an answer that a fault would have broken off after so many events of a stream. Of a plain answer it
    /// is not known how many there were: a block is at least three.
    pub(super) fn sees_until(&self, blocks: &[Value], events: u32) {
        let events = usize::try_from(events).unwrap_or(usize::MAX);
        let done = events.saturating_sub(1).div_ceil(3);
        self.sees(&blocks[..blocks.len().min(done)]);
    }

    /// The same of events of a stream.
    pub(super) fn sees_events(&self, bytes: &[u8]) {
        if memchr::memmem::find(bytes, b"code_execution_tool_result").is_none() {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let events = split_frames(&text).filter_map(data_of_frame);
        let blocks = events.filter_map(|mut data| Some(data.get_mut("content_block")?.take()));
        self.sees(&blocks.collect::<Vec<_>>());
    }

    fn is_run(&self, block: &Value) -> bool {
        code_result(block).is_some_and(|(call, code)| {
            code.is_none_or(|code| RAN.contains(&code.as_str())) && !self.waiting.contains(&call)
        })
    }
}

/// The call and the error code of a code execution result.
pub(super) fn code_result(block: &Value) -> Option<(String, Option<String>)> {
    let kind = block["type"].as_str()?;
    kind.strip_suffix("_tool_result")
        .filter(|tool| tool.ends_with("code_execution"))?;
    let code = block["content"]["error_code"].as_str();
    Some((
        block["tool_use_id"].as_str()?.to_owned(),
        code.map(str::to_owned),
    ))
}
