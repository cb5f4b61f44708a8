//! One of the servers behind a front is killed under load.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::http::{Client, result};
use crate::ledger::{Ledger, digest};

use super::site::{Site, code, home, wait};

/// The answers that one key was given, and the number of requests without one.
#[derive(Default)]
struct Told {
    ledger: Mutex<Ledger>,
    acknowledged: AtomicUsize,
    unanswered: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Told {
    /// Uploads and writes until it is to stop. An answer that is not the server's own counts as none.
    fn act(&self, client: &Client, stop: &AtomicBool) {
        let mut container: Option<String> = None;
        for count in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let text = format!("{}-{count}", client.key);
            let name = format!("note-{count}");
            let asked = if count % 2 == 0 {
                client.upload(&name, text.as_bytes())
            } else {
                client.bash(container.as_deref(), &format!("echo {text} > {name}"))
            };
            let answer = match asked {
                Ok(answer) if answer.status == 200 => answer,
                Ok(answer) if matches!(answer.status, 502..=504) => {
                    self.nothing(answer.text().contains("(sandtable front)"), &answer.text());
                    continue;
                }
                Ok(answer) => {
                    self.nothing(false, &format!("{}: {}", answer.status, answer.text()));
                    continue;
                }
                // Cut off on its way.
                Err(_) => {
                    self.nothing(true, "");
                    continue;
                }
            };
            let mut ledger = self.ledger.lock().unwrap();
            let json = answer.json();
            if count % 2 == 0 {
                let id = json["id"].as_str().unwrap().to_owned();
                ledger.uploads.insert(id, (name, digest(text.as_bytes())));
            } else {
                let id = json["container"]["id"].as_str().unwrap().to_owned();
                let files = ledger.containers.entry(id.clone()).or_default();
                files.insert(name, format!("{text}\n"));
                if result(&answer)["return_code"] != 0 {
                    ledger.wrong.push(answer.text());
                }
                container = Some(id);
            }
            drop(ledger);
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn nothing(&self, is_explained: bool, said: &str) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        if !is_explained {
            self.wrong.lock().unwrap().push(said.to_owned());
        }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }
}

#[test]
fn the_kill_of_a_server_loses_nothing_acknowledged_and_other_servers_keys_notice_nothing() {
    const EACH: usize = 2;
    let Some(backend) = code() else { return };
    let Some(mut site) = Site::start(backend, 2, &[]) else {
        return;
    };
    let mut clients: [Vec<Client>; 2] = Default::default();
    let mut met = [0; 2];
    for n in 0.. {
        let client = site.client(&format!("key-{n}"));
        let home = home(&client);
        met[home] += 1;
        if clients[home].len() < EACH {
            clients[home].push(client);
        }
        if clients.iter().all(|of_one| of_one.len() == EACH) {
            break;
        }
    }
    let [doomed, others] = clients;
    let told: Vec<(&Client, Told)> = doomed
        .iter()
        .chain(&others)
        .map(|client| (client, Told::default()))
        .collect();
    let (of_doomed, of_others) = told.split_at(EACH);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopped = Stop(&stop);
        for (client, told) in &told {
            let stop = &stop;
            scope.spawn(move || told.act(client, stop));
        }
        let more = |what: &str, of: &[(&Client, Told)], by: usize| {
            let before: Vec<usize> = of.iter().map(|(_, told)| told.acknowledged()).collect();
            wait(what, || {
                let now = of.iter().zip(&before);
                now.into_iter()
                    .all(|((_, told), before)| told.acknowledged() >= before + by)
            });
        };
        more("all are served", &told, 6);
        site.servers[0].take().unwrap().kill();
        // A key that is not served any more is told so, and by nobody else's server.
        wait("the keys of the killed one are told", || {
            let unanswered = |told: &Told| told.unanswered.load(Ordering::Relaxed);
            of_doomed.iter().all(|(_, told)| unanswered(told) > 0)
        });
        more("the others are served", of_others, 6);
        site.start_server(0, &[]);
        more("the keys of the killed one are served again", of_doomed, 6);
        drop(stopped);
    });
    for (n, (client, told)) in told.iter().enumerate() {
        let wrong = told.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", client.key);
        let ledger = told.ledger.lock().unwrap();
        assert!(
            ledger.wrong.is_empty(),
            "{}: {:#?}",
            client.key,
            ledger.wrong
        );
        if n >= EACH {
            let unanswered = told.unanswered.load(Ordering::Relaxed);
            assert_eq!(unanswered, 0, "{} has noticed it", client.key);
        }
        ledger.check_files(client, true);
        ledger.check_uploads(client);
        for id in ledger.containers.keys() {
            ledger.check_container(client, id);
        }
    }
    // No key has been led elsewhere meanwhile.
    assert_eq!([site.workspaces(0), site.workspaces(1)], met);
    let acknowledged: Vec<usize> = told.iter().map(|(_, told)| told.acknowledged()).collect();
    eprintln!("MEASURED: {backend} behind a front: acknowledged {acknowledged:?}, nothing lost");
    site.stop();
}

/// Lets the clients end however the test does.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
