//! `/_sandtable/cassettes`: mount recordings on a workspace, look at them, take them out.

use std::path::{Component, Path, PathBuf};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use control_api::{MissingExchanges, Mount, Mounted, Recorded, Recording, Unmounted};
use serde_json::{Map, Value};

use super::body::{Sent, object};
use super::error::ControlError;
use super::target::{Claim, Target};
use crate::app::App;
use crate::config::Config;
use cassette::{self, Deck, Mode, Pace, Plan, Tape, WordError, Written};
use common::clock;
use common::work;
use workspace::Workspace;

/// The mounted recordings: how many exchanges, and which were never given.
pub(super) async fn show(Target(workspace): Target) -> Json<Mounted> {
    Json(mounted(&workspace))
}

fn mounted(workspace: &Workspace) -> Mounted {
    let Some((deck, player)) = workspace.cassettes.get() else {
        return Mounted::default();
    };
    let unused = player.unused().into_iter().map(|unused| unused.recording);
    let recording = deck.recorder().map(|recorder| {
        let Recorded {
            path,
            exchanges,
            missing,
        } = told(&recorder.written());
        Recording {
            path,
            exchanges,
            missing,
            upstream: recorder.upstream.url().to_owned(),
        }
    });
    Mounted {
        mounted: true,
        exchanges: Some(deck.tape().len() as u64),
        unused: Some(unused.collect()),
        recording,
    }
}

const CASSETTES_HINT: &str = "`sandtable docs cassettes` has the format";

/// Mounts a cassette on the workspace, in place of what it has mounted: one of the server's folder, or
/// the YAML that is sent.
pub(super) async fn mount(
    State(app): State<App>,
    claim: Claim,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<Json<Mounted>, ControlError> {
    let deck = if is_order(&headers, &body) {
        let order: Mount = object(
            &body,
            "order to mount a cassette",
            r#"such as {"path": "sales.yaml", "mode": "once"}"#,
        )?;
        let mut plan = plan(&app.config, order)?;
        plan.now = Some(clock::rfc3339_micros(claim.now(&app)));
        work::apart(|| {
            // A recorder of its own would keep it from recording there anew.
            if let Some(own) = claim
                .known()
                .filter(|own| own.cassettes.records_into(&plan))
            {
                Deck::examine(&plan)?;
                own.cassettes.set(None);
            }
            Deck::mount(&plan)
        })
    } else {
        let text = String::from_utf8_lossy(&body);
        let read = work::apart(|| cassette::parse("request body", &text))
            .and_then(|cassette| work::apart(|| Tape::of(vec![cassette])))
            .map_err(|error| ControlError::of(&error, CASSETTES_HINT))?;
        Deck::of(read, Pace::AtOnce)
    };
    let deck = deck.map_err(|error| ControlError::of(&error, CASSETTES_HINT))?;
    let workspace = claim.made(&app).await?;
    workspace.cassettes.set(Some(deck));
    Ok(Json(mounted(&workspace)))
}

/// Whether an order was sent, not a cassette. Either may be JSON, and many a client says nothing true of what it sends.
fn is_order(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    match serde_json::from_slice::<Map<String, Value>>(body) {
        // One that names neither is an order with a mistake.
        Ok(members) => !["cassette", "exchanges"]
            .iter()
            .any(|name| members.contains_key(*name)),
        // YAML all the same, with the header of a client that sets one on all it sends.
        Err(_) => is_json && !names_a_cassette(body),
    }
}

/// Whether a text that is no JSON has the member by which a cassette is known.
fn names_a_cassette(body: &[u8]) -> bool {
    let mut lines = body.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(b"cassette:"))
}

/// Takes the workspace's cassette out; what was recorded is on the disk already.
pub(super) async fn unmount(
    State(app): State<App>,
    claim: Claim,
) -> Result<Json<Unmounted>, ControlError> {
    let workspace = claim.made(&app).await?;
    let deck = workspace.cassettes.set(None);
    let recorder = deck.as_ref().and_then(|deck| deck.recorder());
    let recorded = recorder.map(|recorder| told(&recorder.written()));
    Ok(Json(Unmounted { recorded }))
}

fn told(written: &Written) -> Recorded {
    let Written {
        path,
        exchanges,
        missing,
        reason,
    } = written;
    Recorded {
        path: path.clone(),
        exchanges: *exchanges as u64,
        missing: (*missing > 0).then(|| MissingExchanges {
            exchanges: *missing as u64,
            reason: reason.clone(),
        }),
    }
}

fn plan(config: &Config, order: Mount) -> Result<Plan, ControlError> {
    let word = |text: Option<String>, what: &str| text.map(|text| (text, what.to_owned()));
    let bad = |(text, what): (String, String), error: WordError| {
        let message = format!("{what}: `{text}` is not understood");
        ControlError::bad(message, error.to_string())
    };
    let mode = match word(order.mode, "mode") {
        None => Mode::None,
        Some(given) => given.0.parse().map_err(|error| bad(given, error))?,
    };
    let pace = match word(order.pace, "pace") {
        None => Pace::AtOnce,
        Some(given) => given.0.parse().map_err(|error| bad(given, error))?,
    };
    if let Some(url) = &order.upstream
        && config
            .upstream
            .as_ref()
            .is_none_or(|known| known.url() != url.trim_end_matches('/'))
    {
        // A test must not be able to send keys wherever it likes.
        return Err(ControlError::bad(
            format!("upstream: this server records from `{url}` only if it was started so"),
            format!("start it with `--upstream {url}`"),
        ));
    }
    Ok(Plan {
        paths: vec![inside(config, &order.path)?],
        mode,
        upstream: config.upstream.clone(),
        pace,
        ignore: order.ignore,
        redact: config.redact.clone(),
        secrets: config.secrets.clone(),
        ..Plan::default()
    })
}

/// The path below the server's folder of cassettes.
fn inside(config: &Config, path: &Path) -> Result<PathBuf, ControlError> {
    let folder = config.cassette_dir.as_deref().ok_or_else(|| {
        ControlError::bad(
            "this server has no folder of cassettes",
            "start it with `--cassette-dir DIR`, or send the cassette itself as YAML",
        )
    })?;
    let folder = folder.canonicalize().map_err(|error| {
        ControlError::bad(
            format!("{}: {error}", folder.display()),
            "make the folder that `--cassette-dir` names",
        )
    })?;
    if path.as_os_str().is_empty() {
        return Err(ControlError::bad(
            "`path` is empty",
            "it names a cassette or a folder of them; `.` is the whole folder",
        ));
    }
    let wanted = folder.join(path);
    let outside = || {
        ControlError::bad(
            format!("{} is not below {}", path.display(), folder.display()),
            "name a file of the server's `--cassette-dir`",
        )
    };
    if wanted
        .components()
        .any(|part| matches!(part, Component::ParentDir))
    {
        return Err(outside());
    }
    let is_yaml = wanted
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !is_yaml && !wanted.is_dir() {
        return Err(ControlError::bad(
            format!("{} is no cassette's name", path.display()),
            "cassettes end in `.yaml`",
        ));
    }
    // What is there already may be a link that leads out.
    let mut there = wanted.as_path();
    while !there.exists() {
        there = there.parent().ok_or_else(outside)?;
    }
    let real = there.canonicalize().map_err(|_| outside())?;
    if !real.starts_with(&folder) {
        return Err(outside());
    }
    Ok(wanted)
}
