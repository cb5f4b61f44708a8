//! A ledger of acknowledged requests, to check whether the server keeps its word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::http::{Client, message, result};

/// The answers that one client was given.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Uploads by id: name and digest.
    pub(crate) uploads: BTreeMap<String, (String, String)>,
    /// Files that containers made, by id: digest.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Files whose deletion was acknowledged.
    pub(crate) deleted: BTreeSet<String>,
    /// Containers, and the names and contents of the files in them.
    pub(crate) containers: BTreeMap<String, BTreeMap<String, String>>,
    /// Answers of a living server that nothing explains.
    pub(crate) wrong: Vec<String>,
    /// Acknowledged requests.
    pub(crate) acknowledged: usize,
    /// Those of them that wrote into a container.
    pub(crate) calls: usize,
}

pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

impl Ledger {
    /// Checks files against a server that lives: all, or some of the old and all of the newest.
    pub(crate) fn check_files(&self, client: &Client, all: bool) {
        let chosen = |n: usize, count: usize| all || n.is_multiple_of(17) || n + 5 > count;
        for (n, (id, expected)) in self.outputs.iter().enumerate() {
            if chosen(n, self.outputs.len()) {
                let answer = client.get(&format!("/v1/files/{id}/content")).unwrap();
                assert_eq!(answer.status, 200, "{id} is lost: {}", answer.text());
                assert_eq!(&digest(&answer.body), expected, "{id} has changed");
            }
        }
        for (n, id) in self.uploads.keys().enumerate() {
            if chosen(n, self.uploads.len()) {
                let answer = client.get(&format!("/v1/files/{id}")).unwrap();
                assert_eq!(answer.status, 200, "{id} is lost: {}", answer.text());
            }
        }
        for (n, id) in self.deleted.iter().enumerate() {
            if chosen(n, self.deleted.len()) {
                let answer = client.get(&format!("/v1/files/{id}")).unwrap();
                assert_eq!(answer.status, 404, "{id} is back: {}", answer.text());
            }
        }
    }

    /// Reads every upload where only containers can read it.
    pub(crate) fn check_uploads(&self, client: &Client) {
        let uploads: Vec<_> = self.uploads.iter().collect();
        for some in uploads.chunks(40) {
            let ids: Vec<&str> = some.iter().map(|(id, _)| id.as_str()).collect();
            let mut expected: Vec<String> = some
                .iter()
                .map(|(_, (name, digest))| format!("{digest}  {name}"))
                .collect();
            expected.sort();
            let command = "cd $INPUT_DIR && sha256sum * | sort";
            let body = message(None, command, &ids, false);
            let answer = client
                .ask("POST", "/v1/messages", "application/json", &body)
                .unwrap();
            let result = result(&answer);
            let said = result["stdout"].as_str().unwrap_or_default();
            let said: Vec<&str> = said.lines().collect();
            assert_eq!(said, expected, "{}", answer.text());
        }
    }

    /// Checks that a container has every file of every acknowledged call.
    pub(crate) fn check_container(&self, client: &Client, id: &str) {
        let files = &self.containers[id];
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        let command = format!("cat {} < /dev/null", names.join(" "));
        let answer = client.bash(Some(id), &command).unwrap();
        assert_eq!(answer.status, 200, "{id} is lost: {}", answer.text());
        let result = result(&answer);
        let expected: String = files.values().map(String::as_str).collect();
        assert_eq!(result["return_code"], 0, "{id}: {result}");
        assert_eq!(result["stdout"], expected, "{id}: {result}");
    }
}
