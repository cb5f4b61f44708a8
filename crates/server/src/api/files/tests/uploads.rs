//! Uploads that work, their metadata, downloads, and deletions.

use insta::assert_snapshot;

use super::*;

#[tokio::test]
async fn an_upload_answers_with_its_metadata_in_the_current_shape() {
    let server = Server::start().await;
    let answer = server.upload(&[file("sales.csv", b"a,b\n1,2\n")]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_snapshot!(answer.text, @r#"{"type":"file","id":"file_01TMsTRoSwNQ9AYRmXbDEzip","size_bytes":8,"created_at":"2030-01-02T03:04:05.678901Z","filename":"sales.csv","mime_type":"text/csv","downloadable":false,"expires_at":null}"#);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert!(common::ids::is_well_formed(common::ids::Kind::File, &id));
    let again = server.get(&format!("/v1/files/{id}?beta=true")).await;
    assert_eq!((again.status.as_u16(), again.text), (200, answer.text));
}

#[tokio::test]
async fn under_the_beta_header_an_upload_answers_as_recorded() {
    let server = Server::start().await.beta();
    let answer = server.upload(&[file("sales.csv", b"a,b\n1,2\n")]).await;
    assert_snapshot!(answer.text, @r#"{"type":"file","id":"file_01TMsTRoSwNQ9AYRmXbDEzip","size_bytes":8,"created_at":"2030-01-02T03:04:05.678901Z","filename":"sales.csv","mime_type":"text/csv","downloadable":false}"#);
    let again = server
        .get(&format!(
            "/v1/files/{}",
            answer.json()["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(again.text, answer.text);
}

#[tokio::test]
async fn the_expiry_may_come_before_or_after_the_file() {
    let server = Server::start().await;
    let expiry = || field("expires_in_seconds", "3600");
    for parts in [
        [expiry(), file("a.csv", b"before")],
        [file("a.csv", b"after"), expiry()],
    ] {
        let answer = server.upload(&parts).await;
        assert_eq!(answer.json()["expires_at"], "2030-01-02T04:04:05.678901Z");
    }
    let longest = field("expires_in_seconds", "7776000");
    let answer = server.upload(&[longest, file("a.csv", b"longest")]).await;
    assert_eq!(answer.json()["expires_at"], "2030-04-02T03:04:05.678901Z");
}

#[tokio::test]
async fn fields_that_nobody_asked_for_are_passed_over() {
    let server = Server::start().await;
    let purpose = field("purpose", "assistants");
    let answer = server.upload(&[purpose, file("a.csv", b"x")]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_file_without_headers_of_its_own_gets_a_name_and_a_type() {
    let server = Server::start().await;
    let answer = server.upload(&[field("file", "plain")]).await;
    let answer = answer.json();
    assert_eq!(answer["filename"], "unnamed");
    assert_eq!(answer["mime_type"], "application/octet-stream");
}

#[tokio::test]
async fn equal_uploads_have_different_ids_and_the_same_in_every_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let server = Server::start().await;
        let first = server.add("a.csv").await;
        server.delete(&format!("/v1/files/{first}")).await;
        runs.push([first, server.add("a.csv").await, server.add("a.csv").await]);
    }
    assert_eq!(runs[0], runs[1]);
    let [first, second, third] = &runs[0];
    assert!(first != second && second != third && first != third);
}

#[tokio::test]
async fn what_code_execution_made_is_downloaded_as_recorded() {
    let server = Server::start().await;
    let id = server
        .add_output("squares.csv", b"Number,Square\n1,1\n")
        .await;
    let answer = server
        .get(&format!("/v1/files/{id}/content?beta=true"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (200, "Number,Square\n1,1\n")
    );
    assert_eq!(answer.headers["content-type"], "text/csv");
    assert_eq!(
        answer.headers["content-disposition"],
        "attachment; filename*=utf-8''squares.csv"
    );
    assert_eq!(answer.headers["content-length"], "18");
}

#[tokio::test]
async fn a_download_of_several_chunks_is_whole_and_odd_names_are_encoded() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..1_000_000)
        .map(|n| b'a' + u8::try_from(n % 23).unwrap())
        .collect();
    let id = server.add_output("café 1'.csv", &content).await;
    let answer = server.get(&format!("/v1/files/{id}/content")).await;
    assert!(answer.text.as_bytes() == content);
    assert_eq!(
        answer.headers["content-disposition"],
        "attachment; filename*=utf-8''caf%C3%A9%201%27.csv"
    );
}

#[tokio::test]
async fn a_deletion_takes_an_empty_body_and_is_final() {
    let server = Server::start().await;
    let id = server.add("a.csv").await;
    let path = format!("/v1/files/{id}");
    let answer = server.delete(&path).await;
    assert_eq!(
        answer.text,
        format!(r#"{{"id":"{id}","type":"file_deleted"}}"#)
    );
    let gone = format!("404 not_found_error: File `{id}` not found.");
    assert_eq!(server.delete(&path).await.error(), gone);
    assert_eq!(server.get(&path).await.error(), gone);
    assert_eq!(server.get(&format!("{path}/content")).await.error(), gone);
    server.nothing_is_stored().await;
}
