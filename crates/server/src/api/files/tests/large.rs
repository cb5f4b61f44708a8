//! Large uploads, and many at once.

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::*;
use common::limits;

/// A body that is made while it is read: one file of `size_bytes`.
fn streamed(size_bytes: u64) -> Body {
    const CHUNK: usize = 64 * 1024;
    let head = multipart(&[file("large.csv", b"")]);
    let at = head.len() - b"\r\n--BOUND--\r\n".len();
    let (head, tail) = (
        Bytes::copy_from_slice(&head[..at]),
        Bytes::copy_from_slice(&head[at..]),
    );
    let zeros = Bytes::from(vec![b'0'; CHUNK]);
    let pieces = (0..size_bytes.div_ceil(CHUNK as u64)).map(move |n| {
        let left = size_bytes - n * CHUNK as u64;
        // A copy each: the memory of a chunk that is held must count.
        Bytes::copy_from_slice(&zeros[..CHUNK.min(usize::try_from(left).unwrap())])
    });
    let all = std::iter::once(head)
        .chain(pieces)
        .chain(std::iter::once(tail));
    Body::from_stream(stream::iter(all.map(Ok::<_, std::io::Error>)))
}

/// Without a seed nothing is hashed, as in ordinary use.
async fn unseeded() -> Server {
    let mut server = Server::start().await;
    server.workspaces[0] = Arc::new(Workspace::new(
        server.workspaces[0].id.clone(),
        Clock::default(),
        None,
        Arc::default(),
    ));
    server
}

/// The largest resident size this process has had, in bytes.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Said to the process that runs the next test alone.
#[cfg(target_os = "linux")]
const ALONE: &str = "SANDTABLE_TEST_ALONE";

/// In a process of its own: other tests of this one need memory, too. How little an upload takes is what
/// `cargo bench -- upload` holds.
#[test]
#[cfg(target_os = "linux")]
fn an_upload_of_a_hundred_megabytes_stays_out_of_memory() {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.unwrap().block_on(upload_and_measure());
    }
    let name = "api::files::tests::large::an_upload_of_a_hundred_megabytes_stays_out_of_memory";
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(
        alone.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[cfg(target_os = "linux")]
async fn upload_and_measure() {
    let server = unseeded().await;
    server.add("warm.csv").await;
    let before = peak_memory_bytes();
    let answer = server.send(post(streamed(100_000_000))).await;
    let grown = peak_memory_bytes().saturating_sub(before);
    assert_eq!(answer.json()["size_bytes"], 100_000_000);
    assert!(grown < 20_000_000, "{grown} bytes more");
}

#[tokio::test]
async fn the_largest_file_is_taken_and_one_byte_more_is_not() {
    let server = unseeded().await;
    let answer = server
        .send(post(streamed(limits::MAX_UPLOAD_BYTES + 1)))
        .await;
    let too_large = "413 request_too_large: Request exceeds the maximum size";
    assert_eq!(answer.error(), too_large);
    server.nothing_is_stored().await;
    let answer = server.send(post(streamed(limits::MAX_UPLOAD_BYTES))).await;
    assert_eq!(answer.json()["size_bytes"], limits::MAX_UPLOAD_BYTES);
}

#[tokio::test]
async fn upload_over_the_limit_is_rejected_before_the_body_is_read() {
    let server = Server::start().await;
    let unread = stream::once(async { panic!("the body was read") });
    let unread = unread.map(|(): ()| Ok::<_, std::io::Error>(Bytes::new()));
    let mut request = post(Body::from_stream(unread));
    request
        .headers_mut()
        .insert("content-length", (600_u64 << 20).into());
    assert_eq!(
        server.send(request).await.error(),
        "413 request_too_large: Request exceeds the maximum size"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_uploads_and_deletions_at_once_all_come_out_right() {
    let server = Arc::new(Server::start().await);
    let tasks: Vec<_> = (0..50_u8)
        .map(|n| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let content = vec![n; 100_000 + usize::from(n)];
                let answer = server.upload(&[file("same.csv", &content)]).await;
                assert_eq!(answer.json()["size_bytes"], content.len());
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                if n % 2 == 0 {
                    let answer = server.delete(&format!("/v1/files/{id}")).await;
                    assert_eq!(answer.status, 200);
                }
                id
            })
        })
        .collect();
    let mut kept = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        let id = task.await.unwrap();
        if n % 2 == 1 {
            kept.push(id);
        }
    }
    let listed = server.get("/v1/files?limit=1000").await.json();
    let mut listed: Vec<String> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["id"].as_str().unwrap().to_owned())
        .collect();
    listed.sort_unstable();
    kept.sort_unstable();
    assert_eq!(listed, kept);
}
