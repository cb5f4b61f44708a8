//! Files in and out.

use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::*;

const LARGE_BYTES: usize = 48 * 1024 * 1024;

/// Bytes that differ everywhere, without holding them.
struct Pattern {
    at: usize,
    end: usize,
    digest: Sha256,
}

impl Pattern {
    fn new(end: usize) -> Self {
        Self {
            at: 0,
            end,
            digest: Sha256::new(),
        }
    }
}

impl AsyncRead for Pattern {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let bytes = buf.remaining().min(self.end - self.at).min(100_003);
        // Each read differs from the one before, and their length fits nothing else.
        let part = vec![self.at.to_le_bytes()[1] ^ self.at.to_le_bytes()[2]; bytes];
        self.digest.update(&part);
        buf.put_slice(&part);
        self.at += bytes;
        std::task::Poll::Ready(Ok(()))
    }
}

/// A source that never has anything.
struct Never;

impl AsyncRead for Never {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Pending
    }
}

impl Sandbox {
    async fn put(&self, name: &str, mut content: &[u8]) -> Result<bool, GuestError> {
        let file = PutFile {
            name,
            input_dir: INPUT,
        };
        self.guest.put_file(file, &mut content).await
    }

    async fn get(&self, number: u64, name: &str) -> Result<Vec<u8>, GuestError> {
        let mut stream = self.guest.get_file(&output_dir(number), name).await?;
        let mut content = Vec::new();
        stream.read_to_end(&mut content).await.unwrap();
        Ok(content)
    }
}

#[tokio::test]
async fn a_large_file_goes_in_and_comes_out_unchanged() {
    let sandbox = Sandbox::start().await;
    let mut source = Pattern::new(LARGE_BYTES);
    let file = PutFile {
        name: "large.bin",
        input_dir: INPUT,
    };
    let start = Instant::now();
    sandbox.guest.put_file(file, &mut source).await.unwrap();
    let put = start.elapsed();
    let digest = source.digest.finalize();

    let result = sandbox
        .bash(
            1,
            r#"cp large.bin "$OUTPUT_DIR/copy.bin"; sha256sum < large.bin"#,
        )
        .await;
    let hex = digest
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    assert_eq!(
        String::from_utf8_lossy(&result.stdout),
        format!("{hex}  -\n")
    );

    let start = Instant::now();
    let mut stream = sandbox
        .guest
        .get_file(&output_dir(1), "copy.bin")
        .await
        .unwrap();
    assert_eq!(stream.size(), LARGE_BYTES as u64);
    let mut back = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            bytes => back.update(&buffer[..bytes]),
        }
    }
    assert_eq!(back.finalize(), digest);
    eprintln!("put {put:?}, get {:?}", start.elapsed());
}

