//! `sandtable docs`: the pages of the documentation, for whoever has the program alone.

use std::borrow::Cow;
use std::fmt::Write as _;

use common::document;
use common::hinted::Hinted;

/// A page of the repository, as it was when the program was built.
struct Page {
    /// As it is asked for.
    name: &'static str,
    text: &'static str,
}

const fn page(name: &'static str, text: &'static str) -> Page {
    Page { name, text }
}

/// In the order of `docs/SUMMARY.md`: a reader's way in.
const PAGES: &[Page] = &[
    page("readme", include_str!("../../../README.md")),
    page("install", include_str!("../../../docs/INSTALL.md")),
    page("recipes", include_str!("../../../docs/RECIPES.md")),
    page("scripts", include_str!("../../../docs/SCRIPTS.md")),
    page("cassettes", include_str!("../../../docs/CASSETTES.md")),
    page("import", include_str!("../../../docs/IMPORT.md")),
    page("live", include_str!("../../../docs/LIVE.md")),
    page("drift", include_str!("../../../docs/DRIFT.md")),
    page("faults", include_str!("../../../docs/FAULTS.md")),
    page("sdks", include_str!("../../../docs/SDKS.md")),
    page("state", include_str!("../../../docs/STATE.md")),
    page("verify", include_str!("../../../docs/VERIFY.md")),
    page("coverage", include_str!("../../../docs/COVERAGE.md")),
    page("sweep", include_str!("../../../docs/SWEEP.md")),
    page("inspector", include_str!("../../../docs/INSPECTOR.md")),
    page("ci", include_str!("../../../docs/CI.md")),
    page("kubernetes", include_str!("../../../docs/KUBERNETES.md")),
    page("settings", include_str!("../../../docs/SETTINGS.md")),
    page("image", include_str!("../../../images/README.md")),
    page("logging", include_str!("../../../docs/LOGGING.md")),
    page("control", include_str!("../../../docs/CONTROL.md")),
    page("errors", include_str!("../../../docs/ERRORS.md")),
    page("quirks", include_str!("../../../docs/QUIRKS.md")),
    page("usage", include_str!("../../../docs/USAGE.md")),
    page("service", include_str!("../../../docs/service/README.md")),
    page(
        "service/messages",
        include_str!("../../../docs/service/messages.md"),
    ),
    page(
        "service/streams",
        include_str!("../../../docs/service/streams.md"),
    ),
    page(
        "service/code-execution",
        include_str!("../../../docs/service/code-execution.md"),
    ),
    page(
        "service/blocks",
        include_str!("../../../docs/service/blocks.md"),
    ),
    page(
        "service/files",
        include_str!("../../../docs/service/files.md"),
    ),
    page(
        "service/skills-batches",
        include_str!("../../../docs/service/skills-batches.md"),
    ),
    page(
        "service/transport",
        include_str!("../../../docs/service/transport.md"),
    ),
    page(
        "service/billing",
        include_str!("../../../docs/service/billing.md"),
    ),
    page("security", include_str!("../../../docs/SECURITY.md")),
    page(
        "architecture",
        include_str!("../../../docs/ARCHITECTURE.md"),
    ),
    page(
        "errors-in-code",
        include_str!("../../../docs/ERRORS-IN-CODE.md"),
    ),
    page("wishes", include_str!("../../../docs/WISHES.md")),
    page("parity", include_str!("../../../docs/PARITY.md")),
    page("benchmarks", include_str!("../../../docs/BENCHMARKS.md")),
    page(
        "script.schema.json",
        include_str!("../../../docs/script.schema.json"),
    ),
];

/// There is no such page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no page `{name}`")]
pub(super) struct NoPage {
    name: String,
    hint: String,
}

impl Hinted for NoPage {
    fn hint(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.hint))
    }
}

/// The text of a page, or the list of pages.
pub(super) fn print(name: Option<&str>) -> Result<String, NoPage> {
    let Some(name) = name else {
        return Ok(list());
    };
    let wanted = plain(name);
    match PAGES.iter().find(|page| page.name == wanted) {
        Some(page) => Ok(page.text.to_owned()),
        None => Err(NoPage {
            name: name.to_owned(),
            hint: match nearest(&wanted) {
                Some(near) => format!("did you mean `sandtable docs {near}`?"),
                None => "`sandtable docs` lists the pages".to_owned(),
            },
        }),
    }
}

fn list() -> String {
    let mut text = "`sandtable docs PAGE` prints a page:\n\n".to_owned();
    for page in PAGES {
        let title = page.text.lines().find_map(|line| line.strip_prefix("# "));
        let title = title.unwrap_or("a JSON schema of scripts, for editors");
        writeln!(text, "  {:<24} {title}", page.name).expect("a String takes every write");
    }
    text
}

/// `docs/CASSETTES.md`, `CASSETTES`, and `cassettes` are one page.
fn plain(name: &str) -> String {
    let name = name.trim_start_matches("./").to_lowercase();
    let name = name.strip_prefix("docs/").unwrap_or(&name);
    let name = name.strip_suffix(".md").unwrap_or(name);
    let name = name.strip_suffix("/readme").unwrap_or(name);
    match name {
        "images" => "image".to_owned(),
        other => other.to_owned(),
    }
}

/// By its name, or by the last part of it.
fn nearest(name: &str) -> Option<&'static str> {
    document::nearest_of(PAGES.iter().map(|page| {
        let last = page.name.rsplit('/').next().unwrap_or(page.name);
        let likeness = document::likeness(name, page.name).max(document::likeness(name, last));
        (likeness, page.name)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_of_the_repository_is_in_the_program() {
        let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs");
        let mut found = 0;
        for folder in [root.clone(), root.join("service")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                // The list of the book's chapters is no page of its own.
                let is_page = path.extension().is_some_and(|ending| ending == "md")
                    && !path.ends_with("SUMMARY.md");
                if is_page {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                    let text = std::fs::read_to_string(&path).unwrap();
                    assert_eq!(print(Some(name)).as_ref(), Ok(&text), "{name}");
                    found += 1;
                }
            }
        }
        assert!(found > 15, "{found}");
        let list = print(None).unwrap();
        assert!(PAGES.iter().all(|page| list.contains(page.name)), "{list}");
    }

    #[test]
    fn a_page_that_is_not_there_is_told_with_the_one_that_is_meant() {
        let hint = |name: &str| print(Some(name)).unwrap_err().hint;
        assert_eq!(hint("casettes"), "did you mean `sandtable docs cassettes`?");
        assert_eq!(hint("script"), "did you mean `sandtable docs scripts`?");
        assert_eq!(
            hint("stream"),
            "did you mean `sandtable docs service/streams`?"
        );
        assert_eq!(hint("zzz"), "`sandtable docs` lists the pages");
    }
}
