//! Reading `{"requests":[…]}` item by item, so that one item is in memory at a time.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use wire::decode::{NO_LIST, NO_SHAPE, Node};
use wire::refusal::Invalid;

use common::limits;
use store::NewItem;

/// Items and bytes that are handed on together.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// Why a body is no batch.
#[derive(Debug)]
pub(super) enum Refusal {
    Invalid(Invalid),
    NotJson(serde_json::Error),
}

/// Reads the items and hands them on in groups; `take` says whether to go on.
pub(super) fn items(
    reader: impl Read,
    take: impl FnMut(Vec<NewItem>) -> bool,
) -> Result<(), Refusal> {
    let mut intake = Intake {
        take,
        fault: None,
        in_requests: false,
        seen: false,
        ids: HashSet::new(),
        group: Vec::new(),
        group_bytes: 0,
    };
    let mut json = serde_json::Deserializer::from_reader(reader);
    let read = json
        .deserialize_any(Body(&mut intake))
        .and_then(|()| json.end());
    let Err(error) = read else {
        return Ok(());
    };
    if let Some(fault) = intake.fault {
        return Err(Refusal::Invalid(fault));
    }
    if error.is_data() && !error.to_string().contains("recursion limit") {
        let text = if intake.in_requests {
            format!("requests: {NO_LIST}")
        } else {
            NO_SHAPE.to_owned()
        };
        return Err(Refusal::Invalid(Invalid::new(text)));
    }
    Err(Refusal::NotJson(error))
}

struct Intake<T> {
    take: T,
    /// The error, once there is one.
    fault: Option<Invalid>,
    in_requests: bool,
    seen: bool,
    ids: HashSet<String>,
    group: Vec<NewItem>,
    group_bytes: usize,
}

impl<T: FnMut(Vec<NewItem>) -> bool> Intake<T> {
    fn refuse<E: serde::de::Error>(&mut self, fault: Invalid) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }

    fn item(&mut self, index: usize, item: &Value) -> Result<(), Invalid> {
        let within = |fault: wire::decode::Fault| Invalid::new(format!("requests.{index}.{fault}"));
        let root = Node::root(item);
        if item.as_object().is_none() {
            return Err(Invalid::new(format!("requests.{index}: {NO_SHAPE}")));
        }
        let node = root.required("custom_id").map_err(within)?;
        let custom_id = node.string().map_err(within)?;
        let most = limits::MAX_CUSTOM_ID_CHARS;
        if custom_id.chars().count() > most {
            let text = format!("String should have at most {most} characters");
            return Err(within(node.fault(text)));
        }
        let mut bytes = custom_id.bytes();
        let fits = !custom_id.is_empty()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !fits {
            return Err(within(
                node.fault("String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
            ));
        }
        let params = root.required("params").map_err(within)?;
        params.dictionary().map_err(within)?;
        root.no_extras(&["custom_id", "params"]).map_err(within)?;
        if !self.ids.insert(custom_id.to_owned()) {
            return Err(Invalid::new(format!(
                "requests: custom_id's must be unique within a batch. Duplicate custom_id found: {custom_id}"
            )));
        }
        let params = params.value().to_string().into_bytes();
        self.group_bytes += params.len();
        self.group.push(NewItem {
            position: i64::try_from(index).unwrap_or(i64::MAX),
            custom_id: custom_id.to_owned(),
            params,
        });
        Ok(())
    }

    /// Hands the group on; false if nobody takes it.
    fn flush(&mut self) -> bool {
        self.group_bytes = 0;
        let group = std::mem::take(&mut self.group);
        group.is_empty() || (self.take)(group)
    }
}

struct Body<'a, T>(&'a mut Intake<T>);

impl<'de, T: FnMut(Vec<NewItem>) -> bool> Visitor<'de> for Body<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key != "requests" || self.0.seen {
                let fault = format!("{key}: Extra inputs are not permitted");
                return Err(self.0.refuse(Invalid::new(fault)));
            }
            self.0.in_requests = true;
            map.next_value_seed(Requests(&mut *self.0))?;
            self.0.in_requests = false;
            self.0.seen = true;
        }
        if self.0.seen {
            Ok(())
        } else {
            Err(self.0.refuse(Invalid::new("requests: Field required")))
        }
    }
}

