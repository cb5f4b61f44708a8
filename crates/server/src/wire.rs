//! Connections: bytes leave at once, a fault may end one with a reset, heads do not take for ever, and some requests end
//! with their client.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use crate::api::Connection;
use common::limits;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listening(pub(super) TcpListener);

impl Listener for Listening {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Without it each event of a stream waits for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        (Wire::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    connection: Connection,
    /// The end of the time for a head; set anew for each.
    head: Pin<Box<Sleep>>,
    /// Whether one is under way.
    in_head: bool,
    /// Heads that were whole when the last byte came.
    begun: u64,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            connection: Connection::default(),
            head: Box::pin(tokio::time::sleep(limits::HEAD_TIME)),
            in_head: true,
            begun: 0,
        }
    }

    /// The state that it shares with its requests.
    pub(super) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Looks at the clock while a head is under way. Between requests a connection may rest.
    fn poll_head(&mut self, cx: &mut Context<'_>, came: bool) -> Poll<io::Result<()>> {
        let begun = self.connection.begun();
        if begun != self.begun {
            self.begun = begun;
            self.in_head = false;
        } else if came && !self.in_head && !self.connection.in_body() {
            self.in_head = true;
            let end = tokio::time::Instant::now() + limits::HEAD_TIME;
            self.head.as_mut().reset(end);
        }
        if !self.in_head {
            return Poll::Pending;
        }
        let late = self.head.as_mut().poll(cx);
        late.map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Looks whether the client sends no more while a request is carried out that ends with it; nobody reads meanwhile.
    fn check_client(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.connection.ends_with_client() {
            return Ok(());
        }
        let mut byte = [0];
        match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Ready(Ok(_)) | Poll::Pending => Ok(()),
            Poll::Ready(Err(error)) => Err(error),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.resets()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection closes without a reset");
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() > before;
        match this.poll_head(cx, came) {
            Poll::Ready(late) => Poll::Ready(late),
            Poll::Pending => read,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    /// hyper does so whenever it has written all there is, and where there is nothing yet.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check_client(cx)?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.resets() {
            // A proper end before the reset would be a proper end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }
}
