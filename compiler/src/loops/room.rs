//! Room for values that live for a while: each takes the first place that is wide enough and free while it lives.

use std::collections::{BTreeMap, BTreeSet};

/// An array of unlimited width in which values come and go.
#[derive(Default)]
pub(super) struct Room {
    /// What was taken so far is below.
    end: usize,
    /// Free places below, by where they start, with their ends. None touches another one or `end`.
    free: BTreeMap<usize, usize>,
    /// Where the free places of every width start.
    by_width: BTreeMap<usize, BTreeSet<usize>>,
    /// Until when each value lives, and the place that it takes.
    taken: BTreeSet<(usize, usize, usize)>,
}

impl Room {
    /// A place for a value that is made now and read for the `last` time later. Times only grow from call to call.
    pub(super) fn take(&mut self, width: usize, now: usize, last: usize) -> usize {
        while let Some(&(until, start, end)) = self.taken.first()
            && until < now
        {
            self.taken.pop_first();
            self.release(start, end);
        }
        if width == 0 {
            return 0;
        }
        let first = self.by_width.range(width..).filter_map(|(_, starts)| starts.first()).min();
        let start = first.copied().unwrap_or(self.end);
        match self.forget(start) {
            Some(end) => self.keep(start + width, end),
            None => self.end = start + width,
        }
        self.taken.insert((last, start, start + width));
        start
    }

    fn release(&mut self, mut start: usize, mut end: usize) {
        if let Some((&before, _)) = self.free.range(..start).next_back().filter(|(_, end)| **end == start) {
            self.forget(before);
            start = before;
        }
        end = self.forget(end).unwrap_or(end);
        if end == self.end { self.end = start } else { self.keep(start, end) }
    }

    /// Keeps a free place, if it is one.
    fn keep(&mut self, start: usize, end: usize) {
        if start < end {
            self.free.insert(start, end);
            self.by_width.entry(end - start).or_default().insert(start);
        }
    }

    /// The end of the free place that starts there, which is none any more.
    fn forget(&mut self, start: usize) -> Option<usize> {
        let end = self.free.remove(&start)?;
        if let Some(starts) = self.by_width.get_mut(&(end - start)) {
            starts.remove(&start);
            if starts.is_empty() {
                self.by_width.remove(&(end - start));
            }
        }
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::Room;

    /// The place by comparing with all that live.
    fn first_fit(live: &[(usize, usize)], width: usize) -> usize {
        let mut live = live.to_vec();
        live.sort_unstable();
        live.iter().fold(0, |at, &(start, end)| if at + width <= start { at } else { at.max(end) })
    }

    proptest! {
        /// Values of these widths, each with how many of the next read it.
        #[test]
        fn values_take_the_first_place_that_is_free(
            values in vec((0usize..7, prop_oneof![1 => 0usize..150, 2 => 0usize..8]), 300),
        ) {
            let (mut room, mut placed) = (Room::default(), Vec::new());
            for (now, (width, life)) in values.into_iter().enumerate() {
                placed.retain(|(until, _)| *until >= now);
                let live: Vec<(usize, usize)> = placed.iter().map(|(_, place)| *place).collect();
                let start = room.take(width, now, now + life);
                prop_assert_eq!(start, first_fit(&live, width), "{} at {} beside {:?}", width, now, live);
                placed.push((now + life, (start, start + width)));
            }
        }
    }
}
