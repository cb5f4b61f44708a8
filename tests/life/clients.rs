//! The load: clients that do what comes into their heads, until their server is gone.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::http::{Answer, Client, message, result};
use crate::ledger::{Ledger, digest};

/// Most containers one client goes on with; a new one takes the place of an old one.
const CONTAINERS: usize = 3;

/// Chance that can be had again: the same seed, the same choices.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }
}

/// One client over the lives of several servers.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) key: String,
    pub(crate) ledger: Ledger,
    dice: Dice,
    /// Those it goes on with.
    open: Vec<String>,
    count: usize,
}

/// The server is gone, or the answer is cut off: nothing was acknowledged.
struct Gone;

impl From<std::io::Error> for Gone {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Actor {
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        Self {
            key: format!("client-{number}"),
            ledger: Ledger::default(),
            dice: Dice::new(seed ^ (number << 32)),
            open: Vec::new(),
            count: 0,
        }
    }

    /// The containers it goes on with.
    pub(crate) fn open(&self) -> &[String] {
        &self.open
    }

    /// Acts until the server is gone; `called` once a call in a container is acknowledged.
    pub(crate) fn act(&mut self, client: &Client, called: &AtomicBool) {
        loop {
            self.count += 1;
            let calls = self.ledger.calls;
            let done = match self.dice.below(10) {
                0..2 => self.upload(client),
                2..6 => self.write(client),
                6 => self.use_upload(client),
                7 => self.stream(client),
                8 => self.download(client),
                _ => self.delete(client),
            };
            if done.is_err() {
                return;
            }
            self.ledger.acknowledged += 1;
            if self.ledger.calls > calls {
                called.store(true, Ordering::Relaxed);
            }
        }
    }

    fn upload(&mut self, client: &Client) -> Result<(), Gone> {
        let size = self.dice.below(300_000);
        let mut content = vec![0; size];
        for chunk in content.chunks_mut(8) {
            chunk.copy_from_slice(&self.dice.next().to_le_bytes()[..chunk.len()]);
        }
        let name = format!("upload-{}.bin", self.count);
        let answer = client.upload(&name, &content)?;
        if let Some(id) = self.expect(&answer)["id"].as_str() {
            let entry = (name, digest(&content));
            self.ledger.uploads.insert(id.to_owned(), entry);
        }
        Ok(())
    }

    /// A call that writes a file into the container and hands one back.
    fn write(&mut self, client: &Client) -> Result<(), Gone> {
        let (name, text) = (
            format!("note-{}", self.count),
            format!("{}", self.dice.next()),
        );
        let command = format!("echo {text} > {name}; echo {text} > $OUTPUT_DIR/out.txt");
        let container = self.choose();
        let answer = client.bash(container.as_deref(), &command)?;
        let json = self.expect(&answer);
        self.note(&json, &answer, name, &text);
        Ok(())
    }

    fn use_upload(&mut self, client: &Client) -> Result<(), Gone> {
        let uploads: Vec<_> = self.ledger.uploads.iter().collect();
        let Some((id, (name, expected))) = self.dice.pick(&uploads) else {
            return Ok(());
        };
        let (id, expected) = ((*id).clone(), expected.clone());
        let command = format!("sha256sum < \"$INPUT_DIR/{name}\"");
        let body = message(self.choose().as_deref(), &command, &[&id], false);
        let answer = client.ask("POST", "/v1/messages", "application/json", &body)?;
        self.expect(&answer);
        let said = result(&answer)["stdout"].clone();
        if said != format!("{expected}  -\n") {
            self.wrong(format!(
                "the upload {id} is not {expected}: {}",
                answer.text()
            ));
        }
        Ok(())
    }

    /// As [`Self::write`], with a stream; now and then it is left in the middle.
    fn stream(&mut self, client: &Client) -> Result<(), Gone> {
        let leaves = self.dice.below(2) == 0;
        let container = self.choose();
        let command = if leaves { "sleep 20" } else { "echo streamed" };
        let body = message(container.as_deref(), command, &[], true);
        let mut stream = client.send("POST", "/v1/messages", "application/json", &body)?;
        let mut all = Vec::new();
        let mut some = [0; 1024];
        loop {
            let read = stream.read(&mut some)?;
            all.extend_from_slice(&some[..read]);
            if read == 0 || (leaves && all.windows(8).any(|eight| eight == b"srvtoolu")) {
                break;
            }
        }
        let text = String::from_utf8_lossy(&all);
        if !leaves && text.contains("message_stop") && !text.contains("streamed\\n") {
            self.wrong(format!("a stream without its result: {text}"));
        }
        // Cut off: the server is gone.
        (leaves || text.contains("message_stop"))
            .then_some(())
            .ok_or(Gone)
    }

    fn download(&mut self, client: &Client) -> Result<(), Gone> {
        let outputs: Vec<_> = self.ledger.outputs.iter().collect();
        let Some((id, expected)) = self.dice.pick(&outputs) else {
            return Ok(());
        };
        let (id, expected) = ((*id).clone(), (*expected).clone());
        let answer = client.get(&format!("/v1/files/{id}/content"))?;
        if answer.status != 200 || digest(&answer.body) != expected {
            self.wrong(format!("{id}: {} {}", answer.status, answer.text()));
        }
        Ok(())
    }

    fn delete(&mut self, client: &Client) -> Result<(), Gone> {
        let ids: Vec<String> = self
            .ledger
            .outputs
            .keys()
            .chain(self.ledger.uploads.keys())
            .cloned()
            .collect();
        let Some(id) = self.dice.pick(&ids) else {
            return Ok(());
        };
        // From here on it may be gone or not, until the answer has come.
        self.ledger.outputs.remove(id);
        self.ledger.uploads.remove(id);
        let path = format!("/v1/files/{id}");
        let answer = client.ask("DELETE", &path, "application/json", b"")?;
        self.expect(&answer);
        self.ledger.deleted.insert(id.clone());
        Ok(())
    }

    /// The container of the next call; `None` for a new one.
    fn choose(&mut self) -> Option<String> {
        if self.open.is_empty() || self.dice.below(12) == 0 {
            return None;
        }
        let open = self.open.clone();
        self.dice.pick(&open).cloned()
    }

    fn note(&mut self, json: &Value, answer: &Answer, name: String, text: &str) {
        let Some(id) = json["container"]["id"].as_str() else {
            return;
        };
        let result = result(answer);
        if result["return_code"] != 0 {
            self.wrong(format!("a call failed: {}", answer.text()));
            return;
        }
        if !self.open.iter().any(|open| open == id) {
            if self.open.len() == CONTAINERS {
                self.open.remove(0);
            }
            self.open.push(id.to_owned());
        }
        self.ledger.calls += 1;
        let content = format!("{text}\n");
        if let Some(output) = result["content"][0]["file_id"].as_str() {
            let digest = digest(content.as_bytes());
            self.ledger.outputs.insert(output.to_owned(), digest);
        }
        let files = self.ledger.containers.entry(id.to_owned()).or_default();
        files.insert(name, content);
    }

    fn expect(&mut self, answer: &Answer) -> Value {
        if answer.status != 200 {
            self.wrong(format!("status {}: {}", answer.status, answer.text()));
        }
        answer.json()
    }

    fn wrong(&mut self, what: String) {
        self.ledger.wrong.push(what);
    }
}
