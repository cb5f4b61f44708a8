//! The client of the guest: what every backend shares above its byte channel.
//!
//! A [`Guest`] is a cheap handle to the one task that owns the channel. Calls run side by side;
//! dropping a call's future cancels it in the sandbox. What comes from the guest is not trusted.

mod call;
mod cell;
mod embedded;
mod link;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

use guest_proto::{AnswerBody, RequestBody, Token};
use tokio::io::{AsyncRead, AsyncReadExt};

pub use call::{
    Edit, EditCall, EditError, EditOutcome, ExecCall, ExecKind, ExecResult, Outcome, PutFile, View,
};
pub use cell::left_waiting;
pub use cell::{Answered, CellCall, CellResult, CellStep, ToolAnswer, ToolCall};
#[cfg(target_os = "linux")]
pub use embedded::entry;
pub use embedded::{UNAVAILABLE, digest, embedded};
pub use guest_proto::{
    EditErrorKind, ErrorKind, FileType, Hunk, OutputFile, Settings, Unclaimed, WaitingCell,
};
pub use stream::FileStream;

use crate::{Channel, Launched};
use common::ids::Ids;
use link::{Link, Waiting};

/// How much longer than its own time-out a call may take before the guest counts as hung.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long a guest may take to say hello: the channel may be there before its process is.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a guest that ran before may take to answer a new server.
pub const RESUME_TIMEOUT: Duration = Duration::from_secs(5);
/// How long anything but an `exec` may take, and each step of a file transfer.
pub const STEP_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a guest did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The sandbox ended, before or during the call.
    #[error("the sandbox is gone")]
    Gone,
    /// The bytes that came from the guest are no valid answer; the channel is closed.
    #[error("the guest speaks nonsense: {reason}")]
    Protocol { reason: String },
    /// The guest is of another version of this program.
    #[error("the guest speaks protocol generation {theirs}, this server {ours}")]
    Generation { theirs: u16, ours: u16 },
    /// The guest hangs.
    #[error("no answer of the guest within {seconds} s")]
    Timeout { seconds: u64 },
    /// The guest says no.
    #[error("{message}")]
    Refused { kind: ErrorKind, message: String },
    /// The file to put could not be read on our side.
    #[error("reading the file to put")]
    Source(#[source] io::Error),
    /// The call does not fit into a frame.
    #[error("the call is too large: {reason}")]
    TooLarge { reason: String },
}

/// A cheap handle to a guest; when the last one, and the last [`FileStream`], is gone the sandbox ends:
/// at once, or with its lease.
#[derive(Debug, Clone)]
pub struct Guest {
    link: Link,
}

/// State that an earlier server has left in a guest.
#[derive(Debug, Default)]
pub struct Left {
    /// No server has spoken to this guest before.
    pub is_new: bool,
    /// To be adopted or released.
    pub unclaimed: Vec<Unclaimed>,
    /// The cell that waits for answers; it goes on waiting.
    pub waiting: Option<WaitingCell>,
}

impl Guest {
    /// Says hello over a fresh channel and checks the protocol generation.
    pub async fn connect(channel: Channel, settings: Settings) -> Result<Self, GuestError> {
        let guest = Self {
            link: Link::start(channel),
        };
        let hello = RequestBody::Hello {
            generation: guest_proto::GENERATION,
            settings,
        };
        let (answer, _) = guest.ask(hello, &[], HELLO_TIMEOUT).await?;
        let AnswerBody::Hello { generation, .. } = answer else {
            return Err(unexpected(&answer));
        };
        if generation == guest_proto::GENERATION {
            return Ok(guest);
        }
        Err(GuestError::Generation {
            theirs: generation,
            ours: guest_proto::GENERATION,
        })
    }

    /// Says hello to a guest that was launched or taken up, and answers what an earlier server has left.
    pub async fn resume(
        launched: Launched,
        settings: Settings,
        limit: Duration,
    ) -> Result<(Self, Left), GuestError> {
        let Some(lease) = launched.lease else {
            let guest = Self::connect(launched.channel, settings).await?;
            return Ok((guest, Left::default()));
        };
        let nonce = token();
        let guest = Self {
            link: Link::start_leased(launched.channel, lease, &nonce),
        };
        let generation = guest_proto::GENERATION;
        let resume = RequestBody::Resume {
            generation,
            settings,
            nonce,
        };
        let (answer, _) = guest.ask(resume, &[], limit).await?;
        let AnswerBody::Resumed {
            generation: theirs,
            epoch,
            unclaimed,
            waiting,
            ..
        } = answer
        else {
            return Err(unexpected(&answer));
        };
        if theirs != generation {
            return Err(GuestError::Generation {
                theirs,
                ours: generation,
            });
        }
        guest.link.enter_epoch(epoch);
        let left = Left {
            is_new: epoch == 1,
            unclaimed,
            waiting,
        };
        Ok((guest, left))
    }

    /// Waits for a call of an earlier server's, as if it were made now.
    pub async fn adopt(
        &self,
        earlier: &Unclaimed,
        limit: Duration,
    ) -> Result<ExecResult, GuestError> {
        let earlier = earlier.call;
        let (answer, payload) = self.ask(RequestBody::Adopt { earlier }, &[], limit).await?;
        let AnswerBody::ExecDone(done) = answer else {
            return Err(unexpected(&answer));
        };
        ExecResult::from_answer(done, payload)
    }

    /// Ends what earlier servers have left and nobody has adopted.
    pub fn release(&self) {
        self.link.tell(RequestBody::Release {});
    }

    /// Whether the guest has broken the protocol, so that no other channel would help.
    pub fn is_spoilt(&self) -> bool {
        self.link.is_spoilt()
    }

