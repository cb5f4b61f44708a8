//! Requests that are refused, and what they leave behind: nothing.

use super::*;

/// Sends what is wrong and checks the answer and that nothing was stored.
async fn refused(parts: &[Part<'_>], expected: &str) {
    let server = Server::start().await;
    assert_eq!(server.upload(parts).await.error(), expected);
    server.nothing_is_stored().await;
}

#[tokio::test]
async fn an_upload_needs_exactly_one_file() {
    refused(&[], "400 invalid_request_error: file: Field required").await;
    refused(
        &[field("upload", "x")],
        "400 invalid_request_error: file: Field required",
    )
    .await;
    refused(
        &[file("a.csv", b"1"), file("b.csv", b"2")],
        "400 invalid_request_error: file: Only one file may be sent",
    )
    .await;
}

#[tokio::test]
async fn an_expiry_outside_its_range_is_refused_on_either_side_of_the_file() {
    for (value, reason) in [
        ("3599", "Input should be greater than or equal to 3600"),
        ("-1", "Input should be greater than or equal to 3600"),
        ("7776001", "Input should be less than or equal to 7776000"),
        (
            "soon",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "3600.5",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            "",
            "Input should be a valid integer, unable to parse string as an integer",
        ),
    ] {
        let expected = format!("400 invalid_request_error: expires_in_seconds: {reason}");
        let expiry = || field("expires_in_seconds", value);
        refused(&[expiry(), file("a.csv", b"x")], &expected).await;
        refused(
            &[file("a.csv", &vec![b'x'; 2_000_000]), expiry()],
            &expected,
        )
        .await;
    }
    refused(
        &[
            field("expires_in_seconds", "3600"),
            field("expires_in_seconds", "3600"),
            file("a.csv", b"x"),
        ],
        "400 invalid_request_error: expires_in_seconds: Only one value may be sent",
    )
    .await;
}

#[tokio::test]
async fn a_name_outside_the_rules_is_refused() {
    refused(
        &[file("a?.csv", b"x")],
        "400 invalid_request_error: file: Invalid filename \"a?.csv\": none of \
         < > : \" | ? * \\ / or the characters U+0000 to U+001F are allowed",
    )
    .await;
    refused(
        &[file(&"x".repeat(256), b"x")],
        "400 invalid_request_error: file: Invalid filename: it has 256 characters, \
         at most 255 are allowed",
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_multipart_is_refused() {
    let server = Server::start().await;
    for content_type in [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=BOUND",
    ] {
        let request = Request::post("/v1/files")
            .header("content-type", content_type)
            .body(Body::from(multipart(&[file("a.csv", b"x")])));
        assert_eq!(
            server.send(request.unwrap()).await.error(),
            "400 invalid_request_error: content-type: Expected `multipart/form-data` with a \
             `boundary` parameter"
        );
    }
    assert_eq!(
        server.send(post("{}")).await.error(),
        "400 invalid_request_error: the multipart body has no part: the boundary of the content \
         type was not found"
    );
    let no_name = ("Content-Type: text/csv".to_owned(), b"x".as_slice());
    assert_eq!(
        server.upload(&[no_name]).await.error(),
        "400 invalid_request_error: a multipart part has no `content-disposition: form-data` \
         with a `name`"
    );
    server.nothing_is_stored().await;
}

#[tokio::test]
async fn a_body_that_is_cut_or_breaks_off_is_refused() {
    let server = Server::start().await;
    let body = multipart(&[file("a.csv", &vec![b'x'; 1_500_000])]);
    let cut = server.send(post(body[..1_400_000].to_vec())).await;
    assert_eq!(
        cut.error(),
        "400 invalid_request_error: the multipart body ends before its closing boundary"
    );
    let chunks = [Ok(body[..1_400_000].to_vec()), Err("connection reset")];
    let broken = Body::from_stream(futures_util::stream::iter(chunks));
    let answer = server.send(post(broken)).await;
    assert!(
        answer
            .error()
            .starts_with("400 invalid_request_error: The request body could not be read"),
        "{}",
        answer.error()
    );
    server.nothing_is_stored().await;
}

#[tokio::test]
async fn unknown_ids_and_those_of_another_workspace_answer_alike() {
    let server = Server::start().await;
    let theirs = server.add("a.csv").await;
    let strange = "file_%F0%9F%A6%80";
    for id in [
        theirs.as_str(),
        "file_011CNha8iCJcU1wXNR6q4V8w",
        "%00",
        strange,
    ] {
        for (method, tail) in [("GET", ""), ("GET", "/content"), ("DELETE", "")] {
            let request = Request::builder()
                .method(method)
                .uri(format!("/v1/files/{id}{tail}"))
                .body(Body::empty());
            let answer = server.send_as(1, request.unwrap()).await;
            let error = answer.error();
            assert!(error.starts_with("404 not_found_error: File `"), "{error}");
            assert!(error.ends_with("` not found."), "{error}");
        }
    }
    assert_eq!(server.get(&format!("/v1/files/{theirs}")).await.status, 200);
}

#[tokio::test]
async fn an_upload_cannot_be_downloaded() {
    let server = Server::start().await;
    let id = server.add("a.csv").await;
    let answer = server.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!(
        answer.error(),
        format!("400 invalid_request_error/file_not_downloadable: File '{id}' is not downloadable")
    );
    assert_eq!(answer.headers["x-should-retry"], "false");
}

#[tokio::test]
async fn more_than_the_quota_is_refused_announced_or_not() {
    let options = Options {
        quota_bytes: 100_000,
        ..Options::default()
    };
    let server = Server::start_with(options).await;
    let expected = "400 invalid_request_error/storage_quota_exceeded: \
                    Storage quota exceeded: 0 of 100000 bytes are in use.";
    let body = multipart(&[file("a.csv", &vec![b'x'; 200_000])]);
    let mut announced = post(body.clone());
    announced
        .headers_mut()
        .insert("content-length", body.len().into());
    assert_eq!(server.send(announced).await.error(), expected);
    let chunks: Vec<_> = body
        .chunks(1000)
        .map(|c| Ok::<_, std::io::Error>(c.to_vec()))
        .collect();
    let stream = Body::from_stream(futures_util::stream::iter(chunks));
    assert_eq!(server.send(post(stream)).await.error(), expected);
    server.nothing_is_stored().await;
    // It is each workspace's own, and what fits is taken.
    let answer = server.upload(&[file("a.csv", &vec![b'x'; 100_000])]).await;
    assert_eq!(answer.status, 200);
    let request = post(multipart(&[file("a.csv", b"x")]));
    assert_eq!(server.send_as(1, request).await.status, 200);
    let answer = server.upload(&[file("a.csv", b"x")]).await;
    assert_eq!(answer.error(), expected.replace("0 of", "100000 of"));
}
