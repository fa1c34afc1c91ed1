//! Memory of its own for what is large, on huge pages.
//!
//! A machine keeps the places of some thousand pages at hand. Of 4 KiB each, these are fewer than the arrays of a large call have, and a
//! core waits for the table of pages over and over, in a virtual machine for two of them.

use std::ops::{Deref, DerefMut, Range};

use memmap2::{MmapMut, MmapOptions};

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Bytes that begin a huge page, in a map of their own.
pub(crate) struct Pages {
    map: MmapMut,
    bytes: Range<usize>,
}

impl Pages {
    /// Fewer bytes are left to the allocator.
    pub(crate) const LEAST: usize = 2 * HUGE;

    /// Zeros; `None` where they do not fit in memory.
    pub(crate) fn zeros(len: usize) -> Option<Self> {
        let map = MmapOptions::new().len(len.checked_add(HUGE)?).map_anon().ok()?;
        let first = map.as_ptr().align_offset(HUGE).min(HUGE);
        // On a system without huge pages the map is as good as any.
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(memmap2::Advice::HugePage, first, len / HUGE * HUGE);
        Some(Pages { map, bytes: first..first + len })
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.get(self.bytes.clone()).unwrap_or_default()
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.map.get_mut(self.bytes.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_a_huge_page() {
        let mut pages = Pages::zeros(Pages::LEAST + 1).unwrap();
        assert!(pages.as_ptr().addr().is_multiple_of(HUGE));
        assert_eq!((pages.len(), pages.iter().position(|byte| *byte != 0)), (Pages::LEAST + 1, None));
        pages.fill(1);
        assert!(pages.iter().all(|byte| *byte == 1));
    }

    #[test]
    fn what_does_not_fit_is_not_made() {
        assert!(Pages::zeros(usize::MAX).is_none() && Pages::zeros(usize::MAX / 4).is_none());
    }
}
