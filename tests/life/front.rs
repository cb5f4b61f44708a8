//! Servers behind a front that leads each key to its own: the `haproxy` and the configuration of `deploy/kubernetes`.

mod kill;
mod site;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use common::limits::{MAX_MESSAGES_BODY_BYTES, MAX_UPLOAD_BYTES};

use crate::http::{Answer, Client, message, parse, result};
use crate::proxy::{Front, TOKEN};

use self::site::{NAMES, Site, code, home, place, raw, wait};

#[test]
fn keys_spread_over_the_servers_and_each_is_always_led_to_the_same_one() {
    const KEYS: usize = 40;
    let Some(site) = Site::start("none", 2, &[]) else {
        return;
    };
    let mut homes = BTreeMap::new();
    for n in 0..KEYS {
        let client = site.client(&format!("sk-ant-key-{n}"));
        let answer = client.upload("a.txt", client.key.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        homes.insert(client.key.clone(), place(&answer));
    }
    let of_first = homes.values().filter(|home| **home == 0).count();
    assert!((KEYS / 4..=KEYS * 3 / 4).contains(&of_first), "{homes:?}");
    assert_eq!(site.workspaces(0), of_first);
    assert_eq!(site.workspaces(1), KEYS - of_first);

    // Another front, which has seen none of them, leads them alike.
    let second = Front::start(&site.addresses).unwrap();
    for (key, home) in &homes {
        for address in [&site.front.address, &second.address] {
            let client = Client {
                address: address.clone(),
                key: key.clone(),
            };
            let answer = client.get("/v1/files").unwrap();
            assert_eq!(place(&answer), *home, "{key}");
            let files = answer.json()["data"].as_array().unwrap().len();
            assert_eq!(files, 1, "{key}: {}", answer.text());
        }
    }
    // What it logs names no key.
    let log = site.front.log();
    assert!(log.contains("POST /v1/files 200"), "{log}");
    assert!(!log.contains("sk-ant"), "{log}");
    site.stop();
}

#[test]
fn a_key_is_led_to_its_server_however_it_is_spelled() {
    let Some(site) = Site::start("none", 2, &["--control-token", TOKEN]) else {
        return;
    };
    let address = &site.front.address;
    let mut seen = [false; 2];
    for n in 0..8 {
        let key = format!("key-{n},with a comma");
        let home = home(&site.client(&key));
        seen[home] = true;
        let sent = |header: &str| format!("{header}{key}");
        let spelled = [
            vec![sent("x-api-key: ")],
            vec![sent("X-API-KEY:    ") + "  "],
            vec![sent("authorization: Bearer ")],
            vec![sent("Authorization: bEARER   ") + " "],
            vec![
                sent("x-api-key: "),
                "authorization: Bearer other".to_owned(),
            ],
            vec![
                "authorization: Bearer other".to_owned(),
                sent("x-api-key: "),
            ],
            vec!["x-api-key:".to_owned(), sent("authorization: Bearer ")],
            vec![
                "x-api-key: sk-ant-invalid".to_owned(),
                sent("authorization: Bearer "),
            ],
            vec!["authorization: Basic YTpi".to_owned(), sent("x-api-key: ")],
            vec![sent("x-api-key: "), "x-api-key: other".to_owned()],
            vec![
                sent("x-api-key: "),
                "x-sandtable-server: sandtable-0".to_owned(),
            ],
            vec![
                sent("x-api-key: "),
                "x-sandtable-server: sandtable-1".to_owned(),
            ],
        ];
        for headers in spelled {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = raw(address, "/v1/files", &headers);
            assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
            assert_eq!(place(&answer), home, "{headers:?}");
        }
        // Control calls go the same way, and the token is no key.
        let token = format!("x-sandtable-token: {TOKEN}");
        let own = sent("x-api-key: ");
        let advanced = raw(address, "/_sandtable/clock", &[&own, &token]);
        assert_eq!((advanced.status, place(&advanced)), (200, home));
    }
    assert_eq!(seen, [true; 2]);
    // None of all that has made a workspace for anything but these keys.
    let of_server = |n: usize| {
        let token = format!("x-sandtable-token: {TOKEN}");
        let name = format!("x-sandtable-server: {}", NAMES[n]);
        let answer = raw(address, "/_sandtable/workspaces", &[&token, &name]);
        assert_eq!(place(&answer), n, "{}", answer.text());
        answer.json()["data"].as_array().unwrap().len()
    };
    assert_eq!(of_server(0) + of_server(1), 8);
    site.stop();
}

#[test]
fn a_key_may_name_its_server_and_the_key_of_a_fork_has_to() {
    let Some(site) = Site::start("none", 2, &[]) else {
        return;
    };
    for n in 0..8 {
        for (place, name) in NAMES.iter().take(2).enumerate() {
            assert_eq!(home(&site.client(&format!("key-{n}@{name}"))), place);
        }
        let origin = site.client(&format!("key-{n}"));
        let uploaded = origin.upload("a.txt", b"a").unwrap();
        let (here, there) = (place(&uploaded), 1 - place(&uploaded));
        let fork = |key: Option<&str>| {
            let body = key.map_or_else(String::new, |key| format!("{{\"key\": \"{key}\"}}"));
            let path = "/_sandtable/state/fork";
            let asked = origin.ask("POST", path, "application/json", body.as_bytes());
            asked.unwrap()
        };
        // Led by its own hash, half of these would find nothing.
        for key in [None, Some("fork"), Some("fork@sandtable-9")] {
            let answer = fork(key);
            assert_eq!(answer.status, 400, "{key:?}: {}", answer.text());
            assert!(
                answer.text().contains("my-fork@sandtable-0"),
                "{}",
                answer.text()
            );
        }
        let answer = fork(Some(&format!("elsewhere-{n}@{}", NAMES[there])));
        let hint = format!("@{}`", NAMES[here]);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(&hint), "{}", answer.text());

        let key = format!("fork-{n}@{}", NAMES[here]);
        let answer = fork(Some(&key));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let files = site.client(&key).get("/v1/files").unwrap().json();
        assert_eq!(files["data"][0]["filename"], "a.txt", "{files}");
    }
    site.stop();
}

