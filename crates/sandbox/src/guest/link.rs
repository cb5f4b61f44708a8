//! The task that owns a guest's channel, and the handle to it.
//!
//! It alone reads and writes; nothing it does waits for a caller, so one slow reader of a file
//! never holds up another call.

mod marked;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use guest_proto::{
    Answer, AnswerBody, DecodeError, Decoder, EPOCH_SHIFT, GENERATION, Request, RequestBody, Token,
    WINDOW_CHUNKS, encode,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use self::marked::Marked;
use super::{GuestError, STEP_TIMEOUT};
use crate::{Channel, GuestLease};

const READ_BUFFER_BYTES: usize = 64 * 1024;
/// File chunks are taken in only while fewer bytes than this wait to be written.
const OUT_HIGH_BYTES: usize = 512 * 1024;
/// File chunks that wait to be taken in.
const DATA_QUEUE: usize = 2;
/// How often a guest with a lease hears from an idle server.
const PINGS_PER_LEASE: u32 = 4;
/// From one look at a guest that somebody waits for to the next, where it has no lease.
const LOOK: Duration = STEP_TIMEOUT.checked_div(4).expect("4 is not 0");
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

type Reply = Result<(AnswerBody, Vec<u8>), GuestError>;

/// A piece of a file that is being read.
#[derive(Debug)]
pub(super) enum Chunk {
    Bytes { bytes: Vec<u8>, last: bool },
    Failed { message: String },
}

/// The caller that waits for the answers of a call.
struct Waiter {
    reply: Option<oneshot::Sender<Reply>>,
    chunks: Option<mpsc::Sender<Chunk>>,
}

enum Order {
    Call {
        call: u64,
        frame: Vec<u8>,
        waiter: Waiter,
    },
    Send(Vec<u8>),
    /// Nobody waits any more: cancel it in the sandbox.
    Forget(u64),
}

/// How the channel ended.
#[derive(Debug, Clone)]
enum End {
    Gone,
    /// It gave no sign of life for [`STEP_TIMEOUT`].
    Hung,
    Protocol(String),
    Generation(u16),
}

impl End {
    fn error(&self) -> GuestError {
        match self {
            Self::Gone => GuestError::Gone,
            Self::Hung => GuestError::Timeout {
                seconds: STEP_TIMEOUT.as_secs(),
            },
            Self::Protocol(reason) => GuestError::Protocol {
                reason: reason.clone(),
            },
            Self::Generation(theirs) => GuestError::Generation {
                theirs: *theirs,
                ours: GENERATION,
            },
        }
    }
}

impl From<DecodeError> for End {
    fn from(error: DecodeError) -> Self {
        match &error {
            DecodeError::Generation(theirs) => Self::Generation(*theirs),
            DecodeError::Magic(_)
            | DecodeError::Reserved(_)
            | DecodeError::HeaderTooLong(_)
            | DecodeError::PayloadTooLong(_)
            | DecodeError::Header(_) => Self::Protocol(error.to_string()),
        }
    }
}

/// The handle to the owner task.
#[derive(Clone)]
pub(super) struct Link {
    orders: mpsc::UnboundedSender<Order>,
    data: mpsc::Sender<Vec<u8>>,
    end: watch::Receiver<Option<End>>,
    next_call: Arc<AtomicU64>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A link over a fresh channel, to a guest that ends with it.
    pub(super) fn start(channel: Channel) -> Self {
        Self::with(channel, None)
    }

    /// A link to a guest with a lease: behind marks, and with pings.
    pub(super) fn start_leased(channel: Channel, lease: GuestLease, nonce: &Token) -> Self {
        Self::with(channel, Some(Marked::new(lease, nonce)))
    }

    fn with(channel: Channel, stream: Option<Marked>) -> Self {
        let (orders, orders_in) = mpsc::unbounded_channel();
        let (data, data_in) = mpsc::channel(DATA_QUEUE);
        let (end_out, end) = watch::channel(None);
        let next_call = Arc::new(AtomicU64::new(1));
        let mut owner = Owner {
            waiters: HashMap::new(),
            out: VecDeque::new(),
            out_bytes: 0,
            decoder: Decoder::new(),
            stream,
            next_call: Arc::clone(&next_call),
            asked: None,
        };
        if let Some(stream) = &mut owner.stream {
            let mark = std::mem::take(&mut stream.mark);
            owner.queue(mark);
        }
        tokio::spawn(owner.run(channel, orders_in, data_in, end_out));
        Self {
            orders,
            data,
            end,
            next_call,
        }
    }

