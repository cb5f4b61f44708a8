//! A disk that is soon full.

use std::fs;
use std::path::Path;
use std::process::Command;

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .status()
        .is_ok_and(|status| status.success())
}

/// A file system of two megabytes, for as long as it is there.
pub(crate) struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// Nothing, and said so, where this user cannot mount one.
    pub(crate) fn mount(path: &'a Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        let path_text = path.to_str().unwrap();
        if run(
            "mount",
            &["-t", "tmpfs", "-o", "size=2m", "tmpfs", path_text],
        ) {
            return Some(Self(path));
        }
        let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.contains("mount"), "mounting is required");
        eprintln!("SKIPPED, nothing was tested: this user cannot mount a file system");
        None
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        assert!(run("umount", &["-l", self.0.to_str().unwrap()]));
    }
}

/// Takes all the room that is left; the file to remove to give it back.
pub(crate) fn fill(folder: &Path) -> std::path::PathBuf {
    use std::io::Write as _;

    let filler = folder.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    while file.write_all(&[1]).is_ok() {}
    filler
}
