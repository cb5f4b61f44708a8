//! The documented libraries for the machine's Python: what it lacks is installed once, and kept for every
//! server.

mod installer;
mod look;
mod mark;
mod stop;

use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use chrono::{DateTime, Utc};
use rustix::fs::Access;
use sha2::{Digest as _, Sha256};

use self::installer::{Installer, RunError};
pub use self::mark::Failure;
use self::stop::Stop;
use super::python::Python;
use common::clock::Clock;
use common::hinted::Hinted;
use common::ids::hex;
use common::limits;
use common::private;

const REQUIREMENTS: &str = include_str!("../../../../images/requirements.txt");
/// Compiled on the machine, if it has what that takes; the others work without them.
const COMPILED: [&str; 2] = ["pycairo", "rlpycairo"];

/// The hint on the packages that compiling them takes.
pub const COMPILED_HINT: &str = "`sudo apt install gcc pkg-config libcairo2-dev python3-dev`, then `sandtable image build` adds it";

const CACHE_HINT: &str = "set `XDG_CACHE_HOME` to a folder that you may write";

/// The name prefix of an installation that is not finished.
const PART: &str = "sandtable-part-";
/// Held by the one process that installs.
const LOCK: &str = "lock";
/// Holds matplotlib's list of the machine's fonts, beside the libraries.
pub(super) const FONTS: &str = ".matplotlib";

/// How often libraries are added because others need them.
const ROUNDS: usize = 5;

/// The documented libraries of an interpreter.
#[derive(Debug, Clone)]
pub struct Libraries {
    python: Python,
    /// `None` where this user has no place for a cache.
    cache: Option<PathBuf>,
    /// Ends what is installed.
    stop: Stop,
}

/// Where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The folder of the libraries that the interpreter lacks.
    Folder(PathBuf),
    /// The interpreter has them all.
    Machine,
    /// These are nowhere, such as `pandas==2.3.3`.
    Missing(Vec<&'static str>),
}

/// Why they are not there.
#[derive(Debug, thiserror::Error)]
pub enum LibrariesError {
    #[error("there is no folder to keep the libraries in")]
    NoCache,
    #[error("no libraries can be kept in `{}`: {source}", folder.display())]
    Closed { folder: PathBuf, source: io::Error },
    #[error("there is no `python3` on this machine; Debian and Ubuntu have it in `python3`")]
    NoPython,
    #[error("no `pip` was found for Python {0}; Debian and Ubuntu have it in `python3-pip`")]
    NoPip(String),
    #[error("installing the documented libraries: {0}")]
    Install(#[source] RunError),
    #[error("keeping the documented libraries: {0}")]
    Io(#[from] io::Error),
    /// It was not tried.
    #[error("installing the documented libraries failed at {}: {}", .0.at.format("%F %TZ"), .0.reason)]
    Lately(Failure),
    #[error("the server stops")]
    Stopped,
}

impl Hinted for LibrariesError {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NoCache | Self::Closed { .. } => Some(CACHE_HINT.into()),
            Self::NoPip(_) => Some("sudo apt install python3-pip".into()),
            Self::NoPython | Self::Install(_) | Self::Io(_) | Self::Lately(_) | Self::Stopped => {
                None
            }
        }
    }
}

impl Libraries {
    /// Those of the interpreter that sandboxes of this machine run.
    pub fn of_this_machine() -> Result<Self, LibrariesError> {
        let python = Python::find().ok_or(LibrariesError::NoPython)?;
        Ok(Self::new(&python, None))
    }

    pub(super) fn new(python: &Python, cache: Option<&Path>) -> Self {
        Self {
            python: python.clone(),
            cache: cache.map(Path::to_owned).or_else(private::user_cache),
            stop: Stop::default(),
        }
    }

