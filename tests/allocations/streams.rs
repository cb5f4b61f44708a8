//! The memory that a stream keeps of the allocator while it is open and silent.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::{connect, counting, request, server};

/// Bytes of an open stream, those of its connection included.
const BUDGET: f64 = 32_000.0;
const STREAMS: u32 = 200;

const SCRIPT: &str = r#"[{"then":[{"text":"Wait."},{"delay":"10m"},{"text":"Done."}]}]"#;
const HELLO: &str = r#"{"model":"claude-opus-5","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// Opens a stream, and reads all that comes before the delay.
fn open(mut connection: TcpStream) -> TcpStream {
    let hello = request("POST", "/v1/messages", HELLO);
    connection.write_all(&hello).expect("the server reads");
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&text).contains("content_block_stop") {
        let read = connection.read(&mut piece).expect("the server answers");
        assert!(read > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..read]);
    }
    connection
}

#[test]
fn an_open_stream_stays_within_its_memory() {
    let _alone = counting::alone();
    let (server, runtime, connection) = server(SCRIPT);
    let first = open(connection);
    let counting = counting::Counting::begin();
    let streams: Vec<TcpStream> = (0..STREAMS).map(|_| open(connect(&server))).collect();
    let each = counting.live() / f64::from(STREAMS);
    print!("{}", counting::places_in_use(STREAMS));
    println!("{each:.0} bytes for an open stream");
    assert!(
        each <= BUDGET,
        "an open stream keeps {each:.0} bytes, and may keep {BUDGET}; `SANDTABLE_ALLOCATIONS=show` tells where they \
         were asked for"
    );
    drop((first, streams));
    runtime.block_on(server.stop());
}
