//! The named arrays of a call, matched with the slots of the program.

use std::sync::Arc;

use indexmap::{Equivalent, IndexSet};

use crate::argument::{ArgumentError, Fault, Role};
use crate::nearest::Nearest;

/// The names of a program's slots, in order.
#[derive(Debug)]
pub(crate) struct Slots {
    names: IndexSet<(Role, Arc<str>)>,
}

/// The slot of every array of a call, in the order in which they are given.
#[derive(Debug, Default)]
pub(crate) struct Matched(Vec<usize>);

/// A borrowed name; hashes as the owned one does.
#[derive(Hash)]
struct Key<'a>(Role, &'a str);

impl Equivalent<(Role, Arc<str>)> for Key<'_> {
    fn equivalent(&self, key: &(Role, Arc<str>)) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl Slots {
    /// The slots of these names; the first name that stands twice is the error.
    pub(crate) fn new(all: impl Iterator<Item = (Role, Arc<str>)>) -> Result<Self, Arc<str>> {
        let mut names = IndexSet::new();
        for (role, name) in all {
            if !names.insert((role, name.clone())) {
                return Err(name);
            }
        }
        Ok(Slots { names })
    }

    /// Finds the slot of every given array; each slot must be given exactly once. True where they are as they were.
    pub(crate) fn match_all<'a>(
        &self,
        given: impl Iterator<Item = (Role, &'a str)> + Clone,
        matched: &mut Matched,
    ) -> Result<bool, ArgumentError> {
        if self.are_as_before(given.clone(), matched) {
            return Ok(true);
        }
        let error = |role, name: &str, fault| Err(ArgumentError { role, name: name.to_owned(), fault });
        let Matched(matched) = matched;
        matched.clear();
        for (role, name) in given {
            match self.names.get_index_of(&Key(role, name)) {
                None => {
                    matched.clear();
                    let known = self.names.iter().filter(|(r, _)| *r == role).map(|(_, name)| &**name);
                    return error(role, name, Fault::Unknown(Nearest::of(name, known)));
                }
                Some(slot) if matched.contains(&slot) => {
                    matched.clear();
                    return error(role, name, Fault::Twice);
                }
                Some(slot) => matched.push(slot),
            }
        }
        let lacking = (0..self.names.len()).find(|slot| !matched.contains(slot));
        match lacking.and_then(|slot| self.names.get_index(slot)) {
            Some((role, name)) => error(*role, name, Fault::Missing),
            None => Ok(false),
        }
    }

    /// True where the last call was given all slots, in this order.
    fn are_as_before<'a>(&self, given: impl Iterator<Item = (Role, &'a str)>, matched: &Matched) -> bool {
        let mut known = matched.0.iter().filter_map(|slot| self.names.get_index(*slot));
        let mut all = given.map(|given| known.next().is_some_and(|(role, name)| (*role, &**name) == given));
        matched.0.len() == self.names.len() && all.all(|same| same) && known.next().is_none()
    }

    /// Every slot is given by itself.
    pub(crate) fn match_in_order(&self, matched: &mut Matched) {
        matched.0.clear();
        matched.0.extend(0..self.names.len());
    }
}

impl Matched {
    /// The slots.
    pub(crate) fn slots(&self) -> &[usize] {
        &self.0
    }
}
