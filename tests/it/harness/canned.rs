//! Sandboxes that run nothing: a guest that answers what the test tells it to, in the order it is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use guest_proto::{
    Answer, AnswerBody, CodeCall, Decoder, EditErrorKind, EditResult, ErrorKind, ExecDone, Outcome,
    OutputFile, Request, RequestBody,
};
use sandbox::guest::Settings;
use sandbox::{BoxFuture, Channel, Host as _, Launched, Launcher, SandboxError, SandboxSpec};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The reply to the next call.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Ran {
        stdout: String,
        stderr: String,
        return_code: i32,
        /// Names and contents of files in `$OUTPUT_DIR`.
        files: Vec<(String, String)>,
    },
    Ended(Outcome),
    Edited(EditResult, String),
    EditFailed(EditErrorKind, String),
    /// A cell waits for these: names and arguments, numbered as the cell counts them.
    Calls(Vec<(u64, String, Value)>),
    /// The sandbox has all the calls it takes.
    Busy,
    /// The sandbox dies.
    Dies,
}

impl Reply {
    pub(crate) fn stdout(text: &str) -> Self {
        Self::Ran {
            stdout: text.to_owned(),
            stderr: String::new(),
            return_code: 0,
            files: Vec::new(),
        }
    }
}

/// A backend whose guests take their replies from one list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canned(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    replies: VecDeque<Reply>,
    files: HashMap<String, String>,
}

impl Canned {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let canned = Self::default();
        canned.tell(replies);
        canned
    }

    /// Forgets what was to be said and says this instead.
    pub(crate) fn tell(&self, replies: impl IntoIterator<Item = Reply>) {
        let mut told = self.lock();
        told.replies = replies.into_iter().collect();
        told.files.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, mut channel: DuplexStream) {
        let mut decoder = Decoder::new();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = channel.read(&mut buffer).await {
            decoder.push(&buffer[..read]);
            while let Some(frame) = decoder.next_frame().expect("the server sends frames") {
                let Request { call, body } = frame.header().expect("a request");
                let Some(answers) = self.answers(body) else {
                    return;
                };
                for (body, payload) in answers {
                    let bytes = guest_proto::encode(&Answer { call, body }, &payload).unwrap();
                    if channel.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// `None`: the guest dies.
    fn answers(&self, body: RequestBody) -> Option<Vec<(AnswerBody, Vec<u8>)>> {
        let mut told = self.lock();
        let one = |body| Some(vec![(body, Vec::new())]);
        match body {
            RequestBody::Hello { generation, .. } => one(AnswerBody::Hello {
                generation,
                init: true,
            }),
            RequestBody::Ping {} => one(AnswerBody::Pong {}),
            RequestBody::Put { .. }
            | RequestBody::PutSkill { .. }
            | RequestBody::Chunk { last: false }
            | RequestBody::More { .. }
            | RequestBody::EndCell { .. }
            | RequestBody::Cancel {} => Some(Vec::new()),
            RequestBody::NewSkill { .. } => one(AnswerBody::PutDone { linked: false }),
            RequestBody::Chunk { last: true } => one(AnswerBody::PutDone { linked: true }),
            // Of guests that outlive their server; this one does not.
            RequestBody::Resume { .. }
            | RequestBody::Adopt { .. }
            | RequestBody::Release {}
            | RequestBody::Ack { .. } => None,
            RequestBody::Get { name, .. } => {
                let content = told
                    .files
                    .get(&name)
                    .cloned()
                    .expect("a file that was handed back");
                let size = content.len() as u64;
                Some(vec![
                    (AnswerBody::Opened { size }, Vec::new()),
                    (AnswerBody::Chunk { last: false }, content.into_bytes()),
                    (AnswerBody::Chunk { last: true }, Vec::new()),
                ])
            }
            RequestBody::Exec { .. } | RequestBody::Edit { .. } => {
                let reply = told.replies.pop_front().expect("a reply for every call");
                Some(vec![told.reply(reply)?])
            }
            RequestBody::Cell { .. } | RequestBody::GoOn { .. } => {
                let reply = told.replies.pop_front().expect("a reply for every cell");
                let (body, payload) = told.reply(reply)?;
                let body = match body {
                    AnswerBody::ExecDone(done) => AnswerBody::CellDone {
                        done,
                        output_dir: "0123456789abcdef".to_owned(),
                        state_lost: false,
                    },
                    other => other,
                };
                Some(vec![(body, payload)])
            }
        }
    }
}

impl Told {
    fn reply(&mut self, reply: Reply) -> Option<(AnswerBody, Vec<u8>)> {
        let done = |outcome, return_code, stdout_bytes: usize, outputs| {
            AnswerBody::ExecDone(ExecDone {
                outcome,
                return_code,
                stdout_bytes: stdout_bytes as u64,
                outputs,
                too_large: Vec::new(),
                refused: Vec::new(),
                left_out: 0,
            })
        };
        Some(match reply {
            Reply::Ran {
                stdout,
                stderr,
                return_code,
                files,
            } => {
                let outputs = files
                    .iter()
                    .map(|(name, content)| OutputFile::new(name, content.len() as u64))
                    .collect();
                self.files.extend(files);
                let body = done(Outcome::Exited {}, return_code, stdout.len(), outputs);
                (body, (stdout + &stderr).into_bytes())
            }
            Reply::Ended(outcome) => (done(outcome, 137, 0, Vec::new()), Vec::new()),
            Reply::Edited(result, content) => {
                (AnswerBody::EditDone { result }, content.into_bytes())
            }
            Reply::EditFailed(kind, message) => {
                (AnswerBody::EditFailed { kind, message }, Vec::new())
            }
            Reply::Calls(calls) => {
                let calls = calls.into_iter().map(|(n, name, args)| CodeCall {
                    n,
                    name,
                    args: args.to_string(),
                });
                let calls = calls.collect();
                (AnswerBody::CellWaits { calls }, Vec::new())
            }
            Reply::Busy => {
                let (kind, message) = (ErrorKind::Busy, "too many calls at once".to_owned());
                (AnswerBody::Error { kind, message }, Vec::new())
            }
            Reply::Dies => return None,
        })
    }
}

impl Launcher for Canned {
    ends_with_its_channel!();
    leaves_nothing!();

    fn launch<'a>(&'a self, _: &'a SandboxSpec) -> BoxFuture<'a, Result<Launched, SandboxError>> {
        let (ours, theirs) = tokio::io::duplex(1024 * 1024);
        tokio::spawn(self.clone().serve(theirs));
        let (reader, writer) = tokio::io::split(ours);
        Box::pin(std::future::ready(Ok(Launched {
            channel: Channel {
                reader: Box::new(reader),
                writer: Box::new(writer),
            },
            lease: None,
        })))
    }

    fn settings(&self, spec: &SandboxSpec) -> Settings {
        spec.settings(self.capabilities())
    }
}

host!(Canned, "canned", |_backend| Box::pin(std::future::ready(
    Ok(())
)));
