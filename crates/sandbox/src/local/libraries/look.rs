//! The packages that an interpreter has already, asked of the interpreter itself.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::local::python::Python;

/// Prints the names of standard input that are not there; folders to look into first are arguments.
const MISSING: &str = r"
import sys
from importlib import metadata
sys.path[:0] = sys.argv[1:]
for line in sys.stdin:
    name = line.strip().partition('==')[0]
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        print(name)
";

/// Prints what has to be installed so that the pins of standard input get along with what is there.
const MISFITS: &str = r"
import sys
from importlib import metadata
sys.path[:0] = sys.argv[1:]
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
pins = dict(line.strip().split('==') for line in sys.stdin)
known = {canonicalize_name(name): name for name in pins}
wanted = set()
for name in pins:
    try:
        needs = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        continue
    for need in map(Requirement, needs):
        if need.marker and not need.marker.evaluate({'extra': ''}):
            continue
        try:
            if need.specifier.contains(metadata.version(need.name), prereleases=True):
                continue
        except metadata.PackageNotFoundError:
            pass
        pin = known.get(canonicalize_name(need.name))
        wanted.add(f'{pin}=={pins[pin]}' if pin else f'{need.name}{need.specifier}')
print('\n'.join(sorted(wanted)))
";

/// The lines of `requirements` whose library neither the interpreter nor one of `folders` has. `None` if it
/// does not say.
pub(super) fn missing<'a>(
    python: &Python,
    folders: &[&Path],
    requirements: &[&'a str],
) -> Option<Vec<&'a str>> {
    let said = ask(python, MISSING, folders, requirements).ok()?;
    let names: Vec<&str> = said.lines().collect();
    let is_missing = |line: &&&str| names.contains(&super::name_of(line));
    Some(requirements.iter().filter(is_missing).copied().collect())
}

/// The requirements that have to be added to `folder`, whose libraries come first, so that all get along.
pub(super) fn misfits(python: &Python, folder: &Path, requirements: &[&str]) -> Vec<String> {
    let said = ask(python, MISFITS, &[folder], requirements).unwrap_or_default();
    let lines = said.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// Runs a program apart from the user's own packages and variables, as sandboxes do.
fn ask(python: &Python, program: &str, folders: &[&Path], lines: &[&str]) -> io::Result<String> {
    let mut child = Command::new(&python.program)
        .args(["-I", "-c", program])
        .args(folders)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // Some kilobytes: they fit into the pipe.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(lines.join("\n").as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other("the interpreter does not say what it has"));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
