//! The limits that differ from Docker's, and their exactness.

use std::time::Duration;

use sandbox::{Host as _, Launcher as _, Limits};

use crate::bench::contract;
use crate::talk::{SMALL, bash, new_spec, wake};

#[tokio::test]
async fn the_disk_is_full_at_its_size() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(SMALL);
    let guest = wake(&bench, &spec).await;
    let fill = "for n in 1 2 3 4 5 6 7 8 9; do head -c 10M /dev/zero > f$n || break; sleep 0.4; done; \
                ls -s --block-size=M | head -1; echo end";
    let said = bash(&guest, fill).await;
    if bench.backend.disk_is_exact() {
        assert!(said.err.contains("No space left on device"), "{said:?}");
        assert!(said.out.ends_with("end\n"), "{said:?}");
        let df = bash(&guest, "df -k --output=size ~ | tail -1").await;
        let kib: u64 = df.out.trim().parse().unwrap();
        assert!((60_000..=65_536).contains(&kib), "{kib} KiB");
    } else {
        assert_eq!(said.code, 137, "{said:?}");
    }
    // Room can be made, and is there again.
    assert_eq!(
        bash(&guest, "rm -f f*; echo x > g && cat g").await.out,
        "x\n"
    );
    bench.backend.stop(&spec.sandbox_id).await.unwrap();
    let guest = wake(&bench, &spec).await;
    assert_eq!(bash(&guest, "cat g").await.out, "x\n");
    bench.end().await;
}

#[tokio::test]
async fn inodes_run_out_before_the_machine_does() {
    let Some(bench) = contract().await else {
        return;
    };
    if !bench.backend.disk_is_exact() {
        eprintln!("SKIPPED, nothing was tested: the watchdog counts blocks");
        return;
    }
    let guest = wake(&bench, &new_spec(SMALL)).await;
    let code = "import os\ntry:\n    for n in range(1 << 20): open(f'i{n}', 'w').close()\nexcept OSError as e: print(e.errno)";
    let said = bash(&guest, &format!("python3 -c \"{code}\"")).await;
    assert_eq!(said.out, "28\n", "{said:?}");
    assert_eq!(
        bash(&guest, "find . -name 'i*' -delete; echo x > g && cat g")
            .await
            .out,
        "x\n"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_running_sandbox_is_ended_before_it_starts_again() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(SMALL);
    let first = wake(&bench, &spec).await;
    bash(&first, "echo kept > note").await;
    let second = wake(&bench, &spec).await;
    tokio::time::timeout(Duration::from_secs(10), first.closed())
        .await
        .unwrap();
    assert_eq!(bash(&second, "cat note").await.out, "kept\n");
    bench.end().await;
}

#[tokio::test]
async fn many_start_at_once_and_are_told_apart() {
    let Some(bench) = contract().await else {
        return;
    };
    let started = std::time::Instant::now();
    let all = (0..32).map(|n| {
        let bench = &bench;
        async move {
            let guest = wake(bench, &new_spec(Limits::default())).await;
            bash(&guest, &format!("echo {n} > n; cat n")).await.out
        }
    });
    let said = futures_util::future::join_all(all).await;
    eprintln!(
        "MEASURED: 32 sandboxes and a call in each: {:?}",
        started.elapsed()
    );
    let wanted: Vec<String> = (0..32).map(|n| format!("{n}\n")).collect();
    assert_eq!(said, wanted);
    bench.end().await;
}

#[tokio::test]
async fn a_removed_container_leaves_no_file() {
    let Some(bench) = contract().await else {
        return;
    };
    let spec = new_spec(SMALL);
    let guest = wake(&bench, &spec).await;
    // Folders that their owner may not enter.
    bash(
        &guest,
        "mkdir -p a/b && touch a/b/c && chmod 0 a/b && chmod 0 a",
    )
    .await;
    let folder = bench
        .folder
        .path()
        .join("sandboxes")
        .join(&*spec.sandbox_id);
    assert!(folder.exists());
    assert!(!bench.backend.has_lost(&spec.sandbox_id).await.unwrap());
    bench.backend.remove(&spec.sandbox_id).await.unwrap();
    assert!(!folder.exists());
    assert!(bench.backend.has_lost(&spec.sandbox_id).await.unwrap());
    for _ in 0..2 {
        bench.backend.stop(&spec.sandbox_id).await.unwrap();
        bench.backend.remove(&spec.sandbox_id).await.unwrap();
    }
    bench.end().await;
}

#[tokio::test]
async fn the_documented_tools_are_there_by_their_names_or_said_to_be_missing() {
    let Some(bench) = contract().await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let lacking = bench.backend.lacking();
    let mut found = 0;
    for tool in [
        "7z",
        "bc",
        "fd",
        "free",
        "java",
        "pdftoppm",
        "pip",
        "rg",
        "sqlite3",
        "unrar",
        "unzip",
        "wkhtmltopdf",
    ] {
        let is_there = bash(&guest, &format!("command -v {tool}")).await.code == 0;
        assert_ne!(
            is_there,
            lacking.tools.contains(&tool),
            "{tool}: {lacking:?}"
        );
        found += usize::from(is_there);
    }
    let banner = bench.backend.describe().await;
    match lacking.command() {
        None => assert!(found == 12 && !banner.text.contains("without `")),
        Some(command) => {
            assert!(command.starts_with("sudo apt install ") || !command.is_empty());
            assert!(banner.improve.unwrap().starts_with(&command));
            let tools = lacking.tools.join("`, `");
            assert!(banner.text.contains(&tools), "{}", banner.text);
        }
    }
    bench.end().await;
}
