//! Which flags go together.

use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Command, UsageError};
use common::hinted;
use server::config::{BackendChoice, Config};

/// The configuration of a command line, or what is wrong with it.
fn config(line: &str) -> Result<Config, String> {
    let told = |error: UsageError| hinted::told(&error);
    let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
    let serve = match cli.command {
        None => cli.serve,
        Some(Command::Replay(args)) => args.into_serve().map_err(told)?,
        Some(Command::Record(args)) => args.into_serve().map_err(told)?.0,
        Some(other) => panic!("{other:?}"),
    };
    serve.into_config().map_err(told)
}

#[test]
fn beyond_loopback_a_control_token_is_needed() {
    let told = config("sandtable --host 0.0.0.0").unwrap_err();
    assert!(told.contains("--control-token"), "{told}");
    assert!(config("sandtable --host 0.0.0.0 --control-token secret").is_ok());
    assert!(config("sandtable --host 127.0.0.2").is_ok());
}

#[test]
fn a_rate_limit_that_can_never_count_is_refused() {
    let two = |first: &str, second: &str| {
        config(&format!(
            "sandtable --rate-limit {first} --rate-limit {second}"
        ))
    };
    let told = two("requests=2", "output_tokens=1").unwrap_err();
    assert!(
        told.contains("`--rate-limit` 2: a limit before it"),
        "{told}"
    );
    assert!(two("requests=2,model=claude-opus", "requests=1").is_ok());
}

#[test]
fn a_control_token_is_one_that_a_header_carries() {
    let given = |token: &str| {
        let args = ["sandtable", "--control-token", token];
        let cli = Cli::try_parse_from(args).unwrap();
        cli.serve.into_config().map(drop)
    };
    for token in ["secret", "two words", "a%b~"] {
        assert!(given(token).is_ok(), "{token:?}");
    }
    for token in ["", "secret\n", " secret", "a\nb", "geheimnß"] {
        let told = given(token).unwrap_err().to_string();
        assert!(told.contains("control token"), "{token:?}: {told}");
    }
}

#[test]
fn flags_that_do_not_go_together_leave_the_others_to_be_looked_at() {
    let line = "sandtable --host 0.0.0.0 --backend none --script a.yaml --faults b.json --prices nowhere.json";
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let (config, mistakes) = cli.serve.examined();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert_eq!(config.backend, BackendChoice::None);
    assert_eq!((config.scripts.len(), config.faults.len()), (1, 1));
}

#[test]
fn a_runtime_of_docker_asks_for_docker() {
    for backend in ["auto", "docker"] {
        let line = format!("sandtable --docker-runtime runsc --backend {backend}");
        assert_eq!(config(&line).unwrap().backend, BackendChoice::Docker);
    }
}

#[test]
fn the_address_that_kubernetes_puts_into_the_port_s_variable_is_told_from_a_typing_mistake() {
    let told = config("sandtable --port tcp://10.96.0.12:4010").unwrap_err();
    assert!(told.contains("`enableServiceLinks: false`"), "{told}");
    for mistake in ["99999", "-1", "4010a", ""] {
        let told = config(&format!("sandtable --port={mistake}")).unwrap_err();
        assert!(!told.contains("Kubernetes"), "{mistake}: {told}");
    }
    assert_eq!(config("sandtable --port 4011").unwrap().port, 4011);
}

#[test]
fn in_a_container_an_open_control_surface_is_asked_for_and_a_recorder_s_is_refused() {
    assert!(config("sandtable --host 0.0.0.0 --open-control").is_ok());
    let line = "sandtable record --upstream http://127.0.0.1:1 --out x --host 0.0.0.0 --allow-open-proxy --open-control";
    let told = config(line).unwrap_err();
    assert!(told.contains("--control-token"), "{told}");
    assert!(config(&format!("{line} --control-token secret")).is_ok());
}

#[test]
fn a_recorder_beyond_loopback_is_asked_for_twice() {
    let line = "sandtable record --upstream http://127.0.0.1:1 --out x --host 0.0.0.0 --control-token secret";
    let told = config(line).unwrap_err();
    assert!(told.contains("--allow-open-proxy"), "{told}");
    assert!(config(&format!("{line} --allow-open-proxy")).is_ok());
}

