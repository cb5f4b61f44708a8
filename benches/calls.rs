//! Calls in sandboxes, and how long these take to come up.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Client;
use crate::servers::{Server, folder, scratch, succeeds};
use crate::table::{Samples, Table, ms};

const CALLS: usize = 200;
const STARTS: usize = 15;
const AT_ONCE: usize = 64;
const USER: u32 = 54_323;
const IMAGE: &str = "sandtable-sandbox:slim";

/// The time that a backend may take, in milliseconds.
struct Budget {
    bash: f64,
    new: f64,
    /// For [`AT_ONCE`] new ones, where there is a limit.
    at_once: Option<f64>,
}

pub(crate) fn measure(table: &mut Table) {
    let place = folder();
    let user = place.path().join("user");
    std::fs::create_dir(&user).unwrap();
    if succeeds("docker", &["image", "inspect", IMAGE]) {
        let args = ["--backend", "docker", "--image", IMAGE];
        let budget = Budget {
            bash: 0.8,
            new: 200.0,
            at_once: Some(1500.0),
        };
        backend(table, "docker", &Server::sandtable(&args), &budget);
        let warm = ["--backend", "docker", "--image", IMAGE, "--warm", "4"];
        from_the_pool(table, &Server::sandtable(&warm));
        docker_exec(table);
    } else {
        table.missing(
            "docker",
            "no engine, or `sandtable image build --flavor slim` is needed",
        );
    }
    let local = ["--backend", "local", "--provision", "never"];
    let budget = Budget {
        bash: 0.4,
        new: 10.0,
        at_once: None,
    };
    let of_user = Budget {
        bash: 0.8,
        new: 5.0,
        at_once: None,
    };
    let as_root = succeeds("bash", &["-c", "test $EUID = 0"]);
    if as_root {
        let name = "local as root (disk image, control groups)";
        backend(table, name, &Server::sandtable(&local), &budget);
        let server = Server::of_user(&user, USER, &local);
        backend(table, "local as a user", &server, &of_user);
    } else {
        backend(
            table,
            "local as a user",
            &Server::sandtable(&local),
            &of_user,
        );
    }
}

/// The cost of starting bash in this very sandbox, in milliseconds.
fn bash_itself(client: &mut Client, container: &Value) -> f64 {
    let command = "s=${EPOCHREALTIME/./}; for n in {1..200}; do bash -c true; done; \
                   echo $((${EPOCHREALTIME/./} - s))";
    say(client, &json!([{ "bash": command }]));
    let message = turn(client, container, "code_execution_20250825");
    let micros = message["content"][1]["content"]["stdout"].as_str().unwrap();
    micros.trim().parse::<f64>().unwrap() / 200.0 / 1000.0
}

fn backend(table: &mut Table, name: &str, server: &Server, budget: &Budget) {
    let mut client = server.client();
    let plain = turns(&mut client, &json!([{"text": "hi"}]), &Value::Null, CALLS).median_ms();
    say(&mut client, &json!([{"bash": "true"}]));
    let first = turn(&mut client, &Value::Null, "code_execution_20250825");
    let container = first["container"]["id"].clone();
    let bash = turns(&mut client, &json!([{"bash": "true"}]), &container, CALLS);
    let itself = bash_itself(&mut client, &container);
    let over = bash.median_ms() - plain - itself;
    let note = format!(
        "a turn with the call {:.2} ms, without {plain:.2} ms; bash by itself in the sandbox {itself:.2} ms",
        bash.median_ms()
    );
    let what = format!("{name}: bash call, over bash itself");
    table.at_most(&what, over, "ms", budget.bash, &note);
    say(
        &mut client,
        &json!([{"create": {"path": "note.txt", "file_text": "a line\n"}}]),
    );
    turn(&mut client, &container, "code_execution_20250825");
    let view = turns(
        &mut client,
        &json!([{"view": "note.txt"}]),
        &container,
        CALLS,
    );
    call_row(table, &format!("{name}: editor call (view)"), &view, plain);
    for (tool, what) in [
        ("code_execution_20250522", "Python call, a new interpreter"),
        (
            "code_execution_20260120",
            "Python call, a cell of the running interpreter",
        ),
    ] {
        say(&mut client, &json!([{"python": "1 + 1"}]));
        let mut spans = Samples::default();
        for _ in 0..CALLS / 4 {
            let begin = Instant::now();
            turn(&mut client, &container, tool);
            spans.push(begin.elapsed());
        }
        call_row(table, &format!("{name}: {what}"), &spans, plain);
    }
    say(&mut client, &json!([{"bash": "true"}]));
    let awake = bash.median_ms();
    let mut new = Samples::default();
    for _ in 0..STARTS {
        let begin = Instant::now();
        turn(&mut client, &Value::Null, "code_execution_20250825");
        new.push(begin.elapsed());
    }
    let what = format!("{name}: new container, over a call in an awake one");
    table.at_most(
        &what,
        new.median_ms() - awake,
        "ms",
        budget.new,
        &new.spread(),
    );
    let mut woken = Samples::default();
    let sleep = format!("containers/{}/sleep", container.as_str().unwrap());
    for _ in 0..STARTS {
        client.control("POST", &sleep, &Value::Null);
        let begin = Instant::now();
        turn(&mut client, &container, "code_execution_20250825");
        woken.push(begin.elapsed());
    }
    let what = format!("{name}: waking a sleeping one, over a call in an awake one");
    table.at_most(
        &what,
        woken.median_ms() - awake,
        "ms",
        budget.new,
        &woken.spread(),
    );
    at_once(table, name, server, budget);
}

