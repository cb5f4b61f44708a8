//! Keys, values, and mistakes of `sandtable.toml`.

use std::path::Path;

use clap::FromArgMatches as _;

use super::*;

/// The settings of a file in `/project`, or the place in characters, message, and hint.
fn settings(text: &str) -> Result<Vec<Setting>, (String, String, String)> {
    let file = Path::new("/project/sandtable.toml");
    read(text, Path::new("/project")).map_err(|mistake| {
        let error = mistake.within(file, text);
        let place = error.place().unwrap().to_string();
        (place, error.message, error.hint.unwrap())
    })
}

/// The arguments of a command line with a file.
fn typed(text: &str, line: &str) -> Cli {
    let matches = with(Cli::command(), &settings(text).unwrap()).get_matches_from(line.split(' '));
    Cli::from_arg_matches(&matches).unwrap()
}

#[test]
fn a_key_is_a_flag_and_the_flag_wins() {
    let text = "port = 4444\nstrict-betas = true\nscript = [\"a.yaml\", \"/b.yaml\"]\nquirk = \"era=beta-2025\"\nbackend = \"none\"\n\
                rate-limit = \"requests=50,input_tokens=30000\"\nfrozen-at = 2026-01-04T20:47:05Z";
    let serve = typed(text, "sandtable").serve;
    assert_eq!(serve.port, Some(4444));
    assert!(serve.strict_betas && !serve.strict_models);
    let paths: Vec<_> = serve
        .scripts
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(paths, ["/project/a.yaml", "/b.yaml"]);
    assert_eq!(serve.quirks, [("era".to_owned(), "beta-2025".to_owned())]);
    assert_eq!(serve.rates.len(), 1);
    assert!(serve.frozen_at.is_some());
    assert_eq!(typed(text, "sandtable --port 1").serve.port, Some(1));
    let Some(super::super::args::Command::Serve(serve)) =
        typed(text, "sandtable serve --script c.yaml").command
    else {
        panic!("serve");
    };
    assert_eq!((serve.port, serve.scripts.len()), (Some(4444), 1));
}

#[test]
fn a_path_is_divided_only_where_a_variable_has_it() {
    let paths = |is_whole: bool, line: &[&str]| {
        let matches = undivided(Cli::command(), &|_| is_whole).get_matches_from(line);
        let cli = Cli::from_arg_matches(&matches).unwrap();
        let serve = match cli.command {
            Some(super::super::args::Command::Serve(serve)) => *serve,
            _ => cli.serve,
        };
        let named = [serve.scripts, serve.faults, serve.cassettes].concat();
        (named.len(), serve.allow_hosts.len())
    };
    let line = [
        "sandtable",
        "--script=a,b",
        "--faults=c,d",
        "--cassette=e,f",
        "--allow-host=g,h",
    ];
    assert_eq!(paths(true, &line), (3, 2));
    assert_eq!(paths(false, &line), (6, 2));
    let line = ["sandtable", "serve", "--script=a,b"];
    assert_eq!(paths(true, &line), (1, 0));
    let text = "script = [\"a,b.yaml\", \"c.yaml\"]";
    let command = with(
        undivided(Cli::command(), &|_| true),
        &settings(text).unwrap(),
    );
    let cli = Cli::from_arg_matches(&command.get_matches_from(["sandtable"])).unwrap();
    assert_eq!(cli.serve.scripts.len(), 2);
}

