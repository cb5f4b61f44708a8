//! How often the server asks the allocator for memory to answer one plain message, and how much an open stream keeps of it. Time cannot be held to a budget on a
//! machine that does other things; this number is the same in every run, and nearly the same in every build.
//!
//! `SANDTABLE_ALLOCATIONS=show` prints where the allocations are made. A program of its own: an allocator counts for
//! everybody in its process.

mod counting;
mod streams;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use server::Server;
use server::config::{BackendChoice, Config};
use tokio::runtime::Runtime;

/// Allocations of one plain `POST /v1/messages`.
const BUDGET: f64 = 60.0;
/// Requests before anything is counted, and as many with.
const REQUESTS: u32 = 400;

const SCRIPT: &str = r#"[{"then":[{"text":"Hello, how are you today?"}]}]"#;
const HELLO: &str =
    r#"{"model":"claude-opus-5","max_tokens":1024,"messages":[{"role":"user","content":"hi"}]}"#;

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ant-test\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends a request over a connection that stays open, and reads its answer to the end.
fn ask(connection: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) {
    connection.write_all(request).expect("the server reads");
    answer.clear();
    let mut piece = [0; 4096];
    loop {
        let read = connection.read(&mut piece).expect("the server answers");
        assert!(read > 0, "the connection was closed");
        answer.extend_from_slice(&piece[..read]);
        if let Some(end) = end_of(answer) {
            assert_eq!(answer.len(), end);
            return;
        }
    }
}

/// Where the body ends, if the head is here.
fn end_of(answer: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(answer).ok()?;
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head]
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let end = head + length.parse::<usize>().ok()?;
    (text.len() >= end).then_some(end)
}

/// A server that counts, its runtime, and a connection over which it has been given a script.
fn server(script: &str) -> (Server, Runtime, TcpStream) {
    // The client is the test's thread, which is not counted.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_start(counting::count_this_thread)
        .enable_all()
        .build()
        .expect("the machine gives a runtime");
    let config = Config {
        backend: BackendChoice::None,
        port: 0,
        ..Config::default()
    };
    let server = runtime.block_on(Server::start(config));
    let server = server.expect("any port will do");
    let mut connection = connect(&server);
    let script = request("PUT", "/_sandtable/scripts", script);
    ask(&mut connection, &script, &mut Vec::new());
    (server, runtime, connection)
}

fn connect(server: &Server) -> TcpStream {
    let address = server.url().strip_prefix("http://");
    let address = address.expect("it is a URL");
    let connection = TcpStream::connect(address).expect("the server listens");
    let set = connection.set_nodelay(true);
    set.expect("it is a socket");
    connection
}

#[test]
fn a_plain_message_stays_within_its_allocations() {
    let _alone = counting::alone();
    let (server, runtime, mut connection) = server(SCRIPT);
    let mut answer = Vec::new();
    let hello = request("POST", "/v1/messages", HELLO);
    for _ in 0..REQUESTS {
        ask(&mut connection, &hello, &mut answer);
    }
    let text = String::from_utf8_lossy(&answer);
    assert!(
        text.starts_with("HTTP/1.1 200") && text.contains("how are you"),
        "{text}"
    );
    let counting = counting::Counting::begin();
    for _ in 0..REQUESTS {
        ask(&mut connection, &hello, &mut answer);
    }
    let each = counting.end() / f64::from(REQUESTS);
    print!("{}", counting::places(REQUESTS));
    println!("{each:.2} allocations for a plain message");
    assert!(
        each <= BUDGET,
        "a plain message takes {each:.2} allocations, and may take {BUDGET}; \
         `SANDTABLE_ALLOCATIONS=show` tells where they are made"
    );
    runtime.block_on(server.stop());
}
