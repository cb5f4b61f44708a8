//! Comparing what programs wrote: what changes from run to run is masked, numbers may differ a little.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use regex::{Captures, Regex};

use super::{Difference, Options};

/// Times so near the run are its own; others are data.
const AROUND: TimeDelta = TimeDelta::days(2);
/// Longest excerpt of a line in a report.
const EXCERPT_CHARS: usize = 200;

/// Patterns of what changes from run to run, and their replacements. docs/LIVE.md lists the same.
static VOLATILE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let month = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    let day = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
    [
        (r"\b(srvtoolu|mcptoolu|toolu|container|file|msg|msgbatch|req|skill_version|skill)_[0-9A-Za-z]{20,}".to_owned(), "${1}_<id>"),
        (r"/files/(input|output)/[0-9a-f]{16}\b".to_owned(), "/files/${1}/<id>"),
        (r"/tmp/tmp(?:\.[0-9A-Za-z]{10}|[a-z0-9_]{8})\b".to_owned(), "/tmp/tmp<id>"),
        (r"\bat 0x[0-9a-f]{6,16}\b".to_owned(), "at 0x<address>"),
        (format!(r"\b{day} {month} +\d{{1,2}} \d\d:\d\d:\d\d(?: (?:AM|PM))?(?: [A-Z]{{3,4}})? \d{{4}}\b"), "<time>"),
        (format!(r"\b{day}, \d{{1,2}} {month} \d{{4}} \d\d:\d\d:\d\d(?: (?:GMT|UTC|[+-]\d{{4}}))?"), "<time>"),
        // `ls -l`: the mode and the size stay; links, owners, and dates are the machine's.
        (format!(r"(?m)^(d[rwxsStT-]{{9}})[.+@]? +\d+ +\S+ +\S+ +\S+ +{month} +\d{{1,2}} +(?:\d\d:\d\d|\d{{4}}) "), "${1} <directory> "),
        (format!(r"(?m)^([-lbcps][rwxsStT-]{{9}})[.+@]? +\d+ +\S+ +\S+ +(\S+) +{month} +\d{{1,2}} +(?:\d\d:\d\d|\d{{4}}) "), "${1} ${2} <date> "),
        // The line before the first of these; by itself it may be anybody's.
        (r"(?m)^total [0-9.]+[KMG]?\n([-dlbcps][rwxsStT-]{9}[.+@]? )".to_owned(), "total <blocks>\n${1}"),
        (r"(?m)^(real|user|sys)\s+\d+m[0-9.]+s$".to_owned(), "${1} <time>"),
    ]
    .into_iter()
    .map(|(pattern, put)| (Regex::new(&pattern).expect("the pattern is well-formed"), put))
    .collect()
});

static TIME: LazyLock<Regex> = LazyLock::new(|| {
    let pattern =
        r"\b(\d{4}-\d\d-\d\d)[T _](\d\d:\d\d)(:\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d| UTC)?";
    Regex::new(pattern).expect("the pattern is well-formed")
});

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"[-+]?\d+\.\d+(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+";
    Regex::new(pattern).expect("the pattern is well-formed")
});

/// When each of the two was written; unknown if it was not recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) recorded: Option<DateTime<Utc>>,
    pub(super) live: DateTime<Utc>,
}

/// The first line that differs, if one does.
pub(super) fn compare(
    what: &str,
    recorded: &str,
    live: &str,
    when: When,
    options: &Options,
) -> Option<Difference> {
    if recorded == live {
        return None;
    }
    // Where the recorded time is not known, any time may be the run's own.
    let live_time = when.recorded.map(|_| when.live);
    let ours = masked(live, live_time, options);
    let theirs = masked(recorded, when.recorded, options);
    if theirs == ours {
        return None;
    }
    let (mut their_lines, mut our_lines) = (theirs.split('\n'), ours.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        match (their_lines.next(), our_lines.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if alike(a, b, options.tolerance) => {}
            (a, b) => {
                return Some(Difference {
                    what: format!("{what}, line {number}"),
                    recorded: excerpt(a),
                    live: excerpt(b),
                });
            }
        }
    }
}

fn excerpt(line: Option<&str>) -> String {
    let Some(line) = line else {
        return "(nothing more)".to_owned();
    };
    if line.chars().count() <= EXCERPT_CHARS {
        return line.to_owned();
    }
    let cut: String = line.chars().take(EXCERPT_CHARS).collect();
    cut + "…"
}

/// The text with what changes from run to run masked.
fn masked(text: &str, around: Option<DateTime<Utc>>, options: &Options) -> String {
    let mut text = text.replace("\r\n", "\n");
    for pattern in &options.volatile {
        text = pattern.replace_all(&text, "<volatile>").into_owned();
    }
    for (pattern, put) in VOLATILE.iter() {
        text = pattern.replace_all(&text, *put).into_owned();
    }
    let time = |found: &Captures<'_>| {
        let seconds = found.get(3).map_or(":00", |it| it.as_str());
        let bare = format!("{} {}{seconds}", &found[1], &found[2]);
        let time = NaiveDateTime::parse_from_str(&bare, "%Y-%m-%d %H:%M:%S");
        let own = match (time, around) {
            (Ok(time), Some(around)) => (time.and_utc() - around).abs() <= AROUND,
            (Ok(_), None) => true,
            (Err(_), _) => false,
        };
        if own {
            "<time>".to_owned()
        } else {
            found[0].to_owned()
        }
    };
    TIME.replace_all(&text, time).into_owned()
}

