//! Reports for CI servers, as XML of `JUnit`: what a report has are suites of cases, and how they are written
//! and counted is decided here alone.

use std::fmt::{self, Write as _};

use crate::xml::escaped;

/// How a report names itself: other tools write such files, too.
pub const NAMED: &str = "<testsuites name=\"sandtable\"";

/// Cases that belong together.
#[derive(Debug)]
pub struct Suite {
    name: String,
    seconds: Option<f64>,
    cases: Vec<Case>,
}

/// One test, as a CI server counts them.
#[derive(Debug)]
pub struct Case {
    class: String,
    name: String,
    seconds: Option<f64>,
    result: CaseResult,
}

/// The result of a test case.
#[derive(Debug)]
pub enum CaseResult {
    Passed,
    Failed {
        /// One line.
        message: String,
        /// The `type` that failures of this kind have in common.
        kind: Option<String>,
        /// Everything; may be empty.
        text: String,
    },
    Skipped {
        message: String,
    },
}

impl Suite {
    pub fn new(name: &str, cases: impl IntoIterator<Item = Case>) -> Self {
        Self {
            name: name.to_owned(),
            seconds: None,
            cases: cases.into_iter().collect(),
        }
    }

    /// How long all of it took.
    #[must_use]
    pub fn took(self, seconds: f64) -> Self {
        Self {
            seconds: Some(seconds),
            ..self
        }
    }

    fn failures(&self) -> usize {
        self.count(|result| matches!(result, CaseResult::Failed { .. }))
    }

    fn count(&self, is: impl Fn(&CaseResult) -> bool) -> usize {
        self.cases.iter().filter(|case| is(&case.result)).count()
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let skipped = self.count(|result| matches!(result, CaseResult::Skipped { .. }));
        write!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{skipped}\"",
            escaped(&self.name),
            self.cases.len(),
            self.failures(),
        )?;
        write_time(out, self.seconds)?;
        out.push_str(">\n");
        for case in &self.cases {
            case.write(out)?;
        }
        writeln!(out, "  </testsuite>")
    }
}

impl Case {
    pub fn new(class: &str, name: &str, result: CaseResult) -> Self {
        Self {
            class: class.to_owned(),
            name: name.to_owned(),
            seconds: None,
            result,
        }
    }

    /// How long it took.
    #[must_use]
    pub fn took(self, seconds: f64) -> Self {
        Self {
            seconds: Some(seconds),
            ..self
        }
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\"",
            escaped(&self.class),
            escaped(&self.name),
        )?;
        write_time(out, self.seconds)?;
        match &self.result {
            CaseResult::Passed => return out.write_str("/>\n"),
            CaseResult::Skipped { message } => {
                write!(
                    out,
                    ">\n      <skipped message=\"{}\"/>\n",
                    escaped(message)
                )?;
            }
            CaseResult::Failed {
                message,
                kind,
                text,
            } => {
                write!(out, ">\n      <failure message=\"{}\"", escaped(message))?;
                if let Some(kind) = kind {
                    write!(out, " type=\"{}\"", escaped(kind))?;
                }
                writeln!(out, ">{}</failure>", escaped(text))?;
            }
        }
        writeln!(out, "    </testcase>")
    }
}

fn write_time(out: &mut String, seconds: Option<f64>) -> fmt::Result {
    match seconds {
        Some(seconds) => write!(out, " time=\"{seconds:.3}\""),
        None => Ok(()),
    }
}

/// The whole file.
pub fn written(suites: &[Suite]) -> String {
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(Suite::failures).sum();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{NAMED} tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    for suite in suites {
        suite.write(&mut out).expect("a String takes every write");
    }
    out + "</testsuites>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_counted_and_nothing_of_a_text_becomes_markup_or_is_lost() {
        let failed = |text: &str| CaseResult::Failed {
            message: "is \"a\tb\"".to_owned(),
            kind: Some("diff".to_owned()),
            text: text.to_owned(),
        };
        let skipped = CaseResult::Skipped {
            message: "not <now>".to_owned(),
        };
        let suites = [
            Suite::new("empty", []),
            Suite::new(
                "one & all",
                [
                    Case::new("c", "good", CaseResult::Passed).took(0.25),
                    Case::new("c", "bad", failed("a\tb\n\u{1b}[31m\u{fffe}")),
                    Case::new("c", "left out", skipped),
                ],
            )
            .took(1.5),
        ];
        insta::assert_snapshot!(written(&suites), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="sandtable" tests="3" failures="1">
          <testsuite name="empty" tests="0" failures="0" errors="0" skipped="0">
          </testsuite>
          <testsuite name="one &amp; all" tests="3" failures="1" errors="0" skipped="1" time="1.500">
            <testcase classname="c" name="good" time="0.250"/>
            <testcase classname="c" name="bad">
              <failure message="is &quot;a&#9;b&quot;" type="diff">a&#9;b&#10;�[31m�</failure>
            </testcase>
            <testcase classname="c" name="left out">
              <skipped message="not &lt;now&gt;"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
