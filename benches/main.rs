//! All numbers of the project, in one table: `cargo bench`, or `cargo bench -- messages calls` for some.
//!
//! The server under test is this build's own program in a process of its own, as are the peers: a bare
//! axum handler that returns the same bytes (this program again), the crate llmposter, and the npm package
//! aimock. What is missing on the machine is said and left out.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the people who work on this one"
)]

mod bare;
mod calls;
mod cassettes;
#[cfg(feature = "kubernetes")]
#[expect(dead_code, reason = "only some of it is needed here")]
#[path = "../tests/shared/cluster.rs"]
mod cluster;
mod files;
#[cfg(feature = "kubernetes")]
mod growth;
mod http;
mod load;
mod messages;
#[cfg(feature = "kubernetes")]
mod pods;
mod processes;
#[cfg(feature = "kubernetes")]
#[path = "../tests/shared/programs.rs"]
mod programs;
mod scale;
mod servers;
mod streams;
mod sweep;
mod table;
mod unprivileged;

use table::Table;

type Part = (&'static str, fn(&mut Table));

const PARTS: &[Part] = &[
    ("start", processes::measure),
    ("messages", messages::measure),
    ("memory", processes::after_many),
    ("streams", streams::measure),
    ("upload", files::measure),
    ("calls", calls::measure),
    ("unprivileged", unprivileged::measure),
    #[cfg(feature = "kubernetes")]
    ("pods", pods::measure),
    ("cassettes", cassettes::measure),
    ("scale", scale::measure),
    #[cfg(feature = "kubernetes")]
    ("growth", growth::measure),
    ("sweep", sweep::measure),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, port, folder] = args.as_slice()
        && mode == bare::MODE
    {
        return bare::serve(port.parse().unwrap(), folder.as_ref());
    }
    // Cargo adds flags of its own.
    let wanted: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| PARTS.iter().all(|(part, _)| part != *name))
    {
        let parts: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        eprintln!("no part `{unknown}`; there are: {}", parts.join(", "));
        std::process::exit(2);
    }
    servers::allow_many_files();
    let mut table = Table::default();
    for (part, measure) in PARTS {
        if wanted.is_empty() || wanted.contains(part) {
            eprintln!("measuring {part} …");
            measure(&mut table);
        }
    }
    println!("{}\n\n{table}", servers::machine());
}
