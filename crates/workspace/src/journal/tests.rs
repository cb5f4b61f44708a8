//! The journal's bounds, filters, cursors, and what it never holds.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn entry(id: &str, path: &str, status: u16) -> Entry {
    Entry {
        id: id.to_owned(),
        at: "2030-01-02T03:04:05.678901Z".parse().unwrap(),
        method: "POST".into(),
        path: path.to_owned(),
        status,
        duration: Duration::from_micros(1234),
        workspace: "wrkspc_1".to_owned(),
        ..Entry::default()
    }
}

fn ids(page: &Page) -> Vec<&str> {
    page.entries.iter().map(|entry| entry.id.as_str()).collect()
}

#[test]
fn an_entry_is_listed_with_json_as_json_and_text_as_text() {
    let mut entry = entry("req_1", "/v1/messages", 200);
    entry.query = Some("beta=true".to_owned());
    entry.request_headers = Headers::new([
        ("Anthropic-Beta", "a"),
        ("accept", "*/*"),
        ("anthropic-beta", "b"),
    ]);
    entry.request_body = Bytes::from_static(b"{\"b\":1,\"a\":[2]}").into();
    entry.response_body = Bytes::from_static(b"event: ping\ndata: {}\n\n").into();
    entry.source = Some("tour".to_owned());
    entry.lints = vec![Lint::new(&crate::lint::UNKNOWN_BETA, "unknown beta `b`")];
    insta::assert_snapshot!(
        serde_json::to_string(&entry.told(true)).unwrap(),
        @r#"{"id":"req_1","at":"2030-01-02T03:04:05.678901Z","method":"POST","path":"/v1/messages","query":"beta=true","status":200,"duration_ms":1.234,"workspace":"wrkspc_1","request_headers":{"anthropic-beta":"a, b","accept":"*/*"},"request_body":{"b":1,"a":[2]},"response_headers":{},"response_body":"event: ping\ndata: {}\n\n","source":"tour","lints":[{"code":"unknown_beta","level":"warning","message":"unknown beta `b`","hint":"the service refuses betas that it does not know: look for a misspelling"}]}"#
    );
}

#[test]
fn binary_bodies_are_listed_by_length_and_digest() {
    let listed = |body: Body| body.value();
    assert_eq!(listed(Body::Empty), json!(null));
    assert_eq!(listed(Bytes::new().into()), json!(null));
    assert_eq!(
        listed(Bytes::from_static(b"\xff\x00").into()),
        json!({
            "size_bytes": 2,
            "sha256": "ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f"
        })
    );
    let omitted = Body::Omitted {
        size_bytes: 500,
        sha256: None,
    };
    assert_eq!(listed(omitted), json!({ "size_bytes": 500 }));
}

#[test]
fn keys_are_never_kept() {
    let headers = Headers::new(
        [
            "X-Api-Key",
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "x-control-token",
            "x-goog-api-key",
        ]
        .map(|name| (name, "sk-ant-secret")),
    );
    assert_eq!(headers, Headers::default());
}

#[test]
fn an_answer_passed_on_leaves_no_token_and_keeps_the_limits_of_rates() {
    let limit = ("anthropic-ratelimit-input-tokens-limit", "9");
    let headers = Headers::of_answer([
        ("x-session-token", "a"),
        ("set-cookie", "b=c"),
        ("x-client-secret", "d"),
        limit,
    ]);
    assert_eq!(headers.pairs().collect::<Vec<_>>(), [limit]);
}

#[test]
fn the_newest_come_first_and_pages_follow_the_cursor() {
    let journal = Journal::default();
    for n in 0..5 {
        journal.push(entry(&n.to_string(), "/v1/files", 200));
    }
    let mut filter = Filter {
        limit: 2,
        ..Filter::default()
    };
    let first = journal.list(&filter);
    assert_eq!(ids(&first), ["4", "3"]);
    // What comes in between does not shift the next page.
    journal.push(entry("5", "/v1/files", 200));
    filter.cursor = first.next_cursor;
    let second = journal.list(&filter);
    assert_eq!(ids(&second), ["2", "1"]);
    filter.cursor = second.next_cursor;
    let third = journal.list(&filter);
    assert_eq!((ids(&third), third.next_cursor), (vec!["0"], None));
}