#[test]
fn the_empty_name_means_no_file() {
    for line in [
        &["sandtable", "--config", ""][..],
        &["sandtable", "--config="],
        &["sandtable", "serve", "--config="],
    ] {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(line).unwrap();
        assert_eq!(find(&command, &matches), None);
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_a_hint() {
    let told = |text: &str| settings(text).unwrap_err();
    let (place, message, hint) = told("port = 1\n\nscripts = \"a\"");
    assert_eq!(place, "/project/sandtable.toml:3:1");
    assert_eq!(message, "there is no flag `--scripts`");
    assert_eq!(hint, "did you mean `script`?");
    let (place, message, _) = told("port = 99999");
    assert_eq!(place, "/project/sandtable.toml:1:8");
    assert!(message.contains("99999 is not in 0..=65535"), "{message}");
    let (_, message, hint) = told("port = true");
    assert_eq!(message, "a text or a number is wanted");
    assert!(hint.starts_with("`--port`: Port to listen on"), "{hint}");
    let (_, message, _) = told("port = [1, 2]");
    assert_eq!(message, "one value is wanted, not a list");
    let (_, message, _) = told("strict-betas = \"yes\"");
    assert_eq!(message, "true or false is wanted");
    let (_, message, _) = told("backend = \"dokcer\"");
    assert!(message.contains("invalid value 'dokcer'"), "{message}");
    let (_, message, _) = told("[server]\nport = 1");
    assert_eq!(message, "there is no flag `--server`");
    let (place, _, hint) = told("port 1");
    assert!(
        place.ends_with(":1:6") && hint.starts_with("the file is TOML"),
        "{place} {hint}"
    );
    let (_, message, _) = told("config = \"b.toml\"");
    assert_eq!(message, "`config` cannot be set in a file");
    let (place, message, _) = told("redact = [\"a\", \"(\"]");
    assert_eq!(place, "/project/sandtable.toml:1:16");
    assert!(message.contains("unclosed group"), "{message}");
    let alias = |to: &str| told(&format!("tool-alias = \"code_execution_20260104={to}\"")).1;
    for wrong in ["nope", "code_execution_20250825=z"] {
        assert!(alias(wrong).contains("no tool has the type"), "{wrong}");
    }
    let (place, message, _) = told("quirk = [\n  \"era=beta-2025\",\n\n  \"nonsense\",\n]");
    assert_eq!(place, "/project/sandtable.toml:4:3", "{message}");
    assert!(message.contains("invalid value 'nonsense'"), "{message}");
    let (place, message, _) = told("script = [\"a.yaml\", 5]");
    assert_eq!(place, "/project/sandtable.toml:1:21");
    assert_eq!(message, "a path is wanted, as a text");
    assert_eq!(told("data-dir = \"\"").1, "the path is empty");
}

#[test]
fn every_flag_of_the_server_but_the_file_itself_can_be_set() {
    let root = Cli::command();
    let serve = root.find_subcommand(SERVE).unwrap();
    let mut tried = 0;
    for arg in serve.get_arguments() {
        let long = arg.get_long().expect("flags have long names");
        if NOT_SET.contains(&arg.get_id().as_str()) {
            continue;
        }
        assert_eq!(flag(serve, long).unwrap().get_id(), arg.get_id());
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn a_wrong_value_of_a_variable_is_said_to_be_one() {
    // What every process has, and no number.
    let command = || {
        let set = |arg: Arg| match arg.get_id().as_str() {
            "port" | "seed" => arg.env("PATH"),
            _ => without_variable(arg),
        };
        each_arg(Cli::command(), &set)
    };
    let told = |line: &[&str]| {
        let error = command().try_get_matches_from(line).unwrap_err();
        let line = line.iter().map(OsString::from);
        with_variable(error, &command(), line).to_string()
    };
    let of_variable = "tip: the value is that of the variable PATH";
    for line in [
        &["sandtable"][..],
        &["sandtable", "serve"],
        &["sandtable", "--port", "1"],
    ] {
        assert!(told(line).contains(of_variable), "{line:?}: {}", told(line));
    }
    let typed = told(&["sandtable", "--seed", "1", "--port", "x"]);
    assert!(!typed.contains("tip:"), "{typed}");
}

#[test]
fn a_typed_flag_that_does_nothing_is_refused() {
    let told = |line: &str| {
        let words = std::iter::once("sandtable").chain(line.split_whitespace());
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(words).unwrap();
        idle(&command, &matches).map(|mistake| mistake.to_string())
    };
    for (line, words) in [
        ("--upstream http://a.example", "`--upstream` does nothing"),
        ("serve --pace recorded", "`--pace` does nothing"),
        ("run --ignore $.a -- true", "`--ignore` does nothing"),
        (
            "record --out a.yaml --upstream http://a --cassette b.yaml",
            "does not read a `--cassette`",
        ),
        ("record --out a.yaml --cassette b.yaml", "`--cassette`"),
        (
            "--docker-runtime runsc --backend local",
            "of the backend `docker`, and `local` is",
        ),
        ("--backend kubernetes --docker-runtime x", "`docker`"),
        ("--backend local --image x", "`docker` or `kubernetes`"),
        ("run --backend local --warm 2 -- true", "`--warm`"),
        (
            "doctor --k8s-namespace x",
            "of the backend `kubernetes`, and `auto` is",
        ),
        ("--backend docker --k8s-no-policy", "`--k8s-no-policy`"),
        ("--backend docker --isolation strict", "`local`"),
        ("conform --backend docker --isolation any", "`local`"),
        ("conform --upstream http://a --backend local", "`--backend`"),
        ("--cassette a --script b", "`--script` does nothing beside"),
        ("run --cassette a --script b -- true", "`--script`"),
        ("replay a --on-unmatched direct", "`--on-unmatched`"),
        ("replay a --live --script b", "`--script`"),
        (
            "record --out a --upstream http://a --script b",
            "`--script`",
        ),
        (
            "replay a.yaml --record new --upstream http://a",
            "`replay` records nothing",
        ),
    ] {
        assert!(
            told(line).is_some_and(|said| said.contains(words)),
            "{line}"
        );
    }
    for line in [
        "--cassette a --pace recorded",
        "serve --pace recorded --cassette a.yaml",
        "--cassette-dir . --upstream http://a.example",
        "--upstream http://a --cassette-dir a",
        "--upstream http://a --cassette a",
        "replay a.yaml --ignore $.a",
        "replay a.yaml --record none --pace recorded",
        "record --out a.yaml --upstream http://a.example",
        "record --out a.yaml --upstream http://a.example --ignore $.a",
        "--script a --cassette-dir b --on-unmatched direct",
        "--backend none --image x --warm 1 --k8s-pool y",
        "--image x --isolation strict --warm 1",
        "--backend docker --docker-runtime x",
        "conform --backend docker --image x --docker-runtime y",
        "conform --upstream http://a",
        "check a.yaml",
        "",
    ] {
        assert_eq!(told(line), None, "{line}");
    }
}
