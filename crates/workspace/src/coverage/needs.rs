//! The features that a client has to use before it can meet a part of the surface at all.

use wire::kinds::{BlockKind, DeltaKind, EventKind, StopReason};
use wire::{OF_BASH, OF_EDITOR, ToolErrorCode};

use super::areas::{Area, Endpoint, Mode, Pause};
use super::errors::PAGE;

wire::words! {
    /// A part of the service that a client may do without.
    pub Feature {
        Streaming "streaming",
        ClientTools "tools of the client",
        Cells "Python calls",
        CodeCalls "programmatic calling",
        Thinking "thinking",
        StopSequences "stop sequences",
        Web "web tools",
        ToolSearch "tool search",
        Advisor "the advisor",
        Connectors "MCP connectors",
        Context "compaction",
        Fallbacks "fallbacks",
        Threads "threads",
        Skills "skills",
        Batches "batches",
        Media "images and documents",
        Models "models",
        TokenCounting "token counting",
        Unheard "what the service is not known to send",
    }
}

/// The features that a member of an area needs; none where every client of code execution can meet it.
pub(super) fn of(area: Area, name: &str) -> &'static [Feature] {
    match area {
        Area::StopReasons => StopReason::from_name(name).map_or(&[], of_reason),
        Area::ToolErrors => ToolErrorCode::from_name(name).map_or(&[], of_tool_error),
        Area::Events => match EventKind::from_name(name) {
            Some(_) => &[Feature::Streaming],
            None => &[],
        },
        Area::Deltas => DeltaKind::from_name(name).map_or(&[], of_delta),
        Area::Blocks => BlockKind::from_name(name).map_or(&[], of_block),
        Area::Pauses => match Pause::from_name(name) {
            Some(Pause::CodeAnswered) => &[Feature::CodeCalls],
            Some(Pause::Continued | Pause::InCall) | None => &[],
        },
        Area::BatchResults => &[Feature::Batches],
        Area::Modes => match Mode::from_name(name) {
            Some(Mode::Streaming) => &[Feature::Streaming],
            Some(Mode::Plain) | None => &[],
        },
        Area::Statuses | Area::ErrorTypes if PAGE.is_unheard_of(name) => &[Feature::Unheard],
        Area::ErrorCodes => of_code(name),
        Area::Tools => of_tool(name),
        Area::Endpoints => Endpoint::from_name(name).map_or(&[], of_endpoint),
        Area::Containers | Area::Statuses | Area::Retries | Area::ErrorTypes => &[],
    }
}

fn of_reason(reason: StopReason) -> &'static [Feature] {
    match reason {
        StopReason::EndTurn
        | StopReason::PauseTurn
        | StopReason::Refusal
        | StopReason::MaxTokens
        | StopReason::ContextWindow => &[],
        StopReason::ToolUse => &[Feature::ClientTools],
        StopReason::StopSequence => &[Feature::StopSequences],
        StopReason::Compaction => &[Feature::Context],
    }
}

fn of_tool_error(code: ToolErrorCode) -> &'static [Feature] {
    if OF_BASH.contains(&code) || OF_EDITOR.contains(&code) {
        &[]
    } else if matches!(
        code,
        ToolErrorCode::PromptTooLong | ToolErrorCode::Overloaded | ToolErrorCode::ModelNotFound
    ) {
        &[Feature::Advisor]
    } else {
        &[Feature::Web]
    }
}

fn of_delta(delta: DeltaKind) -> &'static [Feature] {
    match delta {
        DeltaKind::Text | DeltaKind::InputJson => &[Feature::Streaming],
        DeltaKind::Thinking | DeltaKind::Signature => &[Feature::Streaming, Feature::Thinking],
        DeltaKind::Citations => &[Feature::Streaming, Feature::Web],
        DeltaKind::Compaction => &[Feature::Streaming, Feature::Context],
    }
}

fn of_block(block: BlockKind) -> &'static [Feature] {
    match block {
        BlockKind::Text
        | BlockKind::ServerToolUse
        | BlockKind::BashCodeExecutionToolResult
        | BlockKind::TextEditorCodeExecutionToolResult => &[],
        BlockKind::Thinking | BlockKind::RedactedThinking => &[Feature::Thinking],
        BlockKind::ToolUse => &[Feature::ClientTools],
        BlockKind::CodeExecutionToolResult => &[Feature::Cells],
        BlockKind::WebSearchToolResult | BlockKind::WebFetchToolResult => &[Feature::Web],
        BlockKind::ToolSearchToolResult => &[Feature::ToolSearch],
        BlockKind::AdvisorToolResult => &[Feature::Advisor],
        BlockKind::McpToolUse | BlockKind::McpToolResult | BlockKind::McpToolListing => {
            &[Feature::Connectors]
        }
        BlockKind::ContainerUpload => &[Feature::Unheard],
        BlockKind::Compaction => &[Feature::Context],
        BlockKind::Fallback => &[Feature::Fallbacks],
    }
}

/// Codes of requests that every client may meet; a new one is told apart until it is known whose it is.
fn of_code(code: &str) -> &'static [Feature] {
    match code {
        "file_not_downloadable"
        | "storage_quota_exceeded"
        | "file_expired"
        | "enforced_spend_limit_reached"
        | "contract_spend_limit_reached"
        | "ramp_limit_exceeded" => &[],
        "image_dimensions_too_large" => &[Feature::Media],
        _ if code.starts_with("thread_") => &[Feature::Threads],
        _ if code.starts_with("compaction_") => &[Feature::Context],
        _ if code.starts_with("skill_") => &[Feature::Skills],
        _ => &[Feature::Unheard],
    }
}

fn of_tool(tag: &str) -> &'static [Feature] {
    match tag {
        "code_execution_20250522" | "code_execution_20260120" | "code_execution_20260521" => {
            &[Feature::Cells]
        }
        "mcp_toolset" => &[Feature::Connectors],
        _ if tag.starts_with("code_execution_") => &[],
        _ if tag.starts_with("web_") => &[Feature::Web],
        _ if tag.starts_with("tool_search_") => &[Feature::ToolSearch],
        _ if tag.starts_with("advisor_") => &[Feature::Advisor],
        _ => &[Feature::ClientTools],
    }
}

fn of_endpoint(endpoint: Endpoint) -> &'static [Feature] {
    match endpoint {
        Endpoint::CreateMessage
        | Endpoint::UploadFile
        | Endpoint::ListFiles
        | Endpoint::FileMetadata
        | Endpoint::DeleteFile
        | Endpoint::FileContent => &[],
        Endpoint::CountTokens => &[Feature::TokenCounting],
        Endpoint::ListModels | Endpoint::OneModel => &[Feature::Models],
        Endpoint::CreateBatch
        | Endpoint::ListBatches
        | Endpoint::OneBatch
        | Endpoint::DeleteBatch
        | Endpoint::CancelBatch
        | Endpoint::BatchResults => &[Feature::Batches],
        Endpoint::CreateSkill
        | Endpoint::ListSkills
        | Endpoint::OneSkill
        | Endpoint::DeleteSkill
        | Endpoint::CreateVersion
        | Endpoint::ListVersions
        | Endpoint::OneVersion
        | Endpoint::DeleteVersion
        | Endpoint::VersionContent => &[Feature::Skills],
    }
}
