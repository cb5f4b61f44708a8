//! Keys in every place that a request or an answer has.

use std::fmt::Write as _;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{End, Timing};

const KEY: &str = "sk-ant-api03-aBcDeFgHiJkLmNoPqRsTuVwXyZ";
const OWN: &str = "hunter2-of-the-user";

/// A text, byte by byte in another spelling.
fn spelled(text: &str, spell: fn(u8) -> String) -> String {
    text.bytes().map(spell).collect()
}

fn redactor() -> Redactor {
    Redactor::default().with_known([OWN])
}

#[test]
fn a_key_has_the_sign_that_is_looked_for_first() {
    let redactor = Redactor::default();
    for secret in [
        "sk-ant-123456",
        "SK-ANT-123456",
        "\u{17f}\u{212a}-aNt-123456",
        "bearer abcdefghijklmnop",
        "BEARER\u{2003}\tabcdefghijklmnop==",
    ] {
        assert_eq!(redactor.text(secret), REDACTED, "{secret}");
        assert!(secret.len() >= SHORTEST_MATCH);
    }
    let short = Redactor::default().with_known(["abcdef"]);
    assert_eq!(short.text("abcdef"), REDACTED);
    let own = Redactor::default().with_patterns([&"^x$".to_owned()]);
    assert_eq!(own.unwrap().text("x"), REDACTED);
}

#[test]
fn a_redactor_is_shared_by_those_who_keep_out_the_same_alone() {
    let redactor = Redactor::default().with_known([OWN, KEY, "short"]);
    assert!(redactor.knows_just(|| [KEY, OWN].into_iter()));
    assert!(redactor.knows_just(|| [KEY, "tiny", OWN, KEY].into_iter()));
    for others in [&[KEY][..], &[], &[KEY, OWN, "another"]] {
        assert!(
            !redactor.knows_just(|| others.iter().copied()),
            "{others:?}"
        );
    }
    assert!(Redactor::default().knows_just(|| ["short"].into_iter()));
}

/// Everything an exchange says, decoded as an attacker would.
fn told(exchange: &Exchange) -> String {
    format!("{exchange:?}")
}

#[test]
fn a_key_is_nowhere_left() {
    for key in [KEY, OWN] {
        let coded = STANDARD.encode(format!("name:{key}"));
        let percent = spelled(key, |byte| format!("%{byte:02X}"));
        let exchange = Exchange {
            request: Some(Request {
                method: "POST".to_owned(),
                path: format!("/v1/files/{key}/{percent}/{coded}"),
                query: Some(format!("a={key}&b={percent}&c={coded}")),
                headers: [
                    "x-api-key",
                    "authorization",
                    "cookie",
                    "x-mine",
                    "anthropic-beta",
                    "user-agent",
                ]
                .map(|name| (name.to_owned(), format!("Bearer {key}, {percent}, {coded}")))
                .into(),
                body: Body::Form(vec![Part {
                    name: key.to_owned(),
                    filename: Some(format!("{key}.txt")),
                    content_type: None,
                    body: Body::Bytes(Bytes::from([&[0xff, 0xfe], key.as_bytes(), &[0]].concat())),
                }]),
            }),
            response: Response {
                status: 200,
                headers: [
                    "set-cookie",
                    "anthropic-organization-id",
                    "x-token",
                    "location",
                    "request-id",
                ]
                .map(|name| (name.to_owned(), key.to_owned()))
                .into(),
                body: Body::Json(json!({
                    "text": format!("your key {key} is wrong"), "list": [[key]], key: 1,
                    percent.clone(): 1, coded.clone(): 1,
                    "data": coded, "url": format!("https://u:{key}@host/?k={percent}"),
                })),
                end: End::UpstreamBroke(format!("refused {key}")),
            },
            timing: Some(Timing {
                headers: vec![("cf-ray".to_owned(), key.to_owned())],
                ..Timing::default()
            }),
        };
        let clean = redactor().exchange(exchange).unwrap();
        let told = told(&clean);
        assert!(!told.contains(key), "{told}");
        assert!(!told.contains(&percent) && !told.contains(&coded), "{told}");
        let path = &clean.request.as_ref().unwrap().path;
        assert!(path.starts_with("/v1/files/[redacted]/"), "{path}");
        let Some(Request {
            body: Body::Form(parts),
            ..
        }) = &clean.request
        else {
            panic!()
        };
        let bytes = parts[0].body.bytes().unwrap().unwrap();
        assert!(memchr::memmem::find(&bytes, key.as_bytes()).is_none());
        assert!(bytes.starts_with(&[0xff, 0xfe]));
    }
}

