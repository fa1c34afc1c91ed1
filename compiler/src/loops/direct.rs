//! Cheap maps read and write arrays in memory themselves, without copies before and after them.
//!
//! A function of some chunks is one of an array of its own: `t = x[chunk]`, `s = f(t)`, `y[chunk] = s`. Where `t` and `s` are
//! scratch that nothing else reads, it is `y[chunk] = f(x[chunk])`. Functions that micro-kernels compute stay as they are: these
//! want rows of few elements side by side, as scratch holds them.

#![expect(clippy::indexing_slicing, reason = "places are of the statements and arrays of a kernel")]

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::functions::is_costly;
use super::stmt::Write;
use super::{Access, Array, Kernel, MapStmt, RowAddress, ScratchId, Stmt};

/// Neighbours of a row that are copied as they are.
struct Copied {
    from: Access,
    to: Access,
    count: usize,
}

/// Lets the maps of a kernel read and write what copies would; these are dropped, and scratch that nothing touches any more.
pub(super) fn read_and_write(kernel: &mut Kernel) {
    let mut statements = Statements::new(&mut kernel.body);
    let is_needed: Vec<bool> = (0..statements.body.len()).map(|at| !statements.do_without(at)).collect();
    if is_needed.iter().all(|needed| *needed) {
        return;
    }
    let statements = kernel.body.drain(..).zip(kernel.values.drain(..)).zip(is_needed);
    (kernel.body, kernel.values) = statements.filter(|(_, needed)| *needed).map(|(statement, _)| statement).collect();
    drop_scratch(kernel);
}

/// The statements of a kernel, and which of them touch an array.
struct Statements<'k> {
    body: &'k mut [Stmt],
    touching: HashMap<Array, Vec<usize>>,
}

