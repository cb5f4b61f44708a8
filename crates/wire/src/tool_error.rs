//! Why a call of a tool that the service carries out has no result.

use crate::words;

words! {
    /// `error_code` of a result.
    pub ToolErrorCode {
        Unavailable "unavailable",
        InvalidToolInput "invalid_tool_input",
        TooManyRequests "too_many_requests",
        ExecutionTimeExceeded "execution_time_exceeded",
        OutputFileTooLarge "output_file_too_large",
        FileNotFound "file_not_found",
        StringNotFound "string_not_found",
        ContainerExpired "container_expired",
        MaxUsesExceeded "max_uses_exceeded",
        QueryTooLong "query_too_long",
        RequestTooLarge "request_too_large",
        UrlTooLong "url_too_long",
        UrlNotAllowed "url_not_allowed",
        UrlNotInPriorContext "url_not_in_prior_context",
        UrlNotAccessible "url_not_accessible",
        UnsupportedContentType "unsupported_content_type",
        ContentTooLarge "content_too_large",
        PromptTooLong "prompt_too_long",
        Overloaded "overloaded",
        ModelNotFound "model_not_found",
    }
}

impl std::fmt::Display for ToolErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

use ToolErrorCode as Code;

/// Of Python (F044).
pub const OF_PYTHON: &[ToolErrorCode] = &[
    Code::Unavailable,
    Code::InvalidToolInput,
    Code::TooManyRequests,
    Code::ExecutionTimeExceeded,
    Code::ContainerExpired,
];
/// Of commands (F044).
pub const OF_BASH: &[ToolErrorCode] = &[
    Code::Unavailable,
    Code::InvalidToolInput,
    Code::TooManyRequests,
    Code::ExecutionTimeExceeded,
    Code::OutputFileTooLarge,
    Code::ContainerExpired,
];
/// Of the text editor (F044).
pub const OF_EDITOR: &[ToolErrorCode] = &[
    Code::Unavailable,
    Code::InvalidToolInput,
    Code::TooManyRequests,
    Code::ExecutionTimeExceeded,
    Code::FileNotFound,
    Code::StringNotFound,
    Code::ContainerExpired,
];
/// Of a search (F049).
pub const OF_SEARCH: &[ToolErrorCode] = &[
    Code::InvalidToolInput,
    Code::Unavailable,
    Code::MaxUsesExceeded,
    Code::TooManyRequests,
    Code::QueryTooLong,
    Code::RequestTooLarge,
];
/// Of a fetch (F050).
pub const OF_FETCH: &[ToolErrorCode] = &[
    Code::InvalidToolInput,
    Code::UrlTooLong,
    Code::UrlNotAllowed,
    Code::UrlNotInPriorContext,
    Code::UrlNotAccessible,
    Code::UnsupportedContentType,
    Code::TooManyRequests,
    Code::MaxUsesExceeded,
    Code::Unavailable,
    Code::ContentTooLarge,
];
/// Of a search for tools (F200).
pub const OF_TOOL_SEARCH: &[ToolErrorCode] = &[
    Code::InvalidToolInput,
    Code::Unavailable,
    Code::TooManyRequests,
    Code::ExecutionTimeExceeded,
];
/// Of an advisor (F202).
pub const OF_ADVISOR: &[ToolErrorCode] = &[
    Code::MaxUsesExceeded,
    Code::PromptTooLong,
    Code::TooManyRequests,
    Code::Overloaded,
    Code::Unavailable,
    Code::ExecutionTimeExceeded,
    Code::ModelNotFound,
];
