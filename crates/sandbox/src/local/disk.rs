//! A container's disk of exact size: a sparse ext4 image behind a loop device.
//!
//! The image is mounted without ever being attached to a directory of the machine; it goes with the
//! sandbox's mount namespace, and the loop device with it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::sys;

/// The file name of a container's image in its folder.
pub(super) const IMAGE: &str = "disk.img";
const PART: &str = ".part-";
/// Where the kernel writes whether a file system was unmounted, and whether it has met errors in it.
const STATE_OFFSET: u64 = 1024 + 0x3A;
const STATE_CLEAN: u8 = 1;
const STATE_ERRORS: u8 = 2;
const PROGRAMS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How long a device may take to let go of an image after the last use.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
const LOOP_TRIES: u32 = 64;

/// Makes the images of one server.
#[derive(Debug)]
pub(super) struct Disks {
    folder: PathBuf,
    mkfs: PathBuf,
}

/// Why images cannot be made or mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDisks {
    #[error("this machine has no loop devices")]
    Loop,
    #[error("`mkfs.ext4` is not installed")]
    Mkfs,
}

impl Disks {
    pub(super) fn new(folder: &Path) -> Result<Self, NoDisks> {
        has_loops()?;
        let mkfs = program("mkfs.ext4").ok_or(NoDisks::Mkfs)?;
        Ok(Self {
            folder: folder.to_owned(),
            mkfs,
        })
    }

    /// A new image for a container.
    pub(super) fn make(&self, container: &Path, bytes: u64) -> io::Result<PathBuf> {
        let image = container.join(IMAGE);
        let part = container.join("disk.part");
        let spare = self.spare(bytes);
        if fs::rename(&spare, &part).is_err() {
            self.copy(bytes, &part)?;
        }
        fs::rename(&part, &image)?;
        Ok(image)
    }

    /// Puts an empty image aside, so that the next container need not wait for it.
    pub(super) fn prepare(&self, bytes: u64) -> io::Result<()> {
        let spare = self.spare(bytes);
        if spare.exists() {
            return Ok(());
        }
        let part = self.part()?;
        self.copy(bytes, part.path())?;
        part.persist(&spare)?;
        Ok(())
    }

    /// A file that is not finished yet.
    fn part(&self) -> io::Result<tempfile::NamedTempFile> {
        tempfile::Builder::new()
            .prefix(&part_prefix())
            .tempfile_in(&self.folder)
    }

    fn spare(&self, bytes: u64) -> PathBuf {
        self.folder.join(format!(".spare-{bytes}"))
    }

    fn template(&self, bytes: u64) -> io::Result<PathBuf> {
        let template = self.folder.join(format!(".template-{bytes}"));
        if !template.exists() {
            let part = self.part()?;
            part.as_file().set_len(bytes)?;
            let made = Command::new(&self.mkfs)
                .args(["-q", "-F", "-m", "0", "-b", "4096", "-O"])
                .arg("^has_journal,^resize_inode,^huge_file,uninit_bg,sparse_super2")
                .args(["-E", "lazy_itable_init=1,nodiscard,packed_meta_blocks=1"])
                .arg(part.path())
                .env_clear()
                .stdin(Stdio::null())
                .output()?;
            if !made.status.success() {
                let reason = String::from_utf8_lossy(&made.stderr);
                return Err(io::Error::other(format!("mkfs.ext4: {}", reason.trim())));
            }
            part.persist(&template)?;
        }
        Ok(template)
    }

    fn copy(&self, bytes: u64, to: &Path) -> io::Result<()> {
        let from = File::open(self.template(bytes)?)?;
        let to = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)?;
        to.set_len(bytes)?;
        let mut place = 0;
        while let Some(data) = sys::next_data(&from, place)? {
            let hole = sys::next_hole(&from, data)?.unwrap_or(data);
            place = data;
            while place < hole {
                let left = usize::try_from(hole - place).unwrap_or(usize::MAX);
                match sys::copy_range(&from, &to, place, left)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    copied => place += copied as u64,
                }
            }
        }
        Ok(())
    }
}

/// Whether images can be mounted: to make one takes more.
pub(super) fn has_loops() -> Result<(), NoDisks> {
    if Path::new("/dev/loop-control").exists() {
        Ok(())
    } else {
        Err(NoDisks::Loop)
    }
}

