//! What a message may have, and the service counts no tokens of (F253).

use wire::refusal::{self, Invalid};
use wire::request::{MessagesRequest, ToolKind};

use super::tools::USUAL_CALLER;
use crate::programmatic;

/// Checks that all tools are the client's; the error is the text for the client.
pub fn tools(request: &MessagesRequest) -> Result<(), Invalid> {
    let own = request.tools.iter().filter(|tool| match tool.kind {
        ToolKind::Client => false,
        // What the service says of connectors is not known.
        ToolKind::CodeExecution | ToolKind::OtherServer => !tool.is_connector(),
    });
    let mut tags: Vec<&str> = own.map(|tool| tool.tag.as_str()).collect();
    if programmatic::declared(&request.tools).is_none() && programmatic::is_provided(&request.tools)
    {
        tags.push(USUAL_CALLER);
    }
    if tags.is_empty() {
        return Ok(());
    }
    tags.sort_unstable();
    Err(refusal::COUNT_SERVER_TOOLS.refuse(&[("tools", &tags.join(", "))]))
}

/// Checks that images and documents are in the request, or at a URL; the error is the text for the client.
pub fn files(request: &MessagesRequest) -> Result<(), Invalid> {
    let mut blocks = request.messages.iter().flat_map(|message| &message.content);
    if blocks.any(|block| !block.files().is_empty()) {
        return Err(refusal::COUNT_FILES.refuse(&[]));
    }
    Ok(())
}