    /// Runs a program. Dropping the future cancels the call and kills its process tree.
    pub async fn exec(&self, call: ExecCall) -> Result<ExecResult, GuestError> {
        let limit = call.timeout.saturating_add(GRACE);
        let (body, payload) = call.into_request();
        let (answer, payload) = self.ask(body, &payload, limit).await?;
        let AnswerBody::ExecDone(done) = answer else {
            return Err(unexpected(&answer));
        };
        ExecResult::from_answer(done, payload)
    }

    /// Views or changes a file; the inner error is the file's or the input's fault.
    pub async fn edit(&self, call: EditCall) -> Result<Result<EditOutcome, EditError>, GuestError> {
        let (body, payload) = call.into_request();
        let (answer, payload) = self.ask(body, &payload, STEP_TIMEOUT).await?;
        if let AnswerBody::EditFailed { kind, message } = answer {
            return Ok(Err(EditError { kind, message }));
        }
        let AnswerBody::EditDone { result } = answer else {
            return Err(unexpected(&answer));
        };
        EditOutcome::from_answer(result, payload).map(Ok)
    }

    /// Writes `$INPUT_DIR/<name>` and links it by its name in the working directory; answers whether the link is
    /// there, which it is not over something else of that name.
    ///
    /// Until the last byte has come the file is not there. Dropping the future leaves nothing behind.
    pub async fn put_file(
        &self,
        file: PutFile<'_>,
        source: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<bool, GuestError> {
        self.put(file.into_request(false), source).await
    }

    /// The same, but a file that lies in the place stays as it is.
    pub async fn put_file_unless_there(
        &self,
        file: PutFile<'_>,
        source: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<bool, GuestError> {
        self.put(file.into_request(true), source).await
    }

    /// Empties the place of a skill, whose files are to follow.
    pub async fn new_skill(&self, name: String) -> Result<(), GuestError> {
        let mut waiting = self.link.call(RequestBody::NewSkill { name }, &[])?;
        put_done(&within(STEP_TIMEOUT, waiting.answer()).await?.0)?;
        Ok(())
    }

    /// Writes a file of a skill: `<skill>/<path>` below the directory of the skills.
    pub async fn put_skill_file(&self, path: String, mut content: &[u8]) -> Result<(), GuestError> {
        let executable = content.starts_with(b"#!");
        let body = RequestBody::PutSkill { path, executable };
        self.put(body, &mut content).await?;
        Ok(())
    }

    async fn put(
        &self,
        body: RequestBody,
        source: &mut (dyn AsyncRead + Send + Unpin),
    ) -> Result<bool, GuestError> {
        let mut waiting = self.link.call(body, &[])?;
        let mut chunk = vec![0; guest_proto::CHUNK_BYTES];
        loop {
            let read = tokio::select! {
                biased;
                early = waiting.answer() => return put_done(&early?.0),
                read = source.read(&mut chunk) => read.map_err(GuestError::Source)?,
            };
            let body = RequestBody::Chunk { last: read == 0 };
            within(STEP_TIMEOUT, waiting.send_data(body, &chunk[..read])).await?;
            if read == 0 {
                break;
            }
        }
        put_done(&within(STEP_TIMEOUT, waiting.answer()).await?.0)
    }

    /// Opens a file of an output directory; it may be read slowly, or not at all.
    pub async fn get_file(&self, output_dir: &str, name: &str) -> Result<FileStream, GuestError> {
        let body = RequestBody::Get {
            output_dir: output_dir.to_owned(),
            name: name.to_owned(),
        };
        let (mut waiting, chunks) = self.link.stream(body)?;
        let (answer, _) = within(STEP_TIMEOUT, waiting.answer()).await?;
        let AnswerBody::Opened { size } = answer else {
            return Err(unexpected(&answer));
        };
        Ok(FileStream::new(size, waiting, chunks))
    }

    /// Asks for a sign of life and says how long it took.
    pub async fn ping(&self) -> Result<Duration, GuestError> {
        let start = Instant::now();
        let (answer, _) = self.ask(RequestBody::Ping {}, &[], STEP_TIMEOUT).await?;
        let AnswerBody::Pong {} = answer else {
            return Err(unexpected(&answer));
        };
        Ok(start.elapsed())
    }

    /// Whether the sandbox has ended.
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Returns once the sandbox has ended.
    pub async fn closed(&self) {
        self.link.closed().await;
    }

    async fn ask(
        &self,
        body: RequestBody,
        payload: &[u8],
        limit: Duration,
    ) -> Result<(AnswerBody, Vec<u8>), GuestError> {
        let mut waiting: Waiting = self.link.call(body, payload)?;
        within(limit, waiting.answer()).await
    }
}

/// A new, random token.
pub fn token() -> Token {
    let ids = Ids::random();
    let digits: String = (0..4).map(|_| ids.next_hex16()).collect();
    Token::from_hex(&digits).expect("four times 16 hexadecimal digits are a token")
}

async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, GuestError>>,
) -> Result<T, GuestError> {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or(Err(GuestError::Timeout {
            seconds: limit.as_secs(),
        }))
}

/// Whether the file is linked, too.
fn put_done(answer: &AnswerBody) -> Result<bool, GuestError> {
    let AnswerBody::PutDone { linked } = answer else {
        return Err(unexpected(answer));
    };
    Ok(*linked)
}

/// An answer of the wrong kind: an `error`, or nonsense.
fn unexpected(answer: &AnswerBody) -> GuestError {
    if let AnswerBody::Error { kind, message } = answer {
        return GuestError::Refused {
            kind: *kind,
            message: message.clone(),
        };
    }
    GuestError::Protocol {
        reason: format!("unexpected answer {answer:.80?}"),
    }
}
