//! A description of this machine's means, and hints where it refuses.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::launch::LaunchError;
use super::rung::Rung;
use super::tools::Lacking;
use crate::{Description, SandboxError};
use common::hinted::{self, Mistake};

/// Why the machine limits something less exactly than it might.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Absent(pub(super) Cow<'static, str>);

impl Absent {
    pub(super) const ONLY_ROOT: Self = Self(Cow::Borrowed("only root may"));
    pub(super) const NO_NAMESPACES: Self = Self(Cow::Borrowed("there are no namespaces"));
}

/// The result of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where no namespaces are used, why not.
    pub without_namespaces: Option<String>,
    /// The interpreter.
    pub python: String,
    pub python_is_documented: bool,
    /// The kind of control groups that limits memory and processes, or why they do not.
    pub cgroups: Result<&'static str, Absent>,
    /// Whether disks have an exact size, or why not.
    pub disk: Result<(), Absent>,
    /// Documented tools that are not on the machine.
    pub lacking: Lacking,
    /// The folder of the containers' files, where programs in it cannot run.
    pub closed_to_programs: Option<PathBuf>,
}

/// `libraries` is the command that would bring the documented libraries, where sandboxes have none.
pub(super) fn describe(facts: &Facts, libraries: Option<&str>) -> Description {
    let mut text = match &facts.without_namespaces {
        None => format!("namespaces of this machine, {}", facts.python),
        Some(reason) => format!(
            "Landlock without namespaces ({reason}), no network at all, {}",
            facts.python
        ),
    };
    text.push_str(if libraries.is_none() {
        ", the documented libraries"
    } else {
        ", without the documented libraries"
    });
    let memory = match &facts.cgroups {
        Ok(version) => format!("memory and processes by {version}"),
        Err(_) => "memory by a watchdog".to_owned(),
    };
    let disk = match &facts.disk {
        Ok(()) => "disk of exact size",
        Err(_) => "disk by a watchdog",
    };
    write!(text, "; {memory}, {disk}").expect("writing to a string cannot fail");
    if !facts.lacking.tools.is_empty() {
        let tools = facts.lacking.tools.join("`, `");
        write!(text, "; without `{tools}`").expect("writing to a string cannot fail");
    }
    if let Some(folder) = &facts.closed_to_programs {
        let folder = folder.display();
        write!(text, "; programs in a container's files do not run, for `{folder}` is mounted `noexec` (`TMPDIR` or `--data-dir` names another)")
            .expect("writing to a string cannot fail");
    }
    let tools = facts.lacking.command();
    let libraries = libraries.map(str::to_owned);
    let commands: Vec<String> = tools.into_iter().chain(libraries).collect();
    Description {
        text,
        improve: (!commands.is_empty()).then(|| commands.join(" && ")),
    }
}

/// The error where a trial sandbox did not start.
pub(super) fn refused(error: &LaunchError, rung: Rung, privileged: bool) -> SandboxError {
    match rung {
        Rung::Namespaces => without_namespaces(error, privileged),
        Rung::Landlock => without_landlock(error),
    }
}

fn without_landlock(error: &LaunchError) -> SandboxError {
    let hint = match error.errno {
        Some(libc::ENOSYS) => {
            "Landlock needs Linux 5.13 or newer, and an engine that lets its calls pass"
        }
        Some(libc::EOPNOTSUPP) => {
            "switch Landlock on: `lsm=landlock,…` on the kernel's command line"
        }
        _ => {
            "let `seccomp` and `ptrace` pass, as Docker's own profile does; `kernel.yama.ptrace_scope` must be 0 or 1"
        }
    };
    SandboxError::Unavailable {
        reason: format!("Landlock does not confine sandboxes here: {error}"),
        hint: hint.to_owned(),
    }
}

/// Neither namespaces nor Landlock.
pub(super) fn neither(reason: &str, hint: &str, second: &SandboxError) -> SandboxError {
    let second = match second {
        SandboxError::Unavailable { reason, hint } => {
            hinted::in_line(&Mistake::new(reason).with_hint(hint.clone()))
        }
        SandboxError::Engine { .. }
        | SandboxError::EngineTimeout { .. }
        | SandboxError::Guest(_) => second.to_string(),
    };
    SandboxError::Unavailable {
        reason: format!("{reason}; and {second}"),
        hint: hint.to_owned(),
    }
}

