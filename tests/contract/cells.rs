//! Cells in a sandbox of any backend: state, calls, time.

use std::time::{Duration, Instant};

use sandbox::guest::{
    Answered, CellCall, CellResult, CellStep, Guest, GuestError, Outcome, ToolAnswer,
};
use sandbox::{Host as _, Launcher as _, Limits};

use super::bench::contract;
use super::talk::{INPUT_DIR, SMALL, bash, new_output_dir, new_spec, wake};

const TIMEOUT: Duration = Duration::from_mins(1);

async fn cell_within(guest: &Guest, tag: &str, code: &str, timeout: Duration) -> CellStep {
    let call = CellCall {
        code: code.to_owned(),
        tag: format!("srvtoolu_{tag}"),
        tools: vec!["query".to_owned()],
        input_dir: INPUT_DIR.to_owned(),
        output_dir: new_output_dir(),
        timeout,
        patience: Duration::from_mins(5),
    };
    guest.cell(call).await.unwrap()
}

async fn cell(guest: &Guest, tag: &str, code: &str) -> CellStep {
    cell_within(guest, tag, code, TIMEOUT).await
}

async fn go_on(guest: &Guest, tag: &str, n: u64, text: &str) -> CellStep {
    let answer = ToolAnswer {
        n,
        outcome: Answered::Text(text.to_owned()),
    };
    let tag = format!("srvtoolu_{tag}");
    guest.go_on(&tag, &[answer], TIMEOUT).await.unwrap()
}

fn done(step: CellStep) -> CellResult {
    match step {
        CellStep::Done(done) => done,
        waits @ CellStep::Waits(_) => panic!("{waits:?}"),
    }
}

fn out(step: CellStep) -> String {
    let done = done(step).exec;
    assert_eq!(
        done.stderr,
        b"",
        "{:?}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn cells_share_variables_and_files_with_everything_else() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let first = "import os, subprocess\nx = subprocess.check_output('echo 4; pwd', shell=True, text=True).split()\n\
                 open(os.environ['OUTPUT_DIR'] + '/out.txt', 'w').write('1')\nopen('here', 'w').write('h')";
    let first = done(cell(&guest, "1", first).await);
    assert_eq!(first.exec.outputs.len(), 1, "{first:?}");
    assert_eq!(bash(&guest, "cat here").await.out, "h");
    let second = "import multiprocessing as m\nprint(x, m.Pool(2).map(abs, [-1, -2]))";
    assert_eq!(
        out(cell(&guest, "2", second).await),
        "['4', '/home/user'] [1, 2]\n"
    );
    let err = done(cell(&guest, "3", "1 / 0").await).exec.stderr;
    let err = String::from_utf8(err).unwrap();
    assert!(
        err.contains("File \"/tmp/srvtoolu_3/cell.py\", line 1, in <module>\n    1 / 0\n"),
        "{err}"
    );
    bench.end().await;
}

#[tokio::test]
async fn code_waits_for_its_calls_and_goes_on() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let code = "import asyncio\nfor n in range(20):\n    assert await query({'n': n}) == str(n)\nprint('done')";
    let mut step = cell(&guest, "1", code).await;
    let begun = Instant::now();
    for n in 0..20 {
        let CellStep::Waits(calls) = step else {
            panic!("{step:?}");
        };
        assert_eq!(calls[0].args["n"], n);
        step = go_on(&guest, "1", n, &n.to_string()).await;
    }
    eprintln!(
        "MEASURED: 20 rounds of a call from code: {:?}",
        begun.elapsed()
    );
    assert_eq!(out(step), "done\n");
    bench.end().await;
}

