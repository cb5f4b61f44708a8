//! The coverage section of a verdict: the parts of the surface that were met, how often, and what would show the
//! rest.

use control_api::{Coverage as Told, CoverageArea, CoverageItem};

use super::areas::Area;
use super::needs::{self, Feature};
use super::{PLACES, place, show};

/// How often each member of each area was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(pub(super) Vec<u64>);

impl Default for Counts {
    fn default() -> Self {
        Self(vec![0; PLACES.1])
    }
}

impl Counts {
    /// Adds what somebody else has met.
    pub fn add(&mut self, others: &Self) {
        for (count, other) in self.0.iter_mut().zip(&others.0) {
            *count = count.saturating_add(*other);
        }
    }

    /// The counts of a report. One of another version of this program may name members that are no more.
    fn of(told: &Told) -> Self {
        let mut counts = Self::default();
        for area in &told.areas {
            let Some(known) = Area::from_name(&area.name) else {
                continue;
            };
            for item in &area.items {
                let mut members = known.members().iter();
                if let Some(member) = members.position(|name| *name == item.name) {
                    let count = &mut counts.0[place(known, member)];
                    *count = count.saturating_add(item.count);
                }
            }
        }
        counts
    }

    fn is_used(&self, feature: Feature) -> bool {
        members().any(|(area, member, name)| {
            self.0[place(area, member)] > 0 && needs::of(area, name) == [feature]
        })
    }
}

fn members() -> impl Iterator<Item = (Area, usize, &'static str)> {
    Area::ALL.iter().flat_map(|area| {
        let names = area.members().iter().enumerate();
        names.map(|(member, name)| (*area, member, *name))
    })
}

/// The sum of several reports.
pub fn merge_told(all: &[Told]) -> Told {
    let mut counts = Counts::default();
    for told in all {
        counts.add(&Counts::of(told));
    }
    report(&counts)
}

/// The whole surface with its counts.
pub fn report(counts: &Counts) -> Told {
    let unused: Vec<Feature> = Feature::ALL
        .iter()
        .copied()
        .filter(|feature| *feature == Feature::Unheard || !counts.is_used(*feature))
        .collect();
    let areas: Vec<CoverageArea> = Area::ALL
        .iter()
        .map(|area| CoverageArea {
            name: area.name().to_owned(),
            items: items(*area, counts, &unused),
        })
        .collect();
    let counted = || {
        let items = areas.iter().flat_map(|area| &area.items);
        items.filter(|item| item.counts)
    };
    let (of, met) = (
        counted().count() as u64,
        counted().filter(|item| item.count > 0).count() as u64,
    );
    let not_used = unused
        .iter()
        .filter(|feature| **feature != Feature::Unheard);
    Told {
        // Whole tenths, as they are printed; there is always something to meet.
        percent: f64::from(u32::try_from(met * 1000 / of.max(1)).unwrap_or(u32::MAX)) / 10.0,
        met,
        of,
        not_used: not_used.map(|feature| feature.name().to_owned()).collect(),
        areas,
    }
}

fn items(area: Area, counts: &Counts, unused: &[Feature]) -> Vec<CoverageItem> {
    let names = area.members().iter().enumerate();
    let items = names.map(|(member, name)| {
        let count = counts.0[place(area, member)];
        let lacks = needs::of(area, name)
            .iter()
            .find(|feature| unused.contains(feature));
        CoverageItem {
            name: (*name).to_owned(),
            count,
            counts: lacks.is_none() && !area.is_choice(),
            needs: lacks.map(|feature| feature.name().to_owned()),
            show: (count == 0).then(|| show::of(area, name)),
        }
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::{ContainerMet, Coverage, Mode};

    fn item<'a>(told: &'a Told, area: Area, name: &str) -> &'a CoverageItem {
        let area = told.areas.iter().find(|known| known.name == area.name());
        let mut items = area.unwrap().items.iter();
        items.find(|item| item.name == name).unwrap()
    }

    #[test]
    fn counts_beyond_the_largest_number_stay_at_it() {
        let most = || Counts(vec![u64::MAX; PLACES.1]);
        let mut counts = most();
        counts.add(&most());
        assert_eq!(counts, most());
        let told = report(&counts);
        assert_eq!(Counts::of(&merge_told(&[told.clone(), told])), counts);
    }

    #[test]
    fn every_member_says_what_would_show_it() {
        let told = report(&Counts::default());
        for area in &told.areas {
            for item in &area.items {
                let show = item.show.as_ref().unwrap();
                let step = show.step.as_deref().unwrap_or_default();
                assert!(show.fault.is_some() || !step.is_empty(), "{item:?}");
                if let Some(fault) = &show.fault {
                    assert!(crate::fault::parse(fault).is_ok(), "{item:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_used_is_told_apart_and_not_counted() {
        let coverage = Coverage::default();
        coverage.container(ContainerMet::New);
        let told = report(&coverage.counts());
        assert!(told.not_used.contains(&"batches".to_owned()), "{told:?}");
        assert!(!item(&told, Area::BatchResults, "errored").counts);
        assert_eq!(
            item(&told, Area::Deltas, "text_delta").needs.as_deref(),
            Some("streaming")
        );
        let before = told.of;
        coverage.result("succeeded");
        coverage.mode(Mode::Streaming);
        let told = report(&coverage.counts());
        assert!(item(&told, Area::BatchResults, "errored").counts && told.of > before);
        assert!(item(&told, Area::Deltas, "text_delta").counts);
        assert_eq!(
            item(&told, Area::Deltas, "thinking_delta").needs.as_deref(),
            Some("thinking")
        );
        assert!(!item(&told, Area::Statuses, "422").counts);
    }

    #[test]
    fn reports_of_several_runs_add_up_whatever_they_name_beside() {
        let coverage = Coverage::default();
        coverage.container(ContainerMet::New);
        let mut one = report(&coverage.counts());
        coverage.container(ContainerMet::Reused);
        let other = report(&coverage.counts());
        one.areas[0].items.push(CoverageItem {
            name: "of_another_version".to_owned(),
            count: 3,
            counts: true,
            needs: None,
            show: None,
        });
        let both = merge_told(&[one, other]);
        assert_eq!(item(&both, Area::Containers, "new").count, 2);
        assert_eq!(item(&both, Area::Containers, "reused").count, 1);
        assert!(item(&both, Area::Containers, "new").show.is_none());
        assert_eq!(both.met, 2);
    }
}
