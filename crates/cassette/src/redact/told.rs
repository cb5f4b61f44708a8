//! Secrets that headers tell (keys, passwords, cookies, and the ids of who is served), and those that bodies of requests do:
//! what connectors are called with.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem::Finder;
use serde_json::Value;

use super::{REDACTED, SHORTEST};

/// The member of a request that holds a connector's token, and the list of connectors, whose URLs may have passwords.
const TOKEN: &str = "authorization_token";
const SERVERS: &str = "mcp_servers";

/// They, as they are looked for: most bodies have neither, and are not read.
static SIGNS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [TOKEN, SERVERS].map(|name| Finder::new(name).into_owned()));

/// Parts of names of cookies that tell of a secret, whatever it looks like.
const SECRET_COOKIES: [&str; 8] = [
    "auth", "csrf", "jwt", "secret", "sess", "sid", "token", "xsrf",
];

/// The values of headers (by names in lower case) that nobody may keep, wherever they stand.
pub(crate) fn told<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in headers {
        match name {
            "anthropic-organization-id" | "anthropic-workspace-id" | "x-api-key" => {
                secrets.push(value.trim().to_owned());
            }
            "authorization" | "proxy-authorization" => credentials(value.trim(), &mut secrets),
            "cookie" => secrets.extend(value.split(';').filter_map(cookie)),
            // What follows the first pair are words such as `Secure`.
            "set-cookie" => secrets.extend(value.split(';').next().and_then(cookie)),
            _ => {}
        }
    }
    secrets
}

fn credentials(value: &str, secrets: &mut Vec<String>) {
    let (scheme, rest) = value.split_once(' ').unwrap_or_default();
    let given = if scheme.is_empty() {
        value
    } else {
        rest.trim()
    };
    secrets.push(given.to_owned());
    if scheme.eq_ignore_ascii_case("basic")
        && let Ok(bytes) = STANDARD.decode(given)
        && let Ok(both) = String::from_utf8(bytes)
    {
        let password = both
            .split_once(':')
            .map(|(_, password)| password.to_owned());
        secrets.extend(password);
        secrets.push(both);
    }
}

/// The value of a cookie that is a secret: most of them are a user's choices, in words that may stand anywhere.
fn cookie(pair: &str) -> Option<String> {
    let (name, value) = pair.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim().trim_matches('"');
    let has = |kind: fn(&u8) -> bool| value.as_bytes().iter().any(kind);
    let is_random = has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit);
    let is_secret = is_random || SECRET_COOKIES.iter().any(|part| name.contains(part));
    (is_secret && value.len() >= SHORTEST).then(|| value.to_owned())
}

/// What the body of a request tells that nobody may keep; nothing of what is no JSON.
pub(super) fn told_by(body: &[u8]) -> Vec<String> {
    if SIGNS.iter().all(|sign| sign.find(body).is_none()) {
        return Vec::new();
    }
    serde_json::from_slice(body).map_or_else(|_| Vec::new(), |value| told_by_json(&value))
}

/// The same of a body that is read already.
pub(super) fn told_by_json(body: &Value) -> Vec<String> {
    let mut secrets = Vec::new();
    connectors(body, &mut secrets);
    // What is crossed out is known nowhere else.
    secrets.retain(|secret| secret != REDACTED);
    secrets
}

fn connectors(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| connectors(item, secrets)),
        Value::Object(members) => {
            for (name, member) in members {
                match (&**name, member) {
                    (TOKEN, Value::String(token)) => secrets.push(token.clone()),
                    (SERVERS, Value::Array(servers)) => {
                        let urls = servers.iter().filter_map(|server| server["url"].as_str());
                        secrets.extend(urls.flat_map(of_url));
                    }
                    _ => {}
                }
                connectors(member, secrets);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The password in a URL, as it is and as it is written.
pub(crate) fn of_url(url: &str) -> Vec<String> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((_, password)) = host
        .rsplit_once('@')
        .and_then(|(who, _)| who.split_once(':'))
    else {
        return Vec::new();
    };
    let plain = percent_encoding::percent_decode_str(password);
    vec![plain.decode_utf8_lossy().into_owned(), password.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_bodies_the_tokens_of_connectors_are_told_and_the_passwords_of_their_urls() {
        let url = "https://user:p%40ss-word@example.org/mcp";
        for (body, secrets) in [
            (
                format!(r#"{{"mcp_servers":[{{"url":"{url}","authorization_token":"token-1"}}]}}"#),
                &["p@ss-word", "p%40ss-word", "token-1"][..],
            ),
            (
                r#"{"requests":[{"params":{"mcp_servers":[{"authorization_token":"token-1"}]}}]}"#
                    .to_owned(),
                &["token-1"],
            ),
            (format!(r#"{{"tools":[{{"url":"{url}"}}]}}"#), &[]),
            (
                r#"{"mcp_servers":[{"authorization_token":"[redacted]","url":7}]}"#.to_owned(),
                &[],
            ),
            (
                r#"{"properties":{"authorization_token":{"type":"string"}}}"#.to_owned(),
                &[],
            ),
            ("authorization_token".to_owned(), &[]),
        ] {
            assert_eq!(told_by(body.as_bytes()), secrets, "{body}");
        }
        assert_eq!(of_url("https://example.org/a:b@c"), [""; 0]);
    }

    #[test]
    fn of_headers_the_secrets_are_told_and_not_the_words_beside_them() {
        for (name, value, secrets) in [
            ("x-api-key", "my-own-key", &["my-own-key"][..]),
            ("authorization", "Bearer abc.def", &["abc.def"]),
            ("authorization", "abc-def", &["abc-def"]),
            (
                "authorization",
                "Basic dXNlcjpwYXNzdzByZA==",
                &["dXNlcjpwYXNzdzByZA==", "passw0rd", "user:passw0rd"],
            ),
            (
                "cookie",
                "session=words-alone; theme=dark-mode; cf=\"a1b2c3\"; n=12",
                &["words-alone", "a1b2c3"],
            ),
            (
                "set-cookie",
                "__cf_bm=cookieValue123; path=/; expires=Tue, 19 Jan 2038 03:14:07 GMT; Secure",
                &["cookieValue123"],
            ),
            ("set-cookie", "theme=dark-mode; Secure", &[]),
            ("anthropic-organization-id", "org", &["org"]),
            ("request-id", "req_011CSHoEeqs5C35K2UUqR7Fy", &[]),
        ] {
            assert_eq!(told([(name, value)]), secrets, "{name}: {value}");
        }
    }
}
