//! A file on its way out of a sandbox.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use guest_proto::RequestBody;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::link::{Chunk, Waiting};
use super::{GuestError, STEP_TIMEOUT};

/// The content of an output file. Holds little; the guest sends on only as it is read.
#[derive(Debug)]
pub struct FileStream {
    size: u64,
    waiting: Waiting,
    chunks: mpsc::Receiver<Chunk>,
    current: Vec<u8>,
    position: usize,
    finished: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

impl FileStream {
    pub(super) fn new(size: u64, waiting: Waiting, chunks: mpsc::Receiver<Chunk>) -> Self {
        Self {
            size,
            waiting,
            chunks,
            current: Vec::new(),
            position: 0,
            finished: false,
            patience: None,
        }
    }

    /// The file's size when it was opened. The stream is never longer; it is shorter if something
    /// in the sandbox cuts the file meanwhile.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl AsyncRead for FileStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.position == this.current.len() {
            if this.finished {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(chunk) = this.chunks.poll_recv(cx) else {
                // The next chunk is asked for already: a guest that does not send it hangs.
                let patience = this
                    .patience
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(STEP_TIMEOUT)));
                std::task::ready!(patience.as_mut().poll(cx));
                let seconds = STEP_TIMEOUT.as_secs();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    GuestError::Timeout { seconds },
                )));
            };
            this.patience = None;
            match chunk {
                Some(Chunk::Bytes { bytes, last }) => {
                    this.current = bytes;
                    this.position = 0;
                    if last {
                        this.finished = true;
                        this.waiting.disarm();
                    } else {
                        this.waiting.send(&RequestBody::More { chunks: 1 });
                    }
                }
                Some(Chunk::Failed { message }) => {
                    return Poll::Ready(Err(io::Error::other(message)));
                }
                None => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        GuestError::Gone,
                    )));
                }
            }
        }
        let rest = &this.current[this.position..];
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..taken]);
        this.position += taken;
        Poll::Ready(Ok(()))
    }
}
