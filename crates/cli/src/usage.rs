//! `sandtable usage`: the ledger of a server that runs, as a table.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::args::UsageArgs;
use super::output::StdoutError;
use super::remote::{Remote, RemoteError};
use super::{print, print_as_it_is};
use common::hinted::Hinted;

/// Why a ledger is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error(transparent)]
    Server(#[from] RemoteError),
    #[error(transparent)]
    Print(#[from] StdoutError),
}

impl Hinted for LedgerError {
    fn inner(&self) -> Option<&dyn Hinted> {
        match self {
            Self::Server(error) => Some(error),
            Self::Print(error) => Some(error),
        }
    }
}

/// Asks the server and prints its answer, in words or as it is.
pub(super) async fn run(args: &UsageArgs) -> Result<(), LedgerError> {
    let remote = Remote {
        url: &args.place.server.url,
        key: args.place.key.as_deref(),
        token: args.place.server.control_token.as_deref(),
    };
    let call = match &args.month {
        Some(month) => format!("usage?month={month}"),
        None => "usage".to_owned(),
    };
    let report: Value = remote.get(&call).await?;
    if args.json {
        print_as_it_is(&format!("{report:#}\n"))?;
    } else {
        let mut text = String::new();
        table(&mut text, &report).expect("a String takes every write");
        print(&text)?;
    }
    Ok(())
}

fn table(out: &mut String, report: &Value) -> fmt::Result {
    let (time, tokens) = (&report["container_time"], &report["tokens"]);
    let month = report["month"].as_str().unwrap_or_default();
    writeln!(out, "{month}: ${:.4} in all\n", number(&report["usd"]))?;
    writeln!(
        out,
        "  container time  {:.4} h, {:.2} of {} free hours left, {:.4} h charged: ${:.4}",
        number(&time["hours"]),
        number(&time["free_hours_left"]),
        time["free_hours"],
        number(&time["charged_hours"]),
        number(&time["usd"]),
    )?;
    writeln!(
        out,
        "  tokens          {} in, {} out, {} cache written, {} cache read: ${:.4}",
        tokens["input_tokens"],
        tokens["output_tokens"],
        tokens["cache_creation_input_tokens"],
        tokens["cache_read_input_tokens"],
        number(&tokens["usd"]),
    )?;
    let searches = &report["web_searches"];
    writeln!(
        out,
        "  web searches    {}: ${:.4}",
        searches["requests"],
        number(&searches["usd"])
    )?;
    for model in tokens["unpriced"].as_array().into_iter().flatten() {
        writeln!(out, "  no price for    {model}")?;
    }
    let containers = report["containers"].as_array();
    for (at, container) in containers.into_iter().flatten().enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        let id = container["id"].as_str().unwrap_or_default();
        let sessions = container["sessions"].as_array().map_or(0, Vec::len);
        writeln!(
            out,
            "  {id}  {} s in {sessions} session(s)",
            container["seconds"]
        )?;
    }
    Ok(())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}