#[test]
fn a_call_without_a_key_is_refused_as_a_server_would_or_told_what_it_lacks() {
    let Some(site) = Site::start("none", 2, &["--control-token", TOKEN]) else {
        return;
    };
    let address = &site.front.address;
    let token = format!("x-sandtable-token: {TOKEN}");
    let bearer = format!("authorization: Bearer {TOKEN}");
    for headers in [&[][..], &["x-api-key: sk-ant-invalid"], &["x-api-key: "]] {
        let answer = raw(address, "/v1/files", headers);
        assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "authentication_error");
    }
    // Which server's workspaces would be meant?
    for path in [
        "/_sandtable/clock",
        "/_sandtable/verify?workspace=*",
        "/_sandtable/workspaces",
        "/_sandtable/metrics",
    ] {
        for headers in [
            &[&token[..]][..],
            &[&bearer],
            &[&token, "x-sandtable-server: sandtable-9"],
        ] {
            let answer = raw(address, path, headers);
            assert_eq!(answer.status, 400, "{path} {headers:?}: {}", answer.text());
            let hint = answer.json()["error"]["hint"].to_string();
            assert!(hint.contains("x-sandtable-server: sandtable-0"), "{hint}");
        }
        for (n, name) in NAMES.iter().take(2).enumerate() {
            let name = format!("x-sandtable-server: {name}");
            for token in [&token, &bearer] {
                let answer = raw(address, path, &[token, &name]);
                assert_eq!(place(&answer), n, "{path}: {}", answer.text());
            }
        }
    }
    for path in [
        "/_sandtable/health",
        "/_sandtable/ready",
        "/_sandtable/openapi.json",
    ] {
        assert_eq!(raw(address, path, &[]).status, 200, "{path}");
    }
    site.stop();
}

