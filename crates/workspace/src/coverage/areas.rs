//! The parts of the service that can be met, area by area.

use wire::ToolErrorCode;
use wire::kinds::{BlockKind, DeltaKind, EventKind, StopReason};
use wire::request::TOOL_TAGS;

use super::errors;
use store::ItemOutcome;

wire::words! {
    /// A part of the surface. First what a summary names first.
    pub Area {
        StopReasons "stop reasons",
        ToolErrors "errors of tools",
        Containers "containers",
        Statuses "HTTP statuses",
        Events "events",
        Retries "retries",
        Pauses "pauses",
        ErrorTypes "error types",
        ErrorCodes "error codes",
        BatchResults "results of batches",
        Blocks "content blocks",
        Deltas "deltas",
        Modes "kinds of answers",
        Tools "tool versions",
        Endpoints "endpoints",
    }
    /// How a turn finds its container.
    pub ContainerMet {
        New "new",
        Reused "reused",
        Expired "expired",
        Missing "missing",
    }
    /// After what a request was sent again.
    pub Retry {
        AfterRateLimit "after 429",
        AfterOverload "after 529",
        AfterServerError "after another 5xx",
        AfterLostAnswer "after a lost answer",
    }
    /// The pauses that a later request continues.
    pub Pause {
        Continued "continued",
        InCall "continued in a call",
        CodeAnswered "call of code answered",
    }
    /// How a turn is answered.
    pub Mode {
        Plain "plain",
        Streaming "streaming",
    }
    /// A method and a path; `*` stands for one segment.
    pub Endpoint {
        CreateMessage "POST /v1/messages",
        CountTokens "POST /v1/messages/count_tokens",
        UploadFile "POST /v1/files",
        ListFiles "GET /v1/files",
        FileMetadata "GET /v1/files/*",
        DeleteFile "DELETE /v1/files/*",
        FileContent "GET /v1/files/*/content",
        CreateBatch "POST /v1/messages/batches",
        ListBatches "GET /v1/messages/batches",
        OneBatch "GET /v1/messages/batches/*",
        DeleteBatch "DELETE /v1/messages/batches/*",
        CancelBatch "POST /v1/messages/batches/*/cancel",
        BatchResults "GET /v1/messages/batches/*/results",
        ListModels "GET /v1/models",
        OneModel "GET /v1/models/*",
        CreateSkill "POST /v1/skills",
        ListSkills "GET /v1/skills",
        OneSkill "GET /v1/skills/*",
        DeleteSkill "DELETE /v1/skills/*",
        CreateVersion "POST /v1/skills/*/versions",
        ListVersions "GET /v1/skills/*/versions",
        OneVersion "GET /v1/skills/*/versions/*",
        DeleteVersion "DELETE /v1/skills/*/versions/*",
        VersionContent "GET /v1/skills/*/versions/*/content",
    }
}

impl Retry {
    /// The kind of a retry after this status, or after no answer.
    pub fn after(status: Option<u16>) -> Self {
        match status {
            Some(429) => Self::AfterRateLimit,
            Some(529) => Self::AfterOverload,
            Some(500..) => Self::AfterServerError,
            // An answer that broke off, too, has a status that promises more.
            Some(_) | None => Self::AfterLostAnswer,
        }
    }
}

impl Area {
    /// Everything in it.
    pub fn members(self) -> &'static [&'static str] {
        match self {
            Self::StopReasons => StopReason::NAMES,
            Self::ToolErrors => ToolErrorCode::NAMES,
            Self::Containers => ContainerMet::NAMES,
            Self::Statuses => &errors::PAGE.statuses,
            Self::Events => EventKind::NAMES,
            Self::Retries => Retry::NAMES,
            Self::Pauses => Pause::NAMES,
            Self::ErrorTypes => &errors::PAGE.kinds,
            Self::ErrorCodes => &errors::PAGE.codes,
            Self::BatchResults => ItemOutcome::NAMES,
            Self::Blocks => BlockKind::NAMES,
            Self::Deltas => DeltaKind::NAMES,
            Self::Modes => Mode::NAMES,
            Self::Tools => &TOOL_TAGS,
            Self::Endpoints => Endpoint::NAMES,
        }
    }

    /// Whether its members come about by what the client asks for, and not by what the service answers.
    pub fn is_choice(self) -> bool {
        matches!(self, Self::Modes | Self::Tools | Self::Endpoints)
    }
}

impl Endpoint {
    /// Whether a request is for it.
    pub fn is(self, method: &str, path: &str) -> bool {
        let Some((own_method, own_path)) = self.name().split_once(' ') else {
            return false;
        };
        let mut segments = path.trim_end_matches('/').split('/');
        let mut own = own_path.split('/');
        let fits = own.by_ref().all(|wanted| {
            segments
                .next()
                .is_some_and(|segment| wanted == segment || wanted == "*")
        });
        own_method == method && fits && segments.next().is_none()
    }
}
