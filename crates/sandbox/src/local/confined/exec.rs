//! Becoming a program that is one of the container's own files, scripts included: the kernel would look
//! for a script's interpreter by its name, and tell the interpreter where the script really lies.

use std::fs::File;
use std::io::Read as _;

use super::calls::Spot;
use super::notify::{Waiting, errno};
use super::space::{Found, Kind};
use super::sys;
use super::tracee::{Caller, New};
use super::warden::{Act, Warden};

/// How much of a file the kernel looks at.
const HEAD_BYTES: usize = 256;
/// Interpreters that are scripts themselves, as many as the kernel takes.
const MOST_INTERPRETERS: usize = 4;
/// Arguments of one program; the kernel's own limit is on their size.
const MOST_ARGUMENTS: usize = 1 << 17;

impl Warden {
    pub(super) fn execute(
        &mut self,
        waiting: &Waiting<'_>,
        caller: &Caller<'_>,
        spot: Spot,
        arguments: usize,
    ) -> Result<Act, i32> {
        let (found, given) = self.look(waiting, caller, spot, false)?;
        let Some(found) = found else {
            return Ok(Act::GoOn);
        };
        if found.kind == Kind::Proc && !caller.is_guest() {
            return Err(libc::EACCES);
        }
        let is_moved = !found.is_plain;
        let Some(script) = self.interpreters(caller, &found)? else {
            return Ok(if is_moved {
                Act::Change(vec![New::Text(spot.path, found.real)])
            } else {
                Act::GoOn
            });
        };
        if !is_moved && script.is_the_kernels {
            return Ok(Act::GoOn);
        }
        let list = waiting.argument(arguments);
        let old = self.memories.list(caller.thread, list, MOST_ARGUMENTS)?;
        let mut texts = script.arguments;
        texts.push(given);
        let rest = old.get(1..).unwrap_or_default().to_vec();
        Ok(Act::Change(vec![
            New::Text(spot.path, script.program),
            New::List(arguments, texts, rest),
        ]))
    }

    /// The interpreter that really runs a script, if it is one.
    fn interpreters(&self, caller: &Caller<'_>, found: &Found) -> Result<Option<Script>, i32> {
        if found.kind != Kind::Own {
            return Ok(None);
        }
        let mut script: Option<Script> = None;
        let mut real = found.real.clone();
        for _ in 0..=MOST_INTERPRETERS {
            // The kernel says what is wrong with a program that cannot be had.
            sys::may_execute(&real).map_err(|error| errno(&error))?;
            let Some((interpreter, argument)) = head(&real) else {
                return Ok(script);
            };
            let base = if interpreter.starts_with(b"/") {
                None
            } else {
                Some(caller.base(&self.space, None).ok_or(libc::ENOENT)?)
            };
            let next = self.space.find(caller, base.as_ref(), &interpreter, true)?;
            let mut arguments = vec![interpreter.clone()];
            arguments.extend(argument);
            let is_the_kernels = next.real == interpreter && script.is_none();
            if let Some(before) = script.take() {
                // What the script before it named comes after its own argument.
                arguments.extend(before.arguments);
            }
            real.clone_from(&next.real);
            script = Some(Script {
                program: next.real,
                arguments,
                is_the_kernels,
            });
            if next.kind != Kind::Own {
                return Ok(script);
            }
        }
        Err(libc::ELOOP)
    }
}

/// The interpreter of a script.
#[derive(Debug)]
struct Script {
    /// Where its interpreter really lies.
    program: Vec<u8>,
    /// Arguments before the script's own path.
    arguments: Vec<Vec<u8>>,
    /// Whether the kernel finds the interpreter by the same path.
    is_the_kernels: bool,
}

/// The first line of a script: its interpreter, and one argument.
fn head(path: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let file = sys::open(path, libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
    let mut head = Vec::new();
    File::from(file)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .ok()?;
    first_line(&head)
}

fn first_line(head: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let line = head.strip_prefix(b"#!")?;
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = trimmed(&line[..end.unwrap_or(line.len())]);
    let cut = line
        .iter()
        .position(|byte| is_blank(*byte))
        .unwrap_or(line.len());
    let argument = trimmed(&line[cut..]);
    if cut == 0 {
        return None;
    }
    Some((
        line[..cut].to_vec(),
        (!argument.is_empty()).then(|| argument.to_vec()),
    ))
}

/// As the kernel has it: the end of a line in a file from Windows belongs to the name.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trimmed(line: &[u8]) -> &[u8] {
    let is_none = |byte: &u8| !is_blank(*byte);
    match (
        line.iter().position(is_none),
        line.iter().rposition(is_none),
    ) {
        (Some(first), Some(last)) => &line[first..=last],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_script_names_one_program_and_at_most_one_argument() {
        let of = |text: &str| first_line(text.as_bytes());
        let some = |program: &str, argument: Option<&str>| {
            Some((program.into(), argument.map(Into::into)))
        };
        assert_eq!(of("#!/bin/sh\nexit"), some("/bin/sh", None));
        assert_eq!(
            of("#! /usr/bin/env  python3 -u\n"),
            some("/usr/bin/env", Some("python3 -u"))
        );
        assert_eq!(of("#!/bin/sh"), some("/bin/sh", None));
        assert_eq!(of("#!/bin/sh \t\n"), some("/bin/sh", None));
        assert_eq!(of("#!/bin/sh\r\n"), some("/bin/sh\r", None));
        assert_eq!(of("#!/bin/sh -e\r\n"), some("/bin/sh", Some("-e\r")));
        assert_eq!(of("\x7fELF"), None);
        assert_eq!(of("#!\n"), None);
    }
}
