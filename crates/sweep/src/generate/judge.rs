//! Whether a client has read a conversation right: by what it prints, and by what it sends back.

use std::borrow::Cow;

use serde_json::Value;

use common::limits;

/// Whether `says` is nowhere in what was printed. Line ends, and space at the edges, are the terminal's business.
pub(super) fn missed(says: &str, printed: &str) -> bool {
    let said = plain(says);
    let said = said.trim();
    !said.is_empty() && !plain(printed).contains(said)
}

/// The beginning of a text, for a sentence.
pub(crate) fn gist(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(limits::SWEEP_QUOTED_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The differences between a request's history and `answer`, the message that it was given: calls with another
/// input or name, and texts and thoughts that are not what was said. Blocks that a client leaves out are its own
/// business.
pub fn echoed(answer: &Value, request: &Value) -> Vec<String> {
    let said: Vec<&Value> = answer["content"].as_array().into_iter().flatten().collect();
    let ids: Vec<&Value> = said
        .iter()
        .map(|block| &block["id"])
        .filter(|id| id.is_string())
        .collect();
    let messages = request["messages"].as_array().into_iter().flatten();
    let mut wrong = Vec::new();
    for message in messages.filter(|message| message["role"] == "assistant") {
        let Some(content) = message["content"].as_array() else {
            continue;
        };
        // A message of the history is this answer if it has one of its calls.
        if !content.iter().any(|block| ids.contains(&&block["id"])) {
            continue;
        }
        for block in content {
            wrong.extend(differs(block, &said));
        }
    }
    wrong
}

fn differs(block: &Value, said: &[&Value]) -> Option<String> {
    let kind = block["type"].as_str()?;
    let same_kind = || said.iter().filter(|other| other["type"] == kind);
    match kind {
        "text" | "thinking" => {
            let member = &block[kind];
            let known = same_kind().any(|other| other[kind] == *member);
            (!known).then(|| {
                let member = member.to_string();
                let member = gist(&member);
                format!("a block of {kind} came back that was never said: {member}")
            })
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            let other = same_kind().find(|other| other["id"] == block["id"])?;
            ["name", "input"].into_iter().find_map(|member| {
                let (sent, came) = (&other[member], &block[member]);
                (sent != came).then(|| {
                    let (sent, came) = (sent.to_string(), came.to_string());
                    let (sent, came, id) = (gist(&sent), gist(&came), &block["id"]);
                    format!("the {member} of call {id} came back as {came}, it was {sent}")
                })
            })
        }
        _ => None,
    }
}
