//! Lists in both shapes.

use insta::assert_snapshot;

use super::*;

async fn ids(server: &Server, path: &str) -> (Vec<String>, Value) {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let ids = answer["data"].as_array().unwrap().iter();
    let ids = ids.map(|file| file["id"].as_str().unwrap().to_owned());
    (ids.collect(), answer)
}

/// Uploads this many files; newest first, as a list gives them.
async fn fill(server: &Server, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for n in 0..count {
        all.insert(0, server.add(&format!("{n}.csv")).await);
    }
    all
}

#[tokio::test]
async fn a_page_in_the_current_shape_leads_to_the_next() {
    let server = Server::start().await;
    let all = fill(&server, 3).await;
    let answer = server.get("/v1/files?limit=2&beta=true").await;
    assert_snapshot!(answer.text, @r#"{"data":[{"type":"file","id":"file_01DojTzbZvaUj1CqYmn5oJto","size_bytes":4,"created_at":"2030-01-02T03:04:05.678901Z","filename":"2.csv","mime_type":"text/csv","downloadable":false,"expires_at":null},{"type":"file","id":"file_01YHY9Mb7kmavzVQDEE7jz77","size_bytes":4,"created_at":"2030-01-02T03:04:05.678901Z","filename":"1.csv","mime_type":"text/csv","downloadable":false,"expires_at":null}],"next_page":"page_0006ba2d447e2f350000000000000002"}"#);
    let next = answer.json()["next_page"].as_str().unwrap().to_owned();
    let (rest, page) = ids(&server, &format!("/v1/files?limit=2&page={next}")).await;
    assert_eq!(rest, all[2..]);
    assert_eq!(page["next_page"], Value::Null);
}

#[tokio::test]
async fn a_page_under_the_beta_header_names_its_ends() {
    let server = Server::start().await.beta();
    fill(&server, 3).await;
    assert_snapshot!(server.get("/v1/files?limit=1").await.text, @r#"{"data":[{"type":"file","id":"file_01DojTzbZvaUj1CqYmn5oJto","size_bytes":4,"created_at":"2030-01-02T03:04:05.678901Z","filename":"2.csv","mime_type":"text/csv","downloadable":false}],"has_more":true,"first_id":"file_01DojTzbZvaUj1CqYmn5oJto","last_id":"file_01DojTzbZvaUj1CqYmn5oJto"}"#);
}

#[tokio::test]
async fn twenty_is_the_default_and_a_thousand_the_most() {
    let server = Server::start().await;
    let all = fill(&server, 21).await;
    assert_eq!(ids(&server, "/v1/files").await.0, all[..20]);
    assert_eq!(ids(&server, "/v1/files?limit=1000").await.0, all);
    for (limit, reason) in [
        ("0", "Input should be greater than or equal to 1"),
        ("-5", "Input should be greater than or equal to 1"),
        ("1001", "Input should be less than or equal to 1000"),
        (
            "ten",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
    ] {
        let answer = server.get(&format!("/v1/files?limit={limit}")).await;
        assert_eq!(
            answer.error(),
            format!("400 invalid_request_error: limit: {reason}")
        );
    }
}

#[tokio::test]
async fn asking_behind_the_last_id_gives_an_empty_page_with_null_ids() {
    let server = Server::start().await.beta();
    let all = fill(&server, 3).await;
    let path = format!("/v1/files?after_id={}", all[2]);
    assert_eq!(
        server.get(&path).await.text,
        r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#
    );
}

#[tokio::test]
async fn id_cursors_go_both_ways_and_outlive_their_files() {
    let server = Server::start().await.beta();
    let all = fill(&server, 6).await;
    server.delete(&format!("/v1/files/{}", all[3])).await;
    let after = format!("/v1/files?limit=1&after_id={}", all[3]);
    let (found, page) = ids(&server, &after).await;
    assert_eq!(
        (found.as_slice(), &page["has_more"]),
        (&all[4..5], &true.into())
    );
    let before = format!("/v1/files?limit=2&before_id={}", all[3]);
    let (found, page) = ids(&server, &before).await;
    assert_eq!(
        (found.as_slice(), &page["has_more"]),
        (&all[1..3], &true.into())
    );
    let before = format!("/v1/files?limit=1&before_id={}", all[1]);
    let (found, page) = ids(&server, &before).await;
    assert_eq!(
        (found.as_slice(), &page["has_more"]),
        (&all[..1], &false.into())
    );
}

#[tokio::test]
async fn named_ids_come_in_one_page_without_those_that_are_not_there() {
    let server = Server::start().await;
    let all = fill(&server, 30).await;
    let query = all.join("&ids%5B%5D=");
    let twice = &all[0];
    let path = format!("/v1/files?ids%5B%5D={query}&ids[]={twice}&ids[]=file_none");
    let (found, page) = ids(&server, &path).await;
    assert_eq!(found, all);
    assert_eq!(page["next_page"], Value::Null);
    for (more, name) in [("limit=5", "limit"), ("page=page_x", "page")] {
        let answer = server.get(&format!("/v1/files?ids[]=a&{more}")).await;
        assert_eq!(
            answer.error(),
            format!("400 invalid_request_error: {name}: Cannot be combined with `ids[]`")
        );
    }
}

#[tokio::test]
async fn a_hundred_different_ids_may_be_named() {
    let server = Server::start().await;
    let pairs: Vec<String> = (0..100).map(|n| format!("ids[]={n}&ids[]={n}")).collect();
    let query = pairs.join("&");
    assert_eq!(ids(&server, &format!("/v1/files?{query}")).await.0.len(), 0);
    let answer = server
        .get(&format!("/v1/files?{query}&ids%5B%5D=100"))
        .await;
    assert_eq!(
        answer.error(),
        "400 invalid_request_error: ids: List should have at most 100 items after de-duplication"
    );
}

#[tokio::test]
async fn cursors_that_lead_nowhere_are_refused() {
    let server = Server::start().await;
    for page in [
        "",
        "page_",
        "page_zz",
        "file_1",
        "page_+0000000000000000000000000000000",
    ] {
        let answer = server.get(&format!("/v1/files?page={page}")).await;
        assert_eq!(
            answer.error(),
            "400 invalid_request_error: page: Invalid cursor"
        );
    }
    let answer = server.get("/v1/files?after_id=file_1").await;
    assert_eq!(
        answer.error(),
        "400 invalid_request_error: after_id: Extra inputs are not permitted without the beta \
         `files-api-2025-04-14`; use `page`"
    );
    let server = server.beta();
    let theirs = server.add("a.csv").await;
    let path = format!("/v1/files?after_id={theirs}");
    let request = Request::get(&path).body(Body::empty()).unwrap();
    assert_eq!(
        server.send_as(1, request).await.error(),
        format!("400 invalid_request_error: after_id: File `{theirs}` not found.")
    );
    let answer = server.get("/v1/files?after_id=a&before_id=b").await;
    assert_eq!(
        answer.error(),
        "400 invalid_request_error: before_id: Cannot be combined with `after_id`"
    );
    let answer = server.get("/v1/files?page=page_x").await;
    assert_eq!(
        answer.error(),
        "400 invalid_request_error: page: Extra inputs are not permitted with the beta \
         `files-api-2025-04-14`; use `after_id` or `before_id`"
    );
}

#[tokio::test]
async fn no_file_belongs_to_a_session() {
    let server = Server::start().await;
    fill(&server, 1).await;
    let (found, page) = ids(&server, "/v1/files?scope_id=sesn_1").await;
    assert_eq!((found.len(), &page["next_page"]), (0, &Value::Null));
}