/// Landlock would do, and is not wanted.
pub(super) fn too_weak(reason: &str, hint: &str) -> SandboxError {
    SandboxError::Unavailable {
        reason: format!(
            "{reason}; and `--isolation strict` refuses Landlock without namespaces, which would work"
        ),
        hint: format!("{hint}; or leave `--isolation strict` out"),
    }
}

fn without_namespaces(error: &LaunchError, privileged: bool) -> SandboxError {
    let missing = error.errno == Some(libc::ENOSYS);
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
    let apparmor = read("kernel/apparmor_restrict_unprivileged_userns").trim() == "1";
    let none = read("user/max_user_namespaces").trim() == "0";
    let switched_off = read("kernel/unprivileged_userns_clone").trim() == "0";
    let reason = format!("this machine does not let sandboxes start: {error}");
    let hint = if missing {
        "Linux 5.12 or newer is needed; or use Docker"
    } else if none {
        "allow user namespaces: `sudo sysctl -w user.max_user_namespaces=15000`"
    } else if privileged {
        "inside a container, give it `--privileged`, or the Docker socket"
    } else if CONTAINER_MARKS.iter().any(|mark| Path::new(mark).exists()) {
        CONTAINED
    } else if apparmor {
        APPARMOR
    } else if switched_off {
        "allow user namespaces: `sudo sysctl -w kernel.unprivileged_userns_clone=1`; or run as root"
    } else {
        GENERAL
    };
    SandboxError::Unavailable {
        reason,
        hint: hint.to_owned(),
    }
}

/// Files that engines put into their containers.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
const CONTAINED: &str = "inside a container, start it with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined`, \
    or give it the Docker socket";
const APPARMOR: &str = "AppArmor keeps ordinary users from making namespaces: \
    `sandtable doctor --apparmor | sudo tee /etc/apparmor.d/sandtable && sudo apparmor_parser -r /etc/apparmor.d/sandtable` \
    allows it to sandtable alone, `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` to all; or run as root";
const GENERAL: &str = "allow user namespaces (`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, \
    or for sandtable alone the AppArmor profile that `sandtable doctor --apparmor` prints), run as root, or use Docker";

/// As in the checkout this binary was built from.
const PROFILE: &str = include_str!("../../../../images/apparmor/sandtable");
/// The program that the profile in the checkout is for.
const PROFILE_PROGRAM: &str = "/usr/local/bin/sandtable";

/// The `AppArmor` profile that lets `program` make namespaces.
pub fn apparmor_profile(program: &Path) -> String {
    let program = program.display().to_string();
    let program = if program.contains(char::is_whitespace) {
        format!("\"{program}\"")
    } else {
        program
    };
    PROFILE.replace(PROFILE_PROGRAM, &program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_says_what_is_exact_and_what_is_watched() {
        let facts = Facts {
            without_namespaces: None,
            python: "Python 3.11 (`/usr/bin/python3`)".to_owned(),
            python_is_documented: true,
            cgroups: Err(Absent::ONLY_ROOT),
            disk: Err(Absent::ONLY_ROOT),
            lacking: Lacking::default(),
            closed_to_programs: None,
        };
        let said = describe(&facts, Some("sandtable image build"));
        assert_eq!(
            said.text,
            "namespaces of this machine, Python 3.11 (`/usr/bin/python3`), without the documented \
             libraries; memory by a watchdog, disk by a watchdog"
        );
        assert_eq!(said.improve.as_deref(), Some("sandtable image build"));
        let facts = Facts {
            cgroups: Ok("cgroup v2"),
            disk: Ok(()),
            ..facts
        };
        let closed = Facts {
            closed_to_programs: Some("/tmp/x".into()),
            ..facts.clone()
        };
        assert!(
            describe(&closed, None)
                .text
                .contains("`/tmp/x` is mounted `noexec`")
        );
        let said = describe(&facts, None);
        assert!(said.text.ends_with(
            "the documented libraries; memory and processes by cgroup v2, disk of exact size"
        ));
        assert_eq!(said.improve, None);
    }

    #[test]
    fn an_old_kernel_is_named_as_the_reason() {
        let error = LaunchError {
            step: "make a system directory read-only".to_owned(),
            reason: "Function not implemented".to_owned(),
            errno: Some(libc::ENOSYS),
        };
        let SandboxError::Unavailable { hint, .. } = without_namespaces(&error, true) else {
            panic!("not unavailable");
        };
        assert!(hint.starts_with("Linux 5.12"), "{hint}");
    }
}
