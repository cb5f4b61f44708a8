//! Expiry, on the workspace's clock.

use chrono::TimeDelta;

use super::*;

#[tokio::test]
async fn an_expired_file_keeps_its_metadata_for_thirty_days() {
    let server = Server::start().await;
    let id = server.add_output("a.csv", b"x").await;
    let path = format!("/v1/files/{id}");
    let content = format!("{path}/content");
    let clock = &server.a().clock;
    let expires_at = clock.now() + TimeDelta::hours(1);
    let instant = TimeDelta::microseconds(1);

    clock.set(expires_at - instant).unwrap();
    assert_eq!(server.get(&content).await.status, 200);

    clock.set(expires_at).unwrap();
    let expired = format!("404 not_found_error/file_expired: File `{id}` has expired.");
    assert_eq!(server.get(&content).await.error(), expired);
    let metadata = server.get(&path).await.json();
    assert_eq!(metadata["expires_at"], "2030-01-02T04:04:05.678901Z");

    clock
        .set(expires_at + TimeDelta::days(30) - instant)
        .unwrap();
    assert_eq!(server.get(&path).await.status, 200);
    assert_eq!(server.get(&content).await.error(), expired);

    clock.advance(instant).unwrap();
    let gone = format!("404 not_found_error: File `{id}` not found.");
    for path in [&path, &content] {
        assert_eq!(server.get(path).await.error(), gone);
    }
    assert_eq!(server.delete(&path).await.error(), gone);
    server.nothing_is_stored().await;
}

#[tokio::test]
async fn deleting_an_expired_file_removes_its_metadata_at_once() {
    let server = Server::start().await;
    let id = server.add_output("a.csv", b"x").await;
    server.a().clock.advance(TimeDelta::days(2)).unwrap();
    let path = format!("/v1/files/{id}");
    assert_eq!(server.delete(&path).await.status, 200);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn an_upload_that_expired_is_first_of_all_not_downloadable() {
    let server = Server::start().await;
    let expiry = field("expires_in_seconds", "3600");
    let answer = server.upload(&[expiry, file("a.csv", b"x")]).await;
    server.a().clock.advance(TimeDelta::days(2)).unwrap();
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let answer = server.get(&format!("/v1/files/{id}/content")).await;
    assert!(
        answer.error().contains("file_not_downloadable"),
        "{}",
        answer.error()
    );
}

#[tokio::test]
async fn what_is_expired_makes_room_for_an_upload() {
    let options = Options {
        quota_bytes: 10,
        ..Options::default()
    };
    let server = Server::start_with(options).await;
    server.add_output("a.csv", &[b'x'; 10]).await;
    let clock = &server.a().clock;
    clock.advance(TimeDelta::minutes(59)).unwrap();
    let answer = server.upload(&[file("b.csv", b"y")]).await;
    assert_eq!(answer.status, 400);
    clock.advance(TimeDelta::minutes(1)).unwrap();
    let answer = server.upload(&[file("b.csv", b"y")]).await;
    assert_eq!(answer.status, 200);
}
