//! The named arrays of a call, matched with the slots of the program.

use std::sync::Arc;

use indexmap::{Equivalent, IndexSet};

use crate::argument::{ArgumentError, Fault, Role};
use crate::nearest::Nearest;

/// The names of a program's slots, in order, and the slot of every array of the last call.
#[derive(Debug)]
pub(crate) struct Slots {
    names: IndexSet<(Role, Arc<str>)>,
    matched: Vec<usize>,
}

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
        Ok(Slots { names, matched: Vec::new() })
    }

    /// Finds the slot of every given array; each slot must be given exactly once.
    pub(crate) fn match_all<'a>(&mut self, given: impl Iterator<Item = (Role, &'a str)>) -> Result<(), ArgumentError> {
        let error = |role, name: &str, fault| Err(ArgumentError { role, name: name.to_owned(), fault });
        self.matched.clear();
        for (role, name) in given {
            match self.names.get_index_of(&Key(role, name)) {
                None => {
                    let known = self.names.iter().filter(|(r, _)| *r == role).map(|(_, name)| &**name);
                    return error(role, name, Fault::Unknown(Nearest::of(name, known)));
                }
                Some(slot) if self.matched.contains(&slot) => return error(role, name, Fault::Twice),
                Some(slot) => self.matched.push(slot),
            }
        }
        let lacking = (0..self.names.len()).find(|slot| !self.matched.contains(slot));
        match lacking.and_then(|slot| self.names.get_index(slot)) {
            Some((role, name)) => error(*role, name, Fault::Missing),
            None => Ok(()),
        }
    }

    /// Every slot is given by itself.
    pub(crate) fn match_in_order(&mut self) {
        self.matched.clear();
        self.matched.extend(0..self.names.len());
    }

    /// The slot of every array that was given, in their order.
    pub(crate) fn matched(&self) -> &[usize] {
        &self.matched
    }
}
