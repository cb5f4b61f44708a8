//! The part of the machine that a sandbox sees: system directories, a few files of `/etc`, the harmless devices.

use std::fs;
use std::path::{Path, PathBuf};

use super::plan::{Bind, USER};
use super::python::Python;
use super::tools;

/// Where our own programs and libraries lie in a sandbox.
pub(super) const BIN: &str = "/opt/sandtable/bin";
/// The file for `/proc/meminfo`, below the root.
pub(super) const MEMORY: &str = "opt/sandtable/meminfo";
/// See [`BIN`].
pub(super) const LIBRARIES: &str = "/opt/sandtable/python";

const TOP: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// `tty` is whatever terminal a program has: one of the sandbox's own, or none.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Public parts of `/etc` that programs look for; what is not there is left out.
const ETC: [&str; 18] = [
    "alternatives",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "debian_version",
    "perl",
    "pki/tls/certs",
    "protocols",
    "services",
    "shells",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
];
/// Kernel interfaces that say more than a sandbox needs to know.
const HIDDEN: [&str; 5] = [
    "proc/kcore",
    "proc/keys",
    "proc/kallsyms",
    "proc/sysrq-trigger",
    "proc/timer_list",
];

/// The read-only part of every sandbox of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct RootFs {
    pub(super) binds: Vec<Bind>,
    pub(super) links: Vec<(PathBuf, String)>,
    pub(super) texts: Vec<(PathBuf, String)>,
}

impl RootFs {
    /// Looks at the machine.
    pub(super) fn of_this_machine(python: &Python, libraries: Option<&Path>) -> Self {
        let mut root = Self::default();
        root.bind("/usr", "usr");
        for name in TOP {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => root.link(name, &target.to_string_lossy()),
                Err(_) if path.is_dir() => root.bind(&path, name),
                Err(_) => {}
            }
        }
        // Systems that keep everything there.
        root.bind_if_there("/nix/store", "nix/store");
        for name in ETC {
            root.bind_if_there(Path::new("/etc").join(name), Path::new("etc").join(name));
        }
        root.java();
        if let Some(prefix) = &python.prefix {
            let target = prefix.strip_prefix("/").unwrap_or(prefix).to_owned();
            root.bind(prefix, target);
        }
        if let Some(libraries) = libraries {
            root.bind(libraries, LIBRARIES.trim_start_matches('/'));
        }
        let bin = Path::new(BIN.trim_start_matches('/'));
        for name in ["python", "python3"] {
            root.link(bin.join(name), &python.program.to_string_lossy());
        }
        // An interpreter from elsewhere brings its own.
        let pip = python
            .program
            .with_file_name(format!("pip{}", python.version));
        if python.prefix.is_some() && pip.exists() {
            for name in ["pip", "pip3"] {
                root.link(bin.join(name), &pip.to_string_lossy());
            }
        }
        root.links.extend(tools::links());
        root.devices();
        root.texts();
        root
    }

    fn bind(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        let source = source.into();
        self.binds.push(Bind {
            directory: source.is_dir(),
            source,
            target: target.into(),
            device: false,
        });
    }

    fn bind_if_there(&mut self, source: impl Into<PathBuf>, target: impl Into<PathBuf>) {
        // A link would be followed, and may lead anywhere: what it names is bound only if it is public.
        let source = source.into();
        if let Ok(real) = fs::canonicalize(&source)
            && ["/etc", "/usr", "/nix"]
                .iter()
                .any(|top| real.starts_with(top))
        {
            self.bind(real, target);
        }
    }

    fn link(&mut self, place: impl Into<PathBuf>, target: &str) {
        self.links.push((place.into(), target.to_owned()));
    }

    /// A Java runtime of Debian keeps its settings in `/etc/java-…`.
    fn java(&mut self) {
        for entry in fs::read_dir("/etc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b"java-") {
                self.bind_if_there(entry.path(), Path::new("etc").join(name));
            }
        }
    }

    fn devices(&mut self) {
        for name in DEVICES {
            self.binds.push(Bind {
                source: Path::new("/dev").join(name),
                target: Path::new("dev").join(name),
                directory: false,
                device: true,
            });
        }
        for (name, target) in [
            ("ptmx", "pts/ptmx"),
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            self.link(Path::new("dev").join(name), target);
        }
        self.link("etc/mtab", "/proc/self/mounts");
    }

    fn texts(&mut self) {
        let mut text = |name: &str, text: String| {
            self.texts.push((Path::new("etc").join(name), text));
        };
        text(
            "passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n\
                 user:x:{USER}:{USER}::/home/user:/bin/bash\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        );
        text(
            "group",
            format!("root:x:0:\nuser:x:{USER}:\nnogroup:x:65534:\n"),
        );
        text(
            "hosts",
            "127.0.0.1 localhost sandbox\n::1 localhost\n".to_owned(),
        );
        text("hostname", "sandbox\n".to_owned());
        // With a resolver that nobody answers, as in Docker: names fail for want of a network, not as unknown.
        text(
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
                .to_owned(),
        );
        text("resolv.conf", String::new());
    }
}

/// Says who the sandbox's user is, where that is none of its own number.
pub(super) fn name_user(texts: &mut [(PathBuf, String)], uid: u32, gid: u32) {
    for (place, text) in texts {
        if place == Path::new("etc/passwd") {
            *text = text.replace(&format!(":{USER}:{USER}:"), &format!(":{uid}:{gid}:"));
        } else if place == Path::new("etc/group") {
            *text = text.replace(&format!("user:x:{USER}:"), &format!("user:x:{gid}:"));
        }
    }
}

/// The paths that are covered in a fresh `/proc`.
pub(super) fn hidden() -> impl Iterator<Item = &'static Path> {
    HIDDEN.iter().map(Path::new)
}
