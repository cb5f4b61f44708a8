//! Faults of a turn as a whole: it pauses, stops, or finds its container expired.

use model::Stop;

/// The effect of a turn fault.
#[derive(Debug, Clone)]
pub enum TurnAct {
    /// The answer ends with `pause_turn` once so many blocks are out, between two steps.
    Pause { after_blocks: u32 },
    /// The answer ends with `pause_turn` in the middle of the server tool call of this number, from 1.
    PauseInside { call: u32 },
    /// The answer ends, and what was to come does not.
    Stop {
        stop: Stop,
        after_blocks: u32,
        /// In the middle of the text that comes then, after so many characters.
        after_chars: Option<usize>,
    },
    /// The container that the request names is over.
    ExpireContainer,
}

/// A moment of a turn at which it may meet a fault. Each fault fits one moment of a turn at most.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// Before anything: the request names a container that is alive.
    Names,
    /// Between two steps: so many blocks are out, and so many were at the last such moment.
    Between { before: Option<u32>, blocks: u32 },
    /// The turn is about to end by itself.
    End {
        before: Option<u32>,
        blocks: u32,
        /// In calls of the client.
        in_calls: bool,
    },
    /// Server tool calls are out, and not yet run: how many there were before, and are now.
    Called { before: u32, calls: u32 },
    /// A text or thought of so many characters is about to come.
    Text { blocks: u32, chars: usize },
}

impl TurnAct {
    pub(super) fn fits(&self, moment: Moment) -> bool {
        let due = |wanted: u32, before: Option<u32>| before.is_none_or(|before| wanted > before);
        match (self, moment) {
            (Self::ExpireContainer, Moment::Names) => true,
            (
                Self::Pause {
                    after_blocks: wanted,
                }
                | Self::Stop {
                    after_blocks: wanted,
                    after_chars: None,
                    ..
                },
                Moment::Between { before, blocks },
            ) => due(*wanted, before) && *wanted <= blocks,
            // Nothing waits for the client then, and an answer without content would pause for ever.
            (
                Self::Pause {
                    after_blocks: wanted,
                },
                Moment::End {
                    before,
                    blocks: 1..,
                    in_calls: false,
                },
            )
            | (
                Self::Stop {
                    after_blocks: wanted,
                    after_chars: None,
                    ..
                },
                Moment::End { before, .. },
            ) => due(*wanted, before),
            (Self::PauseInside { call }, Moment::Called { before, calls }) => {
                (before + 1..=calls).contains(call)
            }
            (
                Self::Stop {
                    after_blocks,
                    after_chars: Some(after),
                    ..
                },
                Moment::Text { blocks, chars },
            ) => *after_blocks == blocks && *after < chars,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_fits_one_moment_of_a_turn_at_most() {
        let boundaries = [0, 1, 3, 3, 4];
        for wanted in 0..7 {
            let faults = [
                TurnAct::Pause {
                    after_blocks: wanted,
                },
                TurnAct::Stop {
                    stop: Stop::default(),
                    after_blocks: wanted,
                    after_chars: None,
                },
            ];
            for fault in faults {
                let mut before = None;
                let mut fitted = 0;
                for blocks in boundaries {
                    fitted += usize::from(fault.fits(Moment::Between { before, blocks }));
                    before = Some(blocks);
                }
                fitted += usize::from(fault.fits(Moment::End {
                    before,
                    blocks: 4,
                    in_calls: false,
                }));
                assert_eq!(fitted, 1, "{fault:?}");
            }
        }
        let inside = TurnAct::PauseInside { call: 2 };
        let called = |before, calls| inside.fits(Moment::Called { before, calls });
        assert_eq!(
            [called(0, 1), called(1, 3), called(3, 4)],
            [false, true, false]
        );
    }

    #[test]
    fn an_answer_without_content_does_not_pause() {
        let fault = TurnAct::Pause { after_blocks: 1 };
        assert!(!fault.fits(Moment::End {
            before: Some(0),
            blocks: 0,
            in_calls: false
        }));
    }
}
