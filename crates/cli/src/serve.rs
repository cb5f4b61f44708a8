//! `sandtable serve`: the banner, and running until a signal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::args::VERSION;
use super::signals::{self, Signals};
use server::config::Config;
use server::{Server, StartError};

/// Serves until SIGINT, SIGTERM, or SIGHUP, or the end of standard input.
pub(super) async fn run(config: Config, stop_at_eof: bool) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let server = tokio::select! {
        server = Server::start(config) => server?,
        _ = signals.next() => return Ok(()),
    };
    // A closed stdout is no reason not to serve.
    io::stdout()
        .lock()
        .write_all(banner(&server).as_bytes())
        .ok();
    #[cfg(target_os = "linux")]
    {
        tokio::spawn(super::memory::give_back_at_rest());
    }
    tokio::select! {
        _ = signals.next() => {}
        () = end_of_input(), if stop_at_eof => {}
    }
    tracing::info!("stopping");
    signals::stop(server).await;
    Ok(())
}

fn banner(server: &Server) -> String {
    let chosen = server.chosen();
    let mut text = format!("sandtable {VERSION}\n\n");
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").expect("a String takes every write");
    };
    line("listening", server.url());
    line("inspector", &format!("{}/_sandtable/", server.url()));
    line("backend", &chosen.why);
    if let Some(command) = &chosen.improve {
        line("", &format!("better with: {command}"));
    }
    if let Some(deck) = server.cassettes() {
        if !deck.tape().is_empty() || deck.closed {
            line(
                "replays",
                &format!("{} recorded exchanges", deck.tape().len()),
            );
        }
        if let Some(recorder) = deck.recorder() {
            let path = recorder.written().path;
            line(
                "records",
                &format!("{} into {}", recorder.upstream.url(), path.display()),
            );
        }
    }
    if let Some(unasked) = unasked(server) {
        line("scripts", &unasked);
    }
    match server.scripts() {
        _ if server.cassettes().is_some() => {}
        0 => line(
            "answers",
            "no script is loaded: the tour answers the documents' prompts, `direct` runs fenced code (--script FILE loads one)",
        ),
        rules => {
            let note = match server.sandboxed_steps() {
                0 => ", none of which needs a sandbox",
                _ => "",
            };
            line("answers", &format!("{rules} scripted rules{note}"));
        }
    }
    match server.data_dir() {
        (_, true) => line(
            "data",
            "temporary, gone when the server stops (--data-dir DIR keeps it)",
        ),
        (dir, false) => line("data", &dir.display().to_string()),
    }
    let url = server.url();
    writeln!(
        text,
        "\n  export ANTHROPIC_BASE_URL={url}\n  export ANTHROPIC_API_KEY=sk-ant-local\n"
    )
    .expect("a String takes every write");
    text
}

/// Which scripts a server passes over, if it does.
pub(super) fn unasked(server: &Server) -> Option<String> {
    let paths = server.unasked_scripts().iter();
    let paths: Vec<_> = paths.map(|path| format!("`{}`", path.display())).collect();
    (!paths.is_empty()).then(|| format!("not asked beside recordings: {}", paths.join(", ")))
}

/// Returns when standard input has ended. A thread reads it, for the runtime would wait for its own.
async fn end_of_input() {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error is an end, too; nobody hears it if a signal was first.
        io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
        tell.send(()).ok();
    });
    told.await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use cassette::Plan;
    use server::config::BackendChoice;

    #[tokio::test]
    async fn the_banner_counts_the_rules_of_a_state_and_names_those_that_nothing_asks() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let state = "scripts:\n- { name: hello, then: [{ text: hi }] }\n";
        let config = Config {
            port: 0,
            backend: BackendChoice::None,
            state: Some(file("state.yaml", state)),
            ..Config::default()
        };
        let said = async |config: Config| {
            let server = Server::start(config).await.unwrap();
            let text = banner(&server);
            server.stop().await;
            text
        };
        let text = said(config.clone()).await;
        let told = "answers   1 scripted rules, none of which needs a sandbox\n";
        assert!(text.contains(told), "{text}");

        let cassette = "cassette: 1\nexchanges: []\n";
        let text = said(Config {
            scripts: vec![file("more.yaml", "no script")],
            cassettes: Some(Plan {
                paths: vec![file("cassette.yaml", cassette)],
                ..Plan::default()
            }),
            ..config
        })
        .await;
        let told = format!(
            "scripts   not asked beside recordings: `{0}/more.yaml`, `{0}/state.yaml`\n",
            folder.path().display()
        );
        assert!(text.contains(&told), "{text}");
    }
}
