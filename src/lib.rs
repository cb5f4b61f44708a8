//! sandtable: a local emulator for the code execution side of Anthropic's API.
//!
//! As a library it is a server inside a test or another program. Point an SDK at [`Sandtable::base_url`]
//! with the API key of a [`Workspace`], and say over the workspace what the model does, what goes wrong,
//! and what time it is:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sandtable::{BackendChoice, Sandtable};
//!
//! let sandtable = Sandtable::builder()
//!     .script("- then: [{ text: Hello from a script. }]")
//!     .backend(BackendChoice::None)
//!     .frozen_at("2026-01-04T20:47:05Z")
//!     .seed(7)
//!     .start()
//!     .await?;
//! let workspace = sandtable.workspace("sk-ant-my-test");
//! // … the code under test talks to sandtable.base_url() with the key "sk-ant-my-test" …
//! workspace.clock().advance("30d").await?;
//! assert_eq!(workspace.clock().now().await?.to_rfc3339(), "2026-02-03T20:47:05+00:00");
//! assert!(workspace.journal().entries().await?.is_empty());
//! sandtable.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is public
//!
//! The items that this page lists, and nothing else. `docs/ARCHITECTURE.md` has the map of the crates behind it, which
//! are nobody's to depend on.

/// Its snippets in Rust are run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod embed;

pub use control_api::{
    BatchItem, ClockState, Container, ContainerCost as UsageContainer, ContainerFile,
    ContainerSession as SessionLine, ContainerState, ContainerTime, ContainerUse as UseLine,
    Exchange, FaultState, Lint, RequestCounts, RuleState, Searches, TokenSums,
    TurnCost as TurnLine, Usage, Verdict, Waited,
};
pub use embed::{
    Builder, Clock, Containers, Faults, Journal, JournalQuery, Sandtable, SandtableError, Scripts,
    Until, Workspace, sandbox_entry,
};
pub use server::config::BackendChoice;