#[test]
fn path_and_status_narrow_the_list() {
    let journal = Journal::default();
    journal.push(entry("a", "/v1/files", 200));
    journal.push(entry("b", "/v1/messages", 529));
    journal.push(entry("c", "/v1/files/file_1", 404));
    let list = |path: Option<&str>, status: Option<&str>| {
        let page = journal.list(&Filter {
            path: path.map(str::to_owned),
            status: status.map(|status| status.parse().unwrap()),
            ..Filter::default()
        });
        ids(&page).concat()
    };
    assert_eq!(list(Some("/v1/files"), None), "ca");
    assert_eq!(list(None, Some("4xx")), "c");
    assert_eq!(list(None, Some("529")), "b");
    assert_eq!(list(Some("/v1/files"), Some("200")), "a");
    for bad in ["", "xx", "4", "9xx", "4x", "600", "ok"] {
        assert!(bad.parse::<StatusFilter>().is_err(), "{bad}");
    }
}

#[test]
fn a_filtered_page_has_a_cursor_only_if_more_entries_match() {
    let journal = Journal::default();
    for (id, status) in [("a", 500), ("b", 200), ("c", 500), ("d", 200)] {
        journal.push(entry(id, "/", status));
    }
    let mut filter = Filter {
        status: Some(StatusFilter::Class(5)),
        limit: 1,
        ..Filter::default()
    };
    let first = journal.list(&filter);
    assert_eq!(ids(&first), ["c"]);
    filter.cursor = first.next_cursor;
    let second = journal.list(&filter);
    assert_eq!((ids(&second), second.next_cursor), (vec!["a"], None));
}

#[test]
fn the_oldest_make_room_and_what_is_too_large_is_noted_by_its_length() {
    let journal = Journal::with_limit(10_000);
    for n in 0..100 {
        let mut entry = entry(&n.to_string(), "/", 200);
        entry.response_body = Bytes::from(vec![b'x'; 1000]).into();
        journal.push(entry);
        assert!(journal.lock().bytes <= 10_000);
    }
    let page = journal.list(&Filter::default());
    assert!(
        (5..10).contains(&page.entries.len()),
        "{}",
        page.entries.len()
    );
    assert_eq!(page.entries[0].id, "99");

    let mut large = entry("large", "/", 200);
    large.request_body = Bytes::from(vec![b'x'; 1_000_000]).into();
    journal.push(large);
    let page = journal.list(&Filter::default());
    let omitted = Body::Omitted {
        size_bytes: 1_000_000,
        sha256: None,
    };
    assert_eq!(page.entries[0].request_body, omitted);
    assert!(page.entries.len() > 1);
}

#[test]
fn an_entry_larger_than_the_journal_leaves_it_as_it_was() {
    let journal = Journal::with_limit(2000);
    journal.push(entry("a", "/", 200));
    journal.push(entry(&"x".repeat(5000), "/", 200));
    assert_eq!(ids(&journal.list(&Filter::default())), ["a"]);
}

#[test]
fn memory_is_used_again() {
    let journal = Journal::with_limit(300_000);
    for n in 0..5_000 {
        let mut entry = entry(&n.to_string(), "/", 200);
        entry.response_body = Bytes::from(vec![b'x'; n % 3_000]).into();
        journal.push(entry);
        let kept = journal.lock();
        assert!(kept.room_bytes() <= 300_000 + 2 * 64 * 1024, "{n}");
    }
    journal.clear();
    assert_eq!(journal.lock().room_bytes(), 0);
}

