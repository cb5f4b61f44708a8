//! Legal conversations by seed: scripts that say whatever the service may say, in whatever pieces.
//!
//! A case is what a tape of numbers says. Zeros say the least, so a shorter tape, or one with smaller numbers, is a
//! simpler conversation, and who looks for the smallest that breaks a client needs to know nothing of scripts.

mod calls;
mod hosted;
mod judge;
mod tape;
mod turn;
mod wire;
mod words;

use serde_json::Value;

pub use judge::echoed;
pub(crate) use judge::gist;
pub use tape::smaller;

use tape::Tape;

/// A conversation, and how its answers travel.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The choices that it was made from; [`from_tape`] makes it again.
    pub tape: Vec<u32>,
    /// One rule that answers every request, as `docs/SCRIPTS.md` describes it.
    pub script: String,
    /// Faults that a client must not notice, as `docs/FAULTS.md` describes them.
    pub faults: Vec<Value>,
    /// The last text of the last answer; empty where there is none, or the answer does not end well.
    pub says: String,
    /// Whether it ends with `end_turn` or `stop_sequence`: only then a client has reason to be content.
    pub ends_well: bool,
}

/// Whether calls of code bring their results with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Calls {
    /// Nothing runs, so no sandbox is needed.
    #[default]
    Given,
    /// They run.
    Real,
}

/// How many pieces a case of some index has at most.
const MOST_PIECES: u64 = 16;
/// After so many cases they get one piece longer.
const CASES_OF_A_SIZE: u64 = 3;

/// The case of this seed with this number; later ones are longer.
pub fn case(seed: u64, index: u64) -> Case {
    case_with(seed, index, Calls::Given)
}

/// The same with calls that run, or do not.
pub fn case_with(seed: u64, index: u64, calls: Calls) -> Case {
    let size = (2 + index / CASES_OF_A_SIZE).min(MOST_PIECES);
    made(Tape::drawn(seed, index, size, calls))
}

/// The case that a tape says. Any list of numbers is one: what is missing is zero, what is left over is cut off.
pub fn from_tape(tape: &[u32]) -> Case {
    made(Tape::given(tape))
}

/// A script alone, with at most `size` pieces in its conversation.
pub fn script(seed: u64, size: u64) -> String {
    made(Tape::drawn(seed, 0, size, Calls::Given)).script
}

/// Faults alone: how bytes and events may come that a client must not notice.
pub fn faults(seed: u64) -> Vec<Value> {
    wire::faults(&mut Tape::drawn(seed, 0, 0, Calls::Given))
}

impl Case {
    /// The text that a client has missed that prints the last text of the answer it got; `None` if none. Ask only
    /// of a client that prints it: one that is seen to do so without this case.
    pub fn missed_in(&self, printed: &str) -> Option<&str> {
        judge::missed(&self.says, printed).then_some(&*self.says)
    }
}

fn made(mut tape: Tape) -> Case {
    let calls = tape.calls();
    let faults = wire::faults(&mut tape);
    let turn = turn::turn(&mut tape, calls);
    Case {
        script: turn::script(turn.steps),
        faults,
        says: if turn.ends_well {
            turn.says
        } else {
            String::new()
        },
        ends_well: turn.ends_well,
        tape: tape.used(),
    }
}

#[cfg(test)]
mod tests;
