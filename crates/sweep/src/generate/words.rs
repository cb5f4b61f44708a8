//! Words that clients get wrong: texts, names, sizes.

use super::tape::Tape;

/// The pieces that a text is put together from, the plainest first.
const WORDS: [&str; 40] = [
    "word",
    "a",
    "two words",
    "end.",
    "1,234.5",
    "line\nbreak",
    "\n\n",
    "\r\n",
    "\t",
    "  ",
    "\"quoted\"",
    "back\\slash",
    "\\n",
    "\\u0041",
    "'",
    "`code`",
    "```\nfence\n```",
    "<tag attr=\"x\">&amp;</tag>",
    "{\"type\":\"message_stop\"}",
    "{",
    "}]",
    "event: message_stop\n",
    "data: [DONE]\n\n",
    ": a comment\n",
    "é",
    "e\u{301}",
    "ß",
    "日本語",
    "中",
    "\u{5d0}\u{5d1}",
    "\u{202e}desrever",
    "😀",
    "👩\u{200d}👩\u{200d}👧",
    "🏳\u{fe0f}\u{200d}🌈",
    "𝔘",
    "\u{200b}",
    "\u{2028}",
    "\u{fffd}",
    "null",
    "NaN",
];

/// Pieces that tools may print beside those.
const NOISE: [&str; 6] = [
    "\u{0}",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{7f}",
    "\u{feff}",
    "\r50%\r100%",
    "Traceback (most recent call last):\n",
];

/// Names of files that the Files API takes, the plainest first.
const FILES: [&str; 20] = [
    "a.txt",
    "out.csv",
    "chart.png",
    "no_extension",
    ".hidden",
    "two words.txt",
    "a.tar.gz",
    "UPPER.TXT",
    "-rf",
    "a'b.txt",
    "a`b.txt",
    "a$b{c}.txt",
    "a;b&c,d.txt",
    "50%20off.txt",
    "#!=.txt",
    "ümläut.txt",
    "日本.csv",
    "😀.png",
    "…",
    "trailing.",
];

/// Characters of a long text.
const LONG: [usize; 3] = [2_000, 6_000, 20_000];

/// A text with something in it that is no space: the service refuses what is only space when it comes back.
pub(super) fn text(tape: &mut Tape) -> String {
    let mut text = match tape.below(12) {
        10 => {
            let unit = *tape.one(&WORDS);
            let size = *tape.one(&LONG);
            // Few deltas of a long text: words are cut at spaces.
            repeated(tape, unit, size)
        }
        11 => repeated(tape, "x y ", LONG[0]),
        _ => some(tape, &WORDS),
    };
    if text.trim().is_empty() {
        text.push_str("word");
    }
    untemplated(&text)
}

/// The output of a program; often empty.
pub(super) fn output(tape: &mut Tape) -> String {
    let text = match tape.below(8) {
        0 => String::new(),
        6 => {
            let unit = *tape.one(&WORDS);
            repeated(tape, unit, LONG[1])
        }
        7 => some(tape, &NOISE),
        _ => some(tape, &WORDS),
    };
    untemplated(&text)
}

/// Names of files, none twice.
pub(super) fn file_names(tape: &mut Tape) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let count = *tape.one(&[0, 0, 1, 2, 12]);
    for number in 0..count {
        let name = match tape.below(24) {
            23 => format!("{}.txt", "long".repeat(50)),
            which => FILES[usize::try_from(which).unwrap_or(0) % FILES.len()].to_owned(),
        };
        let taken = names.contains(&name);
        names.push(if taken {
            format!("{number}{name}")
        } else {
            name
        });
    }
    names
}

/// The value of an input: JSON in which a piece may end anywhere.
pub(super) fn source(tape: &mut Tape) -> String {
    let text = some(tape, &WORDS);
    untemplated(&text)
}

fn some(tape: &mut Tape, words: &[&'static str]) -> String {
    let count = 1 + tape.below(9);
    let mut text = String::new();
    for _ in 0..count {
        let word: &str = words[tape.index(words.len())];
        text.push_str(word);
        if tape.flag() {
            text.push(' ');
        }
    }
    text
}

fn repeated(tape: &Tape, unit: &str, chars: usize) -> String {
    unit.chars().cycle().take(chars.min(tape.room())).collect()
}

/// The text with every beginning of a template taken apart.
fn untemplated(text: &str) -> String {
    text.replace("${", "$ {")
}