fn call_row(table: &mut Table, what: &str, spans: &Samples, plain: f64) {
    let over = spans.median_ms() - plain;
    table.row(
        what,
        format!("{over:.2} ms over a turn without ({})", spans.spread()),
    );
}

fn at_once(table: &mut Table, name: &str, server: &Server, budget: &Budget) {
    let begin = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let begin = Instant::now();
                    let message = turn(
                        &mut server.client(),
                        &Value::Null,
                        "code_execution_20250825",
                    );
                    assert_eq!(
                        message["content"][1]["content"]["return_code"], 0,
                        "{message}"
                    );
                    begin.elapsed()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .max()
    });
    let all = begin.elapsed();
    let what = format!("{name}: {AT_ONCE} new sandboxes at once, each with a call");
    let note = format!("the slowest {:.0} ms", ms(slowest.unwrap()));
    match budget.at_once {
        Some(most) => table.at_most(&what, ms(all), "ms", most, &note),
        None => table.row(what, format!("{:.0} ms for all, {note}", ms(all))),
    }
}

fn from_the_pool(table: &mut Table, server: &Server) {
    let mut client = server.client();
    say(&mut client, &json!([{"bash": "true"}]));
    let first = turn(&mut client, &Value::Null, "code_execution_20250825");
    let container = first["container"]["id"].clone();
    let awake = turns(&mut client, &json!([{"bash": "true"}]), &container, 50).median_ms();
    let mut new = Samples::default();
    for _ in 0..STARTS {
        // The pool fills up again meanwhile.
        std::thread::sleep(Duration::from_secs(1));
        let begin = Instant::now();
        turn(&mut client, &Value::Null, "code_execution_20250825");
        new.push(begin.elapsed());
    }
    let what = "docker: new container from the warm pool, over a call in an awake one";
    table.at_most(what, new.median_ms() - awake, "ms", 10.0, &new.spread());
}

/// The usual way to run something in a container.
fn docker_exec(table: &mut Table) {
    let run = [
        "run",
        "-d",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "sleep",
        IMAGE,
        "300",
    ];
    let output = Command::new("docker").args(run).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let mut spans = Samples::default();
    for _ in 0..20 {
        let begin = Instant::now();
        assert!(succeeds("docker", &["exec", &id, "bash", "-c", "true"]));
        spans.push(begin.elapsed());
    }
    Command::new("docker")
        .args(["rm", "-f", &id])
        .current_dir(scratch())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    let median = spans.median_ms();
    table.row(
        "`docker exec CONTAINER bash -c true`, for comparison",
        format!("{median:.1} ms ({})", spans.spread()),
    );
}

/// Whole turns with these steps.
fn turns(client: &mut Client, steps: &Value, container: &Value, count: usize) -> Samples {
    say(client, steps);
    let mut spans = Samples::default();
    for _ in 0..count {
        let begin = Instant::now();
        turn(client, container, "code_execution_20250825");
        spans.push(begin.elapsed());
    }
    spans
}

pub(crate) fn say(client: &mut Client, steps: &Value) {
    client.control("PUT", "scripts", &json!([{ "then": steps }]));
}

/// One turn; its calls must have run.
pub(crate) fn turn(client: &mut Client, container: &Value, tool: &str) -> Value {
    let mut body = json!({
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "tools": [{"type": tool, "name": "code_execution"}],
        "messages": [{"role": "user", "content": "go"}],
    });
    if !container.is_null() {
        body["container"] = container.clone();
    }
    let message = client.post("/v1/messages", &body).json();
    for block in message["content"].as_array().unwrap() {
        assert!(block["content"].get("error_code").is_none(), "{message}");
    }
    message
}