    /// The folder for what is `missing`, whether or not it is there: an interpreter that has lost some finds
    /// another one.
    fn folder(&self, missing: &[&str]) -> Option<PathBuf> {
        let mut digest = Sha256::new_with_prefix(REQUIREMENTS);
        if missing.len() < lines().count() {
            digest.update(missing.join("\n"));
        }
        let digest = hex(&digest.finalize()[..6]);
        let name = format!("python-{}-{digest}", self.python.version);
        Some(self.cache.as_ref()?.join("sandtable").join(name))
    }

    /// Where they are. The interpreter is asked, unless all of them are installed.
    pub fn place(&self) -> Place {
        let all: Vec<&str> = lines().collect();
        let is_there = |folder: &PathBuf| folder.is_dir();
        if let Some(folder) = self.folder(&all).filter(is_there) {
            return Place::Folder(folder);
        }
        let missing = look::missing(&self.python, &[], &all).unwrap_or(all);
        if missing.is_empty() {
            return Place::Machine;
        }
        match self.folder(&missing).filter(is_there) {
            Some(folder) => Place::Folder(folder),
            None => Place::Missing(missing),
        }
    }

    /// The names of those that sandboxes lack all the same, such as what takes a compiler.
    pub fn absent(&self) -> Vec<&'static str> {
        let place = self.place();
        let folders = place.folder();
        let folders: Vec<&Path> = folders.iter().map(|folder| &**folder).collect();
        let all: Vec<&str> = lines().collect();
        let absent = look::missing(&self.python, &folders, &all).unwrap_or_default();
        absent.into_iter().map(name_of).collect()
    }

    /// The obstacle to installing them on a server, as far as it can be known without trying.
    pub fn obstacle(&self) -> Option<LibrariesError> {
        let Place::Missing(missing) = self.place() else {
            return None;
        };
        let folder = match self.kept(&missing) {
            Ok(folder) => folder,
            Err(error) => return Some(error),
        };
        if let Err(error) = Installer::find(&self.python) {
            return Some(error);
        }
        mark::read(&folder)
            .filter(|failure| failure.holds(Clock::default().now()))
            .map(LibrariesError::Lately)
    }

    /// The folder for what is `missing`, if it can be made: what is there of the way to it is looked at.
    pub(super) fn kept(&self, missing: &[&str]) -> Result<PathBuf, LibrariesError> {
        let folder = self.folder(missing).ok_or(LibrariesError::NoCache)?;
        let parent = folder.parent().ok_or(LibrariesError::NoCache)?;
        let closed = |source: io::Error| closed(parent, source);
        let there = parent.ancestors().find(|path| path.exists());
        let there = there.ok_or(LibrariesError::NoCache)?;
        if !there.is_dir() {
            return Err(closed(io::ErrorKind::NotADirectory.into()));
        }
        let may = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::access(there, may).map_err(|error| closed(error.into()))?;
        let lock = parent.join(LOCK);
        if lock.exists() {
            // Of another user who has been here.
            rustix::fs::access(&lock, Access::WRITE_OK).map_err(|error| closed(error.into()))?;
        }
        Ok(folder)
    }

    /// Ends what is being installed, and lets nothing else begin.
    pub(super) fn stop(&self) {
        self.stop.stop();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_over()
    }

    /// Installs what is missing, for a server: not again where it has failed lately.
    pub(super) fn provide(&self, say: &mut dyn FnMut(&str)) -> Result<Place, LibrariesError> {
        self.install_unless(Failure::holds, say)
    }

    /// Installs what is missing, whatever was before; returns at once if nothing is. Waits for another
    /// process that does the same.
    pub fn install(&self, say: &mut dyn FnMut(&str)) -> Result<Place, LibrariesError> {
        let before = self.place();
        let place = self.install_unless(|_, _| false, say)?;
        // What was left out for want of a compiler may be had by now.
        if before == place
            && let Place::Folder(folder) = &place
        {
            let lines: Vec<&str> = lines().collect();
            let absent = look::missing(&self.python, &[folder], &lines).unwrap_or_default();
            let (_, compiled) = split(&absent);
            self.compile(&Installer::find(&self.python)?, folder, &compiled, say)?;
        }
        Ok(place)
    }

    fn install_unless(
        &self,
        too_early: impl Fn(&Failure, DateTime<Utc>) -> bool,
        say: &mut dyn FnMut(&str),
    ) -> Result<Place, LibrariesError> {
        let place = self.place();
        let Place::Missing(missing) = place else {
            return Ok(place);
        };
        let folder = self.folder(&missing).ok_or(LibrariesError::NoCache)?;
        let parent = folder.parent().ok_or(LibrariesError::NoCache)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(|error| closed(parent, error))?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(parent.join(LOCK))
            .map_err(|error| closed(parent, error))?;
        // Another process may take minutes, and this one is to stop before that.
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock if self.is_stopped() => {
                    return Err(LibrariesError::Stopped);
                }
                TryLockError::WouldBlock => thread::sleep(limits::LIBRARIES_LOOK_INTERVAL),
                TryLockError::Error(error) => return Err(error.into()),
            }
        }
        if folder.is_dir() {
            return Ok(Place::Folder(folder));
        }
        let now = Clock::default().now();
        if let Some(failure) = mark::read(&folder).filter(|failure| too_early(failure, now)) {
            return Err(LibrariesError::Lately(failure));
        }
        // Seen at once when it comes: no failure to remember.
        let installer = Installer::find(&self.python)?;
        match self.fill(&installer, &folder, &missing, say) {
            Ok(()) => {
                mark::clear(&folder)?;
                Ok(Place::Folder(folder))
            }
            // It did not fail.
            Err(_) if self.is_stopped() => Err(LibrariesError::Stopped),
            Err(error) => {
                let reason = if let LibrariesError::Install(why) = &error {
                    why.to_string()
                } else {
                    error.to_string()
                };
                mark::write(&folder, &Failure { at: now, reason })?;
                Err(error)
            }
        }
    }

    /// Installs into a folder of another name, which gets its own when it is whole.
    fn fill(
        &self,
        installer: &Installer,
        folder: &Path,
        missing: &[&str],
        say: &mut dyn FnMut(&str),
    ) -> Result<(), LibrariesError> {
        let parent = folder.parent().ok_or(LibrariesError::NoCache)?;
        // What an interrupted one left; nobody else installs now.
        for entry in fs::read_dir(parent)?.flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PART.as_bytes())
            {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let part = tempfile::Builder::new().prefix(PART).tempdir_in(parent)?;
        let inside = part.path().join("libraries");
        fs::create_dir(&inside)?;
        say(&format!(
            "installing {} for Python {}, once; this takes some minutes",
            match missing.len() {
                some if some < lines().count() => format!("{some} of the documented libraries"),
                _ => "the documented libraries".to_owned(),
            },
            self.python.version
        ));
        let list = part.path().join("requirements.txt");
        let (mut wheels, compiled) = split(missing);
        let mut asked = wheels.clone();
        for _ in 0..ROUNDS {
            if wheels.is_empty() {
                break;
            }
            fs::write(&list, wheels.join("\n"))?;
            installer
                .run(&self.stop, &list, &inside, true, say)
                .map_err(LibrariesError::Install)?;
            let all: Vec<&str> = lines().collect();
            wheels = look::misfits(&self.python, &inside, &all);
            wheels.retain(|line| {
                let is_new = !asked.contains(line);
                is_new && !COMPILED.contains(&name_of(line))
            });
            asked.extend(wheels.iter().cloned());
        }
        self.compile(installer, &inside, &compiled, say)?;
        self.list_fonts(&inside);
        if self.is_stopped() {
            return Err(LibrariesError::Stopped);
        }
        fs::rename(&inside, folder)?;
        say("the documented libraries are installed");
        Ok(())
    }

    /// Adds what is compiled on the machine; the others work without it.
    fn compile(
        &self,
        installer: &Installer,
        folder: &Path,
        lines: &[String],
        say: &mut dyn FnMut(&str),
    ) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut list = tempfile::NamedTempFile::new()?;
        list.write_all(lines.join("\n").as_bytes())?;
        if let Err(reason) = installer.run(&self.stop, list.path(), folder, false, &mut |_| {}) {
            tracing::debug!(%reason, "pycairo was not installed");
            say(&format!("left out `pycairo`: {COMPILED_HINT}"));
        }
        Ok(())
    }

    /// So that the first plot in a sandbox need not look for fonts. Without the list it does.
    fn list_fonts(&self, inside: &Path) {
        let mut listing = Command::new(&self.python.program);
        listing
            .args(["-c", "import matplotlib.font_manager"])
            .env("PYTHONPATH", inside)
            .env("MPLCONFIGDIR", inside.join(FONTS))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let listed = self.stop.spawn(&mut listing);
        let listed = listed.and_then(|child| self.stop.wait(child));
        if !listed.is_ok_and(|status| status.success()) {
            tracing::debug!("no list of fonts was made");
        }
    }
}

