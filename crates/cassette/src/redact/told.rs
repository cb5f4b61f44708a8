//! Secrets that headers tell: keys, passwords, cookies, and the ids of who is served.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SHORTEST;

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

#[cfg(test)]
mod tests {
    use super::*;

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