/// The image that a container has.
pub(super) fn found(container: &Path) -> io::Result<PathBuf> {
    let image = container.join(IMAGE);
    wait_until_free(&image)?;
    mend(&image)?;
    Ok(image)
}

/// Whether a file of this name is one that a server before us did not finish.
pub(super) fn is_left_over(name: &str) -> bool {
    name.starts_with(PART) && !name.starts_with(&part_prefix())
}

fn part_prefix() -> String {
    format!("{PART}{}-", std::process::id())
}

fn program(name: &str) -> Option<PathBuf> {
    PROGRAMS
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}

/// Waits until no loop device has the image: a kernel may take its time after the last process.
fn wait_until_free(image: &Path) -> io::Result<()> {
    let image = fs::canonicalize(image)?;
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    while is_attached(&image)? {
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "the disk image is still in use",
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn is_attached(image: &Path) -> io::Result<bool> {
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b"loop") {
            continue;
        }
        let backing = fs::read_to_string(entry.path().join("loop/backing_file"));
        if backing.is_ok_and(|backing| Path::new(backing.trim_end()) == image) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks an image that was not unmounted, as after a crash of the machine, or in which the kernel has met errors.
fn mend(image: &Path) -> io::Result<()> {
    let mut state = [0];
    let mut file = File::open(image)?;
    file.seek(SeekFrom::Start(STATE_OFFSET))?;
    file.read_exact(&mut state)?;
    let [state] = state;
    if state & STATE_CLEAN != 0 && state & STATE_ERRORS == 0 {
        return Ok(());
    }
    let path = image.display();
    let Some(check) = program("e2fsck") else {
        tracing::warn!(image = %path, "a container's disk may have errors, and `e2fsck` is not installed to mend them");
        return Ok(());
    };
    let checked = Command::new(check)
        .args(["-f", "-y"])
        .arg(image)
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    match checked.status.code() {
        Some(0) => {}
        // Mistakes were there, and are mended.
        Some(1) => {
            tracing::warn!(image = %path, "a container's disk was mended: it had errors, or was not unmounted, and what was written last may be lost");
        }
        Some(_) | None => {
            tracing::warn!(image = %path, "a container's disk could not be mended in full");
        }
    }
    Ok(())
}

/// In the sandbox's first process: puts the image behind a free loop device.
pub(super) fn attach(image: &Path) -> io::Result<(i32, File)> {
    let image = File::options().read(true).write(true).open(image)?;
    let control = File::options()
        .read(true)
        .write(true)
        .open("/dev/loop-control")?;
    for _ in 0..LOOP_TRIES {
        let number = sys::free_loop(&control)?;
        let device = File::options()
            .read(true)
            .write(true)
            .open(format!("/dev/loop{number}"))?;
        match sys::configure_loop(&device, &image) {
            Ok(()) => return Ok((number, device)),
            // Somebody else was faster.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

/// In the sandbox's first process: mounts the device, attached to nothing yet.
pub(super) fn mount(number: i32, attributes: sys::MountAttrFlags) -> io::Result<OwnedFd> {
    sys::mount_detached(
        c"ext4",
        &format!("/dev/loop{number}"),
        // Blocks of deleted files go back to the machine.
        &[c"discard"],
        attributes,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_in_which_the_kernel_met_errors_is_mended_although_it_was_unmounted() {
        let programs = ["mkfs.ext4", "e2fsck", "debugfs"].map(program);
        let [Some(mkfs), Some(_), Some(debugfs)] = programs else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let disks = Disks {
            folder: folder.path().to_owned(),
            mkfs,
        };
        let state = |image: &Path| fs::read(image).unwrap()[usize::try_from(STATE_OFFSET).unwrap()];
        let image = disks.make(folder.path(), 16 << 20).unwrap();
        assert_eq!(state(&image), STATE_CLEAN);
        for before in [STATE_CLEAN | STATE_ERRORS, STATE_ERRORS, 0] {
            // With the checksum, as the kernel writes it.
            let write = format!("ssv state {before}");
            let debugfs = Command::new(&debugfs)
                .args(["-w", "-R", &write])
                .arg(&image)
                .output()
                .unwrap();
            assert_eq!(state(&image), before, "{debugfs:?}");
            mend(&image).unwrap();
            assert_eq!(state(&image), STATE_CLEAN, "{before}");
        }
    }
}
