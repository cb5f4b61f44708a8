//! What calls are asked, in their queries and bodies, that they do not take.

use super::*;

#[tokio::test]
async fn a_parameter_that_a_call_does_not_have_is_refused() {
    let server = Server::start(Config::default());
    for (call, said) in [
        ("usage?mont=2026-11", "did you mean `month`?"),
        ("usage?month=26-11", "`26-11` is no month"),
        ("usage?month=2026-1", "`2026-1` is no month"),
        ("usage?month=2026-%2B1", "`2026-+1` is no month"),
        ("clock?at=x", "`at` is no parameter"),
        ("containers?state=awake", "`state` is no parameter"),
        ("health?nosuch=1", "`nosuch` is no parameter"),
        ("ready?nosuch=1", "`nosuch` is no parameter"),
        ("openapi.json?nosuch=1", "`nosuch` is no parameter"),
        ("journal?limit=2&limit=1", "`limit` is there twice"),
        ("journal?method=FETCH", "no method `FETCH`"),
        ("journal?path=v1/files", "no path begins with `v1/files`"),
        ("wait?requests=1&method=FETCH", "no method `FETCH`"),
        ("wait?requests=1&path=v1", "no path begins with `v1`"),
        ("journal?format=har&bodies=x", "`bodies=x` is no filter"),
        (
            "journal?format=har&bodies=false",
            "`format` does not go with `bodies`",
        ),
        (
            "journal?format=cassette&limit=1",
            "`format` does not go with `limit`",
        ),
    ] {
        let (status, error) = server.get("a", &format!("/_sandtable/{call}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}");
        assert!(error.to_string().contains(said), "{call}: {error}");
    }
    for (method, call) in [
        (Method::DELETE, "journal?path=/v1/files"),
        (Method::DELETE, "faults?id=1"),
        (Method::POST, "reset?workspce=a"),
        (Method::PUT, "scripts?nmae=a"),
        (Method::GET, "verify?strict=1"),
        (Method::GET, "containers/c/files/a?wake=true&of=b"),
        (Method::GET, "page/timeline?from=1"),
    ] {
        let path = format!("/_sandtable/{call}");
        let (status, _) = server.send(Some("a"), method, &path, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}");
    }
    for call in [
        "usage?month=2026-11",
        "clock",
        "containers",
        "journal?format=har&status=4xx",
        "journal?method=post&path=/v1",
        "health?workspace=a",
    ] {
        let (status, error) = server.get("a", &format!("/_sandtable/{call}")).await;
        assert_eq!(status, StatusCode::OK, "{call}: {error}");
    }
}

#[tokio::test]
async fn a_body_that_a_call_cannot_carry_out_is_refused() {
    let server = Server::start(Config::default());
    let key = |key: &str| json!({ "key": key });
    for (method, call, body, said) in [
        (
            Method::PUT,
            "rate-limits",
            json!([["claude", 50, 1, 1]]),
            "rate limit 0: it must be an object",
        ),
        (
            Method::PUT,
            "state",
            json!({"rate_limits": [[null, 5]]}),
            "rate_limits[0]: expected an object",
        ),
        (
            Method::POST,
            "state/fork",
            key("sk-ant-invalid"),
            "every request with the key",
        ),
        (
            Method::POST,
            "state/fork",
            key(&"k".repeat(4097)),
            "`key` has 4097 bytes",
        ),
        (
            Method::POST,
            "clock",
            json!({"set": "9999-12-31T23:59:59Z"}),
            "goes to 9999-01-01",
        ),
        (
            Method::POST,
            "clock",
            json!({"advance": "99999999999d"}),
            "goes to 9999-01-01",
        ),
    ] {
        let path = format!("/_sandtable/{call}");
        let (status, error) = server
            .send(Some("a"), method, &path, &body.to_string())
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{call}: {error}");
        assert!(error.to_string().contains(said), "{call}: {error}");
    }
    let yaml = "cassette: 1\nexchanges: []\n";
    let (_, answer) = server
        .send(Some("a"), Method::PUT, "/_sandtable/cassettes", yaml)
        .await;
    assert!(!answer.to_string().contains("not JSON"), "{answer}");
}

#[tokio::test]
async fn all_workspaces_are_one_too_many_for_a_call_on_one_however_many_there_are() {
    let server = Server::start(Config::default());
    for key in ["a", "b"] {
        server
            .post(key, "/_sandtable/clock", &json!({"freeze": true}))
            .await;
        for call in [
            "clock",
            "scripts",
            "usage",
            "state",
            "faults",
            "journal",
            "wait?requests=1",
            "page/timeline",
            "files",
        ] {
            let and = if call.contains('?') { '&' } else { '?' };
            let path = format!("/_sandtable/{call}{and}workspace=*");
            let (status, error) = server.get("a", &path).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{call}: {error}");
        }
        for call in ["verify", "containers", "journal?format=har"] {
            let and = if call.contains('?') { '&' } else { '?' };
            let path = format!("/_sandtable/{call}{and}workspace=*");
            let (status, error) = server.get("a", &path).await;
            assert_eq!(status, StatusCode::OK, "{call}: {error}");
        }
    }
}

#[tokio::test]
async fn a_text_of_rules_may_say_of_which_file_it_is() {
    let server = Server::start(Config::default());
    let wrong = "- then:\n    - txt: a\n";
    for (query, file) in [
        ("", "request body"),
        ("?name=", "request body"),
        ("?name=tests/rules.yaml", "tests/rules.yaml"),
    ] {
        for method in [Method::PUT, Method::POST] {
            let path = format!("/_sandtable/scripts{query}");
            let (_, error) = server.send(Some("a"), method, &path, wrong).await;
            let said = error["error"]["message"].as_str().unwrap();
            assert!(said.starts_with(&format!("{file}:2:7: ")), "{said}");
        }
        let path = format!("/_sandtable/scripts/check{query}");
        let (_, told) = server.send(Some("a"), Method::POST, &path, wrong).await;
        assert_eq!(told["errors"][0]["file"], file);
    }
}

#[tokio::test]
async fn one_of_several_texts_of_rules_is_replaced_and_the_others_stay() {
    let server = Server::start(Config::default());
    let put = async |path: &str, text: &str| {
        let path = format!("/_sandtable/scripts{path}");
        server.send(Some("a"), Method::PUT, &path, text).await
    };
    let rule = |name: &str| format!("- name: {name}\n  then: [{{text: hi}}]\n");
    put("?name=one.yaml", &format!("rules:\n{}", rule("one"))).await;
    for (name, text) in [
        ("two", rule("two") + &rule("three")),
        ("four", rule("four")),
    ] {
        let path = format!("/_sandtable/scripts?name={name}.yaml");
        server.send(Some("a"), Method::POST, &path, &text).await;
    }
    let (status, loaded) = put("?source=2", &rule("five")).await;
    assert_eq!((status, &loaded["rules"]), (StatusCode::OK, &json!(3)));
    let (_, list) = server.get("a", "/_sandtable/scripts").await;
    let rules = list["data"].as_array().unwrap().iter();
    let told: Vec<_> = rules
        .map(|rule| {
            (
                rule["name"].as_str().unwrap(),
                rule["file"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("one", "one.yaml"),
            ("five", "two.yaml"),
            ("four", "four.yaml")
        ]
    );
    assert_eq!(list["sources"][1], json!(rule("five")));
    for (query, said) in [
        ("?source=4", "there is no such text: the workspace has 3"),
        ("?source=0", "there is no such text: the workspace has 3"),
        ("?source=x", "`source=x` is not understood"),
    ] {
        let (status, error) = put(query, &rule("six")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(error.to_string().contains(said), "{query}: {error}");
    }
    let (status, error) = put("?source=2", "- nme: x\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error.to_string().contains("two.yaml:1:3"), "{error}");
    let (_, after) = server.get("a", "/_sandtable/scripts").await;
    assert_eq!(after, list);
}
