//! A large upload, beside a plain copy of the same bytes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::KEY;
use crate::servers::{Server, folder};
use crate::table::Table;

const BYTES: usize = 500 * 1000 * 1000;
const PIECE: usize = 1 << 20;
const ROUNDS: usize = 3;

pub(crate) fn measure(table: &mut Table) {
    let place = folder();
    let source = place.path().join("source");
    {
        let mut file = File::create(&source).unwrap();
        let piece: Vec<u8> = (0u8..=255).cycle().take(PIECE).collect();
        let mut left = BYTES;
        while left > 0 {
            let now = left.min(PIECE);
            file.write_all(&piece[..now]).unwrap();
            left -= now;
        }
        file.sync_all().unwrap();
    }
    let data = place.path().join("data");
    let data_dir = data.to_string_lossy().into_owned();
    let server = Server::sandtable(&["--backend", "none", "--data-dir", &data_dir]);
    let (mut copies, mut uploads) = (Vec::new(), Vec::new());
    let mut growth: f64 = 0.0;
    for round in 0..ROUNDS {
        let copy = place.path().join(format!("copy-{round}"));
        let begin = Instant::now();
        fs::copy(&source, &copy).unwrap();
        // What an acknowledged upload promises, a copy must do, too.
        File::open(&copy).unwrap().sync_all().unwrap();
        copies.push(begin.elapsed());
        fs::remove_file(&copy).unwrap();
        let (span, more) = upload(&server, &source);
        uploads.push(span);
        growth = growth.max(more);
    }
    copies.sort();
    uploads.sort();
    let (copy, upload) = (copies[ROUNDS / 2], uploads[ROUNDS / 2]);
    let part = copy.as_secs_f64() / upload.as_secs_f64() * 100.0;
    let note = format!(
        "{:.2} s against {:.2} s for a copy that is synced",
        upload.as_secs_f64(),
        copy.as_secs_f64()
    );
    table.at_least(
        "500 MB upload: of a plain copy's speed",
        part,
        "%",
        60.0,
        &note,
    );
    table.at_most(
        "500 MB upload: server's memory",
        growth,
        "MB more",
        16.0,
        "",
    );
}

/// How long it took, and how much memory the server took meanwhile.
fn upload(server: &Server, source: &std::path::Path) -> (Duration, f64) {
    const BOUNDARY: &str = "sandtablebench";
    let before = server.memory().all;
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"big.bin\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let length = head.len() + BYTES + tail.len();
    let mut client = server.client();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak: f64 = 0.0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(server.memory().all);
                std::thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        let begin = Instant::now();
        client.write(
            format!(
                "POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n\
                 content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {length}\r\n\r\n{head}"
            )
            .as_bytes(),
        );
        let mut file = File::open(source).unwrap();
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece).unwrap();
            if read == 0 {
                break;
            }
            client.write(&piece[..read]);
        }
        client.write(tail.as_bytes());
        let answer = client.answer();
        let span = begin.elapsed();
        done.store(true, Ordering::Relaxed);
        answer.json();
        (span, (peak.join().unwrap() - before) / 1e6)
    })
}
