//! Who may call: names of hosts, and origins of pages, as browsers send them.

use std::net::Ipv6Addr;

use crate::value::ValueError;

/// A name as `Host` has it, without the port.
pub(super) fn host(text: &str) -> Result<String, ValueError> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    let name = text.to_ascii_lowercase();
    let bracketed = name
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    if bracketed || is_name(&name) {
        return Ok(name);
    }
    Err(ValueError::Expected(
        "a host's name alone, such as sandtable.internal: no scheme, no port, no path",
    ))
}

/// An origin as `Origin` has it: lower case, no port that goes without saying, no path.
pub(super) fn origin(text: &str) -> Result<String, ValueError> {
    let lower = text.to_ascii_lowercase();
    // Of a page that is a file.
    if lower == "null" {
        return Ok(lower);
    }
    let parts = lower.split_once("://");
    let known = parts.and_then(|(scheme, rest)| {
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) if !authority.ends_with(']') => (name, Some(port)),
            _ => (authority, None),
        };
        let port = port.map(str::parse::<u16>).transpose().ok()?;
        let usual = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let name = host(name).ok().filter(|_| is_scheme)?;
        Some(match port.filter(|port| Some(*port) != usual) {
            Some(port) => format!("{scheme}://{name}:{port}"),
            None => format!("{scheme}://{name}"),
        })
    });
    known.ok_or(ValueError::Expected(
        "an origin, such as http://localhost:5173: a scheme and a host, perhaps a port, no path",
    ))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_without_its_port() {
        for (text, name) in [
            ("Foo.Bar", "foo.bar"),
            ("::1", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.7", "10.0.0.7"),
            ("my_service", "my_service"),
        ] {
            assert_eq!(host(text).unwrap(), name);
        }
        for text in ["", "Foo.Bar:21351", "http://a.b", "a.b/c", "*"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for (text, sent) in [
            ("http://ok.com/", "http://ok.com"),
            ("HTTPS://Ok.com:443", "https://ok.com"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://[::1]:80", "http://[::1]"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("null", "null"),
        ] {
            assert_eq!(origin(text).unwrap(), sent);
        }
        for text in [
            "",
            "foo",
            "http://a.b/c",
            "http://",
            "://a",
            "http://a:b",
            "*",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
