//! The documented tools: which of them sandboxes find on the machine, and what brings the others.

use std::path::{Path, PathBuf};

use super::rootfs;

/// Where sandboxes look for programs.
const PROGRAMS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// Where the linker of a sandbox looks, beside folders named for the architecture.
const LIBRARIES: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// A program or a library that the documents name, or that a documented library calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tool {
    /// As the documents call it.
    name: &'static str,
    /// Its file names on a machine, the documented name first.
    files: &'static [&'static str],
    /// Debian's package.
    package: &'static str,
}

const fn tool(name: &'static str, files: &'static [&'static str], package: &'static str) -> Tool {
    Tool {
        name,
        files,
        package,
    }
}

const TOOLS: [Tool; 12] = [
    tool("7z", &["7z", "7zz"], "7zip"),
    tool("bc", &["bc"], "bc"),
    tool("fd", &["fd", "fdfind"], "fd-find"),
    tool("free", &["free"], "procps"),
    tool("java", &["java"], "default-jre-headless"),
    tool("pdftoppm", &["pdftoppm"], "poppler-utils"),
    tool("pip", &["pip", "pip3"], "python3-pip"),
    tool("rg", &["rg"], "ripgrep"),
    tool("sqlite3", &["sqlite3"], "sqlite3"),
    tool("unrar", &["unrar", "unrar-free"], "unrar-free"),
    tool("unzip", &["unzip"], "unzip"),
    tool("wkhtmltopdf", &["wkhtmltopdf"], "wkhtmltopdf"),
];
const CAIRO: Tool = tool("libcairo", &["libcairo.so.2"], "libcairo2");

/// Documented tools that sandboxes lack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// By their documented names.
    pub tools: Vec<&'static str>,
    packages: Vec<&'static str>,
}

impl Lacking {
    /// Looks at the machine.
    pub(super) fn of_this_machine() -> Self {
        let folders = PROGRAMS.map(PathBuf::from);
        let lacking = TOOLS
            .into_iter()
            .filter(|tool| find(tool, &folders).is_none())
            .chain(find(&CAIRO, &library_folders()).is_none().then_some(CAIRO));
        let (tools, packages) = lacking.map(|tool| (tool.name, tool.package)).unzip();
        Self { tools, packages }
    }

    /// The one command that brings all of it, if something is lacking.
    pub fn command(&self) -> Option<String> {
        if self.packages.is_empty() {
            return None;
        }
        let packages = self.packages.join(" ");
        Some(if Path::new("/usr/bin/apt-get").exists() {
            format!("sudo apt install {packages}")
        } else {
            format!("install what Debian has as {packages}")
        })
    }
}

/// Links that give programs their documented names: place in the sandbox, and target.
pub(super) fn links() -> Vec<(PathBuf, String)> {
    links_to(&PROGRAMS.map(PathBuf::from))
}

fn links_to(folders: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let bin = Path::new(rootfs::BIN.trim_start_matches('/'));
    TOOLS
        .iter()
        .filter_map(|tool| {
            let found = find(tool, folders)?;
            let is_named_so = found.file_name()? == tool.name;
            (!is_named_so).then(|| (bin.join(tool.name), found.display().to_string()))
        })
        .collect()
}

fn find(tool: &Tool, folders: &[PathBuf]) -> Option<PathBuf> {
    let places = tool
        .files
        .iter()
        .flat_map(|file| folders.iter().map(move |folder| folder.join(file)));
    places.into_iter().find(|place| place.is_file())
}

fn library_folders() -> Vec<PathBuf> {
    let mut folders = LIBRARIES.map(PathBuf::from).to_vec();
    let below = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    // Such as x86_64-linux-gnu.
    folders.extend(below.map(|entry| entry.path()).filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().contains("-linux-"))
    }));
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_name_gets_its_documented_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["fdfind", "7zz", "7z", "rg"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let at = |name: &str| folder.path().join(name).display().to_string();
        let place = PathBuf::from("opt/sandtable/bin/fd");
        assert_eq!(
            links_to(&[folder.path().to_owned()]),
            [(place, at("fdfind"))]
        );
    }

    #[test]
    fn one_command_brings_exactly_what_is_lacking() {
        assert_eq!(Lacking::default().command(), None);
        let lacking = Lacking {
            tools: vec!["fd", "rg"],
            packages: vec!["fd-find", "ripgrep"],
        };
        let command = lacking.command().unwrap();
        assert!(command.ends_with(" fd-find ripgrep"), "{command}");
    }
}
