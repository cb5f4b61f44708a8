//! Errors that nobody caught, as the interpreters print them.

use std::sync::LazyLock;

use regex::Regex;

/// The type of the error that nobody caught, as a program printed it at its end, or what is there in its place.
pub(super) fn uncaught(stderr: &str) -> Option<String> {
    python(stderr)
        .or_else(|| node(stderr))
        .or_else(|| marked(stderr))
}

/// `Traceback (most recent call last):`, frames, and a line with the type that is not indented.
fn python(stderr: &str) -> Option<String> {
    static LAST: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^([A-Za-z_][\w.]*)(?::|$)"));
    let at = stderr.rfind("Traceback (most recent call last):")?;
    let rest = stderr[at..].split_once('\n')?.1;
    let found = LAST.captures(rest)?;
    Some(found[1].to_owned())
}

/// A stack, and at the end the version of the interpreter.
fn node(stderr: &str) -> Option<String> {
    static STACK: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?m)^(?:Uncaught )?(?:\[?)([A-Za-z_$][\w$]*(?:Error|Exception)?)\b[^\n]*\n\s+at ")
    });
    static END: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^(?:Node\.js v\d|Bun v\d)"));
    let unhandled = stderr.contains("UnhandledPromiseRejection") || END.is_match(stderr);
    if !unhandled {
        return None;
    }
    let found = STACK.captures(stderr).map(|found| found[1].to_owned());
    Some(found.unwrap_or_else(|| "an uncaught error".to_owned()))
}

/// The mark that such a text of other interpreters begins with.
fn marked(stderr: &str) -> Option<String> {
    static MARKS: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"(?m)^(?:thread '[^']*'(?: \(\d+\))? (panicked) at|(panic): |Exception in thread "[^"]*" ([\w.$]+)|(Segmentation fault)|Unhandled exception\. ([\w.]+))"#,
        )
    });
    let found = MARKS.captures(stderr)?;
    let first = found.iter().skip(1).flatten().next()?;
    Some(first.as_str().to_owned())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is written here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_nobody_caught_are_told_by_their_type() {
        let python = "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    ask()\n    ~~~^^\nhttpx.ReadError: peer closed\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 1, in f\nanthropic.APIConnectionError: Connection error.\n";
        assert_eq!(uncaught(python).unwrap(), "anthropic.APIConnectionError");
        assert_eq!(
            uncaught("Traceback (most recent call last):\n  File \"a\", line 1, in f\nKeyboardInterrupt\n").unwrap(),
            "KeyboardInterrupt"
        );
        let node = "/app/a.ts:9\n    throw error;\n    ^\n\nAPIConnectionError: Connection error.\n    at Anthropic.makeRequest (client.js:1:2)\n    at run (a.ts:3:1)\n\nNode.js v22.1.0\n";
        assert_eq!(uncaught(node).unwrap(), "APIConnectionError");
        let rust = "\nthread 'main' (12) panicked at src/main.rs:4:5:\nno answer\n";
        assert_eq!(uncaught(rust).unwrap(), "panicked");
        let go = "panic: runtime error\n\ngoroutine 1 [running]:\n";
        assert_eq!(uncaught(go).unwrap(), "panic");
    }

    #[test]
    fn a_message_is_no_error_that_nobody_caught() {
        for text in [
            "",
            "error: the service is overloaded, gave up after 4 attempts\n",
            "RuntimeError: told by the program itself\n",
            "at least one answer is missing\n",
        ] {
            assert_eq!(uncaught(text), None, "{text}");
        }
    }
}
