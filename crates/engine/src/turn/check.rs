//! Before a turn: the request against itself and against what it names, its model, its container.

use wire::refusal::{self, Invalid};

use super::{Place, cuts};
use crate::container::Found;
use crate::container::over::{self, Over};
use crate::references::Uploads;
use crate::validate::TooLarge;
use crate::{
    Engine, TurnError, TurnInput, fallbacks, lints, models, programmatic, references, skills,
    validate,
};
use common::work;
use model::{self, Model, TurnRequest};
use store::MountedSkill;
use workspace::coverage::ContainerMet;
use workspace::quirks::UnknownContainer;
use workspace::telemetry::{Origin, UNMATCHED};
use workspace::verify::Miss;

/// The pending calls, the uploads, and the skills of a request.
pub(crate) struct Checked {
    pub(super) pending: validate::Pending,
    pub(super) uploads: Uploads,
    pub(super) skills: Vec<MountedSkill>,
}

/// Checks the request against itself and against what it names; nothing is changed.
pub(crate) async fn check(engine: &Engine, input: &TurnInput) -> Result<Checked, TurnError> {
    // Before what the model does not take: this is refused for every one.
    if input.strict {
        validate::strict(&input.request)?;
    }
    check_fields(input)?;
    check_media(input)?;
    let pending =
        validate::history(&input.request).inspect_err(|_| lints::server_tool_results(input))?;
    lints::lost_caller(input, &pending)?;
    let uploads = references::check(engine, input).await?;
    let skills = skills::resolve(engine, input).await?;
    check_container(input)?;
    Ok(Checked {
        pending,
        uploads,
        skills,
    })
}

/// A container is of use to code alone: whatever its id is, it is refused where there is none (F062).
fn check_container(input: &TurnInput) -> Result<(), Invalid> {
    let request = &input.request;
    let container = request.container.as_ref();
    let names_one = container.is_some_and(|container| container.id.is_some());
    if names_one && !programmatic::is_provided(&request.tools) {
        return Err(refusal::CONTAINER_WITHOUT_CODE.refuse(&[]));
    }
    Ok(())
}

/// Pixels of images, pages of PDFs, and how many there are.
fn check_media(input: &TurnInput) -> Result<(), TurnError> {
    if !validate::has_media(&input.request) {
        return Ok(());
    }
    let weak = input.quirks.weak_refusals;
    let checked = work::apart(|| validate::media(&input.request.model, &input.body, weak));
    checked.map_err(|TooLarge { message, details }| match details {
        Some(details) => TurnError::Detailed { message, details },
        None => message.into(),
    })
}

/// The rules between the fields of a request, and those of its model.
fn check_fields(input: &TurnInput) -> Result<(), Invalid> {
    let request = &input.request;
    models::check_callers(request)?;
    validate::tools(request)?;
    models::check_offers(request, &input.body)?;
    let weak = input.quirks.weak_refusals;
    models::check_thinking(&request.model, request.thinking, weak)?;
    models::check_clearing(request, weak)?;
    models::check_sampling(request, &input.body, weak)?;
    let long = input.batch_item.is_some() && input.long_output;
    models::check_output(request, long)?;
    fallbacks::check(request, long, weak)?;
    check_final_thought(input)?;
    validate::thoughts(request, &input.body, |id| input.workspace.scripts.knows(id))?;
    validate::fields(request, &input.body, weak)?;
    if models::takes_prefill(&request.model) {
        validate::prefill(request)?;
    }
    Ok(())
}

/// An answer that a script or a fault has paused may end in a thought, as none of the service does: it goes on.
fn check_final_thought(input: &TurnInput) -> Result<(), Invalid> {
    let paused = || {
        let request = references::turn_request(input, Vec::new());
        input.workspace.scripts.knows_pause(&request)
    };
    match validate::final_thought(&input.request) {
        Err(refused) if !paused() => Err(refused),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(super) fn choose_model(
    engine: &Engine,
    input: &TurnInput,
    request: &TurnRequest,
) -> Result<Box<dyn Model>, TurnError> {
    let scripts = &input.workspace.scripts;
    if let Some(model) = scripts.resume(request)? {
        return Ok(model);
    }
    if validate::ends_with_prefill(&input.request) && !scripts.knows_pause(request) {
        if !models::takes_prefill(&input.request.model) {
            return Err(Invalid::new(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            )
            .into());
        }
        validate::prefilled_thoughts(&input.request, &input.body)?;
    }
    model::select(request, scripts, engine.on_unmatched).map_err(|error| {
        if let Some(nearest) = scripts.nearest(request, &error) {
            let message = error.message.clone();
            input.note(|facts| facts.miss = Some(Miss::Unmatched { message, nearest }));
            if let Ok(mut report) = input.report.lock() {
                report.source = Some(UNMATCHED.to_owned());
                report.done.origin = Some(Origin::Unmatched);
                report.done.model = Some(input.request.model.clone());
            }
        }
        error.into()
    })
}

/// With code that `waits` in it, a container that is over fails the request (F059).
pub(super) async fn find_container(
    engine: &Engine,
    input: &TurnInput,
    waits: bool,
) -> Result<Place, TurnError> {
    let Some(id) = input
        .request
        .container
        .as_ref()
        .and_then(|container| container.id.as_deref())
    else {
        return Ok(Place::None);
    };
    let quirks = &input.quirks;
    let idle = quirks.container_idle.0;
    cuts::expire(engine, input, id).await?;
    let coverage = &input.workspace.watch.coverage;
    let found = engine.containers.find(&input.workspace, id, idle).await?;
    match found {
        Found::Missing => coverage.container(ContainerMet::Missing),
        Found::Expired => coverage.container(ContainerMet::Expired),
        Found::Alive(_) => coverage.container(ContainerMet::Reused),
    }
    match found {
        Found::Alive(container) => Ok(Place::Alive(container)),
        Found::Missing if quirks.unknown_container == UnknownContainer::NotFound => {
            Err(TurnError::NotFound {
                message: format!("Container `{id}` not found."),
                code: None,
            })
        }
        Found::Expired | Found::Missing => match over::outcome(quirks, id, waits) {
            Over::Calls => Ok(Place::Expired),
            Over::Refused(message) => Err(Invalid::new(message).into()),
            Over::Failed(error) => Err(TurnError::Service(error)),
        },
    }
}
