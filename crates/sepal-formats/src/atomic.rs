//! Writing a file so that it is complete or absent.
//!
//! Every file the project writes goes through [`write()`]: to a temporary beside the target, flushed to the disk, then
//! renamed over it. A reader, or the next run after a crash, sees the old file or the new one and nothing between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{FormatError, Result};

/// Temporaries tried before giving up; more than this many unfinished writes of one file is a fault elsewhere.
const ATTEMPTS: u32 = 100;
/// A temporary younger than this may belong to a writer that has not locked it yet.
const SETTLED: Duration = Duration::from_secs(60);

/// Writes the file at `path` by calling `fill` with a buffered writer.
///
/// Until this returns, the file that stood at `path` before is untouched; afterwards the new one is complete and on
/// the disk. A symbolic link is followed, and its target replaced. What is not a regular file (a terminal, a pipe,
/// `/dev/null`) cannot be replaced and is written to directly. The folder must exist.
///
/// # Errors
/// [`FormatError::Write`] names the path and the cause (disk full, no such folder, no permission, or the error that
/// `fill` returned). The temporary has then been removed and the old file is intact.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("recipe.toml");
/// sepal_formats::atomic::write(&path, |w| writeln!(w, "epochs = 10"))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "epochs = 10\n");
/// # Ok(())
/// # }
/// ```
pub fn write(path: impl AsRef<Path>, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let path = path.as_ref();
    write_inner(path, fill).map_err(|source| FormatError::Write { file: path.display().to_string(), source })
}

fn write_inner(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let old = fs::metadata(path).ok();
    let target = match &old {
        Some(m) if m.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Some(m) if !m.is_file() => {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            fill(&mut out)?;
            return out.flush();
        }
        Some(_) => fs::canonicalize(path)?,
        None => path.to_owned(),
    };
    let (temporary, file) = Temporary::create(&target)?;
    if let Some(old) = old {
        // A file made readable for a group stays so. Not every file system has permissions, so failing is fine.
        let _ = file.set_permissions(old.permissions());
    }
    let mut out = BufWriter::with_capacity(1 << 18, file);
    fill(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    temporary.rename(&target)?;
    sync_folder(&target);
    Ok(())
}

/// The temporary's path; removes it on drop unless it was renamed.
struct Temporary {
    path: PathBuf,
    done: bool,
}

impl Temporary {
    fn create(target: &Path) -> io::Result<(Self, File)> {
        let name =
            target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))?;
        for attempt in 0..ATTEMPTS {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{attempt}.tmp"));
            let path = target.with_file_name(temporary);
            if is_abandoned(&path) {
                let _ = fs::remove_file(&path);
            }
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    // Tells other writers that this one is alive; where locks do not exist, temporaries of killed
                    // writers merely stay.
                    let _ = file.try_lock();
                    return Ok((Self { path, done: false }, file));
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(match target.parent() {
                        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => io::Error::new(
                            io::ErrorKind::NotFound,
                            format!("the folder {} does not exist", folder.display()),
                        ),
                        _ => e,
                    });
                }
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{ATTEMPTS} unfinished copies of it (named .*.tmp) lie beside it"),
        ))
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether `path` is a temporary whose writer was killed: old enough to have been locked, and not locked.
fn is_abandoned(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let age = file.metadata().and_then(|m| m.modified()).map(|t| t.elapsed());
    matches!(age, Ok(Ok(age)) if age >= SETTLED) && file.try_lock().is_ok()
}

/// Makes the rename itself durable. Some file systems refuse to sync a folder; the file's content is safe regardless.
fn sync_folder(target: &Path) {
    #[cfg(unix)]
    {
        let folder = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
    }
    #[cfg(not(unix))]
    let _ = target;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        for text in ["one", "two, longer", "3"] {
            write(&path, |w| w.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(dir.path()), ["a.csv"]);
    }

    #[test]
    fn a_failure_keeps_the_old_file_and_names_path_and_cause() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.safetensors");
        write(&path, |w| w.write_all(b"old")).unwrap();
        let error = write(&path, |w| {
            w.write_all(&[7; 1 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("last.safetensors") && text.contains("no storage space"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["last.safetensors"]);
    }

    #[test]
    fn missing_folder_and_folder_as_target_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere").join("a.csv");
        let text = write(&path, |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("nowhere does not exist"), "{text}");
        let text = write(dir.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(text.contains("directory"), "{text}");
    }

    #[test]
    fn two_writers_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, |outer| {
            outer.write_all(b"outer")?;
            write(&path, |inner| inner.write_all(b"inner")).map_err(io::Error::other)
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared_and_what_a_live_one_holds_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let old = std::time::SystemTime::now() - 2 * SETTLED;
        let left = File::create(dir.path().join(".a.0.tmp")).unwrap();
        left.set_modified(old).unwrap();
        let held = File::create(dir.path().join(".a.1.tmp")).unwrap();
        held.set_modified(old).unwrap();
        held.try_lock().unwrap();
        write(&path, |w| {
            w.write_all(b"new")?;
            write(&path, |w| w.write_all(b"inner")).map_err(io::Error::other)
        })
        .unwrap();
        assert_eq!(names(dir.path()), [".a.1.tmp", "a"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_devices_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write("/dev/null", |w| w.write_all(b"x")).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error() {
        let text = write("/dev/full", |w| w.write_all(b"x")).unwrap_err().to_string();
        assert!(text.contains("/dev/full") && text.contains("space"), "{text}");
    }
}
