//! Hostile programs in sandboxes: none gets out, none speaks for the guest, and the sandbox, its
//! neighbour, and the next one work afterwards. One list of cases, run on every backend there is.
//!
//! A program of the suite reaches for canaries that the test itself has put there, and does no harm
//! where it succeeds. Skipped, and said so, where a backend is missing; with its name in
//! `SANDTABLE_TEST_REQUIRE` that is a failure.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

#[expect(
    dead_code,
    unused_imports,
    reason = "this suite needs only some of its helpers"
)]
#[path = "../docker/bench.rs"]
mod bench;
mod bombs;
#[cfg(feature = "kubernetes")]
#[expect(dead_code, reason = "this suite needs only some of its helpers")]
#[path = "../shared/cluster.rs"]
mod cluster;
#[cfg(target_os = "linux")]
#[path = "../shared/contained.rs"]
mod container;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "this suite needs only some of its helpers")]
#[path = "../local/bench.rs"]
mod local_bench;
#[cfg(feature = "kubernetes")]
#[expect(dead_code, reason = "this suite needs only some of its helpers")]
#[path = "../kubernetes/bench.rs"]
mod pods;
#[path = "../shared/programs.rs"]
mod programs;
#[path = "../contract/talk.rs"]
mod talk;

mod canary;
mod case;
mod editor;
mod forgery;
mod host;
mod kernel;
mod leftovers;
mod network;
mod outputs;
mod processes;
mod site;
mod tenants;
mod uploads;

#[cfg(feature = "kubernetes")]
use crate::bench as ready;

/// Makes one test of each group for each backend.
macro_rules! on_every_backend {
    ($($group:ident: $run:expr;)+) => {
        mod docker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $group() {
                $run(crate::site::Kind::Docker).await;
            })+
        }

        /// But for the last, which starts servers.
        #[cfg(feature = "kubernetes")]
        mod kubernetes {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $group() {
                $run(crate::site::Kind::Kubernetes).await;
            })+
        }

        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $group() {
                $run(crate::site::Kind::Local).await;
            })+
        }
    };
}

on_every_backend! {
    no_network_in_any_family: crate::network::hold;
    nothing_of_the_host_can_be_read_or_written: crate::host::hold;
    no_system_call_gives_more_rights: crate::kernel::hold;
    no_frame_can_be_forged_and_nothing_leaks: crate::forgery::hold;
    only_regular_files_of_the_output_directory_come_back: crate::outputs::hold;
    bombs_hurt_only_their_own_call: crate::bombs::hold;
    signals_and_daemons_do_not_outlive_or_end_the_guest: crate::processes::hold;
    the_editor_reaches_no_further_than_the_code: crate::editor::hold;
    uploads_stay_in_their_directory: crate::uploads::hold;
    what_calls_have_left_keeps_no_later_one_from_working: crate::leftovers::hold;
    another_keys_container_and_files_stay_out_of_reach: crate::tenants::hold;
}

/// The same on `local` without root: no control groups, no disk image, no users of its own.
#[cfg(target_os = "linux")]
#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    const UID: u32 = 54_322;
    local_bench::as_ordinary_user(UID, &["local::"]);
}

/// The same without namespaces: forced where they may be made, and in containers where they may not.
#[cfg(target_os = "linux")]
mod without_namespaces {
    use crate::{container, local_bench};

    const SUITE: &str = "/t/tests local:: --test-threads 1 --nocapture";

    fn holds(options: &[&str]) {
        if let Some(output) = container::run(options, &local_bench::program(), SUITE) {
            assert!(output.status.success());
        }
    }

    #[test]
    fn all_of_this_holds_as_root_of_a_plain_container() {
        holds(container::ROOT);
    }

    #[test]
    fn all_of_this_holds_for_a_user_without_any_capability() {
        holds(container::USER);
    }

    /// The limits that later generations enforce, the warden has to.
    #[test]
    fn all_of_this_holds_with_the_first_generation_of_landlock() {
        let oldest = format!("{}=1", local_bench::LANDLOCK);
        holds(&[container::USER, &["--env", &oldest]].concat());
    }
}

/// The proof of the suite's worth: the same attempts succeed where nothing holds them.
#[test]
fn outside_a_sandbox_the_canaries_are_reached() {
    let canary = canary::Canary::new();
    let program = r#"
denied("file", lambda: read(os.environ["CANARY_FILE"]))
denied("tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", int(os.environ["CANARY_PORT"]))))
denied("unix", lambda: connect(socket.AF_UNIX, os.environ["CANARY_SOCKET"]))
denied("abstract", lambda: connect(socket.AF_UNIX, "\0" + os.environ["CANARY_ABSTRACT"]))
denied("new file", lambda: write(os.environ["CANARY_NEW_FILE"], flags=os.O_WRONLY | os.O_CREAT))
denied("process", lambda: os.kill(int(os.environ["HOST_PID"]), 0))
"#;
    let done = std::process::Command::new("python3")
        .args(["-c", &format!("{}\n{program}", site::PRELUDE)])
        .envs(canary.env())
        .output();
    let Ok(done) = done else {
        eprintln!("SKIPPED, nothing was tested: there is no `python3` outside the sandboxes");
        return;
    };
    let out = String::from_utf8_lossy(&done.stdout);
    assert_eq!(out.matches("ESCAPED").count(), 6, "{out}");
    // One connection of each kind, and the new file.
    assert_eq!(canary.harm().len(), 4);
}

#[test]
fn there_are_at_least_sixty_hostile_programs_and_no_two_share_a_name() {
    let groups = [
        network::CASES,
        host::CASES,
        kernel::CASES,
        forgery::CASES,
        outputs::CASES,
        bombs::CASES,
        processes::CASES,
    ];
    let names: Vec<&str> = groups
        .iter()
        .flat_map(|cases| cases.iter().map(|case| case.name))
        .collect();
    let distinct: std::collections::HashSet<_> = names.iter().collect();
    assert!(names.len() >= 60, "{}", names.len());
    assert_eq!(distinct.len(), names.len());
}
