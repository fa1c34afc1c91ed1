//! Numbers of things, in messages.

use std::fmt::{self, Display, Formatter};

/// So many things of a name: `1 chunk`, `2 chunks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted(pub usize, pub &'static str);

impl Display for Counted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counted(number, name) = self;
        write!(f, "{number} {name}{}", if *number == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| Counted(n, "chunk").to_string()), ["0 chunks", "1 chunk", "2 chunks"]);
    }
}