struct Requests<'a, T>(&'a mut Intake<T>);

impl<'de, T: FnMut(Vec<NewItem>) -> bool> DeserializeSeed<'de> for Requests<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: FnMut(Vec<NewItem>) -> bool> Visitor<'de> for Requests<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of requests")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(item) = seq.next_element::<Value>()? {
            if count == limits::MAX_BATCH_REQUESTS {
                let fault = format!("requests: List should have at most {count} items");
                return Err(self.0.refuse(Invalid::new(fault)));
            }
            if let Err(fault) = self.0.item(count, &item) {
                return Err(self.0.refuse(fault));
            }
            count += 1;
            let full = self.0.group.len() >= GROUP || self.0.group_bytes >= GROUP_BYTES;
            if full && !self.0.flush() {
                return Err(A::Error::custom("nobody takes the items"));
            }
        }
        if count == 0 {
            let fault = "requests: List should have at least 1 item after validation, not 0";
            return Err(self.0.refuse(Invalid::new(fault)));
        }
        if !self.0.flush() {
            return Err(A::Error::custom("nobody takes the items"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<NewItem>, String> {
        let mut all = Vec::new();
        let read = items(text.as_bytes(), |group| {
            all.extend(group);
            true
        });
        match read {
            Ok(()) => Ok(all),
            Err(Refusal::Invalid(text)) => Err(text.to_string()),
            Err(Refusal::NotJson(error)) => Err(format!("no JSON: {error}")),
        }
    }

    #[test]
    fn items_come_in_order_with_their_parameters_as_they_were_sent() {
        let text = r#"{"requests":[{"custom_id":"a","params":{"z":1,"a":[1.50,null]}},{"params":{},"custom_id":"B_2-"}]}"#;
        let items = read(text).unwrap();
        assert_eq!(items[0].params, br#"{"z":1,"a":[1.5,null]}"#);
        assert_eq!(
            (items[1].position, items[1].custom_id.as_str()),
            (1, "B_2-")
        );
    }

    #[test]
    fn what_is_no_batch_is_refused_with_the_path_of_the_fault() {
        let item = |id: &str| json!({"custom_id": id, "params": {}});
        let long = "x".repeat(65);
        for (body, text) in [
            (json!([]), "Input does not match the expected shape."),
            (json!({}), "requests: Field required"),
            (
                json!({"requests": {}}),
                "requests: Input should be a valid array",
            ),
            (
                json!({"requests": null}),
                "requests: Input should be a valid array",
            ),
            (
                json!({"requests": []}),
                "requests: List should have at least 1 item after validation, not 0",
            ),
            (
                json!({"requests": [item("a")], "x": 1}),
                "x: Extra inputs are not permitted",
            ),
            (
                json!({"requests": [7]}),
                "requests.0: Input does not match the expected shape.",
            ),
            (
                json!({"requests": [{"params": {}}]}),
                "requests.0.custom_id: Field required",
            ),
            (
                json!({"requests": [item("a"), {"custom_id": "b"}]}),
                "requests.1.params: Field required",
            ),
            (
                json!({"requests": [{"custom_id": "b", "params": []}]}),
                "requests.0.params: Input should be an object",
            ),
            (
                json!({"requests": [{"custom_id": 5, "params": {}}]}),
                "requests.0.custom_id: Input should be a valid string",
            ),
            (
                json!({"requests": [item("a b")]}),
                "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
            ),
            (
                json!({"requests": [item(&long)]}),
                "requests.0.custom_id: String should have at most 64 characters",
            ),
            (
                json!({"requests": [item("")]}),
                "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
            ),
            (
                json!({"requests": [item("a"), item("a")]}),
                "requests: custom_id's must be unique within a batch. Duplicate custom_id found: a",
            ),
        ] {
            assert_eq!(read(&body.to_string()).unwrap_err(), text);
        }
        for text in [
            "",
            "{",
            "{\"requests\":[}",
            "{\"requests\":[{}]",
            "{\"requests\":[{\"custom_id\":\"a\",\"params\":{}}]} x",
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.starts_with("no JSON") || error.starts_with("requests.0."),
                "{text}: {error}"
            );
        }
    }
}
