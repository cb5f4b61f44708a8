//! Cells: what they keep, what they call, what ends them.

use std::time::Instant;

use serde_json::Value;

use super::*;

fn cell(number: u64, code: &str) -> CellCall {
    CellCall {
        code: code.to_owned(),
        tag: format!("srvtoolu_{number}"),
        tools: vec!["query".to_owned(), "get-weather".to_owned()],
        input_dir: INPUT.to_owned(),
        output_dir: output_dir(number),
        timeout: Duration::from_secs(30),
        patience: Duration::from_mins(5),
    }
}

fn text(n: u64, text: &str) -> ToolAnswer {
    let outcome = Answered::Text(text.to_owned());
    ToolAnswer { n, outcome }
}

impl Sandbox {
    async fn cell(&self, number: u64, code: &str) -> CellStep {
        self.guest.cell(cell(number, code)).await.unwrap()
    }

    async fn go_on(&self, number: u64, answers: &[ToolAnswer]) -> CellStep {
        let tag = format!("srvtoolu_{number}");
        let step = self.guest.go_on(&tag, answers, Duration::from_secs(30));
        step.await.unwrap()
    }
}

fn done(step: CellStep) -> (i32, String, String) {
    match step {
        CellStep::Done(CellResult { exec, .. }) => (
            exec.return_code,
            String::from_utf8(exec.stdout).unwrap(),
            String::from_utf8(exec.stderr).unwrap(),
        ),
        waits @ CellStep::Waits(_) => panic!("{waits:?}"),
    }
}

/// Name and arguments of what a cell waits for.
fn waits(step: CellStep) -> Vec<(u64, String)> {
    match step {
        CellStep::Waits(calls) => calls
            .into_iter()
            .map(|call| (call.n, format!("{}{}", call.name, Value::Object(call.args))))
            .collect(),
        done @ CellStep::Done(_) => panic!("{done:?}"),
    }
}

#[tokio::test]
async fn a_cell_finds_what_the_cells_before_it_have_set() {
    let sandbox = Sandbox::start().await;
    assert_eq!(done(sandbox.cell(1, "import os\nx = 20").await).0, 0);
    let second = "import asyncio\nawait asyncio.sleep(0)\nprint(x * 2 + 2)\nopen(os.environ['OUTPUT_DIR'] + '/a', 'w').write('1')";
    let CellStep::Done(second) = sandbox.cell(2, second).await else {
        panic!("it calls nothing");
    };
    assert_eq!(second.exec.stdout, b"42\n");
    assert_eq!(second.exec.outputs.len(), 1);
    assert!(!second.state_lost);
    let (code, _, err) = done(sandbox.cell(3, "def f():\n    1 / 0\n\nf()").await);
    assert_eq!(code, 1);
    let path = format!("{}/srvtoolu_3/cell.py", sandbox.settings.tmp_root);
    let expected = format!(
        "Traceback (most recent call last):\n  File \"{path}\", line 4, in <module>\n    f()\n  \
         File \"{path}\", line 2, in f\n    1 / 0\n"
    );
    assert!(
        err.replace("    ~~^~~\n", "").starts_with(&expected),
        "{err}"
    );
    assert_eq!(done(sandbox.cell(4, "raise SystemExit(7)").await).0, 7);
    assert_eq!(done(sandbox.cell(5, "print(x)").await).1, "20\n");
    assert_eq!(done(sandbox.cell(6, "input()").await).0, 1);
}

#[tokio::test]
async fn modules_of_the_working_directory_are_the_cells_and_not_the_interpreters() {
    let sandbox = Sandbox::start().await;
    for name in ["json.py", "traceback.py", "sitecustomize.py"] {
        sandbox.write(name, "print('poison')\n");
    }
    sandbox.write("own.py", "VALUE = 7\n");
    let code = "import own\nprint(own.VALUE)";
    assert_eq!(done(sandbox.cell(1, code).await).1, "7\n");
}

