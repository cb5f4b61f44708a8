//! Recorded answers that are lost and asked for again: what they made is there twice, as it is without recordings.

use serde_json::{Value, json};

use super::{Studio, converse, player};
use crate::harness::server::{code_prompt, prompt, streamed};
use crate::harness::{Request, TestServer};

const LOST: &str = r#"{"at": "wire", "do": "reset"}"#;

fn creations(server: &TestServer) -> Vec<(Request, &'static str)> {
    let upload = [("file", Some("a.txt"), "text")];
    let manifest = "---\nname: my-skill\ndescription: Says hello.\n---\n\nHello.\n";
    let skill = [("files[]", Some("my-skill/SKILL.md"), manifest)];
    let batch = json!({"requests": [{"custom_id": "a", "params": prompt("hello")}]});
    vec![
        (
            server.request("POST", "/v1/files").multipart(&upload),
            "file_",
        ),
        (
            server.request("POST", "/v1/messages/batches").json(&batch),
            "msgbatch_",
        ),
        (
            server.request("POST", "/v1/skills").multipart(&skill),
            "skill_",
        ),
    ]
}

fn turns(server: &TestServer) -> Vec<(Request, &'static str, &'static str)> {
    const BROKEN: &str = r#"{"at": "stream", "after_events": 3, "do": "cut"}"#;
    const DONE: &str = r#"{"at": "wire", "do": "reset", "after_bytes": 0, "after_work": true}"#;
    let code = |n: usize| code_prompt(&format!("```bash\necho {n}\n```"));
    vec![
        (server.messages(&code(0)), LOST, "duplicated"),
        (server.messages(&code(1)), BROKEN, "recovered"),
        (server.messages(&streamed(code(2))), DONE, "duplicated"),
        (server.messages(&streamed(code(3))), BROKEN, "recovered"),
        (server.messages(&prompt("no code")), LOST, "recovered"),
    ]
}

async fn twice(server: &TestServer, request: &Request, fault: &str) {
    let mut connection = server.connect().await;
    let struck = request.clone().header("x-sandtable-fault", fault);
    connection.send(&struck).await;
    connection.try_read().await;
    let answer = server.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn verdict(server: &TestServer) -> Value {
    server.control("GET", "verify", &Value::Null).await
}

#[tokio::test]
async fn what_a_lost_answer_has_made_is_there_twice_in_replay_and_while_recording() {
    let studio = Studio::open().await;
    let recorder = &studio.recorder;
    for (request, _) in creations(recorder) {
        assert_eq!(recorder.send(&request).await.status, 200);
    }
    for (request, ..) in turns(recorder) {
        assert_eq!(recorder.send(&request).await.status, 200);
    }
    let player = player(&studio.path()).await;
    for server in [&player, recorder] {
        for (n, (request, prefix)) in creations(server).into_iter().enumerate() {
            twice(server, &request, LOST).await;
            let found = verdict(server).await;
            assert_eq!(found["faults"][n]["outcome"], "duplicated", "{found}");
            let ids = found["duplicated"][n]["ids"].as_array().unwrap();
            assert_eq!(ids.len(), 2, "{found}");
            assert!(
                ids.iter()
                    .all(|id| id.as_str().unwrap().starts_with(prefix))
            );
            assert_ne!(ids[0], ids[1]);
            assert_eq!(found["ok"], false);
        }
    }
    let before = creations(&player).len();
    for (n, (request, fault, outcome)) in turns(&player).into_iter().enumerate() {
        twice(&player, &request, fault).await;
        let found = verdict(&player).await;
        let chain = &found["faults"][before + n];
        assert_eq!(chain["outcome"], outcome, "{n}: {chain}");
    }
}

#[tokio::test]
async fn uploads_of_one_length_are_two_in_replay_too() {
    let studio = Studio::open().await;
    for word in ["fjord", "ocean"] {
        converse(&studio.recorder, word).await;
    }
    let player = player(&studio.path()).await;
    let upload = |word| {
        let request = player.request("POST", "/v1/files");
        request.multipart(&[("file", Some("notes.txt"), word)])
    };
    let mut connection = player.connect().await;
    let struck = upload("fjord").header("x-sandtable-fault", LOST);
    connection.send(&struck).await;
    connection.try_read().await;
    assert_eq!(player.send(&upload("ocean")).await.status, 200);
    let found = verdict(&player).await;
    assert_eq!(found["faults"][0]["outcome"], "gave_up", "{found}");
    assert_eq!(found["duplicated"], json!([]));
}
