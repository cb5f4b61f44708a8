//! Where the engine is, by the variables of the `docker` command, and how it is reached.
//!
//! Input that is not understood is refused. Whoever asks for TLS gets TLS, checked, and never plain HTTP.

use std::fmt;
#[cfg(unix)]
use std::os::unix::{fs::MetadataExt as _, net::UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};

use super::{refused, ssh};
use crate::SandboxError;
use common::limits::{ENGINE_CHANGE_TIMEOUT, ENGINE_CONNECT_TIMEOUT, ENGINE_SSH_CONNECT_TIMEOUT};

const CERTIFICATES_HINT: &str =
    "`DOCKER_CERT_PATH` names the folder with `ca.pem`, `cert.pem`, and `key.pem`";

/// An engine's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// As it was given.
    pub(super) text: String,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Unix,
    Plain(String),
    Tls {
        authority: String,
        certificates: PathBuf,
    },
    Ssh(ssh::Destination),
}

impl Address {
    /// `host` if given, else what the variables say, else the first socket there is of: the system's, the
    /// user's own, Docker Desktop's.
    pub(super) fn find(
        host: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SandboxError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(text) = host.map(str::to_owned).or_else(|| set("DOCKER_HOST")) {
            let way = Way::of(&text, &set)?;
            return Ok(Self { text, way });
        }
        if let Some(context) = set("DOCKER_CONTEXT").filter(|context| context != "default") {
            let reason =
                format!("`DOCKER_CONTEXT={context}` is of the `docker` command, and is not read");
            let hint = format!(
                "export DOCKER_HOST=$(docker context inspect '{context}' --format '{{{{.Endpoints.docker.Host}}}}')"
            );
            return Err(SandboxError::Unavailable { reason, hint });
        }
        Ok(Self {
            text: usual_socket(&set),
            way: Way::Unix,
        })
    }

    /// A client of the engine; it connects with the first request.
    pub(super) fn open(&self) -> Result<Docker, BollardError> {
        // Every call has a shorter one of its own.
        let timeout = ENGINE_CHANGE_TIMEOUT.as_secs();
        match &self.way {
            Way::Unix => Docker::connect_with_unix(&self.text, timeout, API_DEFAULT_VERSION),
            Way::Plain(authority) => {
                if !is_loopback(authority) {
                    tracing::warn!(engine = %self.text, "the engine is reached without TLS: others on the network may read and change what is sent");
                }
                Docker::connect_with_http(authority, timeout, API_DEFAULT_VERSION)
            }
            Way::Tls {
                authority,
                certificates,
            } => Docker::connect_with_ssl(
                authority,
                &certificates.join("key.pem"),
                &certificates.join("cert.pem"),
                &certificates.join("ca.pem"),
                timeout,
                API_DEFAULT_VERSION,
            ),
            Way::Ssh(destination) => ssh::open(destination.clone(), timeout),
        }
    }

    /// How long it may take to say that it is there.
    pub(super) fn patience(&self) -> Duration {
        match self.way {
            Way::Ssh(_) => ENGINE_SSH_CONNECT_TIMEOUT,
            Way::Unix | Way::Plain(_) | Way::Tls { .. } => ENGINE_CONNECT_TIMEOUT,
        }
    }

    /// The hint for a user whom the engine's socket, which is there, does not let in.
    #[cfg(not(unix))]
    pub(super) fn closed(&self) -> Option<String> {
        None
    }

    /// The hint for a user whom the engine's socket, which is there, does not let in.
    #[cfg(unix)]
    pub(super) fn closed(&self) -> Option<String> {
        let Way::Unix = self.way else {
            return None;
        };
        let path = self.text.strip_prefix("unix://")?;
        let refused = UnixStream::connect(path).err()?;
        if refused.kind() != std::io::ErrorKind::PermissionDenied {
            return None;
        }
        let group = group_of(Path::new(path)).unwrap_or_else(|| "docker".to_owned());
        Some(format!(
            "this user may not use `{path}`: become a member of the group `{group}` with `sudo usermod -aG {group} $USER`, \
             then log in again; `sandtable doctor` says more"
        ))
    }