#[test]
fn a_key_encoded_over_and_over_or_in_the_other_case_is_found() {
    for key in [KEY, OWN] {
        let mut text = format!("/v1/files/{key}?a=b");
        for _ in 0..LAYERS {
            text = text
                .replace('%', "%25")
                .replace('n', "%6e")
                .replace('-', "%2D");
            let clean = redactor().encoded(&text);
            assert!(clean.contains(REDACTED), "{text} became {clean}");
        }
    }
    assert_eq!(redactor().text(&KEY.to_ascii_uppercase()), REDACTED);
    assert_eq!(redactor().encoded("/v1/a%20b%2520"), "/v1/a%20b%2520");
}

#[test]
fn contents_of_any_kind_lose_the_key_and_nothing_else() {
    let stream = deltas(&["one sk-ant-api03".to_owned(), format!("{} two", &KEY[12..])]);
    let binary = [&[0xff], KEY.as_bytes()].concat();
    for whole in [
        stream.into_bytes(),
        binary,
        format!("a {KEY}").into_bytes(),
        format!("{{\"a\":[\"{KEY}\"]}}").into_bytes(),
    ] {
        let clean = redactor().content(Bytes::from(whole));
        let told = String::from_utf8_lossy(&clean).into_owned();
        assert!(
            told.contains(REDACTED) && !told.contains("aBcDeF"),
            "{told}"
        );
    }
    for same in ["{ \"a\" : 1.0 }", "text %41", "event: ping\ndata: { }\n\n"] {
        assert_eq!(redactor().content(Bytes::from(same)), same);
    }
}

/// A text in UTF-16, its lower byte first, or last.
fn in_utf_16(text: &str, is_little: bool) -> Vec<u8> {
    let units = text.encode_utf16();
    let bytes = units.flat_map(|unit| {
        if is_little {
            unit.to_le_bytes()
        } else {
            unit.to_be_bytes()
        }
    });
    bytes.collect()
}

#[test]
fn a_key_in_utf_16_is_found_wherever_it_begins_and_the_text_around_it_stays() {
    let own = "acct-[0-9]+".to_owned();
    let redactor = redactor().with_known(["Pa\u{df}wort-\u{43f}"]);
    let redactor = redactor.with_patterns([&own]).unwrap();
    for secret in [KEY, OWN, "acct-123", "Pa\u{df}wort-\u{43f}"] {
        for (before, after) in [
            ("", ""),
            ("\u{feff}name;", "\r\n"),
            ("\u{e9}", "\u{4e94}"),
            ("\0", "\0"),
            ("{\"a\":\"\u{1f600}", "\"}"),
        ] {
            for is_little in [true, false] {
                let utf_16 = |text: &str| in_utf_16(text, is_little);
                let file = utf_16(&format!("{before}{secret}{after}"));
                let clean = utf_16(&format!("{before}{REDACTED}{after}"));
                for (amid, tail) in [(&b""[..], &b""[..]), (&[0xff, 0xfe, 0xfd, 0x80], b"\xff")] {
                    let file = [amid, &file, tail].concat();
                    let clean = [amid, &clean, tail].concat();
                    let found = redactor.content(Bytes::from(file));
                    assert_eq!(found, clean, "{before}{secret}{after} {is_little}");
                }
                // At an odd place nothing is left of it either.
                let odd = [&b"\xff"[..], &file].concat();
                let found = redactor.content(Bytes::from(odd));
                let left = utf_16(secret);
                assert_eq!(memchr::memmem::find(&found, &left), None, "{secret}");
            }
        }
    }
}

