//! Load: some connections, each with one request after the other, from one thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::http::end_of_answer;
use crate::table::Samples;

/// The results of a load.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) span: Duration,
    /// To the end of the answer.
    pub(crate) whole: Samples,
    /// To the first byte of the answer.
    pub(crate) first_byte: Samples,
}

impl Outcome {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.span.as_secs_f64()
    }
}

/// Sends `request` on so many connections until the time is over.
pub(crate) fn run(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    span: Duration,
) -> Outcome {
    run_all(address, &[request.to_vec()], connections, span)
}

/// Sends `requests` in turns, each connection from another one on.
pub(crate) fn run_all(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    span: Duration,
) -> Outcome {
    let requests: Arc<[Vec<u8>]> = requests.into();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let begin = Instant::now();
        let tasks: Vec<_> = (0..connections)
            .map(|at| {
                let from = at * requests.len() / connections;
                tokio::spawn(connection(
                    address,
                    Arc::clone(&requests),
                    from,
                    begin + span,
                ))
            })
            .collect();
        let mut all = Outcome::default();
        for task in tasks {
            let one = task.await.unwrap();
            all.requests += one.requests;
            all.whole.append(one.whole);
            all.first_byte.append(one.first_byte);
        }
        all.span = begin.elapsed();
        all
    })
}

async fn connection(
    address: SocketAddr,
    requests: Arc<[Vec<u8>]>,
    from: usize,
    until: Instant,
) -> Outcome {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut outcome = Outcome::default();
    let mut bytes = Vec::with_capacity(64 * 1024);
    let mut next = requests.iter().cycle().skip(from);
    while let Some(request) = next.next()
        && Instant::now() < until
    {
        let sent = Instant::now();
        stream.write_all(request).await.unwrap();
        bytes.clear();
        loop {
            let read = stream.read_buf(&mut bytes).await.unwrap();
            assert!(read > 0, "the server hung up");
            if bytes.len() == read {
                outcome.first_byte.push(sent.elapsed());
            }
            if end_of_answer(&bytes).is_some() {
                break;
            }
        }
        assert!(
            bytes.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        outcome.whole.push(sent.elapsed());
        outcome.requests += 1;
    }
    outcome
}
