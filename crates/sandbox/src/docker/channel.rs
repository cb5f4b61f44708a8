//! The attach stream of a container, taken apart into the guest's bytes and its log.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error as BollardError;
use bytes::{Buf, Bytes};
use futures_util::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use crate::Channel;

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, BollardError>> + Send>>;

/// Makes a channel of an attached container; what the guest says on stderr goes to the log.
pub(super) fn channel(sandbox_id: &str, attached: AttachContainerResults) -> Channel {
    Channel {
        reader: Box::new(Stdout {
            sandbox_id: sandbox_id.to_owned(),
            frames: attached.output,
            rest: Bytes::new(),
        }),
        writer: Box::new(attached.input),
    }
}

/// The guest's stdout.
struct Stdout {
    sandbox_id: String,
    frames: Frames,
    rest: Bytes,
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout")
            .field("sandbox_id", &self.sandbox_id)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Stdout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match std::task::ready!(self.frames.as_mut().poll_next(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(LogOutput::StdOut { message })) => self.rest = message,
                Some(Ok(LogOutput::StdErr { message })) => log(&self.sandbox_id, &message),
                Some(Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. })) => {
                    let error = "the engine's attach stream is not framed";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

fn log(sandbox_id: &str, message: &[u8]) {
    for line in String::from_utf8_lossy(message).lines() {
        tracing::debug!(container.id = sandbox_id, "guest: {line}");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn reader(frames: Vec<LogOutput>) -> Stdout {
        Stdout {
            sandbox_id: "container_01".to_owned(),
            frames: Box::pin(futures_util::stream::iter(frames.into_iter().map(Ok))),
            rest: Bytes::new(),
        }
    }

    fn out(text: &'static str) -> LogOutput {
        LogOutput::StdOut {
            message: Bytes::from_static(text.as_bytes()),
        }
    }

    #[tokio::test]
    async fn stdout_is_read_whole_and_stderr_is_left_out() {
        let noise = LogOutput::StdErr {
            message: Bytes::from_static(b"noise"),
        };
        let mut reader = reader(vec![out("one "), noise, out(""), out("two")]);
        let mut first = [0; 2];
        reader.read_exact(&mut first).await.unwrap();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&first, rest.as_str()), (b"on", "e two"));
    }

    #[tokio::test]
    async fn an_unframed_stream_is_an_error() {
        let console = LogOutput::Console {
            message: Bytes::from_static(b"hi"),
        };
        let error = reader(vec![console]).read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