#[tokio::test]
async fn an_upload_lies_in_the_input_directory_and_under_its_bare_name() {
    let sandbox = Sandbox::start().await;
    sandbox.put("data.csv", b"a,b\n").await.unwrap();
    sandbox.put("empty file", b"").await.unwrap();
    let result = sandbox
        .bash(1, r#"cat data.csv "$INPUT_DIR/data.csv" "empty file"; ls -A "$INPUT_DIR"; readlink data.csv"#)
        .await;
    let place = sandbox.input("data.csv");
    assert_eq!(
        String::from_utf8(result.stdout).unwrap(),
        format!("a,b\na,b\ndata.csv\nempty file\n{}\n", place.display())
    );
}

#[tokio::test]
async fn an_upload_replaces_our_earlier_link_but_never_a_file_of_the_users_own() {
    let sandbox = Sandbox::start().await;
    sandbox.put("data.csv", b"first").await.unwrap();
    let second = PutFile {
        name: "data.csv",
        input_dir: "00000000000000bb",
    };
    sandbox
        .guest
        .put_file(second, &mut b"second".as_slice())
        .await
        .unwrap();
    assert_eq!(sandbox.bash(1, "cat data.csv").await.stdout, b"second");

    sandbox
        .bash(
            2,
            "rm data.csv; echo mine > data.csv; ln -s /etc/hostname other.csv",
        )
        .await;
    sandbox.put("data.csv", b"third").await.unwrap();
    sandbox.put("other.csv", b"third").await.unwrap();
    let result = sandbox
        .bash(
            3,
            r#"cat data.csv "$INPUT_DIR/data.csv"; readlink other.csv"#,
        )
        .await;
    assert_eq!(result.stdout, b"mine\nthird/etc/hostname\n");
}

#[tokio::test]
async fn an_upload_that_is_there_stays_and_one_that_is_not_comes_back() {
    let sandbox = Sandbox::start().await;
    let put = async |content: &str| {
        let file = PutFile {
            name: "data.csv",
            input_dir: INPUT,
        };
        let mut content = content.as_bytes();
        let put = sandbox.guest.put_file_unless_there(file, &mut content);
        put.await.unwrap()
    };
    let show = r#"cat data.csv "$INPUT_DIR/data.csv""#;
    assert!(put("first").await);
    assert!(put("second").await);
    assert_eq!(sandbox.bash(1, show).await.stdout, b"firstfirst");
    sandbox.bash(2, "rm data.csv").await;
    assert!(put("third").await);
    assert_eq!(sandbox.bash(3, show).await.stdout, b"firstfirst");
    sandbox
        .bash(4, r#"cd "$INPUT_DIR"; rm data.csv; mkdir data.csv"#)
        .await;
    assert!(put("fourth").await);
    assert_eq!(sandbox.bash(5, show).await.stdout, b"fourthfourth");
    sandbox.bash(6, "rm data.csv; echo own > data.csv").await;
    assert!(!put("fifth").await);
    assert_eq!(sandbox.bash(7, show).await.stdout, b"own\nfourth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_files_at_once_all_arrive() {
    let sandbox = Sandbox::start().await;
    let puts = (0..200).map(|number| {
        let guest = sandbox.guest.clone();
        tokio::spawn(async move {
            let name = format!("f{number}");
            let file = PutFile {
                name: &name,
                input_dir: INPUT,
            };
            guest.put_file(file, &mut name.as_bytes()).await.unwrap();
        })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap();
    }
    for number in 0..200 {
        let name = format!("f{number}");
        assert_eq!(fs::read_to_string(sandbox.work(&name)).unwrap(), name);
    }
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_nothing() {
    let sandbox = Sandbox::start().await;
    let file = PutFile {
        name: "half.bin",
        input_dir: INPUT,
    };
    let mut source = Pattern::new(300_000).chain(Never);
    {
        let put = sandbox.guest.put_file(file, &mut source);
        let started = async {
            let directory = sandbox.input("");
            while fs::read_dir(&directory).map_or(0, Iterator::count) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = put => panic!("it cannot end"),
            () = started => {}
        }
    }
    sandbox.guest.ping().await.unwrap();
    assert_eq!(fs::read_dir(sandbox.input("")).unwrap().count(), 0);
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let sandbox = Sandbox::start().await;
    for name in ["../x", "", "..", "a/b"] {
        let error = sandbox.put(name, b"x").await.unwrap_err();
        assert!(matches!(
            error,
            GuestError::Refused {
                kind: ErrorKind::Invalid,
                ..
            }
        ));
        let error = sandbox.get(1, name).await.unwrap_err();
        assert!(matches!(
            error,
            GuestError::Refused {
                kind: ErrorKind::Invalid,
                ..
            }
        ));
    }
}

#[tokio::test]
async fn a_put_that_fails_half_way_says_so_and_stops_reading() {
    let sandbox = Sandbox::with(|settings| settings.max_disk_bytes = 1024 * 1024).await;
    let mut source = Pattern::new(LARGE_BYTES);
    let file = PutFile {
        name: "large",
        input_dir: "0123456789abcdef",
    };
    let error = sandbox.guest.put_file(file, &mut source).await.unwrap_err();
    assert!(
        matches!(&error, GuestError::Refused { kind: ErrorKind::NoSpace, message } if message.contains("large")),
        "{error}"
    );
    assert!(source.at < LARGE_BYTES);
    let long = "ä".repeat(255);
    let mut source = Pattern::new(LARGE_BYTES);
    let file = PutFile {
        name: &long,
        input_dir: "not hex digits",
    };
    sandbox.guest.put_file(file, &mut source).await.unwrap_err();
    assert!(source.at < LARGE_BYTES);
}

#[tokio::test]
async fn a_put_takes_the_place_of_a_directory_of_its_name() {
    let sandbox = Sandbox::start().await;
    sandbox
        .bash(
            1,
            r#"mkdir -p "$INPUT_DIR/taken/x/y"; chmod 0 "$INPUT_DIR/taken/x""#,
        )
        .await;
    sandbox.put("taken", b"x").await.unwrap();
    let said = sandbox.bash(2, r#"cat "$INPUT_DIR/taken"; ls -A "$INPUT_DIR""#);
    assert_eq!(said.await.stdout, b"xtaken\n");
}

#[tokio::test]
async fn output_files_can_be_read_later_and_as_often_as_wanted() {
    let sandbox = Sandbox::start().await;
    sandbox
        .bash(
            1,
            r#"cd "$OUTPUT_DIR"; echo hi > a; : > empty; echo s > locked; chmod 0 locked"#,
        )
        .await;
    sandbox.bash(2, "true").await;
    for _ in 0..2 {
        assert_eq!(sandbox.get(1, "a").await.unwrap(), b"hi\n");
        assert_eq!(sandbox.get(1, "empty").await.unwrap(), b"");
        assert_eq!(sandbox.get(1, "locked").await.unwrap(), b"s\n");
    }
}

#[tokio::test]
async fn what_is_no_regular_file_cannot_be_read_and_does_not_block() {
    let sandbox = Sandbox::start().await;
    sandbox
        .bash(
            1,
            r#"cd "$OUTPUT_DIR"; mkfifo fifo; ln -s /etc/passwd link; mkdir dir"#,
        )
        .await;
    for name in ["fifo", "link", "dir", "missing"] {
        let error = sandbox.get(1, name).await.unwrap_err();
        assert!(matches!(error, GuestError::Refused { .. }), "{name}");
    }
    sandbox.guest.ping().await.unwrap();
}

#[tokio::test]
async fn a_file_that_nobody_reads_holds_up_no_other_call() {
    let sandbox = Sandbox::start().await;
    sandbox.bash(1, r#"truncate -s 100M "$OUTPUT_DIR/a""#).await;
    let directory = output_dir(1);
    let mut unread = Vec::new();
    for _ in 0..20 {
        unread.push(sandbox.guest.get_file(&directory, "a").await.unwrap());
    }
    assert_eq!(sandbox.bash(2, "echo ok").await.stdout, b"ok\n");
    drop(unread.split_off(1));
    // What nobody reads any more is closed: far more than the guest would hold open at once.
    for _ in 0..600 {
        drop(sandbox.guest.get_file(&directory, "a").await.unwrap());
    }
    let mut total = 0;
    let mut buffer = vec![0; 64 * 1024];
    while let bytes @ 1.. = unread[0].read(&mut buffer).await.unwrap() {
        total += bytes;
    }
    assert_eq!(total, 100 * 1024 * 1024);
}

#[tokio::test]
async fn a_guest_that_dies_is_an_error_for_who_reads() {
    let mut sandbox = Sandbox::start().await;
    sandbox.bash(1, r#"truncate -s 100M "$OUTPUT_DIR/a""#).await;
    let mut stream = sandbox.guest.get_file(&output_dir(1), "a").await.unwrap();
    sandbox.process.kill().await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}