#[test]
fn a_stream_passes_a_front_event_by_event_and_a_client_that_leaves_ends_its_call() {
    let Some(backend) = code() else { return };
    let Some(site) = Site::start(backend, 2, &[]) else {
        return;
    };
    let client = site.client("key");
    let answer = client.bash(None, "true").unwrap().json();
    let id = answer["container"]["id"].as_str().unwrap();
    // The call ends when the client has seen that it was begun.
    let command = "until [ -e seen ]; do sleep 0.02; done; echo went on";
    let body = message(Some(id), command, &[], true);
    let mut stream = client
        .send("POST", "/v1/messages", "application/json", &body)
        .unwrap();
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&all).contains("srvtoolu") {
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&some[..read]);
    }
    let seen = client.bash(Some(id), "touch seen").unwrap();
    assert_eq!(result(&seen)["return_code"], 0, "{}", seen.text());
    stream.read_to_end(&mut all).unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(
        text.contains("went on") && text.contains("message_stop"),
        "{text}"
    );

    for stream in [false, true] {
        let command = "touch under-way; sleep 4322 & wait";
        let body = message(Some(id), command, &[], stream);
        let connection = client
            .send("POST", "/v1/messages", "application/json", &body)
            .unwrap();
        wait("it begins", || {
            result(&client.bash(Some(id), "rm under-way").unwrap())["return_code"] == 0
        });
        drop(connection);
        wait("the call ends with its client", || {
            let count = client.bash(Some(id), "pgrep -cf '[s]leep 4322'").unwrap();
            result(&count)["stdout"] == "0\n"
        });
    }
    site.stop();
}

/// Sends a file of zeros of this size.
fn upload_zeros(client: &Client, size: u64) -> Answer {
    let head = "--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"zeros\"\r\n\
        content-type: application/octet-stream\r\n\r\n";
    let tail = "\r\n--edge--\r\n";
    let length = size + (head.len() + tail.len()) as u64;
    let mut stream = TcpStream::connect(&client.address).unwrap();
    let request = format!(
        "POST /v1/files HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-api-key: {}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: multipart/form-data; boundary=edge\r\ncontent-length: {length}\r\n\r\n{head}",
        client.address, client.key
    );
    stream.write_all(request.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let chunk = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        stream.write_all(&zeros[..chunk]).unwrap();
        left -= chunk as u64;
    }
    stream.write_all(tail.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    parse(&bytes).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)))
}

#[test]
fn the_largest_upload_passes_a_front_and_what_is_too_large_is_refused_by_the_server() {
    let Some(site) = Site::start("none", 2, &[]) else {
        return;
    };
    let client = site.client("key");
    let answer = upload_zeros(&client, MAX_UPLOAD_BYTES);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["size_bytes"], MAX_UPLOAD_BYTES);
    let long = vec![b' '; MAX_MESSAGES_BODY_BYTES + 1];
    let answer = client.ask("POST", "/v1/messages", "application/json", &long);
    let answer = answer.unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "request_too_large");
    site.stop();
}

#[test]
fn a_server_that_is_added_takes_keys_and_no_workspace_until_it_is_moved() {
    const KEYS: usize = 40;
    let Some(site) = Site::start("none", 3, &[]) else {
        return;
    };
    let before = Front::start(&site.addresses[..2]).unwrap();
    let through = |front: &Front, key: &str| Client {
        address: front.address.clone(),
        key: key.to_owned(),
    };
    let keys: Vec<String> = (0..KEYS).map(|n| format!("key-{n}")).collect();
    let mut homes = Vec::new();
    for key in &keys {
        let answer = through(&before, key).upload("a.txt", b"kept").unwrap();
        homes.push(place(&answer));
    }
    let mut moved = Vec::new();
    for (key, old) in keys.iter().zip(&homes) {
        let answer = site.client(key).get("/v1/files").unwrap();
        let files = answer.json()["data"].as_array().unwrap().len();
        match place(&answer) {
            2 => {
                assert_eq!(files, 0, "{key}: {}", answer.text());
                moved.push((key, *old));
            }
            same => assert_eq!(
                (same, files),
                (*old, 1),
                "{key} has moved between old servers"
            ),
        }
    }
    assert!((KEYS / 8..=KEYS / 2).contains(&moved.len()), "{moved:?}");
    // Its workspace is where it was, and goes along as a document.
    for (key, old) in moved {
        let state = site.direct(old, key).get("/_sandtable/state").unwrap();
        let put = site
            .client(key)
            .ask("PUT", "/_sandtable/state", "application/json", &state.body);
        let put = put.unwrap();
        assert_eq!((put.status, place(&put)), (200, 2), "{}", put.text());
        let files = site.client(key).get("/v1/files").unwrap().json();
        assert_eq!(files["data"][0]["filename"], "a.txt", "{key}: {files}");
    }
    site.stop();
}
