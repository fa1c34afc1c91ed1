//! Machine code in a folder, for the next process that compiles the same program.
//!
//! A file holds the functions of a program. What code a function has is found by its [key](key::Key) alone: the hash of all
//! that its code depends on. The name of a file only tells where to look: programs that look alike share one, which then
//! holds the functions of the last that was compiled. Files are written whole or not at all, so that any number of
//! processes may share a folder; what is no such file, or one that was damaged, is passed over and written again. Nothing
//! removes files.
//!
//! Whoever may write to the folder decides what runs: hashes tell files that are damaged, not files that are forged.

mod format;
mod key;

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{MachineCode, Target};
use crate::loops::Loops;

pub(super) use key::{Key, Keys};

/// The most bytes of a file: larger ones are neither written nor read.
const MOST_BYTES: usize = 1 << 28;

/// A folder of machine code, which programs are compiled from and into. Clones are the same.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Why a file was not written, the first time.
    failure: OnceLock<CacheError>,
}

/// Why a folder does not serve as a cache.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} the cache of code {}: {source}", folder.display())]
pub struct CacheError {
    /// The folder.
    pub folder: PathBuf,
    /// What could not be done with it.
    what: &'static str,
    /// What the system says.
    pub source: io::Error,
}

impl Cache {
    /// A folder as a cache. It is made where it is not there, for its owner alone. One that every user of the machine may
    /// write to is refused, since it could hold anyone's code.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let folder = folder.into();
        match prepare(&folder) {
            Ok(folder) => Ok(Cache(Arc::new(Shared { folder, failure: OnceLock::new() }))),
            Err(source) => Err(CacheError { folder, what: "use", source }),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Why code was not written to the folder, the first time that it was not. It was compiled all the same.
    pub fn failure(&self) -> Option<&CacheError> {
        self.0.failure.get()
    }

    /// What there is for a program.
    pub(super) fn of_program(&self, loops: &Loops, target: &Target) -> Stored<'_> {
        let name = Key::of_program(loops, target);
        let path = self.0.folder.join(name.to_string());
        let functions = read(&path).ok().and_then(|bytes| format::decode(&bytes, name));
        Stored { cache: self, name, path, functions: functions.unwrap_or_default() }
    }
}

/// The functions that were found for a program, and where those that it has are kept.
pub(super) struct Stored<'a> {
    cache: &'a Cache,
    name: Key,
    path: PathBuf,
    functions: HashMap<Key, MachineCode>,
}

impl Stored<'_> {
    /// The code of a function that calls so many sections, where it is there.
    pub(super) fn find(&self, key: Key, sections: usize) -> Option<MachineCode> {
        let found = self.functions.get(&key)?;
        found.calls.iter().all(|call| (call.section as usize) < sections).then(|| found.clone())
    }

    /// Writes the functions of the program, for others to find.
    pub(super) fn keep(&self, functions: &[(Key, &MachineCode)]) {
        let bytes = format::encode(self.name, functions).filter(|bytes| bytes.len() <= MOST_BYTES);
        let Some(bytes) = bytes else { return };
        if let Err(source) = write(&self.path, self.cache.folder(), &bytes) {
            let folder = self.cache.folder().to_owned();
            let _ = self.cache.0.failure.set(CacheError { folder, what: "write to", source });
        }
    }
}

/// Makes a folder that is not there, refuses one that could hold anyone's code, and says where it is, whatever folder the
/// process is in later.
fn prepare(folder: &Path) -> io::Result<PathBuf> {
    if !folder.is_dir() {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(folder)?;
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder)?.permissions()) & 0o002 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "every user may write to it, and so decide what runs",
        ));
    }
    std::path::absolute(folder)
}

/// The bytes of a file that may be one of ours.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if !found.is_file() || found.len() > MOST_BYTES as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    fs::read(path)
}

/// Puts a file that its owner alone may read in its place, whole. It need not outlive a failure of the machine: what is cut
/// off is no file of ours.
fn write(path: &Path, folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
