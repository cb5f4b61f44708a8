//! A stream to a guest: `exec` of the relay in its pod, taken apart into the guest's bytes and a log.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::api::Cluster;
use super::names::{GUEST_FILE, RELAY};
use crate::{Channel, SandboxError};

/// Made at once for each direction of each stream.
const BUFFER_BYTES: usize = 32 * 1024;
const MAX_LOG_BYTES: u64 = 4096;

/// The relay's output. Its end means that the connection is over, never that the guest is.
struct Stdout<R> {
    bytes: R,
    /// Ready once the connection is over, however it ended: a reader is not told of one that broke.
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_over: bool,
    /// Ends the connection when it is dropped.
    _process: AttachedProcess,
}

impl<R: AsyncRead + Unpin> AsyncRead for Stdout<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.bytes).poll_read(context, buffer);
        if read.is_ready() {
            return read;
        }
        if !self.is_over {
            ready!(self.over.as_mut().poll(context));
            self.is_over = true;
        }
        // What came before the end comes first.
        match Pin::new(&mut self.bytes).poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            Poll::Ready(read) => Poll::Ready(read),
        }
    }
}

/// Opens a stream to the guest of a pod that runs.
pub(super) async fn open(cluster: &Cluster, pod: &str) -> Result<Channel, SandboxError> {
    const OPERATION: &str = "reach the sandbox's pod";
    let params = AttachParams::default()
        .container(RELAY)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .tty(false)
        .max_stdin_buf_size(BUFFER_BYTES)
        .max_stdout_buf_size(BUFFER_BYTES);
    let relay = cluster.pods.exec(pod, [GUEST_FILE, "relay", pod], &params);
    let mut process = cluster.ask(OPERATION, relay).await?;
    let ended = process.take_status();
    let over = async move {
        if let Some(ended) = ended
            && let Some(status) = ended.await
        {
            tracing::debug!(reason = ?status.message, "the relay has ended");
        }
    };
    let pipes = (process.stdin(), process.stdout(), process.stderr());
    let (Some(writer), Some(bytes), Some(stderr)) = pipes else {
        return Err(SandboxError::Engine {
            operation: OPERATION,
            cause: "the stream lacks a channel".into(),
        });
    };
    let name = pod.to_owned();
    tokio::spawn(async move {
        let mut said = Vec::new();
        let read = stderr.take(MAX_LOG_BYTES).read_to_end(&mut said).await;
        if read.is_ok() && !said.is_empty() {
            let said = String::from_utf8_lossy(&said);
            tracing::debug!(pod.name = %name, "relay: {}", said.trim());
        }
    });
    Ok(Channel {
        reader: Box::new(Stdout {
            bytes,
            over: Box::pin(over),
            is_over: false,
            _process: process,
        }),
        writer: Box::new(writer),
    })
}
