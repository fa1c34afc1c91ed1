//! How much of a kernel one function holds.
//!
//! Most kernels are one function. What Cranelift takes for a function grows with its square: values such as the starts of
//! buffers are followed through all of its blocks, and the parameters of all blocks before are gone through for each. So a
//! kernel of many statements is a function that goes over tiles, and calls one after the other what computes some of the
//! statements for a tile ([decision 12](../../../docs/decisions/0012-sections.md)).

use std::ops::Range;

/// The most statements of a function.
const MOST: usize = 192;

/// What a function does of its kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Kernel,
    /// The loop over tiles, in which so many sections are called.
    Tiles(usize),
    /// A section: some of the statements, for one tile.
    Section(Range<usize>),
}

impl Scope {
    /// The functions of a kernel of so many statements. The first is the one that is called; sections follow in order.
    pub(super) fn of_kernel(statements: usize) -> Vec<Scope> {
        if statements <= MOST {
            return vec![Scope::Kernel];
        }
        let sections = statements.div_ceil(MOST);
        let cut = |k: usize| k * statements / sections;
        let all = (0..sections).map(|k| Scope::Section(cut(k)..cut(k + 1)));
        std::iter::once(Scope::Tiles(sections)).chain(all).collect()
    }

    /// Which of so many statements are emitted in the function.
    pub(super) fn statements(&self, of: usize) -> Range<usize> {
        match self {
            Scope::Kernel => 0..of,
            Scope::Tiles(_) => 0..0,
            Scope::Section(statements) => statements.clone(),
        }
    }

    /// True where the function goes over tiles.
    pub(super) fn goes_over_tiles(&self) -> bool {
        match self {
            Scope::Kernel | Scope::Tiles(_) => true,
            Scope::Section(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_hold_all_statements_in_order() {
        assert_eq!(Scope::of_kernel(0), [Scope::Kernel]);
        assert_eq!(Scope::of_kernel(MOST), [Scope::Kernel]);
        for statements in [MOST + 1, 2 * MOST, 2 * MOST + 1, 6007] {
            let scopes = Scope::of_kernel(statements);
            assert_eq!(scopes[0], Scope::Tiles(scopes.len() - 1));
            let ranges: Vec<_> = scopes.iter().map(|scope| scope.statements(statements)).collect();
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:?}");
            assert!(ranges.iter().skip(1).all(|range| !range.is_empty() && range.len() <= MOST), "{ranges:?}");
            assert_eq!(ranges.last().map(|range| range.end), Some(statements));
        }
    }
}