impl Place {
    /// The folder that has to be lent to sandboxes.
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.clone()),
            Self::Machine | Self::Missing(_) => None,
        }
    }
}

fn closed(folder: &Path, source: io::Error) -> LibrariesError {
    LibrariesError::Closed {
        folder: folder.to_owned(),
        source,
    }
}

/// `pandas==2.3.3` and so on.
fn lines() -> impl Iterator<Item = &'static str> {
    REQUIREMENTS
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// `pandas` of `pandas==2.3.3`.
fn name_of(line: &str) -> &str {
    line.split("==").next().unwrap_or(line)
}

/// Those that come as wheels, and those that are compiled.
fn split(lines: &[&str]) -> (Vec<String>, Vec<String>) {
    lines
        .iter()
        .map(|line| (*line).to_owned())
        .partition(|line| !COMPILED.contains(&name_of(line)))
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_the_compiled_ones_are_split_off() {
        let (wheels, compiled) = split(&lines().collect::<Vec<_>>());
        assert_eq!(compiled, ["rlpycairo==0.4.0", "pycairo==1.28.0"]);
        assert!(wheels.iter().any(|line| line.starts_with("pandas==")));
    }

    #[test]
    fn each_version_of_python_and_each_list_has_its_own_folder() {
        let python = |version: &str| Python {
            program: "/usr/bin/python3".into(),
            version: version.to_owned(),
            prefix: None,
        };
        let cache = Path::new("/cache");
        let folder = |version| {
            Libraries::new(&python(version), Some(cache))
                .folder(&lines().collect::<Vec<_>>())
                .unwrap()
        };
        assert_ne!(folder("3.11"), folder("3.12"));
        let name = folder("3.11").display().to_string();
        assert!(name.starts_with("/cache/sandtable/python-3.11-"), "{name}");
    }

    /// An interpreter of its own with these libraries, by their metadata alone, and without pip.
    fn interpreter(folder: &Path, has: &[&str]) -> Python {
        let base = Python::find().expect("tests need python3");
        let made = Command::new(&base.program)
            .args(["-m", "venv", "--without-pip"])
            .arg(folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let packages = folder.join(format!("lib/python{}/site-packages", base.version));
        for line in has {
            let (name, version) = line.split_once("==").unwrap();
            let info = packages.join(format!("{}-{version}.dist-info", name.replace('-', "_")));
            fs::create_dir(&info).unwrap();
            let text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
            fs::write(info.join("METADATA"), text).unwrap();
        }
        Python {
            program: folder.join("bin/python3"),
            ..base
        }
    }

    #[test]
    fn what_the_interpreter_has_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let all: Vec<&str> = lines().collect();
        let bare = interpreter(&folder.path().join("bare"), &[]);
        let bare = Libraries::new(&bare, Some(&cache));
        assert_eq!(bare.place(), Place::Missing(all.clone()));

        let (left, rest): (Vec<&str>, Vec<&str>) =
            all.iter().partition(|line| line.starts_with("python-"));
        assert_eq!(left.len(), 3);
        let some = interpreter(&folder.path().join("some"), &rest);
        let some = Libraries::new(&some, Some(&cache));
        assert_eq!(some.place(), Place::Missing(left.clone()));
        assert_ne!(some.folder(&left), bare.folder(&all));
        // What was installed for it is found, and it alone.
        fs::create_dir_all(some.folder(&left).unwrap()).unwrap();
        assert_eq!(some.place().folder(), some.folder(&left));
        assert!(matches!(bare.place(), Place::Missing(_)));
        assert_eq!(some.absent().len(), 3, "the folder is empty");

        let full = interpreter(&folder.path().join("full"), &all);
        let full = Libraries::new(&full, Some(&cache));
        assert_eq!(full.place(), Place::Machine);
        assert_eq!(full.absent(), [""; 0]);
        // Nothing to do, and so nothing is asked for that is not there.
        assert_eq!(full.install(&mut |_| ()).unwrap(), Place::Machine);
    }

    #[test]
    fn a_version_that_others_cannot_use_is_a_misfit() {
        let folder = tempfile::tempdir().unwrap();
        let python = interpreter(folder.path(), &["numpy==1.19.5", "packaging==25.0"]);
        let info = folder
            .path()
            .join("added")
            .join("pandas-2.3.3.dist-info/METADATA");
        fs::create_dir_all(info.parent().unwrap()).unwrap();
        let text = "Metadata-Version: 2.1\nName: pandas\nVersion: 2.3.3\n\
                    Requires-Dist: numpy>=1.23.2\nRequires-Dist: pytest>=7; extra == \"test\"\n\
                    Requires-Dist: other-thing>=2\n";
        fs::write(info, text).unwrap();
        // A real `packaging` to ask, in place of the metadata alone: the one in pip.
        let base = Python::find().unwrap();
        let pip = Command::new(&base.program)
            .args(["-I", "-c", "import pip; print(pip.__path__[0])"])
            .output()
            .unwrap();
        let pip = PathBuf::from(String::from_utf8(pip.stdout).unwrap().trim());
        assert!(pip.is_dir(), "tests need pip");
        let packages = format!("lib/python{}/site-packages", base.version);
        let packages = folder.path().join(packages);
        symlink(pip.join("_vendor/packaging"), packages.join("packaging")).unwrap();
        symlink(pip, packages.join("pip")).unwrap();
        let all: Vec<&str> = lines().collect();
        let misfits = look::misfits(&python, &folder.path().join("added"), &all);
        assert_eq!(misfits, ["numpy==2.2.6", "other-thing>=2"]);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_before_and_after_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let python = interpreter(&folder.path().join("python"), &[]);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let libraries = Libraries::new(&python, Some(&file.join("cache")));
        let tried = libraries.install(&mut |_| ()).unwrap_err();
        let path = file.join("cache/sandtable").display().to_string();
        for error in [libraries.obstacle().unwrap(), tried] {
            let told = error.to_string();
            assert!(told.contains(&path), "{told}");
            assert_eq!(error.hint().as_deref(), Some(CACHE_HINT), "{told}");
        }
        // One that is not there yet is made.
        let libraries = Libraries::new(&python, Some(&folder.path().join("a/b")));
        let obstacle = libraries.obstacle();
        let closed = matches!(obstacle, Some(LibrariesError::Closed { .. }));
        assert!(!closed, "{obstacle:?}");
    }

    /// Gives an interpreter a pip that does this where it is to install.
    fn give_pip(python: &Python, folder: &Path, install: &str) {
        let fake = folder.join(format!("lib/python{}/site-packages/pip", python.version));
        fs::create_dir_all(&fake).unwrap();
        fs::write(fake.join("__init__.py"), "").unwrap();
        let program = format!("import os, sys, subprocess\nif 'install' in sys.argv:\n{install}\n");
        fs::write(fake.join("__main__.py"), program).unwrap();
    }

    #[test]
    fn what_is_installed_for_a_server_that_stops_is_killed_and_has_not_failed() {
        let folder = tempfile::tempdir().unwrap();
        let python = interpreter(&folder.path().join("python"), &[]);
        let (reader, mut says) = (folder.path().join("fifo"), String::new());
        let made = Command::new("mkfifo").arg(&reader).status().unwrap();
        assert!(made.success());
        // Until it is killed, its child has what it says.
        let install = format!(
            "    fifo = open({reader:?}, 'w')\n    os.set_inheritable(fifo.fileno(), True)\n    \
             fifo.write('begun\\n')\n    fifo.flush()\n    \
             subprocess.run(['sleep', '1000'], close_fds=False)"
        );
        give_pip(&python, &folder.path().join("python"), &install);
        let libraries = Libraries::new(&python, Some(&folder.path().join("cache")));
        thread::scope(|scope| {
            let installing = scope.spawn(|| libraries.provide(&mut |_| ()));
            let mut fifo = io::BufReader::new(File::open(&reader).unwrap());
            fifo.read_line(&mut says).unwrap();
            libraries.stop();
            let ended = installing.join().unwrap();
            assert!(matches!(ended, Err(LibrariesError::Stopped)), "{ended:?}");
            // None of its processes is left to say anything.
            assert_eq!(fifo.read_line(&mut says).unwrap(), 0);
        });
        assert_eq!(says, "begun\n");
        let again = libraries.provide(&mut |_| ());
        assert!(matches!(again, Err(LibrariesError::Stopped)), "{again:?}");
        let next = Libraries::new(&python, Some(&folder.path().join("cache")));
        assert!(next.obstacle().is_none(), "it is tried again");
    }

    #[test]
    fn a_failure_is_remembered_for_servers_and_tried_again_by_command() {
        let folder = tempfile::tempdir().unwrap();
        // Without pip and without a way out: what it is told to run is no installer.
        let python = interpreter(&folder.path().join("python"), &[]);
        let count = folder.path().join("count");
        let install = format!(
            "    open({count:?}, 'a').write('x')\n    sys.exit('ERROR: there is no network')"
        );
        give_pip(&python, &folder.path().join("python"), &install);
        let libraries = Libraries::new(&python, Some(&folder.path().join("cache")));
        assert!(libraries.obstacle().is_none());
        let tries = || fs::read_to_string(&count).map_or(0, |text| text.len());

        let first = libraries.provide(&mut |_| ()).unwrap_err();
        assert!(first.to_string().contains("there is no network"), "{first}");
        for _ in 0..2 {
            let again = libraries.provide(&mut |_| ()).unwrap_err();
            assert!(matches!(again, LibrariesError::Lately(_)), "{again}");
            assert!(again.to_string().contains("there is no network"), "{again}");
        }
        assert_eq!(tries(), 1);
        assert!(matches!(
            libraries.obstacle(),
            Some(LibrariesError::Lately(_))
        ));
        libraries.install(&mut |_| ()).unwrap_err();
        assert_eq!(tries(), 2);

        // Its time is over, or it is not to be: a clock that was wrong.
        let now = Clock::default().now();
        let long = common::limits::LIBRARIES_RETRY;
        let missing: Vec<&str> = lines().collect();
        for (at, tried) in [(now - long, 3), (now + long, 4)] {
            let reason = "old".to_owned();
            let folder = libraries.folder(&missing).unwrap();
            mark::write(&folder, &Failure { at, reason }).unwrap();
            libraries.provide(&mut |_| ()).unwrap_err();
            assert_eq!(tries(), tried);
        }
    }
}
