//! The result of a call that has ended, a program's or a cell's.

use guest_proto::{ExecDone, Outcome, Settings};

use crate::environment::Places;
use crate::outputs;

/// A call that has ended, before its outputs are looked for.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How it was made to end; `None` if it ended by itself.
    pub(crate) ending: Option<Outcome>,
    pub(crate) return_code: i32,
    /// A word of ours behind stderr; the call then did not succeed.
    pub(crate) remark: Option<String>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    /// The answer and its payload.
    pub(crate) fn answer(self, places: &Places, settings: &Settings) -> (ExecDone, Vec<u8>) {
        let Self {
            ending,
            mut return_code,
            remark,
            stdout: mut payload,
            mut stderr,
        } = self;
        let stdout_bytes = payload.len() as u64;
        if let Some(remark) = remark {
            if !stderr.is_empty() && !stderr.ends_with(b"\n") {
                stderr.push(b'\n');
            }
            stderr.extend_from_slice(remark.as_bytes());
            stderr.push(b'\n');
            return_code = return_code.max(1);
        }
        payload.extend(stderr);
        let outputs = outputs::list(places, settings);
        let done = ExecDone {
            outcome: ending.unwrap_or(Outcome::Exited {}),
            return_code,
            stdout_bytes,
            outputs: outputs.files,
            too_large: outputs.too_large,
            refused: outputs.refused,
            left_out: outputs.left_out,
        };
        (done, payload)
    }
}
