//! The isolation of sandboxes as a command-line argument.

use clap::ValueEnum;

use server::config::Isolation;

/// Values of `--isolation`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationArg {
    /// Namespaces where they may be made, else Landlock.
    #[default]
    Any,
    /// Namespaces, or nothing runs.
    Strict,
    /// Landlock, even where namespaces may be made.
    Landlock,
}

impl From<IsolationArg> for Isolation {
    fn from(typed: IsolationArg) -> Self {
        match typed {
            IsolationArg::Any => Self::Any,
            IsolationArg::Strict => Self::Strict,
            IsolationArg::Landlock => Self::Landlock,
        }
    }
}
