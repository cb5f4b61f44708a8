//! A file on its way out of a sandbox.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use guest_proto::RequestBody;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::link::{Chunk, Waiting};

/// The content of an output file. Holds little; the guest sends on only as it is read.
#[derive(Debug)]
pub struct FileStream {
    size: u64,
    waiting: Waiting,
    chunks: mpsc::Receiver<Chunk>,
    current: Vec<u8>,
    position: usize,
    finished: bool,
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
            match std::task::ready!(this.chunks.poll_recv(cx)) {
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
                        super::GuestError::Gone,
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
