//! The memory of temporaries, partial sums and scratch, or of what is prepared: one allocation that calls share, and that
//! only grows.

#![expect(clippy::indexing_slicing, reason = "lengths were reserved; what is wrong here must not be called")]

use schur_ir::micro::LINE;

use crate::aligned::Aligned;

/// What every piece is aligned to.
pub(crate) const ALIGN: usize = LINE;

/// Memory that is cut in aligned pieces, at every call anew, and of equal sizes in the same way.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    bytes: Aligned<u8>,
}

/// What is left of an [`Arena`] to cut pieces from.
pub(crate) struct Rest<'a>(&'a mut [u8]);

/// The bytes that a piece of `len` takes; `None` where that overflows.
pub(crate) fn piece(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(ALIGN)
}

impl Arena {
    /// Makes room for pieces of `total` bytes in all; false where there is no memory. What was there is lost.
    pub(crate) fn reserve(&mut self, total: usize) -> bool {
        if self.is_enough(total) {
            return true;
        }
        // The old memory is freed first, so that both are never held at once.
        self.bytes = Aligned::default();
        Aligned::zeros(total.max(1)).map(|bytes| self.bytes = bytes).is_some()
    }

    /// True where pieces of `total` bytes in all fit, so that [`reserve`](Self::reserve) keeps what is there.
    pub(crate) fn is_enough(&self, total: usize) -> bool {
        // Empty pieces have an address too.
        total.max(1) <= self.bytes.len()
    }

    /// All of the memory, to be cut.
    pub(crate) fn rest(&mut self) -> Rest<'_> {
        Rest(&mut self.bytes)
    }

    #[cfg(test)]
    pub(crate) fn address(&self) -> *const u8 {
        self.bytes.as_ptr()
    }
}

impl<'a> Rest<'a> {
    /// Cuts a piece off, aligned to [`ALIGN`] even where it is empty.
    ///
    /// # Panics
    /// Where less is left than [`Arena::reserve`] was asked for.
    pub(crate) fn cut(&mut self, len: usize) -> &'a mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(len.next_multiple_of(ALIGN));
        self.0 = rest;
        &mut taken[..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_and_apart() {
        let mut arena = Arena::default();
        assert!(arena.reserve(64 + 128));
        let mut rest = arena.rest();
        let pieces = [rest.cut(1), rest.cut(0), rest.cut(65), rest.cut(0)];
        assert!(pieces.iter().all(|piece| piece.as_ptr().addr().is_multiple_of(ALIGN)));
        assert_eq!(pieces[2].as_ptr().addr() - pieces[0].as_ptr().addr(), 64);
    }

    #[test]
    fn memory_is_kept_while_it_is_enough() {
        let mut arena = Arena::default();
        assert!(arena.reserve(1000));
        let address = arena.address();
        assert!(arena.reserve(10) && arena.reserve(1000));
        assert_eq!(arena.address(), address);
        assert!(!arena.reserve(usize::MAX) && !arena.reserve(isize::MAX as usize));
        assert!(arena.reserve(10));
    }
}
