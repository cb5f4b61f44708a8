//! The faults that requests have brought along in a header, and whether any of them fired.

use control_api::FaultState;

use crate::fault::Brought;
use common::limits;

/// At most [`limits::VERIFY_BROUGHT`].
#[derive(Debug, Default)]
pub(super) struct Headers {
    known: Vec<Known>,
    dropped: u64,
}

/// A fault as it was given, whichever requests have brought it: a client may send it with each of them.
#[derive(Debug)]
struct Known {
    /// That brought it first.
    request: String,
    state: FaultState,
    is_unused: bool,
}

impl Headers {
    pub(super) fn note(&mut self, request: &str, brought: Vec<Brought>) {
        for Brought { state, is_unused } in brought {
            let has_room = self.known.len() < limits::VERIFY_BROUGHT;
            let mut known = self.known.iter_mut();
            match known.find(|known| known.state.fault == state.fault) {
                // It is what its own request says of it, until it fires in another.
                Some(known) if known.is_unused && (known.request == request || !is_unused) => {
                    known.state = state;
                    known.is_unused = is_unused;
                }
                Some(_) => {}
                None if has_room => self.known.push(Known {
                    request: request.to_owned(),
                    state,
                    is_unused,
                }),
                None => self.dropped += u64::from(is_unused),
            }
        }
    }

    /// Those that fired in no request, or less often than they may, and the first request that brought them.
    pub(super) fn unused(&self) -> impl Iterator<Item = (&str, &FaultState)> {
        let unused = self.known.iter().filter(|known| known.is_unused);
        unused.map(|known| (known.request.as_str(), &known.state))
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