    /// Why the engine may have ended a connection that was made, for people.
    ///
    /// One that wants a certificate of the client, or another one, says so behind the handshake of TLS 1.3; whether
    /// its alert or the end of the connection is seen first is chance.
    pub(super) fn why_ended(&self) -> Option<String> {
        let Way::Tls { certificates, .. } = &self.way else {
            return None;
        };
        let own = certificates.join("cert.pem");
        Some(if own.exists() {
            format!("it may not accept the certificate `{}`", own.display())
        } else {
            format!(
                "it may want a certificate, and there is no `{}`",
                own.display()
            )
        })
    }

    /// The transport to the engine, for people; empty for a socket.
    pub(super) fn between(&self) -> &'static str {
        match self.way {
            Way::Unix => "",
            Way::Plain(_) => " without TLS",
            Way::Tls { .. } => " over TLS",
            Way::Ssh(_) => " over SSH",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Way {
    fn of(text: &str, set: &impl Fn(&str) -> Option<String>) -> Result<Self, SandboxError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let asked = ["DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"]
            .into_iter()
            .find(|name| set(name).is_some());
        match (scheme, asked) {
            ("unix", _) if rest.starts_with('/') => Ok(Self::Unix),
            ("ssh", _) => ssh::Destination::parse(rest).map(Self::Ssh),
            ("https", _) | ("tcp", Some(_)) => Ok(Self::Tls {
                authority: authority(text, rest, 2376)?,
                certificates: certificates(set)?,
            }),
            ("http", Some(name)) => Err(refused(
                text,
                &format!("`http` is without TLS, and `{name}` asks for it"),
                &format!("write `https://`, or unset `{name}`"),
            )),
            ("http" | "tcp", _) => authority(text, rest, 2375).map(Self::Plain),
            _ => Err(refused(
                text,
                "an address of this kind is not supported",
                "`DOCKER_HOST` takes `unix:///…`, `tcp://…`, `https://…`, or `ssh://…`",
            )),
        }
    }
}

#[cfg(unix)]
/// The group that a socket lets in, if it is not root's.
fn group_of(socket: &Path) -> Option<String> {
    let id = std::fs::metadata(socket).ok()?.gid().to_string();
    let groups = std::fs::read_to_string("/etc/group").ok()?;
    let mut names = groups.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next(), fields.next()?);
        (gid == id && gid != "0").then(|| name.to_owned())
    });
    names.next()
}

/// Host and port; the usual port where none is given.
fn authority(text: &str, rest: &str, port: u16) -> Result<String, SandboxError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() || rest.contains(['/', '?', '#', '@']) {
        let hint = "write it as `tcp://host:port`";
        return Err(refused(text, "it is not a host and a port", hint));
    }
    let has_port = match rest.rsplit_once(']') {
        Some((_, behind)) => behind.starts_with(':'),
        None => rest.contains(':'),
    };
    Ok(if has_port {
        rest.to_owned()
    } else {
        format!("{rest}:{port}")
    })
}

