//! How much memory there is, so that a request for more is refused before it is tried: where memory is promised freely,
//! the system would kill the process when it is written.

use std::fs;
use std::sync::LazyLock;

/// More memory would be needed than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all values together take {wanted} bytes, where there are {total}")]
pub struct MemoryError {
    /// The bytes that are needed; the end of the range where they are more.
    pub wanted: usize,
    /// The bytes that there are.
    pub total: usize,
}

/// Checks that there is room for so many bytes.
pub fn check(wanted: usize) -> Result<(), MemoryError> {
    let total = total();
    if wanted <= total { Ok(()) } else { Err(MemoryError { wanted, total }) }
}

/// The bytes of memory that this process may use, as far as the system tells: on Linux the machine's, its control group's,
/// or its address space (`ulimit -v`), whichever is least; elsewhere, and where none can be read, all that can be addressed.
pub fn total() -> usize {
    static TOTAL: LazyLock<usize> = LazyLock::new(|| {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine(&text));
        let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
        let space = fs::read_to_string("/proc/self/limits").ok().and_then(|text| address_space(&text));
        machine.into_iter().chain(group).chain(space).min().unwrap_or(isize::MAX as usize)
    });
    *TOTAL
}

/// What `/proc/meminfo` says is there.
fn machine(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What `/proc/self/limits` says may be addressed, where that is limited.
fn address_space(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(machine("MemTotal:       24689764 kB\nMemFree:  1 kB\n"), Some(24_689_764 * 1024));
        assert_eq!(machine("MemFree: 1 kB\n"), None);
        let limits =
            |soft: &str| format!("Limit  Soft Limit  Hard Limit  Units\nMax address space  {soft}  unlimited  bytes\n");
        assert_eq!(address_space(&limits("1073741824")), Some(1 << 30));
        assert_eq!(address_space(&limits("unlimited")), None);
        assert!(total() > 1 << 20);
        assert!(check(1).is_ok() && check(usize::MAX).is_err());
    }
}
