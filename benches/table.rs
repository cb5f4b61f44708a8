//! The table.

use std::fmt;
use std::time::Duration;

/// Rows in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    what: String,
    measured: String,
    budget: String,
    met: Option<bool>,
}

impl Table {
    /// A number without a budget.
    pub(crate) fn row(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.push(what.into(), measured.into(), String::new(), None);
    }

    /// A number that may be `most`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, unit: &str, most: f64, note: &str) {
        let budget = format!("≤ {most} {unit}");
        let text = with_note(measured, unit, note);
        self.push(what.to_owned(), text, budget, Some(measured <= most));
    }

    /// A number that must be `least`.
    pub(crate) fn at_least(
        &mut self,
        what: &str,
        measured: f64,
        unit: &str,
        least: f64,
        note: &str,
    ) {
        let budget = format!("≥ {least} {unit}");
        let text = with_note(measured, unit, note);
        self.push(what.to_owned(), text, budget, Some(measured >= least));
    }

    /// Adds a row that could not be measured here.
    pub(crate) fn missing(&mut self, what: &str, why: &str) {
        self.push(
            what.to_owned(),
            format!("not measured: {why}"),
            String::new(),
            None,
        );
    }

    fn push(&mut self, what: String, measured: String, budget: String, met: Option<bool>) {
        eprintln!("  {what}: {measured}");
        self.0.push(Row {
            what,
            measured,
            budget,
            met,
        });
    }
}

fn with_note(measured: f64, unit: &str, note: &str) -> String {
    let number = if measured >= 100.0 {
        format!("{measured:.0} {unit}")
    } else {
        format!("{measured:.2} {unit}")
    };
    if note.is_empty() {
        number
    } else {
        format!("{number} ({note})")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| What | Measured | Budget | |\n|---|---|---|---|")?;
        for row in &self.0 {
            let met = match row.met {
                Some(true) => "met",
                Some(false) => "missed",
                None => "",
            };
            writeln!(
                f,
                "| {} | {} | {} | {met} |",
                row.what, row.measured, row.budget
            )?;
        }
        Ok(())
    }
}

/// Several measurements of one thing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that a part of all samples does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a list of samples"
        )]
        let at = (part * sorted.len() as f64) as usize;
        sorted[at.min(sorted.len() - 1)]
    }

    pub(crate) fn median_ms(&self) -> f64 {
        ms(self.quantile(0.5))
    }

    /// `median of N, from X to Y ms`.
    pub(crate) fn spread(&self) -> String {
        let (least, most) = (self.quantile(0.0), self.quantile(1.0));
        format!(
            "median of {}, {:.2} to {:.2}",
            self.len(),
            ms(least),
            ms(most)
        )
    }
}

pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
