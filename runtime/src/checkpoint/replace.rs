//! Files that are written whole or not at all.
//!
//! A process that is killed while it writes leaves a temporary file. Whoever writes one holds a lock on it, which ends with
//! the process: the next that writes into the folder removes those that nobody holds.

use std::ffi::OsStr;
use std::fs::{self, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts these bytes in the place of a file: into a temporary file of the same folder, flushed to the disk, then renamed.
/// Where that fails, the old file stays as it was. A link is followed; a device or a pipe is written to.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, bytes);
    }
    let linked = fs::canonicalize(path);
    let path = linked.as_deref().unwrap_or(path);
    let mut file = temporary(path)?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The file is there; whether the folder can be flushed as well depends on the file system.
    #[cfg(unix)]
    let _ = fs::File::open(folder(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Tries whether [`replace`] can write there, and leaves what is there as it is. Devices and pipes are not tried.
pub fn probe(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => return Ok(()),
        Ok(_) | Err(_) => {}
    }
    let linked = fs::canonicalize(path);
    temporary(linked.as_deref().unwrap_or(path)).map(drop)
}

/// How names of temporary files begin and end; between are [`RANDOM`] letters and digits.
const AFFIXES: (&str, &str) = (".schur-", ".tmp");

/// How many letters and digits of a temporary file's name are random.
const RANDOM: usize = 6;

/// A locked file beside `path`, which others may read as any file; it is removed where it is not kept. Files of the folder
/// that processes left which were killed are removed before.
fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    remove_abandoned(folder(path));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(AFFIXES.0).suffix(AFFIXES.1).rand_bytes(RANDOM);
    loop {
        let file = builder.tempfile_in(folder(path)).map_err(without_path)?;
        // Until it is locked, another process can take it for one that is left, lock it and remove it. Where a file system
        // knows no locks, nobody can.
        let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !taken && file.path().exists() {
            return Ok(file);
        }
    }
}

/// An error of the system without the temporary file's name, which says nothing to anyone.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let said = text.split_once(" at path ").map_or(&*text, |(said, _)| said);
    io::Error::new(error.kind(), said)
}

/// Removes the temporary files that no process holds. Each has a name that no other ever gets, so that what is removed is
/// what was locked, even where its owner has given it another name meanwhile. What cannot be removed is left.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let plain = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    for path in plain.filter(|entry| is_temporary(&entry.file_name())).map(|entry| entry.path()) {
        let Ok(file) = fs::File::open(&path) else { continue };
        match file.try_lock() {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

/// True for the names that [`temporary`] gives.
fn is_temporary(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(AFFIXES.0)?.strip_suffix(AFFIXES.1));
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The folder that a file is in, or would be.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let others = [".schur-notes.tmp", ".schur-Ab3dEf", "Ab3dEf.tmp", ".schur-Ab3d_f.tmp"];
        for name in others.iter().chain(&[".schur-Ab3dEf.tmp", ".schur-000000.tmp"]) {
            fs::write(path(name), "half").unwrap();
        }
        fs::create_dir(path(".schur-folder.tmp")).unwrap();
        symlink("file", path(".schur-linked.tmp")).unwrap();
        let held = temporary(&path("file")).unwrap();
        let held_name = held.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(is_temporary(OsStr::new(&held_name)), "{held_name}");
        fs::write(path(".schur-Ab3dEf.tmp"), "half").unwrap();
        replace(&path("file"), b"text").unwrap();
        let kept = [&others[..], &["file", &held_name, ".schur-folder.tmp", ".schur-linked.tmp"]].concat();
        let mut kept: Vec<String> = kept.into_iter().map(str::to_owned).collect();
        kept.sort();
        assert_eq!(names(folder.path()), kept);
        held.persist(path("file")).unwrap();
        assert_eq!(fs::read(path("file")).unwrap(), b"", "a file that is held is its owner's to keep");
    }

    #[test]
    fn many_write_to_one_folder_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let texts = [b"a", b"b", b"c", b"d"];
        std::thread::scope(|scope| {
            for text in texts {
                let path = folder.path().join("file");
                scope.spawn(move || (0..100).for_each(|_| replace(&path, &text.repeat(1000)).unwrap()));
            }
        });
        let written = fs::read(folder.path().join("file")).unwrap();
        assert!(texts.iter().any(|text| written == text.repeat(1000)));
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        probe(&link).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"old");
        replace(&link, b"text").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"text");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let device = folder.path().join("device");
        symlink("/dev/null", &device).unwrap();
        replace(&device, b"text").unwrap();
        probe(&device).unwrap();
        assert!(fs::symlink_metadata(&device).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing else is left");
        assert!(probe(folder.path()).is_err());
        let error = probe(&folder.path().join("none/file")).unwrap_err().to_string();
        assert!(error.starts_with("No such file") && !error.contains(".schur-"), "{error}");
    }
}