impl<'k> Statements<'k> {
    fn new(body: &'k mut [Stmt]) -> Self {
        let mut touching: HashMap<Array, Vec<usize>> = HashMap::new();
        for (at, stmt) in body.iter().enumerate() {
            for access in stmt.accesses() {
                let places = touching.entry(access.array).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        Statements { body, touching }
    }

    /// Where a statement copies for maps that can do without, makes these do so.
    fn do_without(&mut self, at: usize) -> bool {
        let copied = copied_by(&self.body[at]);
        copied.is_some_and(|copied| self.read_through(at, &copied) || self.write_through(at, &copied))
    }

    fn touching(&self, array: Array) -> impl Iterator<Item = usize> {
        self.touching.get(&array).into_iter().flatten().copied()
    }

    /// Lets maps read the original, where that is memory which the kernel only reads, and nothing but such maps touches the
    /// copy, which is scratch.
    fn read_through(&mut self, at: usize, copied: &Copied) -> bool {
        let is_of_memory = copied.from.array.memory().is_some() && copied.to.array.memory().is_none();
        let is_read = |k: usize| self.body[k].written().array != copied.from.array;
        if !is_of_memory || !self.touching(copied.from.array).all(is_read) {
            return false;
        }
        let readers: Vec<usize> = self.touching(copied.to.array).filter(|k| *k != at).collect();
        let read = readers.iter().map(|k| originals(&self.body[*k], copied)).collect::<Option<Vec<_>>>();
        let Some(read) = read else { return false };
        for (k, originals) in readers.into_iter().zip(read) {
            if let Stmt::Map(map) = &mut self.body[k] {
                map.operands.iter_mut().zip(originals).for_each(|((access, _), original)| *access = original);
            }
        }
        true
    }

    /// Lets the cheap map that writes what a statement copies write the copy, where nothing else touches the original, and nothing
    /// these places of the copy in between.
    fn write_through(&mut self, at: usize, copied: &Copied) -> bool {
        let mut touching = self.touching(copied.from.array);
        let (Some(writer), Some(reader), None) = (touching.next(), touching.next(), touching.next()) else {
            return false;
        };
        drop(touching);
        if reader != at || copied.from.array.memory().is_some() {
            return false;
        }
        let is_all = |map: &MapStmt| map.out == copied.from && map.count == copied.count && !is_costly(&map.expr);
        let is_between = |k: &usize| (writer..at).contains(k);
        let is_free =
            self.touching(copied.to.array).filter(is_between).all(|k| leaves(&self.body[k], &copied.to, copied.count));
        match &mut self.body[writer] {
            Stmt::Map(map) if is_all(map) && is_free => {
                map.out = copied.to.clone();
                self.touching.entry(copied.to.array).or_default().push(writer);
                true
            }
            Stmt::Map(_) | Stmt::Zero { .. } | Stmt::Nest(_) | Stmt::Max { .. } => false,
        }
    }
}

/// What a statement copies, row by row, if it does nothing else.
fn copied_by(stmt: &Stmt) -> Option<Copied> {
    let Stmt::Nest(nest) = stmt else { return None };
    let ([axis], [from]) = (&*nest.axes, &*nest.factors) else { return None };
    let is_plain = nest.write == Write::Set && nest.coefficient.0 == 1.0 && nest.divisor.is_one();
    let are_rows = nest.accesses().all(|access| access.row == RowAddress::Row && *access.segment.strides == [1]);
    (is_plain && are_rows).then(|| Copied { from: from.clone(), to: nest.out.clone(), count: axis.size })
}

/// What the operands of a cheap map are where it reads the original for the copy; none of a statement that cannot.
fn originals(stmt: &Stmt, copied: &Copied) -> Option<Vec<Access>> {
    let Stmt::Map(map) = stmt else { return None };
    let of_copy = |access: &Access| access.array == copied.to.array;
    let read = |access: &Access| if of_copy(access) { original(map, access, copied) } else { Some(access.clone()) };
    let operands = map.operands.iter().map(|(access, _)| read(access));
    if of_copy(&map.out) || is_costly(&map.expr) { None } else { operands.collect() }
}

/// Where a map finds what it reads of a copy in what was copied.
fn original(map: &MapStmt, access: &Access, copied: &Copied) -> Option<Access> {
    let begin = access.segment.offset.checked_sub(copied.to.segment.offset)?;
    let mut original = copied.from.clone();
    original.segment.offset += begin;
    (access.row == RowAddress::Row && begin + map.count <= copied.count).then_some(original)
}

/// True where a statement touches none of these neighbours: at most it writes others of their array.
fn leaves(stmt: &Stmt, neighbours: &Access, count: usize) -> bool {
    let (first, written) = (neighbours.segment.offset, stmt.written());
    let is_apart = |others: RangeInclusive<usize>| *others.end() < first || first + count <= *others.start();
    let reads = stmt.accesses().iter().skip(1).any(|access| access.array == neighbours.array);
    let writes_others = || written.row == RowAddress::Row && stmt.elements(written).is_some_and(is_apart);
    !reads && (written.array != neighbours.array || writes_others())
}

/// Drops the scratch that no statement touches.
fn drop_scratch(kernel: &mut Kernel) {
    let scratch = |access: &Access| match access.array {
        Array::Scratch(id) => Some(id),
        Array::Memory(_) => None,
    };
    let touched: BTreeSet<ScratchId> = kernel.body.iter().flat_map(Stmt::accesses).filter_map(scratch).collect();
    let touched: Vec<ScratchId> = touched.into_iter().collect();
    for access in kernel.body.iter_mut().flat_map(Stmt::accesses_mut) {
        if let Array::Scratch(id) = &mut access.array {
            *id = ScratchId(touched.partition_point(|touched| touched < id) as u32);
        }
    }
    kernel.scratch = touched.iter().map(|id| kernel.scratch[id.0 as usize].clone()).collect();
}

#[cfg(test)]
mod tests {
    use crate::loops::lowered;

    /// The statements of the kernel of a function of the first chunk, beside which the other is copied.
    fn statements(function: &str, more: &str) -> Vec<String> {
        let text = format!(
            r#"graph "chunks"

%0: f32[N] 2x0e+3x1o = input "x"
%1: f32[N] 2x0e = contract %0[0] over [N]
    x0@0(v) -> @0(v) for v=2
%2: f32[N] 2x0e = map {function} of %1[0]
%3: f32[N] 2x0e+3x1o = contract %0[0], %2[0] over [N]
    x1@0(v) -> @0(v) for v=2
    x0@2(v) -> @2(v) for v=9
{more}
output "y" = %3
"#
        );
        let loops = lowered(&text);
        let [kernel] = &*loops.kernels else { panic!("{loops}") };
        assert_eq!(kernel.body.len(), kernel.values.len());
        let is_touched = |id: usize| loops.to_string().contains(&format!("t{id}[row]"));
        assert!((0..kernel.scratch.len()).all(is_touched), "{loops}");
        kernel.body.iter().map(|stmt| stmt.to_string().trim().to_owned()).collect()
    }

    #[test]
    fn what_is_cheap_goes_from_array_to_array() {
        let others = "m1[row][2 + v] = m0[row][2 + v]  for v<9";
        assert_eq!(statements("abs(x0)", ""), ["m1[row][k] = abs(x0) where x0 = m0[row][k]", others]);
        // A function of a micro-kernel.
        assert_eq!(statements("tanh(x0)", "").len(), 4);
    }

    #[test]
    fn what_others_read_stays() {
        let product = "%4: f32[N] 2x0e = contract %2[0], %2[0] over [N]\n    x0@0(v) x1@0(v) -> @0(v) for v=2\n\noutput \"z\" = %4";
        let found = statements("abs(x0)", product);
        assert_eq!(found.first().map(String::as_str), Some("t0[row][k] = abs(x0) where x0 = m0[row][k]"), "{found:?}");
        assert!(found.contains(&"m2[row][v] = t0[row][v]  for v<2".to_owned()), "{found:?}");
    }
}