    /// From now on calls are of this stream of the guest's.
    pub(super) fn enter_epoch(&self, epoch: u32) {
        let first = (u64::from(epoch) << EPOCH_SHIFT) + 1;
        self.next_call.store(first, Ordering::Relaxed);
    }

    /// Whether no other channel would help: the guest has broken the protocol, or hangs.
    pub(super) fn is_spoilt(&self) -> bool {
        matches!(
            *self.end.borrow(),
            Some(End::Hung | End::Protocol(_) | End::Generation(_))
        )
    }

    /// Sends a message that has no answer.
    pub(super) fn tell(&self, body: RequestBody) {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        if let Ok(frame) = request_frame(call, body, &[]) {
            // Closed: whoever calls next is told why.
            self.orders.send(Order::Send(frame)).ok();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.end.borrow().is_some()
    }

    pub(super) async fn closed(&self) {
        // An error means that the owner task itself is gone: closed as well.
        drop(self.end.clone().wait_for(Option::is_some).await);
    }

    /// Sends a request that has one answer.
    pub(super) fn call(&self, body: RequestBody, payload: &[u8]) -> Result<Waiting, GuestError> {
        self.enter(body, payload, None)
    }

    /// Sends a request whose answer is followed by chunks.
    pub(super) fn stream(
        &self,
        body: RequestBody,
    ) -> Result<(Waiting, mpsc::Receiver<Chunk>), GuestError> {
        // One place more than the window: an error may follow a full one.
        let (sender, chunks) = mpsc::channel(WINDOW_CHUNKS as usize + 1);
        Ok((self.enter(body, &[], Some(sender))?, chunks))
    }

    fn enter(
        &self,
        body: RequestBody,
        payload: &[u8],
        chunks: Option<mpsc::Sender<Chunk>>,
    ) -> Result<Waiting, GuestError> {
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let frame = request_frame(call, body, payload)?;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            reply: Some(reply),
            chunks,
        };
        let order = Order::Call {
            call,
            frame,
            waiter,
        };
        self.orders.send(order).map_err(|_| self.end_error())?;
        Ok(Waiting {
            call,
            link: self.clone(),
            answer,
            armed: true,
        })
    }

    fn end_error(&self) -> GuestError {
        self.end
            .borrow()
            .as_ref()
            .map_or(GuestError::Gone, End::error)
    }
}

fn request_frame(call: u64, body: RequestBody, payload: &[u8]) -> Result<Vec<u8>, GuestError> {
    encode(&Request { call, body }, payload).map_err(|e| GuestError::TooLarge {
        reason: e.to_string(),
    })
}

/// A call under way; dropped early, it is cancelled in the sandbox.
#[derive(Debug)]
pub(super) struct Waiting {
    call: u64,
    link: Link,
    answer: oneshot::Receiver<Reply>,
    armed: bool,
}

impl Waiting {
    /// The call's answer. May be awaited again if dropped before it came.
    pub(super) async fn answer(&mut self) -> Reply {
        let reply = match (&mut self.answer).await {
            Ok(reply) => reply,
            Err(_) => Err(self.link.end_error()),
        };
        // After `opened` there are chunks to call off.
        self.armed = matches!(reply, Ok((AnswerBody::Opened { .. }, _)));
        reply
    }

    /// Sends a piece of a file for this call, once there is room.
    pub(super) async fn send_data(
        &self,
        body: RequestBody,
        payload: &[u8],
    ) -> Result<(), GuestError> {
        let frame = request_frame(self.call, body, payload)?;
        self.link
            .data
            .send(frame)
            .await
            .map_err(|_| self.link.end_error())
    }

    /// Sends a small message of this call. If the channel is closed the answer will say so.
    pub(super) fn send(&self, body: &RequestBody) {
        if let Ok(frame) = request_frame(self.call, body.clone(), &[]) {
            self.link.orders.send(Order::Send(frame)).ok();
        }
    }

    /// The call is over; there is nothing to cancel.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.armed {
            self.link.orders.send(Order::Forget(self.call)).ok();
        }
    }
}