fn is_loopback(authority: &str) -> bool {
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// The folder of the certificates, once it has what is needed.
fn certificates(set: &impl Fn(&str) -> Option<String>) -> Result<PathBuf, SandboxError> {
    let folder = set("DOCKER_CERT_PATH")
        .or_else(|| set("DOCKER_CONFIG"))
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")));
    let missing = |path: &Path, why: &dyn fmt::Display| SandboxError::Unavailable {
        reason: format!("TLS to the engine needs `{}`: {why}", path.display()),
        hint: CERTIFICATES_HINT.to_owned(),
    };
    let folder = folder.ok_or_else(|| missing(Path::new("ca.pem"), &"there is no home folder"))?;
    // Without its own certificate a client may still be let in; with half of one it made a mistake.
    let has_own = folder.join("cert.pem").exists() || folder.join("key.pem").exists();
    let needed: &[&str] = if has_own {
        &["ca.pem", "cert.pem", "key.pem"]
    } else {
        &["ca.pem"]
    };
    for name in needed {
        let path = folder.join(name);
        let text = std::fs::read(&path).map_err(|error| missing(&path, &error))?;
        if memchr::memmem::find(&text, b"-----BEGIN ").is_none() {
            return Err(missing(&path, &"it is not in the PEM format"));
        }
    }
    Ok(folder)
}

fn usual_socket(set: &impl Fn(&str) -> Option<String>) -> String {
    const SYSTEM: &str = "/var/run/docker.sock";
    let below =
        |variable: &str, rest: &str| set(variable).map(|folder| Path::new(&folder).join(rest));
    let sockets = [
        Some(PathBuf::from(SYSTEM)),
        below("XDG_RUNTIME_DIR", "docker.sock"),
        below("HOME", ".docker/run/docker.sock"),
    ];
    let found = sockets.into_iter().flatten().find(|socket| socket.exists());
    let found = found.unwrap_or_else(|| SYSTEM.into());
    format!("unix://{}", found.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Address, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Address::find(None, variable).map_err(|error| match error {
            SandboxError::Unavailable { reason, hint } => format!("{reason}; {hint}"),
            other => other.to_string(),
        })
    }

    #[test]
    fn whoever_asks_for_tls_gets_it_or_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = folder.path().to_str().unwrap();
        let asking = [
            vec![
                ("DOCKER_HOST", "tcp://engine:2376"),
                ("DOCKER_TLS_VERIFY", "1"),
            ],
            vec![("DOCKER_HOST", "tcp://engine"), ("DOCKER_TLS", "1")],
            vec![("DOCKER_HOST", "tcp://engine:2376/")],
            vec![("DOCKER_HOST", "https://engine:2376")],
        ];
        for mut variables in asking {
            variables.push(("DOCKER_CERT_PATH", certificates));
            let error = find(&variables).unwrap_err();
            assert!(
                error.contains("ca.pem") && error.contains(certificates),
                "{error}"
            );
            let ca = folder.path().join("ca.pem");
            std::fs::write(&ca, "-----BEGIN CERTIFICATE-----").unwrap();
            let Way::Tls { authority, .. } = find(&variables).unwrap().way else {
                panic!("{variables:?}");
            };
            assert_eq!(authority, "engine:2376");
            std::fs::write(folder.path().join("cert.pem"), "-----BEGIN ").unwrap();
            let error = find(&variables).unwrap_err();
            assert!(error.contains("key.pem"), "{error}");
            std::fs::remove_file(folder.path().join("cert.pem")).unwrap();
            std::fs::write(&ca, "nothing").unwrap();
            assert!(find(&variables).unwrap_err().contains("PEM"));
            std::fs::remove_file(ca).unwrap();
        }
        let contradiction = [("DOCKER_HOST", "http://engine"), ("DOCKER_TLS_VERIFY", "1")];
        assert!(
            find(&contradiction)
                .unwrap_err()
                .contains("`DOCKER_TLS_VERIFY` asks for it")
        );
    }

    #[test]
    fn without_tls_a_host_is_plain_and_said_to_be() {
        let address = find(&[("DOCKER_HOST", "tcp://[::1]"), ("DOCKER_TLS_VERIFY", "")]).unwrap();
        assert_eq!(address.way, Way::Plain("[::1]:2375".to_owned()));
        assert_eq!(address.between(), " without TLS");
        assert!(
            is_loopback("[::1]:2375")
                && is_loopback("127.0.0.9:1")
                && !is_loopback("10.0.0.1:2375")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is() {
        for host in [
            "fd://",
            "npipe:////./pipe/docker",
            "engine:2375",
            "unix://relative",
            "HTTP://x",
            "tcp://",
            "tcp://a/b",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://u:pw@h",
            "ssh://-l@h",
            "ssh://h/a;b",
        ] {
            let error = find(&[("DOCKER_HOST", host)]).unwrap_err();
            assert!(error.contains(host), "{host}: {error}");
        }
        let error = find(&[("DOCKER_CONTEXT", "remote")]).unwrap_err();
        assert!(
            error.contains("docker context inspect 'remote' --format '{{.Endpoints.docker.Host}}'"),
            "{error}"
        );
        assert!(find(&[("DOCKER_CONTEXT", "default")]).is_ok());
        // As the docker command has it.
        let both = [("DOCKER_CONTEXT", "remote"), ("DOCKER_HOST", "unix:///a")];
        assert_eq!(find(&both).unwrap().text, "unix:///a");
    }
}
