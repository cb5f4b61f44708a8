//! How answers travel: nothing here is an error, and no client may notice.

use serde_json::{Value, json};

use super::tape::Tape;

/// Sizes that cut characters, escapes, and events at odd places.
const SIZES: [u32; 8] = [64, 1024, 13, 7, 5, 3, 2, 1];
const PATH: &str = "/v1/messages";

/// Below it an answer of some size goes out in so many pieces that it takes a client seconds.
const SMALL: u64 = 13;
/// How often it does, and how long texts are then.
const SMALL_TIMES: u64 = 2;
const SMALL_ROOM: usize = 600;

/// Faults of the wire, one for each of the first requests; the last goes on.
pub(super) fn faults(tape: &mut Tape) -> Vec<Value> {
    let count = tape.below(4);
    let mut faults: Vec<Value> = (0..count).map(|_| fault(tape)).collect();
    if let Some(last) = faults.last_mut() {
        last["times"] = if is_small(last) {
            SMALL_TIMES.into()
        } else {
            "always".into()
        };
    }
    if faults.iter().any(is_small) {
        tape.narrow(SMALL_ROOM);
    }
    faults
}

fn is_small(fault: &Value) -> bool {
    ["bytes", "chars"]
        .iter()
        .any(|unit| fault[unit].as_u64().is_some_and(|size| size < SMALL))
}

fn fault(tape: &mut Tape) -> Value {
    let act = match tape.below(6) {
        0 => json!({ "do": "pings", "after_events": tape.below(12), "count": 1 + tape.below(3) }),
        1 => json!({ "do": "unknown_event", "after_events": tape.below(12) }),
        2 => json!({ "do": "split", "bytes": tape.one(&SIZES) }),
        3 => json!({ "do": "deltas", "chars": tape.one(&SIZES) }),
        4 => json!({ "do": "unknown_members" }),
        _ => json!({ "do": "merge" }),
    };
    let mut fault = json!({ "at": "wire", "path": PATH });
    if let (Some(fault), Value::Object(act)) = (fault.as_object_mut(), act) {
        fault.extend(act);
    }
    fault
}