#[tokio::test]
async fn what_code_awaits_is_asked_for_at_once_and_handed_back_in_any_order() {
    let sandbox = Sandbox::start().await;
    let code = "import asyncio\nprint(await asyncio.gather(query({'a': 1}), get_weather({}), query({'ü': None})))\n\
                async def main():\n    return await query({'last': [1.5]})\nprint(await main())";
    let calls = waits(sandbox.cell(1, code).await);
    let expected = [
        (0, "query{\"a\":1}".to_owned()),
        (1, "get-weather{}".to_owned()),
        (2, "query{\"ü\":null}".to_owned()),
    ];
    assert_eq!(calls, expected);
    let answers = [text(2, "drei"), text(0, ""), text(1, "zwei\u{1f600}")];
    let last = [(3, "query{\"last\":[1.5]}".to_owned())];
    assert_eq!(waits(sandbox.go_on(1, &answers).await), last);
    // Asked again, it says again where it is.
    assert_eq!(waits(sandbox.go_on(1, &answers).await), last);
    let ended = (0, "['', 'zwei😀', 'drei']\nend\n".to_owned(), String::new());
    assert_eq!(done(sandbox.go_on(1, &[text(3, "end")]).await), ended);
    assert_eq!(done(sandbox.go_on(1, &[text(3, "end")]).await), ended);
    let unknown = sandbox
        .guest
        .go_on("srvtoolu_9", &[], Duration::from_secs(1))
        .await;
    assert!(
        matches!(
            unknown,
            Err(GuestError::Refused {
                kind: ErrorKind::NotFound,
                ..
            })
        ),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn asyncio_run_and_work_that_goes_on_beside_a_call_are_fine() {
    let sandbox = Sandbox::start().await;
    let code = "import asyncio\nasync def later():\n    await asyncio.sleep(0.05)\n    return await query({'later': 1})\n\
                async def main():\n    print(await asyncio.gather(query({'first': 1}), later()))\nasyncio.run(main())";
    assert_eq!(waits(sandbox.cell(1, code).await).len(), 1);
    let mut open = waits(sandbox.go_on(1, &[text(0, "a")]).await);
    assert_eq!(open.pop().unwrap().0, 1);
    assert_eq!(
        done(sandbox.go_on(1, &[text(1, "b")]).await).1,
        "['a', 'b']\n"
    );
}

#[tokio::test]
async fn a_call_that_times_out_raises_what_code_may_catch() {
    let sandbox = Sandbox::start().await;
    let late = |n| ToolAnswer {
        n,
        outcome: Answered::TimedOut("Calling tool ['query'] timed out.".to_owned()),
    };
    waits(sandbox.cell(1, "await query({})").await);
    let ended = done(sandbox.go_on(1, &[late(0)]).await);
    let expected = "TimeoutError: Calling tool ['query'] timed out.".to_owned();
    assert_eq!(ended, (0, String::new(), expected));
    let code = "try:\n    await query({})\nexcept TimeoutError:\n    print('caught')";
    waits(sandbox.cell(2, code).await);
    assert_eq!(done(sandbox.go_on(2, &[late(0)]).await).1, "caught\n");
}

#[tokio::test]
async fn cells_wait_for_each_other_and_programs_do_not_wait_for_them() {
    let sandbox = Sandbox::start().await;
    waits(sandbox.cell(1, "first = await query({})").await);
    let second = async { done(sandbox.cell(2, "print(first)").await).1 };
    let first = async {
        assert_eq!(sandbox.bash(3, "echo beside").await.stdout, b"beside\n");
        done(sandbox.go_on(1, &[text(0, "was before")]).await);
    };
    let (second, ()) = tokio::join!(second, first);
    assert_eq!(second, "was before\n");
}

#[tokio::test]
async fn a_cell_over_its_time_ends_the_interpreter_and_waiting_does_not_count() {
    let sandbox = Sandbox::start().await;
    done(sandbox.cell(1, "kept = 1").await);
    let mut short = cell(
        2,
        "await query({})\nprint('on', flush=True)\nimport subprocess\np = subprocess.Popen(['sleep', '1000'])\nprint(p.pid, flush=True)\np.wait()",
    );
    short.timeout = Duration::from_millis(600);
    waits(sandbox.guest.cell(short).await.unwrap());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let begun = Instant::now();
    let CellStep::Done(over) = sandbox.go_on(2, &[text(0, "")]).await else {
        panic!("it waits for nothing");
    };
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(over.exec.outcome, Outcome::TimedOut);
    let out = String::from_utf8(over.exec.stdout).unwrap();
    ends(out.strip_prefix("on\n").unwrap()).await;
    let CellStep::Done(next) = sandbox.cell(4, "print('kept' in globals())").await else {
        panic!("it waits for nothing");
    };
    assert!(next.state_lost);
    assert_eq!(next.exec.stdout, b"False\n");
}

#[tokio::test]
async fn an_interpreter_that_ends_by_itself_takes_its_variables_along() {
    let sandbox = Sandbox::start().await;
    let (code, out, err) = done(
        sandbox
            .cell(1, "import os\nprint('out')\nos._exit(7)")
            .await,
    );
    assert_eq!((code, out.as_str(), err.as_str()), (7, "out\n", ""));
    let CellStep::Done(next) = sandbox.cell(2, "print(1)").await else {
        panic!("it waits for nothing");
    };
    assert!(next.state_lost);
    let killed = done(sandbox.cell(3, "import os\nos.kill(os.getpid(), 9)").await);
    assert_eq!(killed.0, 137);
}

#[tokio::test]
async fn a_cell_finds_streams_that_work_whatever_one_before_it_has_closed() {
    let sandbox = Sandbox::start().await;
    done(sandbox.cell(1, "x = 1").await);
    let broken = [
        "import sys\nwith sys.stdout as out: print('it', file=out)",
        "with open(1, 'w') as f: f.write('it\\n')",
        "import os\nos.close(1); print('it', end='')",
        "import os, sys\nprint('it'); os.dup2(os.open('log', os.O_CREAT | os.O_WRONLY), 1); os.close(0); os.close(2)",
        "import sys\nprint('it'); sys.stdin.close(); sys.stderr.close(); del sys.stdout",
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), line_buffering=True); print('it')",
        "import sys\nsys.stdout = sys.__stdout__; print('it')",
        "import sys\nprint('it'); sys.__stdout__ = sys.__stderr__ = None",
        "class Odd:\n  __hash__ = None\n  write = lambda self, text: None\nimport sys\nprint('it'); sys.stdout = Odd()",
        "import sys\nsys.stdout = sys.__stdout__; print('it'); exit()",
    ];
    for (number, broken) in (10..).step_by(10).zip(broken) {
        let (code, out, err) = done(sandbox.cell(number, broken).await);
        assert_eq!((code, out.trim_end(), &*err), (0, "it", ""), "{broken}");
        let next = "import os, sys\n\
                    with open('made', 'w') as f:\n  print('said'); f.write('written')\n\
                    print(x, sys.stdin.read(), os.system('echo program; echo wrong >&2'), file=sys.stderr)";
        let (code, out, err) = done(sandbox.cell(number + 1, next).await);
        let said = if broken.contains("Odd()") {
            ""
        } else {
            "said\n"
        };
        assert_eq!(code, 0, "{broken}: {err}");
        assert_eq!(out, format!("{said}program\n"), "{broken}");
        assert_eq!(err, "wrong\n1  0\n", "{broken}");
        let made = fs::read_to_string(sandbox.work("made")).unwrap();
        assert_eq!(made, "written", "{broken}");
    }
}

