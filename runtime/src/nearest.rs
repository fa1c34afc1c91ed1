//! Which known name a wrong one may have been meant to be.

use std::fmt;

/// The closest known name, where one is close. Prints as the end of a message: `; did you mean …`, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest(pub Option<String>);

impl Nearest {
    /// The nearest to `name` among `known`; the first of equally near ones. Only the first thousand names are compared,
    /// and no long ones, as comparing takes time in proportion to the product of the lengths.
    pub fn of<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        const LONG: usize = 200;
        if name.len() > LONG {
            return Nearest(None);
        }
        let known = known.take(1000).filter(|known| known.len() <= LONG);
        let far = name.chars().count() / 2 + 1;
        let near = known.map(|k| (strsim::damerau_levenshtein(name, k), k)).filter(|(distance, _)| *distance < far);
        Nearest(near.min_by_key(|(distance, _)| *distance).map(|(_, k)| k.to_owned()))
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_name_is_proposed() {
        let nearest = |name| Nearest::of(name, ["species", "positions", "x"].into_iter()).to_string();
        assert_eq!(nearest("spceies"), "; did you mean `species`?");
        assert_eq!(nearest("position"), "; did you mean `positions`?");
        assert_eq!(nearest("energy"), "");
        assert_eq!(nearest(""), "");
    }
}