#[test]
fn a_key_in_utf_16_is_found_in_base64_in_a_form_and_behind_escapes() {
    let key = in_utf_16(&format!("key={KEY}"), true);
    let coded = STANDARD.encode(&key);
    let escaped = in_utf_16(&format!(r#"{{"a":{}}}"#, ascii(KEY)), true);
    let percent = key.iter().fold(String::new(), |mut all, byte| {
        write!(all, "%{byte:02X}").unwrap();
        all
    });
    let redactor = Redactor::default();
    assert_eq!(redactor.text(&coded), REDACTED);
    let clean = redactor.content(Bytes::from(escaped));
    let clean: String = clean.iter().step_by(2).map(|c| char::from(*c)).collect();
    assert_eq!(clean, json!({ "a": REDACTED }).to_string());
    assert_eq!(
        redactor.inside(&percent),
        "%6B%00%65%00%79%00%3D%00[redacted]"
    );
    let part = Part {
        body: Body::of(Bytes::from([&b"\xff\xfe"[..], &key].concat())),
        ..Part::default()
    };
    let part = redactor.part(part).unwrap();
    let clean = in_utf_16(&format!("key={REDACTED}"), true);
    assert_eq!(
        part.body,
        Body::Bytes([b"\xff\xfe", &clean[..]].concat().into())
    );
}

#[test]
fn a_key_behind_escapes_is_found() {
    let escaped = spelled(KEY, |byte| format!("\\u{byte:04x}"));
    let exchange = Exchange {
        response: Response {
            status: 400,
            body: Body::of(Bytes::from(format!("{{ \"message\": \"{escaped}\" }}"))),
            ..Response::default()
        },
        ..Exchange::default()
    };
    let clean = redactor().exchange(exchange).unwrap();
    assert_eq!(
        clean.response.body,
        Body::Json(json!({"message": REDACTED}))
    );
}

#[test]
fn what_has_no_secret_stays_byte_for_byte() {
    let stream = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"sk-ant is a prefix\"}     }\n\n";
    assert_eq!(stream::redact(&redactor(), stream), stream);
    let odd = "{ \"a\" : 1.0 }";
    let clean = redactor().body(Body::Text(odd.to_owned())).unwrap();
    assert_eq!(clean, Body::Text(odd.to_owned()));
}

/// Secrets that are written in another way in JSON, and in JSON within JSON.
const ODD: [&str; 4] = [
    "pass\"word\\42",
    "clé-très-secrète-😀",
    "-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----",
    OWN,
];

/// A JSON string as some programs write it: nothing but ASCII.
fn ascii(text: &str) -> String {
    let mut written = String::new();
    for c in json!(text).to_string().chars() {
        if (' '..='~').contains(&c) {
            written.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            write!(written, "\\u{unit:04x}").unwrap();
        }
    }
    written
}

#[test]
fn a_secret_behind_the_escapes_of_json_in_json_is_found() {
    for secret in ODD {
        let redactor = Redactor::default().with_known([secret]);
        for write in [ascii, |text: &str| json!(text).to_string()] {
            let mut text = secret.to_owned();
            let mut clean = REDACTED.to_owned();
            for _ in 0..LAYERS {
                text = format!("{{\"é\":[{},1]}}", write(&text));
                clean = format!("{{\"é\":[{},1]}}", write(&clean));
                assert_eq!(redactor.json(json!(text)), json!(clean));
                // Cut off, it is no JSON any more.
                let cut = &text[..text.len() - 1];
                assert_eq!(redactor.inside(cut), clean[..clean.len() - 1]);
            }
        }
    }
}

#[test]
fn a_secret_in_a_tool_s_streamed_input_is_found_wherever_it_is_cut() {
    for secret in ODD {
        let redactor = Redactor::default().with_known([secret]);
        let input = |text: &str| json!({"command": format!("echo '{text}' é")}).to_string();
        let whole = input(secret);
        let cuts = whole.char_indices().map(|(at, _)| at);
        for end in ["\n", "\r\n"] {
            for cut in cuts.clone() {
                let (first, second) = whole.split_at(cut);
                let stream = deltas_of("partial_json", &[first.to_owned(), second.to_owned()]);
                let stream = stream.replace('\n', end);
                let clean = stream::redact(&redactor, &stream);
                assert_eq!(together_of("partial_json", &clean), input(REDACTED));
                assert_eq!(clean.matches(end).count(), 6);
            }
        }
    }
}

#[test]
fn what_connectors_are_called_with_is_kept_out_of_the_request_and_its_answer() {
    let redactor = Redactor::default();
    let [token, password] = ["mcp-oauth-token-9f8e", "pw%20123456"];
    let sent = |token: &str, password: &str| {
        let url = format!("https://user:{password}@example.org/mcp");
        json!({"mcp_servers": [{"url": url, "authorization_token": token}]})
    };
    let told_body = sent(token, password);
    let clean = sent(REDACTED, REDACTED);
    for asked in [
        Body::Json(told_body.clone()),
        Body::Text(format!(" {told_body}")),
        Body::Json(json!({"requests": [{"params": told_body}]})),
    ] {
        let request = Request {
            body: asked,
            ..Request::default()
        };
        assert_eq!(
            redactor.request(request.clone()).unwrap(),
            redactor
                .exchange(Exchange {
                    request: Some(request.clone()),
                    ..Exchange::default()
                })
                .unwrap()
                .request
                .unwrap()
        );
        let exchange = redactor
            .exchange(Exchange {
                request: Some(request),
                response: Response {
                    body: Body::Json(json!({"error": format!("{token} pw 123456")})),
                    ..Response::default()
                },
                timing: None,
            })
            .unwrap();
        assert_eq!(
            exchange.response.body,
            Body::Json(json!({"error": "[redacted] [redacted]"}))
        );
        let said = told(&exchange);
        assert!(!said.contains(token) && !said.contains(password), "{said}");
    }
    let kept = redactor.content(Bytes::from(told_body.to_string()));
    assert_eq!(kept, clean.to_string());
    assert_eq!(redactor.content(kept.clone()), kept);
    let redactor = redactor.with_told_by(told_body.to_string().as_bytes());
    assert_eq!(redactor.text(token), REDACTED);
}

#[test]
fn lines_of_json_are_looked_into_and_stay_lines() {
    let id = ORGANIZATION;
    let redactor = Redactor::default().with_known(ODD).with_known([id, KEY]);
    let signature = signed(b"\x12\xba", &[0xe5; 40]);
    let mut zeros = signature.clone();
    zeros[2..38].fill(b'0');
    let lines = |secrets: [&str; 3], signature: &[u8]| {
        let [odd, key, escaped] = secrets;
        let first = json!({"custom_id": "a", "text": format!("a {odd} 100%25")});
        let second = json!({"key": key, "signature": STANDARD.encode(signature)});
        format!("{first}\r\n{second}\n\n{{\"escaped\":\"{escaped}\"}}\n")
    };
    let in_base64 = STANDARD.encode(format!("name:{KEY}"));
    let escaped = spelled(KEY, |byte| format!("\\u{byte:04x}"));
    for odd in ODD {
        let told = lines([odd, &in_base64, &escaped], &signature);
        let clean = lines([REDACTED; 3], &zeros);
        assert_eq!(redactor.inside(&told), clean);
        let blob = redactor.content(Bytes::from(told));
        assert_eq!(blob, clean);
    }
    let same = "{ \"a\" : 1 }\n{\"b\":2}\n";
    assert!(matches!(redactor.inside(same), Cow::Borrowed(text) if text == same));
}

#[test]
fn base64_within_a_longer_text_is_looked_into() {
    let redactor = Redactor::default().with_known([ORGANIZATION]);
    let key = STANDARD.encode(format!("user:{KEY}"));
    let url_safe = URL_SAFE_NO_PAD.encode(format!("??>>{KEY}"));
    let words = "so long a text has no secret. ".repeat(9);
    for (text, clean) in [
        (
            format!("Authorization: Basic {key}\n"),
            "Authorization: Basic [redacted]\n".to_owned(),
        ),
        (
            format!("{words}data:text/plain;base64,{key}"),
            format!("{words}data:text/plain;base64,[redacted]"),
        ),
        (
            format!("{words}k={url_safe}&b"),
            format!("{words}k=[redacted]&b"),
        ),
        (
            format!("{{\"auth\": \"{key}\"}}{words}"),
            format!("{{\"auth\": \"[redacted]\"}}{words}"),
        ),
        // Whatever stands before it.
        (
            format!("in /a/b_c/{key}: {words}"),
            format!("in [redacted]: {words}"),
        ),
        (format!("/ab/{key}"), REDACTED.to_owned()),
    ] {
        assert_eq!(redactor.json(json!(text)), json!(clean));
    }
    let bytes = signed(&[0x12, 0xba], &[0xe5; 90]);
    let mut zeros = bytes.clone();
    zeros[2..38].fill(b'0');
    let text = |bytes: &[u8]| format!("it signed {}, it says", STANDARD.encode(bytes));
    assert_eq!(redactor.json(json!(text(&bytes))), json!(text(&zeros)));
    // A file's bytes in lines, as `base64` prints them; the key is on two of them.
    let bytes = [&[0xe5; 50], KEY.as_bytes(), &[0xe5; 70]].concat();
    let lines = STANDARD.encode(bytes);
    let lines: Vec<&str> = [0..76, 76..152, 152..lines.len()]
        .map(|at| &lines[at])
        .into();
    for end in ["\n", "\r\n"] {
        let text = format!("$ base64 x\n{}{end}$ ", lines.join(end));
        assert_eq!(
            redactor.json(json!(text)),
            json!(format!("$ base64 x\n[redacted]{end}$ "))
        );
    }
    // A short match in what is no text is chance.
    let digits = Redactor::default()
        .with_patterns([&"[0-9]{2}".to_owned()])
        .unwrap();
    let id = "id msgbatch_abcdefghijklmnopqrstuvwxyzABCDEF ";
    assert_eq!(digits.json(json!(id)), json!(id));
}

#[test]
fn limits_of_rates_are_no_tokens() {
    let name = |name: &str| (name.to_owned(), "1".to_owned());
    let kept = redactor().headers(
        vec![
            name("anthropic-ratelimit-input-tokens-limit"),
            name("x-session-token"),
        ],
        |_| true,
    );
    assert_eq!(kept, [name("anthropic-ratelimit-input-tokens-limit")]);
}

const ORGANIZATION: &str = "44ae676c-958f-4d68-9108-eae9de7b366b";

/// Bytes as the service signs them: the organization's id between others.
fn signed(before: &[u8], after: &[u8]) -> Vec<u8> {
    [before, ORGANIZATION.as_bytes(), after].concat()
}

#[test]
fn of_a_signature_only_the_id_within_is_replaced() {
    let redactor = Redactor::default().with_known([ORGANIZATION]);
    let bytes = signed(b"\x12\xba\x13\n*\x08\x07\x18\x02\"$", &[0xe5; 90]);
    let mut zeros = bytes.clone();
    zeros[11..47].fill(b'0');
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        let block = |bytes: &[u8]| {
            let text = engine.encode(bytes);
            json!({"signature": text, "encrypted_content": text})
        };
        assert_eq!(redactor.json(block(&bytes)), block(&zeros));
    }
    let folded = STANDARD.encode(&bytes);
    let folded = format!("{}\r\n{}", &folded[..60], &folded[60..]);
    let clean = redactor.json(json!(folded));
    let clean = clean.as_str().unwrap();
    assert_eq!(clean.find('\r'), Some(60));
    assert_eq!(STANDARD.decode(clean.replace("\r\n", "")).unwrap(), zeros);
}

#[test]
fn an_id_by_itself_and_a_key_in_base64_are_replaced_as_a_whole() {
    let redactor = Redactor::default().with_known([ORGANIZATION]);
    assert_eq!(redactor.json(json!(ORGANIZATION)), json!(REDACTED));
    let key = STANDARD.encode([ORGANIZATION.as_bytes(), b" ", KEY.as_bytes()].concat());
    assert_eq!(redactor.json(json!(key)), json!(REDACTED));
}

#[test]
fn a_signature_in_pieces_keeps_its_pieces() {
    let redactor = Redactor::default().with_known([ORGANIZATION]);
    let bytes = signed(b"\x12\xba", &[0xe5; 40]);
    let mut zeros = bytes.clone();
    zeros[2..38].fill(b'0');
    let stream = |bytes: &[u8]| {
        let text = STANDARD.encode(bytes);
        let piece = |text: &str| {
            let delta = json!({"type": "signature_delta", "signature": text});
            let data = json!({"type": "content_block_delta", "index": 0, "delta": delta});
            format!("event: content_block_delta\ndata: {data}\n\n")
        };
        [&text[..5], &text[5..31], &text[31..]].map(piece).concat()
    };
    assert_eq!(stream::redact(&redactor, &stream(&bytes)), stream(&zeros));
}

fn deltas(pieces: &[String]) -> String {
    deltas_of("text", pieces)
}

fn deltas_of(name: &str, pieces: &[String]) -> String {
    let mut text = String::new();
    for piece in pieces {
        let data = json!({"type": "content_block_delta", "index": 3, "delta": {"type": "any", name: piece}});
        let data = data.to_string();
        text += "event: content_block_delta\ndata: ";
        text += &data[..data.len() - 1];
        text += "    }\n\n";
    }
    text
}

fn together(stream: &str) -> String {
    together_of("text", stream)
}

fn together_of(name: &str, stream: &str) -> String {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| {
            let data: Value = serde_json::from_str(data).unwrap();
            data["delta"][name].as_str().unwrap().to_owned()
        })
        .collect()
}

