//! Rules that are part of the binary: the tour.

use std::sync::Arc;

use super::park::Place;
use super::parse;
use super::run::Run;
use super::scripts::Scripts;
use super::usage::{Counted, counted};
use crate::{Model, TurnRequest};
use common::document::Diagnostic;

/// A fixed list of rules that answers in the name of the tour.
#[derive(Debug)]
pub(crate) struct Shipped(Arc<[Counted]>);

impl Shipped {
    /// Reads `(name, source)` pairs.
    pub(crate) fn read(files: &[(&str, &str)]) -> Result<Self, Vec<Diagnostic>> {
        let mut rules = Vec::new();
        for (name, source) in files {
            rules.extend(parse::rules(source, name)?);
        }
        Ok(Self(counted(&rules)))
    }

    /// The model of the first rule that matches; `scripts` keep its place if the turn ends early.
    pub(crate) fn answer(
        &self,
        request: &TurnRequest,
        scripts: &Scripts,
    ) -> Option<Box<dyn Model>> {
        let (rule, usage) = self.0.iter().find(|(rule, _)| rule.matches(request))?;
        let place = Place {
            shipped: true,
            ..Place::start(Arc::clone(rule), Arc::clone(usage))
        };
        Some(Box::new(Run::begin(place, request, scripts.parking())))
    }
}
