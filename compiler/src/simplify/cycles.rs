//! Walks through classes and what they read, and the cycles in them.
//!
//! Classes that read one another, by whichever of their ops, are a component. A cycle never leaves its component, so a class
//! that is alone in its own closes none, and what a plan changes is followed inside of components only.

#![expect(clippy::indexing_slicing, reason = "classes are numbered by the extraction that the lists are made for")]

/// The components of classes, and the walk that looks for cycles in them.
pub(super) struct Cycles {
    /// The component of every class; none where it is alone.
    components: Vec<Option<usize>>,
    /// All classes, those that one can read before it, but for cycles.
    pub(super) order: Vec<usize>,
    walk: Walk,
}

impl Cycles {
    /// Of classes that can read the given ones, and be read by the others.
    pub(super) fn new(children: &[Vec<usize>], readers: &[Vec<usize>]) -> Cycles {
        let mut walk = Walk::new(children.len());
        for class in 0..children.len() {
            walk.from(class, |class| &children[class], |_| true);
        }
        // Of those that read a class, directly or not, what is left when classes are taken readers first is its component.
        let mut components = vec![None; children.len()];
        let (order, mut back) = (walk.done, Walk::new(children.len()));
        for class in order.iter().rev() {
            let from = back.done.len();
            back.from(*class, |class| &readers[class], |_| true);
            if let members @ [_, _, ..] = &back.done[from..] {
                members.iter().for_each(|member| components[*member] = Some(*class));
            }
        }
        Cycles { components, order, walk: Walk::new(children.len()) }
    }

    /// True where a cycle goes through one of the classes or through what these read of their component.
    pub(super) fn hold<'c>(
        &mut self,
        mut classes: impl Iterator<Item = usize>,
        children: impl Fn(usize) -> &'c [usize],
    ) -> bool {
        let Cycles { components, walk, .. } = self;
        walk.begin();
        classes.any(|class| {
            components[class].is_some_and(|own| !walk.from(class, &children, |child| components[child] == Some(own)))
        })
    }
}

/// For every class those that can read it, from what they read.
pub(super) fn readers(children: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); children.len()];
    for (class, reads) in children.iter().enumerate() {
        reads.iter().for_each(|child| readers[*child].push(class));
    }
    readers
}

/// A walk through classes and what they read by a plan.
#[derive(Default)]
pub(super) struct Walk {
    marks: Vec<Mark>,
    stack: Vec<(usize, usize)>,
    /// The classes that were visited, operands before their readers where no cycle is.
    pub(super) done: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    /// It is on the way to where the walk is.
    Open,
    Done,
    /// It reaches a cycle.
    Cyclic,
}

impl Walk {
    pub(super) fn new(classes: usize) -> Walk {
        Walk { marks: vec![Mark::New; classes], ..Walk::default() }
    }

    /// Forgets what was visited.
    fn begin(&mut self) {
        self.done.drain(..).for_each(|class| self.marks[class] = Mark::New);
    }

    /// Walks on from a class, to those that are `inside`; false where it reaches a cycle.
    pub(super) fn from<'c>(
        &mut self,
        root: usize,
        children: impl Fn(usize) -> &'c [usize],
        inside: impl Fn(usize) -> bool,
    ) -> bool {
        if self.marks[root] == Mark::New {
            self.marks[root] = Mark::Open;
            self.stack.push((root, 0));
        }
        while let Some((class, next)) = self.stack.pop() {
            let Some(child) = children(class).get(next) else {
                if self.marks[class] == Mark::Open {
                    self.marks[class] = Mark::Done;
                }
                self.done.push(class);
                continue;
            };
            match self.marks[*child] {
                Mark::New if inside(*child) => {
                    // The class looks at this child again when it is done.
                    self.marks[*child] = Mark::Open;
                    self.stack.extend([(class, next), (*child, 0)]);
                }
                Mark::Open | Mark::Cyclic => {
                    self.marks[class] = Mark::Cyclic;
                    self.stack.push((class, next + 1));
                }
                Mark::New | Mark::Done => self.stack.push((class, next + 1)),
            }
        }
        self.marks[root] == Mark::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_read_one_another_are_a_component() {
        // 0 reads 1, which reads 2 and 3; 2 reads 1 or 3; 4 reads 0 and 5; 5 and 6 read one another.
        let children = [vec![1], vec![2, 3], vec![1, 3], vec![], vec![0, 5], vec![6], vec![5]].to_vec();
        let mut cycles = Cycles::new(&children, &readers(&children));
        let alone: Vec<bool> = cycles.components.iter().map(Option::is_none).collect();
        assert_eq!(alone, [true, false, false, true, true, false, false]);
        assert_eq!(cycles.components[1], cycles.components[2]);
        assert_ne!(cycles.components[1], cycles.components[5]);
        let place = |class| cycles.order.iter().position(|of| *of == class);
        assert!(place(3) < place(1) && place(1) < place(0) && place(0) < place(4) && place(5) < place(4));

        let without: [&[usize]; 7] = [&[1], &[2, 3], &[3], &[], &[0, 5], &[6], &[]];
        let with: [&[usize]; 7] = [&[1], &[2, 3], &[1], &[], &[0, 5], &[6], &[5]];
        for _ in 0..2 {
            assert!(!cycles.hold(0..7, |class| without[class]));
            assert!(cycles.hold([2].into_iter(), |class| with[class]));
            assert!(cycles.hold([3, 6].into_iter(), |class| with[class]));
            assert!(!cycles.hold([0, 3, 4].into_iter(), |class| with[class]), "they are alone");
        }
    }
}