#[tokio::test]
async fn a_cell_that_fails_without_its_stderr_says_so_all_the_same() {
    let sandbox = Sandbox::start().await;
    for (number, code) in (1..).zip([
        "import sys\nsys.stderr.close()\n1 / 0",
        "import sys\nsys.stderr = None\n1 / 0",
        "import os, sys\nos.close(2)\nsys.exit('ZeroDivisionError: division by zero')",
    ]) {
        let (code, _, err) = done(sandbox.cell(number, code).await);
        assert_eq!(code, 1, "{err}");
        assert!(
            err.ends_with("ZeroDivisionError: division by zero\n"),
            "{err}"
        );
        assert!(!err.contains("<sandtable>"), "{err}");
    }
}

#[tokio::test]
async fn a_warning_names_no_file_of_ours() {
    let sandbox = Sandbox::start().await;
    let code = "import asyncio\nasyncio.create_task(query({}))";
    let (_, _, err) = done(sandbox.cell(1, code).await);
    assert!(
        err.contains("\nsys:1: RuntimeWarning: coroutine 'query' was never awaited\n"),
        "{err}"
    );
    assert!(!err.contains("<sandtable>"), "{err}");
}

#[tokio::test]
async fn a_program_in_the_interpreters_place_ends_its_cell_when_it_ends() {
    let sandbox = Sandbox::start().await;
    let code =
        "import os\nos.execvp('sh', ['sh', '-c', 'echo one; sleep 0.5; echo two >&2; exit 3'])";
    let ended = done(sandbox.cell(1, code).await);
    assert_eq!(ended, (3, "one\n".to_owned(), "two\n".to_owned()));
    let code = "import os, time\nos.closerange(3, 256)\ntime.sleep(0.3)\nprint('closed')";
    let ended = done(sandbox.cell(2, code).await);
    assert_eq!(ended, (0, "closed\n".to_owned(), String::new()));
    let CellStep::Done(next) = sandbox.cell(3, "print(1)").await else {
        panic!("it waits for nothing");
    };
    assert!(next.state_lost);
    let endless = CellCall {
        timeout: Duration::from_millis(300),
        ..cell(4, "import os\nos.execvp('sleep', ['sleep', '1000'])")
    };
    let CellStep::Done(ended) = sandbox.guest.cell(endless).await.unwrap() else {
        panic!("it waits for nothing");
    };
    assert_eq!(ended.exec.outcome, Outcome::TimedOut);
}

