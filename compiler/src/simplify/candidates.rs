//! The ops that classes can take.

#![expect(clippy::indexing_slicing, reason = "places are of the list that is gone through")]

/// The choice that every class takes.
pub(super) type Plan = Vec<usize>;

/// A choice, with its time.
pub(super) struct Candidate<'e> {
    pub(super) choice: usize,
    pub(super) children: &'e [usize],
    pub(super) nanoseconds: f64,
}

/// Drops, but for the first, what reads all that a cheaper op reads: no plan is better for it.
pub(super) fn drop_dominated(candidates: &mut Vec<Candidate<'_>>) {
    let beats = |a: &Candidate<'_>, b: &Candidate<'_>| {
        a.nanoseconds <= b.nanoseconds && a.children.iter().all(|c| b.children.contains(c))
    };
    let mut k = 1;
    while k < candidates.len() {
        let beaten = (0..candidates.len()).any(|j| {
            let (a, b) = (&candidates[j], &candidates[k]);
            j != k && beats(a, b) && (j < k || !beats(b, a))
        });
        if beaten {
            candidates.remove(k);
        } else {
            k += 1;
        }
    }
}
