//! Faults of turns: where an answer ends though its model would go on, and containers that are over.

use crate::container::Found;
use crate::{Engine, TurnError, TurnInput, lints};
use model::{CallResult, Model, ModelError, Step, Stop};
use workspace::fault::{Act, Moment, Occasion, TurnAct};

use super::{End, Turn};

/// How far a turn has come, for its faults.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    /// Blocks at the last moment between two steps.
    before: Option<u32>,
    /// Server tool calls so far.
    calls: u32,
    /// The stop reason of an answer that ends in calls of the client all the same.
    stop: Option<Stop>,
}

impl Cuts {
    pub(super) fn take_stop(&mut self) -> Option<Stop> {
        self.stop.take()
    }
}

/// Ends the container that the request names, if a fault says so.
pub(super) async fn expire(engine: &Engine, input: &TurnInput, id: &str) -> Result<(), TurnError> {
    if !input.may_meet_turn_faults() {
        return Ok(());
    }
    let workspace = &input.workspace;
    let idle = input.quirks.container_idle.0;
    let found = engine.containers.find(workspace, id, idle).await?;
    if matches!(found, Found::Alive(_)) && fire(input, Moment::Names).is_some() {
        engine.containers.expire(workspace, id).await?;
    }
    Ok(())
}

/// Whether a fault has ended the container of this turn.
pub(super) fn has_expired(input: &TurnInput) -> bool {
    let expires = |act: &Act| matches!(act, Act::Turn(TurnAct::ExpireContainer));
    input.report.lock().is_ok_and(|report| {
        let mut fired = report.facts.fired.iter();
        fired.any(|fired| expires(&fired.fault.act))
    })
}

fn fire(input: &TurnInput, moment: Moment) -> Option<TurnAct> {
    let model = &input.request.model;
    let fault = input.fire(Occasion::Turn { model, moment })?;
    match &fault.act {
        Act::Turn(act) => Some(act.clone()),
        Act::Http(_) | Act::Stream { .. } | Act::Tool(_) | Act::Wire(_) => None,
    }
}

impl Turn<'_> {
    /// Between two steps. `results` are those that the model has not seen.
    pub(super) fn cut_between(
        &mut self,
        model: &mut dyn Model,
        results: &[CallResult],
    ) -> Result<Option<End>, ModelError> {
        let blocks = self.emitter.blocks();
        let before = self.cuts.before.replace(blocks);
        if before == Some(blocks) {
            return Ok(None);
        }
        match fire(self.input, Moment::Between { before, blocks }) {
            Some(TurnAct::Stop { stop, .. }) => Ok(Some(End::Stop(stop))),
            Some(TurnAct::Pause { .. }) => {
                model.interrupt(Some(results))?;
                Ok(Some(self.pause()))
            }
            Some(TurnAct::PauseInside { .. } | TurnAct::ExpireContainer) | None => Ok(None),
        }
    }

    /// The model has nothing more to say.
    pub(super) fn ends_by_itself(&mut self, model: &mut dyn Model) -> Result<End, TurnError> {
        match self.fire_at_end(false) {
            Some(TurnAct::Stop { stop, .. }) => return Ok(End::Stop(stop)),
            Some(TurnAct::Pause { .. }) => {
                model.interrupt(Some(&[]))?;
                return Ok(self.pause());
            }
            Some(TurnAct::PauseInside { .. } | TurnAct::ExpireContainer) | None => {}
        }
        if self.handed_out.is_empty() {
            lints::no_calls(self.input);
        }
        if self.lacks_json {
            lints::no_json(self.input);
        }
        Ok(End::Stop(Stop {
            reason: "end_turn".to_owned(),
            ..Stop::default()
        }))
    }

    /// The answer ends in calls of the client: it may say another reason, and can be continued all the same.
    pub(super) fn cut_in_calls(&mut self) {
        if let Some(TurnAct::Stop { stop, .. }) = self.fire_at_end(true) {
            self.cuts.stop = Some(stop);
        }
    }

    fn fire_at_end(&self, in_calls: bool) -> Option<TurnAct> {
        let end = Moment::End {
            before: self.cuts.before,
            blocks: self.emitter.blocks(),
            in_calls,
        };
        fire(self.input, end)
    }

    /// Whether the answer pauses in the middle of the `count` server tool calls that are out.
    pub(super) fn cut_inside(
        &mut self,
        model: &mut dyn Model,
        count: usize,
    ) -> Result<bool, ModelError> {
        let before = self.cuts.calls;
        self.cuts.calls += u32::try_from(count).unwrap_or(u32::MAX);
        let calls = self.cuts.calls;
        let cut = fire(self.input, Moment::Called { before, calls }).is_some();
        if cut {
            model.interrupt(None)?;
        }
        Ok(cut)
    }

    /// The step as far as it comes, and what the answer stops with if that is not far.
    pub(super) fn cut_text(&self, step: Option<Step>) -> (Option<Step>, Option<Stop>) {
        let mut step = step;
        if !self.input.may_meet_turn_faults() {
            return (step, None);
        }
        let Some(text) = step.as_mut().and_then(text_of) else {
            return (step, None);
        };
        let moment = Moment::Text {
            blocks: self.emitter.blocks(),
            chars: text.chars().count(),
        };
        let Some(TurnAct::Stop {
            stop,
            after_chars: Some(after),
            ..
        }) = fire(self.input, moment)
        else {
            return (step, None);
        };
        if let Some((at, _)) = text.char_indices().nth(after) {
            text.truncate(at);
        }
        (step, Some(stop))
    }
}

/// The text of a step that a limit of tokens may cut off.
fn text_of(step: &mut Step) -> Option<&mut String> {
    match step {
        Step::Text(text) | Step::Cited(text, _) | Step::Thinking(text) | Step::Progress(text) => {
            Some(text)
        }
        Step::RedactedThinking(_)
        | Step::Calls(_)
        | Step::Delay(_)
        | Step::Pause
        | Step::Stop(_)
        | Step::Fail(_)
        | Step::Usage(_)
        | Step::Compaction(_)
        | Step::Fallback { .. }
        | Step::McpListing { .. }
        | Step::ContainerUpload(_)
        | Step::AppliedEdits(_) => None,
    }
}