#[tokio::test]
async fn a_cell_that_nobody_waits_for_is_ended_unless_its_client_knows_it() {
    let sandbox = Sandbox::start().await;
    let code = "open('up', 'w').write('1\\n')\nimport time\ntime.sleep(1000)";
    let (up, on) = (sandbox.work("up"), sandbox.work("on"));
    tokio::select! {
        step = sandbox.cell(1, code) => panic!("{step:?}"),
        _ = appears(&up) => {}
    }
    assert_eq!(done(sandbox.cell(2, "print(2)").await).1, "2\n");
    let code = "await query({})\nopen('on', 'w').write('1\\n')\nimport time\n\
                while not __import__('os').path.exists('go'): time.sleep(0.01)\nprint('to its end')";
    waits(sandbox.cell(3, code).await);
    let answers = [text(0, "")];
    tokio::select! {
        step = sandbox.go_on(3, &answers) => panic!("{step:?}"),
        _ = appears(&on) => {}
    }
    sandbox.write("go", "");
    assert_eq!(
        done(sandbox.go_on(3, &[text(0, "")]).await).1,
        "to its end\n"
    );
    waits(sandbox.cell(4, "await query({})").await);
    sandbox.guest.end_cell("srvtoolu_4");
    assert_eq!(done(sandbox.cell(5, "print(5)").await).1, "5\n");
}

#[tokio::test]
async fn code_that_forges_words_of_its_interpreter_hurts_itself_alone() {
    let sandbox = Sandbox::start().await;
    let find = "import os, socket\n\
                fd = next(n for n in range(3, 64) if os.path.exists(f'/proc/self/fd/{n}') \
                and os.readlink(f'/proc/self/fd/{n}').startswith('socket:'))\n\
                def say(text): os.write(fd, len(text).to_bytes(4, 'little') + text.encode())\n";
    let forgeries = [
        "say('{\"calls\": [{\"n\": 0, \"name\": \"rm\", \"args\": \"{}\"}]}')",
        "say('{\"calls\": [{\"n\": 0, \"name\": \"query\", \"args\": \"[]\"}]}')",
        "say('{\"calls\": [{\"n\": 5, \"name\": \"query\", \"args\": \"{}\"}]}')",
        "say('{\"exec_done\": 0}')",
        "say('no JSON')",
        "os.write(fd, b'\\xff\\xff\\xff\\xff')",
        "os.write(fd, b'\\xF5sbx' * 1000)",
    ];
    for (number, forgery) in (1..).zip(forgeries) {
        let code = format!("{find}{forgery}\nimport time\ntime.sleep(1000)");
        let (code, _, err) = done(sandbox.cell(number, &code).await);
        assert_eq!(code, 137, "{forgery}: {err}");
        assert!(
            err.contains("sandtable: the interpreter was ended: "),
            "{forgery}: {err}"
        );
    }
    // Ends its own cell early, no more.
    let early = done(
        sandbox
            .cell(50, &format!("{find}say('{{\"done\": 3}}')\nprint('late')"))
            .await,
    );
    assert_eq!(early.0, 3);
    assert_eq!(sandbox.bash(60, "echo sound").await.stdout, b"sound\n");
    assert_eq!(done(sandbox.cell(61, "print('sound')").await).0, 0);
}