#[test]
fn recordings_need_no_backend_and_a_recorder_needs_an_upstream() {
    let replay = config("sandtable replay a.yaml b").unwrap();
    assert_eq!(replay.backend, BackendChoice::None);
    assert_eq!(replay.cassettes.unwrap().paths.len(), 2);
    let told = config("sandtable replay a.yaml -- python t.py").unwrap_err();
    assert!(told.contains("sandtable run --cassette PATH --"), "{told}");
    let told = config("sandtable record --out x").unwrap_err();
    assert!(told.contains("--upstream"), "{told}");
    let told = config("sandtable record --out x --upstream http://u:p@localhost").unwrap_err();
    assert!(told.contains("name or password"), "{told}");
    for beyond in [
        "http://localhost/?k=secretsecret",
        "http://localhost/v1#part",
    ] {
        let told = config(&format!("sandtable record --out x --upstream {beyond}")).unwrap_err();
        assert!(told.contains("would be recorded"), "{told}");
    }
    let told = config("sandtable --record all").unwrap_err();
    assert!(told.contains("--cassette"), "{told}");
}

/// The headings of a command's help, in order, and all of it.
fn help(line: &str) -> (Vec<String>, String) {
    let text = Cli::try_parse_from(line.split(' '))
        .unwrap_err()
        .to_string();
    let headings = text
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .map(str::to_owned)
        .collect();
    (headings, text)
}

#[test]
fn help_groups_the_shared_flags_behind_the_command_s_own() {
    const SHARED: [&str; 5] = [
        "Server:",
        "Sandboxes:",
        "Scripts and time:",
        "Behaviour of the service:",
        "Recordings:",
    ];
    for (command, own) in [
        ("run", "--junit"),
        ("record", "--out"),
        ("replay", "--live"),
        ("serve", "--help"),
    ] {
        let (mut headings, text) = help(&format!("sandtable {command} --help"));
        headings.retain(|heading| SHARED.contains(&heading.as_str()));
        headings.sort_by_key(|heading| text.find(&format!("\n{heading}\n")));
        assert_eq!(headings.len(), SHARED.len(), "{command}: {text}");
        let first = text.find(&format!("\n{}\n", headings[0])).unwrap();
        let own = text
            .find(&format!("      {own}"))
            .or_else(|| text.find(own));
        assert!(own.unwrap() < first, "{command}: {text}");
        let flat: Vec<&str> = text.split_whitespace().collect();
        assert!(
            flat.join(" ")
                .contains("a free one for a command behind `--`"),
            "{text}"
        );
    }
}

#[test]
fn short_help_shows_the_flags_used_most_and_long_help_all() {
    for command in ["run", "record", "replay", "serve"] {
        let (_, short) = help(&format!("sandtable {command} -h"));
        let (_, long) = help(&format!("sandtable {command} --help"));
        assert!(
            short.contains("--backend") && !short.contains("--cell-queue-timeout"),
            "{short}"
        );
        assert!(long.contains("--cell-queue-timeout"), "{long}");
    }
}

#[test]
fn an_ignored_path_is_checked_where_it_is_typed() {
    let line = "sandtable replay a.yaml --ignore $.system --ignore $.messages[*].content";
    assert_eq!(
        config(line).unwrap().cassettes.unwrap().ignore,
        ["$.system", "$.messages[*].content"]
    );
    let told = config("sandtable replay a.yaml --ignore system").unwrap_err();
    assert!(told.contains("`system` is no JSON path"), "{told}");
    let line = "sandtable import a.yaml --out b --ignore $[";
    let told = Cli::try_parse_from(line.split(' ')).unwrap_err();
    assert!(told.to_string().contains("no JSON path"), "{told}");
}

#[test]
fn every_flag_of_a_server_has_an_environment_variable() {
    let cli = Cli::command();
    let serve = cli.find_subcommand("serve").unwrap();
    let without: Vec<_> = serve
        .get_arguments()
        .filter(|flag| flag.get_env().is_none())
        .map(|flag| flag.get_id().as_str())
        .filter(|flag| !["help", "version"].contains(flag))
        .collect();
    assert_eq!(without, [""; 0]);
    assert!(serve.get_arguments().count() > 30);
}

#[test]
fn the_doctor_is_asked_about_a_server_of_any_flags() {
    let line = "sandtable doctor --json --script a.yaml --backend local --port 0 --data-dir d";
    let Some(Command::Doctor(args)) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
        panic!("another command");
    };
    let config = args.serve.into_config().unwrap();
    assert_eq!(config.backend, BackendChoice::Local);
    assert_eq!(config.scripts.len(), 1);
}