#[test]
fn clearing_forgets_all_and_old_cursors_stay_harmless() {
    let journal = Journal::default();
    for n in 0..3 {
        journal.push(entry(&n.to_string(), "/", 200));
    }
    let filter = Filter {
        limit: 1,
        ..Filter::default()
    };
    let cursor = journal.list(&filter).next_cursor;
    journal.clear();
    assert_eq!(journal.list(&filter), Page::default());
    journal.push(entry("new", "/", 200));
    let old = Filter { cursor, ..filter };
    assert_eq!(journal.list(&old), Page::default());
}

/// Entries with and without everything that one may have, of all sizes.
fn any_entry() -> impl Strategy<Value = Entry> {
    let text = || prop::option::of("[ -~é]{0,40}");
    let size = || {
        prop_oneof![
            Just(0),
            1_usize..200,
            3_900..4_300_usize,
            60_000..70_000_usize
        ]
    };
    let flags = (
        0_u32..4,
        0_u32..3,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (text(), text(), size(), size(), flags).prop_map(|(query, source, asked, said, flags)| {
        let (steps, marks, lint, omitted, left) = flags;
        let mut entry = entry("req_1", "/v1/messages", 200);
        let headers = format!("x-{asked}: y");
        entry.request_headers = Headers::new([("a", "b"), ("c", headers.as_str())]);
        entry.response_headers =
            Headers::of_answer([("request-id", query.as_deref().unwrap_or(""))]);
        entry.query = query;
        entry.batch = source.as_ref().map(|id| BatchItem {
            id: id.clone(),
            custom_id: "c".to_owned(),
        });
        entry.source = source;
        entry.request_body = Bytes::from(vec![b'q'; asked]).into();
        entry.response_body = Bytes::from(vec![b'a'; said]).into();
        if omitted {
            entry.request_body = Body::Omitted {
                size_bytes: 7,
                sha256: Some([1; 32]),
            };
        }
        entry.steps = (0..steps).map(|line| ("text", u64::from(line))).collect();
        entry.marks = (0..marks)
            .map(|n| Mark {
                end_bytes: n,
                after_us: n,
            })
            .collect();
        if lint {
            entry.lints = vec![Lint::new(&crate::lint::UNKNOWN_BETA, "unknown beta `b`")];
        }
        entry.missed = left;
        entry.ended = [Ended::Whole, Ended::Broke][usize::from(left)];
        entry.started = left.then(Instant::now);
        entry
    })
}

proptest! {
    #[test]
    fn what_is_listed_is_what_came(entries in prop::collection::vec(any_entry(), 1..80)) {
        let journal = Journal::with_limit(1_000_000);
        let came: Vec<_> = entries
            .into_iter()
            .map(|entry| Arc::new(journal.push(entry)))
            .collect();
        let listed = journal.export(&Filter::default());
        prop_assert!(!listed.is_empty());
        prop_assert_eq!(&listed[..], &came[came.len() - listed.len()..]);
    }

    #[test]
    fn pages_of_any_size_are_what_is_kept(
        sizes in prop::collection::vec(0_usize..3000, 0..60),
        limit in 1_usize..9,
    ) {
        let journal = Journal::with_limit(20_000);
        for (n, size) in sizes.iter().enumerate() {
            let mut entry = entry(&n.to_string(), "/", 200);
            entry.response_body = Bytes::from(vec![b'x'; *size]).into();
            journal.push(entry);
        }
        let whole = journal.list(&Filter { limit: 1000, ..Filter::default() });
        let mut walked = Vec::new();
        let mut filter = Filter { limit, ..Filter::default() };
        loop {
            let page = journal.list(&filter);
            walked.extend(page.entries);
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(&walked, &whole.entries);
        // The newest are kept without a gap.
        let kept = whole.entries.len();
        let newest: Vec<String> =
            (sizes.len() - kept..sizes.len()).rev().map(|n| n.to_string()).collect();
        let ids: Vec<String> = whole.entries.iter().map(|entry| entry.id.clone()).collect();
        prop_assert_eq!(ids, newest);
        prop_assert_eq!(kept == 0, sizes.is_empty());
    }
}
