//! A hostile program, what must be true once it has ended, and how a list of them is run.

use std::time::Duration;

use sandbox::guest::{ExecResult, Guest, Outcome};

use crate::site::{Kind, Room, Site};

/// One hostile program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) must: Must,
    pub(crate) timeout: Duration,
    /// Whether it leaves so much behind that the next case gets a new sandbox.
    pub(crate) messy: bool,
}

/// The program that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    Bash(&'static str),
    /// Runs below `prelude.py`.
    Python(&'static str),
    /// The same, as a cell of the container's interpreter.
    Cell(&'static str),
}

/// The condition that must be true of the call itself.
#[derive(Clone, Copy)]
pub(crate) enum Must {
    /// Every attempt in it fails; it gets to its end and says `done`.
    Fail,
    /// It is ended by its time-out.
    TimeOut,
    /// It ends, no matter how: what counts is what comes after.
    End,
    /// This holds.
    Give(fn(&ExecResult) -> bool),
}

impl std::fmt::Debug for Must {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::TimeOut => "TimeOut",
            Self::End => "End",
            Self::Give(_) => "Give",
        })
    }
}

impl Case {
    const fn new(name: &'static str, program: Program, must: Must) -> Self {
        Self {
            name,
            program,
            must,
            timeout: Duration::from_secs(30),
            messy: false,
        }
    }

    /// A Python program all of whose attempts must fail.
    pub(crate) const fn python(name: &'static str, code: &'static str) -> Self {
        Self::new(name, Program::Python(code), Must::Fail)
    }

    /// A cell all of whose attempts must fail.
    pub(crate) const fn cell(name: &'static str, code: &'static str) -> Self {
        Self::new(name, Program::Cell(code), Must::Fail)
    }

    /// A bash command all of whose attempts must fail.
    pub(crate) const fn bash(name: &'static str, command: &'static str) -> Self {
        Self::new(name, Program::Bash(command), Must::Fail)
    }

    pub(crate) const fn must(self, must: Must) -> Self {
        Self { must, ..self }
    }

    pub(crate) const fn runs_for(self, milliseconds: u64) -> Self {
        Self {
            timeout: Duration::from_millis(milliseconds),
            ..self
        }
    }

    /// It runs until its time is up, after so many milliseconds.
    pub(crate) const fn runs_out(self, milliseconds: u64) -> Self {
        Self {
            must: Must::TimeOut,
            timeout: Duration::from_millis(milliseconds),
            ..self
        }
    }

    pub(crate) const fn messy(self) -> Self {
        Self {
            messy: true,
            ..self
        }
    }

    /// The defects of a call's end.
    fn judge(&self, done: &ExecResult) -> Vec<String> {
        let out = String::from_utf8_lossy(&done.stdout);
        let mut faults: Vec<String> = out
            .lines()
            .filter(|line| line.starts_with("ESCAPED"))
            .map(str::to_owned)
            .collect();
        let right = match self.must {
            Must::Fail => done.outcome == Outcome::Exited && out.lines().last() == Some("done"),
            Must::TimeOut => done.outcome == Outcome::TimedOut,
            Must::End => true,
            Must::Give(holds) => holds(done),
        };
        if !right {
            let err = String::from_utf8_lossy(&done.stderr);
            faults.push(format!(
                "must {:?}; ended {:?} {}, files {:?}, refused {:?}; stdout {:.600?}; stderr {:.1200?}",
                self.must,
                done.outcome,
                done.return_code,
                names(done),
                done.refused.len(),
                out,
                err,
            ));
        }
        faults
    }
}

/// The names of the files a call hands back.
pub(crate) fn names(done: &ExecResult) -> Vec<&str> {
    done.outputs
        .iter()
        .map(|file| file.name.as_str())
        .take(20)
        .collect()
}

/// Runs the cases of a group, and tells all that went wrong at the end.
pub(crate) async fn run(kind: Kind, cases: &[Case]) {
    let Some(site) = Site::open(kind).await else {
        return;
    };
    let neighbour = site.room("neighbour").await;
    neighbour.say("echo unharmed > note").await.unwrap();
    let mut room = site.room("cell").await;
    let mut faults = Vec::new();
    for case in cases {
        if site.cannot_be_held(case.name) {
            continue;
        }
        let started = std::time::Instant::now();
        for fault in run_one(&site, case, &mut room, &neighbour).await {
            faults.push(format!("{}: {fault}", case.name));
        }
        eprintln!("{:>6} ms  {}", started.elapsed().as_millis(), case.name);
    }
    drop(room);
    let last = site.room("last").await;
    assert_eq!(
        last.say("echo ok").await.unwrap(),
        "ok\n",
        "a fresh sandbox"
    );
    drop((neighbour, last));
    site.close().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn run_one(site: &Site, case: &Case, room: &mut Room, neighbour: &Room) -> Vec<String> {
    let mut faults = Vec::new();
    match site.exec(&room.guest, case.program, case.timeout).await {
        Ok(done) => {
            faults.extend(case.judge(&done));
            faults.extend(site.canary.tells(&done));
        }
        Err(error) => faults.push(format!("the call broke: {error}")),
    }
    faults.extend(site.canary.harm());
    if room.guest.is_closed() {
        faults.push("the sandbox is gone".to_owned());
        room.guest = site.wake(&room.spec).await;
    }
    if let Err(fault) = works(&room.guest, site).await {
        faults.push(format!("afterwards: {fault}"));
        room.guest = site.wake(&room.spec).await;
        if let Err(fault) = works(&room.guest, site).await {
            faults.push(format!("started again: {fault}"));
        }
    }
    match neighbour.say("cat note").await {
        Ok(said) if said == "unharmed\n" => {}
        other => faults.push(format!("the neighbour: {other:?}")),
    }
    if case.messy {
        site.backend().remove(&room.spec.sandbox_id).await.unwrap();
        *room = site.room("cell").await;
    }
    faults
}

/// Whether a sandbox answers and runs programs.
async fn works(guest: &Guest, site: &Site) -> Result<(), String> {
    guest.ping().await.map_err(|error| error.to_string())?;
    let program = Program::Bash("echo ok");
    match site.exec(guest, program, Duration::from_secs(10)).await {
        Ok(done) if done.stdout == b"ok\n" && done.return_code == 0 => Ok(()),
        other => Err(format!("`echo ok` gives {other:?}")),
    }
}