#[tokio::test]
async fn calls_of_several_threads_come_in_order() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let code = "import asyncio, concurrent.futures as cf\n\
        ask = lambda n: asyncio.run(query({'n': n}))\n\
        with cf.ThreadPoolExecutor(6) as pool: print(list(pool.map(ask, range(6))))";
    // Each time the threads meet in another order.
    for round in 0..8 {
        let tag = round.to_string();
        let mut step = cell(&guest, &tag, code).await;
        let mut answered = 0;
        while let CellStep::Waits(calls) = step {
            let call = calls.first().expect("a call waits");
            let text = call.args["n"].to_string();
            answered += 1;
            step = go_on(&guest, &tag, call.n, &text).await;
        }
        assert_eq!(answered, 6);
        assert_eq!(out(step), "['0', '1', '2', '3', '4', '5']\n");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_traceback_shows_the_lines_of_the_cell_as_python_shows_a_files() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    for code in [
        "x = 1\n1/0",
        "1/0\n",
        "# a\u{2028}b\ns = 'a\u{c}b'\n1/0",
        "if True:\r\n    1/0",
    ] {
        let failed = done(cell(&guest, "1", code).await).exec;
        let shown = String::from_utf8(failed.stderr).unwrap();
        let script = format!("cat > cell.py <<'PY'\n{code}\nPY\npython3 cell.py");
        let expected = bash(&guest, &script).await.err;
        let lines = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| !line.contains("File "))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(lines(&shown), lines(&expected), "{code:?}");
        assert!(shown.contains("1/0\n    ~^~\n"), "{shown}");
    }
    bench.end().await;
}

#[tokio::test]
async fn an_interpreter_that_is_killed_for_its_memory_or_time_leaves_a_sound_sandbox() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(SMALL)).await;
    let hungry = done(cell(&guest, "1", "x = b'x' * (1 << 30)").await);
    if bench.kills_at_the_memory_limit() {
        assert_eq!(hungry.exec.return_code, 137, "{hungry:?}");
        assert!(done(cell(&guest, "2", "pass").await).state_lost);
    } else {
        assert_eq!(hungry.exec.return_code, 1, "{hungry:?}");
    }
    let code = "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '1000'])\nwhile True: pass";
    let step = cell_within(&guest, "3", code, Duration::from_millis(800)).await;
    assert_eq!(done(step).exec.outcome, Outcome::TimedOut);
    while bash(&guest, "pgrep -c sleep").await.out != "0\n" {}
    assert!(done(cell(&guest, "4", "pass").await).state_lost);
    bench.end().await;
}

#[tokio::test]
async fn sleep_takes_the_variables_and_the_next_cell_says_so() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(Limits::default());
    let guest = wake(&bench, &spec).await;
    assert!(!done(cell(&guest, "1", "x = 1").await).state_lost);
    bench.backend.stop(&spec.sandbox_id).await.unwrap();
    guest.closed().await;
    let guest = wake(&bench, &spec).await;
    let next = done(cell(&guest, "2", "print('x' in globals())").await);
    // What tells of it is a file: where the server keeps these, it brings it back.
    assert_eq!(next.state_lost, bench.backend.capabilities().keeps_files);
    assert_eq!(next.exec.stdout, b"False\n");
    assert!(!done(cell(&guest, "3", "pass").await).state_lost);
    bench.end().await;
}

#[tokio::test]
async fn a_cell_waits_for_those_before_it_for_as_long_as_it_may() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let waits = cell(&guest, "1", "print(await query({}))").await;
    assert!(matches!(waits, CellStep::Waits(_)), "{waits:?}");
    let behind = CellCall {
        code: "print('late')".to_owned(),
        tag: "srvtoolu_2".to_owned(),
        tools: Vec::new(),
        input_dir: INPUT_DIR.to_owned(),
        output_dir: new_output_dir(),
        timeout: Duration::from_millis(100),
        patience: Duration::from_millis(100),
    };
    let late = guest.cell(behind).await;
    assert!(matches!(late, Err(GuestError::Timeout { .. })), "{late:?}");
    // It is gone from the queue, and nothing else has suffered.
    assert_eq!(out(go_on(&guest, "1", 0, "yes").await), "yes\n");
    assert_eq!(out(cell(&guest, "3", "print('next')").await), "next\n");
    bench.end().await;
}
