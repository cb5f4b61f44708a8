//! The command line: parse, run one command, exit code.

mod args;
pub mod check;
mod child;
mod coverage;
mod docs;
pub mod doctor;
mod drift;
pub mod image;
mod import;
mod init;
mod live;
mod log;
mod mcp;
#[cfg(target_os = "linux")]
mod memory;
mod output;
mod remote;
mod report;
mod run;
mod serve;
mod settings;
mod shell;
mod signals;
mod sweep;
mod tail;
mod usage;
mod value;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use args::{Cli, Command, ImageCommand, ServeArgs};
use output::StdoutError;
use signals::Signals;

use cassette::Written;
use common::hinted::{self, Hinted, Mistake};
use common::limits;
use common::terminal;
use server::Server;
use server::config::Config;

#[cfg(target_os = "linux")]
use sandbox::SandboxError;
#[cfg(target_os = "linux")]
use sandbox::local::Libraries;

/// A mistake in what was typed, in a script, or in a file.
const USAGE: u8 = 2;
const FAILURE: u8 = 1;
/// A bad verdict.
const BAD: u8 = 3;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match settings::parse() {
        Ok(cli) => cli,
        Err(error) => return fail(USAGE, &error),
    };
    let _log = log::start(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail_plainly(FAILURE, &format!("cannot start the runtime: {error}")),
    };
    let code = runtime.block_on(run(cli));
    // From here on nobody hears a signal.
    runtime.shutdown_timeout(limits::RUNTIME_END);
    code
}

async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        None => serve(cli.serve).await,
        Some(Command::Serve(args)) => serve(*args).await,
        Some(Command::Replay(args)) if args.live.live => replay_live(*args).await,
        Some(Command::Replay(args)) => match args.into_serve() {
            Ok(args) => serve(args).await,
            Err(error) => fail(USAGE, &error),
        },
        Some(Command::Record(args)) => match args.into_serve() {
            Ok((args, command)) if command.is_empty() => serve(args).await,
            Ok((args, command)) => record(args, command).await,
            Err(error) => fail(USAGE, &error),
        },
        Some(Command::Check(args)) => {
            let report = check::check(&args.paths);
            ended(print(&report.to_string()), report.exit_code())
        }
        Some(Command::Image(ImageCommand::Build(args))) => build_image(args).await,
        Some(Command::Doctor(args)) => doctor(*args).await,
        Some(Command::Docs(args)) => said(docs::print(args.page.as_deref()), USAGE),
        Some(Command::Init(args)) => said(init::init(&args), USAGE),
        Some(Command::Tail(args)) => said(tail::run(&args).await.map(|()| String::new()), FAILURE),
        Some(Command::Mcp(args)) => said(mcp::run(args).await.map(|()| String::new()), FAILURE),
        Some(Command::Schema) => ended(print_as_it_is(model::script::SCHEMA), 0),
        Some(Command::Completions(args)) => {
            ended(print_as_it_is(&shell::completions(args.shell)), 0)
        }
        Some(Command::Man(args)) => man(args.out.as_deref()),
        Some(Command::Run(args)) => run::run(*args).await,
        Some(Command::Sweep(args)) => Box::pin(sweep::run(*args)).await,
        Some(Command::Verify(args)) => verify::run(&args).await,
        Some(Command::Coverage(args)) => coverage::run(&args),
        Some(Command::Usage(args)) => {
            said(usage::run(&args).await.map(|()| String::new()), FAILURE)
        }
        Some(Command::Import(args)) => import(&args),
        Some(Command::Drift(args)) => drift::drift(&args).await,
        Some(Command::Conform(args)) => drift::conform(&args).await,
    }
}

fn man(folder: Option<&std::path::Path>) -> ExitCode {
    let Some(folder) = folder else {
        let text = shell::man();
        let failed = |error| Mistake::caused("cannot write the manual", error);
        return said(text.map_err(failed), FAILURE);
    };
    let pages = shell::write_man(folder);
    said(
        pages.map(|pages| format!("{pages} pages in {}\n", folder.display())),
        FAILURE,
    )
}

/// Prints what a command has to say, or why it failed.
fn said<E: Hinted>(text: Result<String, E>, code: u8) -> ExitCode {
    match text {
        Ok(text) => ended(print(&text), 0),
        Err(error) => fail(code, &error),
    }
}

/// Ends a command that has printed its answer. One that is not written is no success.
fn ended(printed: Result<(), StdoutError>, code: u8) -> ExitCode {
    match printed {
        Ok(()) => ExitCode::from(code),
        Err(error) => fail(if code == 0 { FAILURE } else { code }, &error),
    }
}

async fn doctor(args: args::DoctorArgs) -> ExitCode {
    if args.apparmor {
        return print_profile();
    }
    // Whatever is wrong with them, the rest can be looked at all the same.
    let (config, mistakes) = args.serve.examined();
    let mut report = doctor::report(&config, None).await;
    let misused = mistakes.iter().map(|error| doctor::misused(error));
    report.findings.splice(0..0, misused);
    let printed = if args.json {
        print_as_it_is(&(report.to_json() + "\n"))
    } else {
        print(&(report.to_string() + "\n"))
    };
    ended(printed, report.exit_code())
}