proptest! {
    #[test]
    fn a_key_cut_over_deltas_is_found_and_the_rest_stays(
        words in proptest::collection::vec("[a-z ]{0,8}", 1..5),
        cuts in proptest::collection::vec(0usize..200, 0..12),
    ) {
        // Between words a key; none of its characters may join what follows.
        let text = words.join(&format!(" {KEY} "));
        let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let pieces: Vec<String> = at.windows(2).map(|pair| text[pair[0]..pair[1]].to_owned()).collect();
        let whole = deltas(&pieces);
        let clean = stream::redact(&redactor(), &whole);
        prop_assert_eq!(together(&clean), words.join(&format!(" {REDACTED} ")));
        prop_assert_eq!(&clean, &stream::closely(&redactor(), &whole));
        let padded = clean.lines().filter(|line| line.starts_with("data")).all(|line| line.ends_with("    }"));
        prop_assert!(padded, "the padding stays");
    }

    #[test]
    fn what_was_signed_is_known_again_with_any_id_in_it_and_by_all_the_rest(
        before in proptest::collection::vec(any::<u8>(), 0..40),
        after in proptest::collection::vec(any::<u8>(), 0..40),
        other in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ) {
        let redactor = Redactor::default().with_known([ORGANIZATION]);
        let clean = redactor.json(json!(STANDARD.encode(signed(&before, &after))));
        let clean = clean.as_str().unwrap();
        prop_assert!(has_zeros(clean), "{}", clean);
        let fits = |bytes: Vec<u8>| zeros_fit(clean, &STANDARD.encode(bytes));
        prop_assert!(fits([&before, other.as_bytes(), &after].concat()));
        prop_assert!(fits(signed(&before, &after)));
        let longer = [&after[..], &[1, 2, 3]].concat();
        prop_assert!(!fits(signed(&before, &longer)));
        // Bytes right beside the id share characters with it.
        if after.len() > 4 {
            let mut changed = after;
            *changed.last_mut().unwrap() ^= 0x55;
            prop_assert!(!fits(signed(&before, &changed)));
        }
    }

    #[test]
    fn any_text_can_be_redacted(text in "\\PC{0,200}") {
        redactor().text(&text);
        redactor().inside(&text);
        stream::redact(&redactor(), &text);
    }

    #[test]
    fn base64_is_found_wherever_it_begins(
        secret in "[a-z0-9-]{14,24}",
        before in "[a-z\":, ]{0,50}",
        url_safe in any::<bool>(),
    ) {
        let redactor = Redactor::default().with_known([&*secret]);
        let encoded = if url_safe { URL_SAFE.encode(&secret) } else { STANDARD.encode(&secret) };
        prop_assume!(encoded.len() >= 24);
        for whole in [
            json!({ before.clone(): encoded }).to_string(),
            json!({"a": before, "b": [encoded]}).to_string(),
        ] {
            let clean = redactor.inside(&whole);
            prop_assert!(!clean.contains(&encoded), "{}", clean);
            prop_assert_eq!(&clean, &redactor.closely(&whole));
        }
    }

    #[test]
    fn bytes_with_zeros_are_looked_into_and_lose_no_others(
        around in prop::collection::vec(prop::sample::select(vec![0u8, b'a', 0xe9, 0xff]), 0..40),
        at in 0usize..40,
        is_little in any::<bool>(),
    ) {
        let redactor = Redactor::default();
        prop_assert_eq!(redactor.content(Bytes::from(around.clone())), around.clone());
        let at = at.min(around.len());
        let key = in_utf_16(KEY, is_little);
        let file = [&around[..at], &key, &around[at..]].concat();
        let clean = redactor.content(Bytes::from(file));
        let letters: Vec<u8> = clean.iter().copied().filter(|byte| *byte != 0).collect();
        prop_assert!(memchr::memmem::find(&letters, b"aBcDeF").is_none());
    }

    #[test]
    fn what_a_quick_look_passes_a_close_one_passes_too(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(OWN.to_owned()),
                Just(STANDARD.encode(OWN)),
                Just(STANDARD.encode(format!("a bit more than {OWN} alone"))),
                Just(format!("x_{}", STANDARD_NO_PAD.encode(OWN))),
                Just("msg_01AbCdEfGhIjKlMnOpQrStUv".to_owned()),
                Just(OWN.replace('-', "%2D")),
                "[a-z0-9 =_+/-]{0,30}",
                "\\PC{0,10}",
            ],
            0..4,
        ),
        shape in 0..4,
    ) {
        let text = pieces.concat();
        let whole = match shape {
            0 => text,
            1 => json!({"a": pieces, "b": text}).to_string(),
            2 => json!({text: 1}).to_string(),
            _ => json!([[text]]).to_string(),
        };
        prop_assert_eq!(redactor().inside(&whole), redactor().closely(&whole));
        let deltas = deltas(&pieces);
        prop_assert_eq!(stream::redact(&redactor(), &deltas), stream::closely(&redactor(), &deltas));
    }

    #[test]
    fn any_escapes_around_a_secret_can_be_undone(
        before in "([a-z\\\\%uné\"0-9]|%25|\\\\u00e9){0,40}",
        after in "([a-z\\\\%uné\"0-9]|%25|\\\\u00e9){0,40}",
    ) {
        let odd = Redactor::default().with_known(ODD);
        let clean = odd.inside(&format!("{before} {OWN} {after}")).into_owned();
        prop_assert!(clean.contains(REDACTED) && !clean.contains(OWN), "{}", clean);
    }
}
