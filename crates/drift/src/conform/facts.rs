//! The facts as the documentation has them.

/// The pages that have facts.
const PAGES: [&str; 7] = [
    include_str!("../../../../docs/service/messages.md"),
    include_str!("../../../../docs/service/streams.md"),
    include_str!("../../../../docs/service/code-execution.md"),
    include_str!("../../../../docs/service/files.md"),
    include_str!("../../../../docs/service/skills-batches.md"),
    include_str!("../../../../docs/service/transport.md"),
    include_str!("../../../../docs/service/blocks.md"),
];

/// The text of a fact; empty for a number that is none.
pub(super) fn says(fact: &str) -> &'static str {
    let row = |page: &'static str| {
        let begin = format!("| {fact} | ");
        let line = page.lines().find(|line| line.starts_with(&begin))?;
        // The last column is where it comes from.
        let (text, _) = line[begin.len()..].rsplit_once(" | ")?;
        let (text, _) = text.split_once(" | ").unwrap_or((text, ""));
        Some(text)
    };
    PAGES.into_iter().find_map(row).unwrap_or_default()
}