struct Owner {
    waiters: HashMap<u64, Waiter>,
    out: VecDeque<(Vec<u8>, usize)>,
    out_bytes: usize,
    decoder: Decoder,
    /// Of a guest with a lease.
    stream: Option<Marked>,
    next_call: Arc<AtomicU64>,
    /// When it was asked for a sign of life that has not come yet.
    asked: Option<Instant>,
}

impl Owner {
    async fn run(
        mut self,
        mut channel: Channel,
        mut orders: mpsc::UnboundedReceiver<Order>,
        mut data: mpsc::Receiver<Vec<u8>>,
        end_out: watch::Sender<Option<End>>,
    ) {
        let end = self.serve(&mut channel, &mut orders, &mut data).await;
        match &end {
            End::Protocol(reason) => {
                tracing::warn!(%reason, "the guest speaks nonsense; its sandbox is given up");
            }
            End::Hung => {
                let seconds = STEP_TIMEOUT.as_secs();
                tracing::warn!(
                    seconds,
                    "the guest gives no sign of life; its sandbox is given up"
                );
            }
            End::Gone | End::Generation(_) => {}
        }
        end_out.send_replace(Some(end.clone()));
        // Nothing may enter after this: calls that already did find their senders dropped, and the reason.
        orders.close();
        while let Ok(order) = orders.try_recv() {
            if let Order::Call { waiter, .. } = order {
                waiter.fail(&end);
            }
        }
        for (_, waiter) in self.waiters.drain() {
            waiter.fail(&end);
        }
        drop(tokio::time::timeout(SHUTDOWN_TIMEOUT, channel.writer.shutdown()).await);
    }

