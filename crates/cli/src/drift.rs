//! `sandtable drift` and `sandtable conform`: what it costs, then, with `--yes`, what has changed.

use std::path::Path;
use std::process::ExitCode;

use super::args::{ConformArgs, DriftArgs, GroundArgs, SendArgs};
use super::output::{self, Form};
use super::{FAILURE, USAGE, fail, print};
use common::hinted::{Hinted, Mistake};
use drift::{self, Age, Costs, Limits, Plan, Service, conform};
use server::Server;
use server::config::{Config, Provision};
use workspace::billing::Prices;

/// The only place where a key is looked for: arguments are seen by everybody on the machine.
const KEY: &str = "ANTHROPIC_API_KEY";

/// Why there is no report, and the exit code that says so.
struct Stop {
    code: u8,
    error: Box<dyn Hinted>,
}

impl Stop {
    fn usage(error: impl Hinted + 'static) -> Self {
        Self {
            code: USAGE,
            error: Box::new(error),
        }
    }

    fn failure(error: impl Hinted + 'static) -> Self {
        Self {
            code: FAILURE,
            error: Box::new(error),
        }
    }
}

/// Sends recorded requests again.
pub(super) async fn drift(args: &DriftArgs) -> ExitCode {
    match drifted(args).await {
        Ok(code) => ExitCode::from(code),
        Err(stop) => fail(stop.code, &*stop.error),
    }
}

async fn drifted(args: &DriftArgs) -> Result<u8, Stop> {
    let prices = prices(&args.send)?;
    check_files(&args.send)?;
    let cassettes =
        cassette::load_all(&args.cassette, cassette::Indexing::Used).map_err(Stop::usage)?;
    let limits = Limits {
        expire: args.expire,
        warn: args.expire_warn,
    };
    let plan = Plan::of(cassettes, args.only.clone(), &prices, limits).map_err(Stop::usage)?;
    let Some(upstream) = &args.upstream else {
        return ages(&plan.ages, limits);
    };
    let service = Service::new(upstream, std::env::var(KEY).ok()).map_err(Stop::usage)?;
    allow(&args.send, &plan.costs, &service)?;
    let report = drift::run(&service, &plan, &prices, args.send.budget).await;
    let printed = print(&report.to_string());
    write(args.send.json.as_deref(), Form::Json, || report.to_json())?;
    write(args.send.junit.as_deref(), Form::Junit, || {
        report.to_junit()
    })?;
    printed.map_err(Stop::failure)?;
    Ok(report.exit_code())
}

/// Without a service the recordings' days are all that can be looked at.
fn ages(ages: &[Age], limits: Limits) -> Result<u8, Stop> {
    if limits.expire.is_none() && limits.warn.is_none() {
        let hint =
            "`--upstream URL` names a service, `--expire 90d` looks at the recordings' ages alone";
        let nobody = Mistake::new("there is nobody to ask");
        return Err(Stop::usage(nobody.with_hint(hint)));
    }
    for told in ages.iter().filter_map(Age::told) {
        print(&format!("{told}\n")).map_err(Stop::failure)?;
    }
    let expired = ages.iter().filter(|age| age.is_expired()).count();
    print(&format!(
        "{} recordings, {expired} of them expired\n",
        ages.len()
    ))
    .map_err(Stop::failure)?;
    Ok(u8::from(expired > 0))
}

/// Asks for the facts.
pub(super) async fn conform(args: &ConformArgs) -> ExitCode {
    match conformed(args).await {
        Ok(code) => ExitCode::from(code),
        Err(stop) => fail(stop.code, &*stop.error),
    }
}

async fn conformed(args: &ConformArgs) -> Result<u8, Stop> {
    let prices = prices(&args.send)?;
    output::check_each(&[
        (args.send.json.as_deref(), Form::Json),
        (args.send.junit.as_deref(), Form::Junit),
        (args.markdown.as_deref(), Form::Markdown),
    ])
    .map_err(Stop::usage)?;
    let cases = conform::cases(&args.only, &args.model).map_err(Stop::usage)?;
    if args.list {
        print(&conform::listed(&cases)).map_err(Stop::failure)?;
        return Ok(0);
    }
    let own = match &args.upstream {
        Some(_) => None,
        None => Some(
            Server::start(own_config(&args.ground))
                .await
                .map_err(Stop::failure)?,
        ),
    };
    let url = own.as_ref().map_or_else(
        || args.upstream.clone().unwrap_or_default(),
        |server| server.url().to_owned(),
    );
    let key = std::env::var(KEY).ok().filter(|_| own.is_none());
    let service = Service::new(&url, key).map_err(Stop::usage)?;
    if own.is_none() {
        allow(&args.send, &conform::costs(&cases, &prices), &service)?;
    }
    let report = conform::run(&service, &cases, &prices, args.send.budget).await;
    if let Some(server) = own {
        server.stop().await;
    }
    let printed = print(&report.to_string());
    write(args.send.json.as_deref(), Form::Json, || report.to_json())?;
    write(args.send.junit.as_deref(), Form::Junit, || {
        report.to_junit()
    })?;
    write(args.markdown.as_deref(), Form::Markdown, || {
        report.to_markdown()
    })?;
    printed.map_err(Stop::failure)?;
    Ok(report.exit_code())
}

/// The server of a run without `--upstream`.
fn own_config(ground: &GroundArgs) -> Config {
    Config {
        port: 0,
        backend: ground.choice(),
        isolation: ground.isolation.into(),
        image: ground.image.clone(),
        docker_runtime: ground.docker_runtime.clone(),
        provision: Provision::Never,
        // As strict as the service itself.
        strict_betas: true,
        strict_models: true,
        ..Config::default()
    }
}

fn prices(args: &SendArgs) -> Result<Prices, Stop> {
    args.prices
        .as_deref()
        .map_or_else(|| Ok(Prices::default()), Prices::load)
        .map_err(Stop::usage)
}

fn check_files(args: &SendArgs) -> Result<(), Stop> {
    output::check(args.json.as_deref(), args.junit.as_deref()).map_err(Stop::usage)
}

/// Nothing is sent that nobody has seen the price of.
fn allow(args: &SendArgs, costs: &Costs, service: &Service) -> Result<(), Stop> {
    print(&costs.to_string()).map_err(Stop::failure)?;
    if let Some(budget) = args.budget.filter(|budget| *budget < costs.usd) {
        let text = format!(
            "{:.4} USD are expected, and the budget is {budget:.4}",
            costs.usd
        );
        let hint = "raise --budget, or send less with --only";
        return Err(Stop::usage(Mistake::new(text).with_hint(hint)));
    }
    if args.yes {
        return Ok(());
    }
    let text = format!("nothing was sent to `{}`", service.url());
    Err(Stop::usage(
        Mistake::new(text).with_hint("--yes sends these requests"),
    ))
}

fn write(path: Option<&Path>, form: Form, text: impl FnOnce() -> String) -> Result<(), Stop> {
    path.map_or(Ok(()), |path| {
        output::write(path, form, &text()).map_err(Stop::failure)
    })
}