/// Whether two lines are the same but for small differences of numbers with a fraction.
fn alike(a: &str, b: &str, tolerance: f64) -> bool {
    if a == b {
        return true;
    }
    if tolerance <= 0.0 {
        return false;
    }
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        match (NUMBER.find(rest_a), NUMBER.find(rest_b)) {
            (None, None) => return rest_a == rest_b,
            (Some(x), Some(y)) => {
                if rest_a[..x.start()] != rest_b[..y.start()]
                    || !near(x.as_str(), y.as_str(), tolerance)
                {
                    return false;
                }
                rest_a = &rest_a[x.end()..];
                rest_b = &rest_b[y.end()..];
            }
            // `1.0` and `1`, `0.30000000000000004` and `0.3` have the same form; this has not.
            _ => return false,
        }
    }
}

fn near(a: &str, b: &str, tolerance: f64) -> bool {
    let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>()) else {
        return false;
    };
    (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when() -> When {
        let time = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        When {
            recorded: Some(time("2026-08-19T14:34:11Z")),
            live: time("2026-11-20T22:00:00Z"),
        }
    }

    fn same(recorded: &str, live: &str) -> bool {
        compare("stdout", recorded, live, when(), &Options::default()).is_none()
    }

    #[test]
    fn what_changes_from_run_to_run_is_no_difference() {
        for (recorded, live) in [
            (
                "/files/input/0123456789abcdef/a.csv",
                "/files/input/fedcba9876543210/a.csv",
            ),
            (
                "File \"/tmp/srvtoolu_013CCSfaaaaaaaaaaaaaaaaa/cell.py\"",
                "File \"/tmp/srvtoolu_01zzzzzzzzzzzzzzzzzzzzzz/cell.py\"",
            ),
            (
                "now 2026-08-19T14:34:12.123456Z",
                "now 2026-11-20T22:00:01.5Z",
            ),
            (
                "total 8\n-rw-r--r-- 1 root root 12 Aug 19 14:34 a.txt",
                "total 12\n-rw-r--r-- 1 1000 1000 12 Nov 20 22:00 a.txt",
            ),
            (
                "drwxr-xr-x 2 root root 60 Aug 19 14:34 out",
                "drwxr-xr-x 3 sandbox sandbox 4096 Nov 20 22:00 out",
            ),
            (
                "<object object at 0x7f0011223344>",
                "<object object at 0x7fffffffff00>",
            ),
            (
                "Wed Aug 19 14:34:12 UTC 2026",
                "Fri Nov 20 22:00:00 UTC 2026",
            ),
            ("/tmp/tmpab12_x9z", "/tmp/tmp00000000"),
            ("a\r\nb", "a\nb"),
            ("mean 0.30000000000000004, n 3", "mean 0.3, n 3"),
            ("1.5e-7", "1.50000000001e-7"),
        ] {
            assert!(same(recorded, live), "{recorded:?} and {live:?}");
        }
    }

    #[test]
    fn data_is_compared() {
        for (recorded, live) in [
            // Far from the run: data.
            ("2024-01-01 00:00:00", "2024-01-02 00:00:00"),
            (
                "-rw-r--r-- 1 root root 12 Aug 19 14:34 a.txt",
                "-rw-r--r-- 1 root root 13 Aug 19 14:34 a.txt",
            ),
            ("0.3", "0.31"),
            ("3", "4"),
            ("total 49560", "total 49561"),
            ("rows 3\ntotal 49560\n", "rows 3\ntotal 49561\n"),
            ("a", "a\n"),
            ("x 1.0", "y 1.0"),
            ("/files/input/short/a", "/files/input/other/a"),
        ] {
            assert!(!same(recorded, live), "{recorded:?} and {live:?}");
        }
        let exact = Options {
            tolerance: 0.0,
            ..Options::default()
        };
        assert!(compare("x", "0.30000000000000004", "0.3", when(), &exact).is_some());
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        let told = compare("stdout", "a\nb\nc", "a\nx", when(), &Options::default()).unwrap();
        assert_eq!(
            (
                told.what.as_str(),
                told.recorded.as_str(),
                told.live.as_str()
            ),
            ("stdout, line 2", "b", "x")
        );
    }

    #[test]
    fn the_user_can_say_what_is_volatile() {
        let options = Options {
            volatile: vec![Regex::new(r"run \d+").unwrap()],
            ..Options::default()
        };
        assert!(compare("x", "run 1", "run 22", when(), &options).is_none());
    }
}