    async fn serve(
        &mut self,
        channel: &mut Channel,
        orders: &mut mpsc::UnboundedReceiver<Order>,
        data: &mut mpsc::Receiver<Vec<u8>>,
    ) -> End {
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let mut unflushed = false;
        let span = self.stream.as_ref().map(|stream| stream.span);
        let mut pings = tokio::time::interval(span.unwrap_or(Duration::MAX / 4) / PINGS_PER_LEASE);
        pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let (front, written) = match self.out.front() {
                Some((frame, written)) => (frame.as_slice(), *written),
                None => (&[][..], 0),
            };
            tokio::select! {
                read = channel.reader.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return End::Gone,
                    Ok(read) => if let Err(end) = self.take_in(&buffer[..read]) {
                        return end;
                    },
                },
                _ = pings.tick(), if span.is_some() => if !self.ping() {
                    return End::Gone;
                },
                _ = looks.tick(), if self.is_watched() => if self.hangs() {
                    return End::Hung;
                },
                order = orders.recv() => match order {
                    Some(order) => {
                        if !self.is_watched() {
                            looks.reset();
                        }
                        self.obey(order);
                    }
                    None => return End::Gone,
                },
                Some(frame) = data.recv(), if self.out_bytes < OUT_HIGH_BYTES => {
                    // The order that opened the call was sent before this chunk: it must stay before.
                    while let Ok(order) = orders.try_recv() {
                        self.obey(order);
                    }
                    self.queue(frame);
                },
                result = write_or_flush(&mut channel.writer, &front[written..]),
                    if unflushed || !front.is_empty() => match result {
                    Err(_) => return End::Gone,
                    Ok(0) => unflushed = false,
                    Ok(bytes) => {
                        self.wrote(bytes);
                        unflushed = true;
                    }
                },
            }
        }
    }

    /// Whether the guest owes an answer. One with a lease is asked for a sign of life all the time.
    fn is_watched(&self) -> bool {
        self.stream.is_none() && (self.asked.is_some() || !self.waiters.is_empty())
    }

    /// Whether a guest that owes an answer says nothing at all; it is asked whether it lives.
    fn hangs(&mut self) -> bool {
        if let Some(asked) = self.asked {
            return asked.elapsed() >= STEP_TIMEOUT;
        }
        self.asked = Some(Instant::now());
        self.queue_ping();
        false
    }

    fn queue(&mut self, frame: Vec<u8>) {
        self.out_bytes += frame.len();
        self.out.push_back((frame, 0));
    }

    fn wrote(&mut self, bytes: usize) {
        self.out_bytes -= bytes;
        if let Some((frame, written)) = self.out.front_mut() {
            *written += bytes;
            if *written == frame.len() {
                self.out.pop_front();
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Call {
                call,
                frame,
                waiter,
            } => {
                self.waiters.insert(call, waiter);
                self.queue(frame);
            }
            Order::Send(frame) => self.queue(frame),
            Order::Forget(call) => {
                // Forgotten after its answer: nothing to cancel.
                if self.waiters.remove(&call).is_some() {
                    self.queue_cancel(call);
                }
            }
        }
    }

    /// Lets the guest know that its server lives; `false` if it says nothing itself.
    fn ping(&mut self) -> bool {
        let Some(stream) = &self.stream else {
            return true;
        };
        if stream.is_silent() {
            return false;
        }
        if stream.has_begun() {
            self.queue_ping();
        }
        true
    }

    fn queue_ping(&mut self) {
        let epoch = self.next_call.load(Ordering::Relaxed) >> EPOCH_SHIFT;
        // Nobody waits for this call, so its pong is dropped.
        if let Ok(ping) = request_frame(epoch << EPOCH_SHIFT, RequestBody::Ping {}, &[]) {
            self.queue(ping);
        }
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.asked = None;
        let bytes = match &mut self.stream {
            Some(stream) => stream.take(bytes)?,
            None => bytes,
        };
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next_frame()? {
            let Answer { call, body } = frame.header()?;
            match body {
                // The guest has lost the thread; another stream finds it again.
                AnswerBody::Lost {} => return Err(End::Gone),
                AnswerBody::ExecDone(_) if self.stream.is_some() => self.acknowledge(call),
                AnswerBody::ExecDone(_)
                | AnswerBody::Hello { .. }
                | AnswerBody::CellWaits { .. }
                | AnswerBody::CellDone { .. }
                | AnswerBody::EditDone { .. }
                | AnswerBody::EditFailed { .. }
                | AnswerBody::Opened { .. }
                | AnswerBody::Chunk { .. }
                | AnswerBody::PutDone { .. }
                | AnswerBody::Error { .. }
                | AnswerBody::Pong {}
                | AnswerBody::Resumed { .. } => {}
            }
            self.deliver(call, body, frame.payload);
        }
        Ok(())
    }

    fn acknowledge(&mut self, call: u64) {
        if let Ok(frame) = request_frame(call, RequestBody::Ack {}, &[]) {
            self.queue(frame);
        }
    }

    /// Hands an answer to who waits for it; an answer nobody waits for is dropped.
    fn deliver(&mut self, call: u64, body: AnswerBody, payload: Vec<u8>) {
        let Some(waiter) = self.waiters.get_mut(&call) else {
            return;
        };
        let mut cancel = false;
        let over = match (body, waiter.reply.take(), &waiter.chunks) {
            (body, Some(reply), chunks) => {
                let streams = chunks.is_some() && matches!(body, AnswerBody::Opened { .. });
                reply.send(Ok((body, payload))).ok();
                !streams
            }
            (AnswerBody::Chunk { last }, None, Some(chunks)) => {
                let bytes = payload;
                if chunks.try_send(Chunk::Bytes { bytes, last }).is_ok() {
                    last
                } else {
                    // Nobody reads any more, or more came than was asked for: dropping the sender ends
                    // the stream with an error.
                    cancel = !last;
                    true
                }
            }
            (AnswerBody::Error { message, .. }, None, Some(chunks)) => {
                chunks.try_send(Chunk::Failed { message }).ok();
                true
            }
            (_, None, _) => true,
        };
        if over {
            self.waiters.remove(&call);
        }
        if cancel {
            self.queue_cancel(call);
        }
    }

    fn queue_cancel(&mut self, call: u64) {
        if let Ok(frame) = request_frame(call, RequestBody::Cancel {}, &[]) {
            self.queue(frame);
        }
    }
}

/// Writes some of the bytes, or flushes if there are none, and says how many it wrote.
async fn write_or_flush(
    writer: &mut (dyn AsyncWrite + Send + Unpin),
    bytes: &[u8],
) -> io::Result<usize> {
    if bytes.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(bytes).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

impl Waiter {
    fn fail(self, end: &End) {
        if let Some(reply) = self.reply {
            reply.send(Err(end.error())).ok();
        }
    }
}
