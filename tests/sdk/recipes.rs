//! `docs/RECIPES.md` as its reader runs it: the tests under pytest, then every shell block in its order.

use crate::readme::{Block, blocks};
use crate::server::Server;
use crate::workshop::Workshop;

const PAGE: &str = include_str!("../../docs/RECIPES.md");

/// The block that every test of the page begins with.
const HEAD: &str = "# every test";
/// The upstream that is recorded: the real service for a reader, a server here.
const SERVICE: &str = "https://api.anthropic.com";
/// An answer longer than this is no short one.
const MAX_LINES: usize = 16;

/// The file that a block is, by its first line: `# app.py`.
fn file_name(block: &Block) -> Option<&str> {
    let name = block.text.lines().next()?.strip_prefix("# ")?;
    let is_name = name.contains('.') && !name.contains(' ');
    is_name.then_some(name)
}

fn is_test(block: &Block) -> bool {
    block.language == "python" && file_name(block).is_none() && !block.text.starts_with(HEAD)
}

/// The questions of the page, each with what is written below it.
fn questions() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n### ").skip(1).map(|part| {
        let (question, answer) = part.split_once('\n').unwrap();
        // The next part's title is not this answer's.
        (question, answer.split("\n## ").next().unwrap())
    })
}

#[tokio::test]
async fn every_snippet_of_the_recipes_runs() {
    let Some(workshop) = Workshop::open().await else {
        return;
    };
    let all = blocks(PAGE);
    let head = all.iter().find(|block| block.text.starts_with(HEAD));
    let head = &head.unwrap().text;
    for (number, block) in all.iter().enumerate() {
        if let Some(name) = file_name(block) {
            workshop.write(name, &block.text);
        } else if is_test(block) {
            let text = format!("{head}\n\n{}", block.text);
            workshop.write(&format!("test_{number}.py"), &text);
        }
    }
    let pytest = "python -m pytest -p no:cacheprovider -q";
    let said = workshop.bash("pytest", pytest, &[]).await;
    assert!(said.contains(" passed"), "{said}");
    assert!(!said.contains("skipped"), "{said}");

    let service = Server::start(&[]).await;
    let key = [("ANTHROPIC_API_KEY", "sk-ant-of-the-recipes")];
    for block in all.iter().filter(|block| block.language == "sh") {
        let script = block.text.replace(SERVICE, &service.url);
        workshop.bash(&block.text, &script, &key).await;
    }
    service.stop().await;
}

#[test]
fn every_question_has_a_short_answer_that_runs_and_stands_in_the_list() {
    let mut asked = 0;
    for (question, answer) in questions() {
        let code = blocks(answer);
        let runs = code
            .iter()
            .any(|block| is_test(block) || block.language == "sh");
        assert!(runs, "nothing runs below `{question}`");
        for block in &code {
            let lines = block.text.lines().count();
            assert!(lines <= MAX_LINES, "{lines} lines below `{question}`");
            let known = ["python", "sh", "yaml"].contains(&block.language.as_str());
            assert!(known, "`{}` below `{question}`", block.language);
        }
        let anchor: String = question
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        assert!(PAGE.contains(&format!("](#{anchor})")), "{question}");
        asked += 1;
    }
    assert!(asked >= 30, "{asked}");
}