#[cfg(target_os = "linux")]
fn print_profile() -> ExitCode {
    match std::env::current_exe() {
        Ok(program) => ended(
            print_as_it_is(&sandbox::local::apparmor_profile(&program)),
            0,
        ),
        Err(error) => fail_plainly(
            FAILURE,
            &format!("cannot tell where this program is: {error}"),
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn print_profile() -> ExitCode {
    fail_plainly(USAGE, &"AppArmor is of Linux")
}

async fn replay_live(args: args::ReplayArgs) -> ExitCode {
    if let Err(error) = args.refuse_command() {
        return fail(USAGE, &error);
    }
    let (paths, args, serve) = args.into_live();
    let config = match serve.into_config() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    match live::run(&paths, &args, config).await {
        Ok(report) => ended(print(&report.to_string()), report.exit_code()),
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn import(args: &args::ImportArgs) -> ExitCode {
    let imported = match import::run(&args.paths, &args.out, &args.ignore) {
        Ok(imported) => imported,
        Err(error) => return fail(FAILURE, &error),
    };
    let mut code = ended(print(&imported.said), 0);
    for error in &imported.refused {
        code = fail(USAGE, error);
    }
    code
}

async fn serve(args: ServeArgs) -> ExitCode {
    let stop_at_eof = args.stop_at_eof;
    let config = match args.into_config() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    match serve::run(config, stop_at_eof).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error.exit_code(), &error),
    }
}

/// Serves while a command runs, and ends as it did.
async fn record(args: ServeArgs, command: Vec<OsString>) -> ExitCode {
    let token = args.control_token.clone();
    let config = match args.into_config() {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    let (server, mut signals) = match start_for_a_command(config).await {
        Ok(started) => started,
        Err(code) => return code,
    };
    let ended = match child::start(&command, server.url(), None, token.as_deref()) {
        Ok(mut child) => child::wait(&mut child, &mut signals)
            .await
            .map(child::exit_code),
        Err(error) => {
            let (code, wrong) = child::not_run(&command, &error);
            signals::stop(server).await;
            return fail(code, &wrong);
        }
    };
    let deck = server.cassettes().cloned();
    // What the command has left open is written as the server stops.
    signals::stop(server).await;
    let written = deck.and_then(|deck| Some(deck.recorder()?.written()));
    let mut is_whole = true;
    if let Some(written) = written {
        let Written {
            path,
            exchanges,
            missing,
            reason,
        } = written;
        let path = path.display();
        let text = match exchanges {
            0 => format!("nothing was recorded, so {path} is as it was\n"),
            _ => format!(
                "recorded {} into {path}\n",
                check::count(exchanges, "exchange")
            ),
        };
        eprint(&text);
        if missing > 0 {
            is_whole = false;
            fail_plainly(
                FAILURE,
                &format!(
                    "{} {} not in it, or not as a whole: {}",
                    check::count(missing, "exchange"),
                    if missing == 1 { "is" } else { "are" },
                    reason.unwrap_or_default()
                ),
            );
        }
    }
    match ended {
        Ok(0) if !is_whole => ExitCode::from(FAILURE),
        Ok(code) => ExitCode::from(code),
        Err(error) => fail_plainly(FAILURE, &error),
    }
}

/// A server for a command, and the signals that are to reach it.
async fn start_for_a_command(config: Config) -> Result<(Server, Signals), ExitCode> {
    let mut signals = Signals::listen()
        .map_err(|error| fail_plainly(FAILURE, &format!("cannot listen for signals: {error}")))?;
    let started = tokio::select! {
        started = Server::start(config) => started,
        came = signals.next() => return Err(ExitCode::from(came.exit_code())),
    };
    let server = started.map_err(|error| fail(error.exit_code(), &error))?;
    if let Some(unasked) = serve::unasked(&server) {
        eprint(&format!("scripts {unasked}\n"));
    }
    Ok((server, signals))
}

async fn build_image(args: args::ImageBuildArgs) -> ExitCode {
    let args = image::BuildArgs {
        flavor: args.flavor,
        base: args.base,
        offline: args.offline,
        tag: args.tag,
        host: None,
    };
    match image::build(args).await {
        Ok(built) => {
            let megabytes = built.size_bytes / 1_000_000;
            let text = format!("built {} ({megabytes} MB) on {}\n", built.image, built.base);
            ended(print(&text), 0)
        }
        #[cfg(target_os = "linux")]
        Err(image::ImageError::Sandbox(SandboxError::Unavailable { reason, .. })) => {
            install_libraries(&reason)
        }
        Err(error) => fail(FAILURE, &error),
    }
}

/// Without an engine there is no image to build, but `local` can have the libraries.
#[cfg(target_os = "linux")]
fn install_libraries(reason: &str) -> ExitCode {
    let say = |text: &str| eprint(&format!("{text}\n"));
    say(&format!(
        "{reason}: no image is built; `local` gets the documented libraries instead"
    ));
    let installed =
        Libraries::of_this_machine().and_then(|libraries| libraries.install(&mut |text| say(text)));
    match installed {
        Ok(place) => {
            let text = match place.folder() {
                Some(folder) => format!("the documented libraries are in {}\n", folder.display()),
                None => "this machine's Python has the documented libraries\n".to_owned(),
            };
            ended(print(&text), 0)
        }
        Err(error) => fail(FAILURE, &error),
    }
}

/// Prints what a person reads. Some of it is of clients, services, sandboxes, or files.
fn print(text: &str) -> Result<(), StdoutError> {
    print_as_it_is(&terminal::plain(text))
}

/// Prints what programs read, or what has colours of ours.
fn print_as_it_is(text: &str) -> Result<(), StdoutError> {
    output::print(io::stdout().lock(), text)
}

/// The same as [`print`], on stderr.
fn eprint(text: &str) {
    let text = terminal::plain(text);
    // In the order in which it was said.
    log::flush();
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Every error of a command ends here.
fn fail(code: u8, error: &dyn Hinted) -> ExitCode {
    fail_plainly(code, &hinted::told(error))
}

/// Prints the message alone, with nothing to add.
fn fail_plainly(code: u8, message: &dyn std::fmt::Display) -> ExitCode {
    eprint(&format!("error: {message}\n"));
    ExitCode::from(code)
}
