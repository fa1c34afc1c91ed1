//! Elements of arrays in memory that begins at a line of the cache.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::Zeroable;
use bytemuck::allocation::try_zeroed_vec;

/// Bytes of a line of the cache, and of the widest vectors.
pub(crate) const LINE: usize = 64;

/// A fixed number of elements, the first of which begins a line of the cache, if there is memory for that. A vector that lies across
/// two lines is read and written at the price of two; rows of whole vectors have none.
///
/// It is made of a `Vec`, or by `collect`, and is a slice otherwise.
pub struct Aligned<T> {
    /// Never resized, so that what is aligned stays so.
    elements: Vec<T>,
    /// The place of the first element.
    first: usize,
}

impl<T: Copy + Zeroable> Aligned<T> {
    /// Zeros; `None` where they do not fit in memory.
    pub fn zeros(len: usize) -> Option<Self> {
        let spare = if len == 0 { 0 } else { LINE / size_of::<T>() - 1 };
        let mut elements: Vec<T> = try_zeroed_vec(len.checked_add(spare)?).ok()?;
        let first = elements.as_ptr().align_offset(LINE).min(spare);
        elements.truncate(first + len);
        Some(Aligned { elements, first })
    }

    /// The first `len` of some items, zeros where these are fewer; `None` where they do not fit in memory.
    pub(crate) fn first_of(len: usize, items: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut elements = Aligned::zeros(len)?;
        elements.iter_mut().zip(items).for_each(|(to, item)| *to = item);
        Some(elements)
    }

    /// A copy, if there is memory for one that is aligned.
    fn copy(elements: &[T]) -> Option<Self> {
        let mut aligned = Aligned::zeros(elements.len())?;
        aligned.copy_from_slice(elements);
        Some(aligned)
    }
}

impl<T: Copy + Zeroable> From<Vec<T>> for Aligned<T> {
    fn from(elements: Vec<T>) -> Self {
        if elements.is_empty() || elements.as_ptr().addr().is_multiple_of(LINE) {
            return Aligned { elements, first: 0 };
        }
        Aligned::copy(&elements).unwrap_or(Aligned { elements, first: 0 })
    }
}

impl<T: Copy + Zeroable> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        elements.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Copy + Zeroable> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        Aligned::copy(self).unwrap_or_else(|| Aligned { elements: self.to_vec(), first: 0 })
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Aligned { elements: Vec::new(), first: 0 }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.elements.get(self.first..).unwrap_or_default()
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.elements.get_mut(self.first..).unwrap_or_default()
    }
}

impl<T: PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_a_line<T>(elements: &[T]) -> bool {
        elements.as_ptr().addr().is_multiple_of(LINE)
    }

    #[test]
    fn elements_begin_a_line() {
        for len in 0..100 {
            let of_floats: Aligned<f32> = (0..len).map(|k| k as f32).collect();
            let of_bytes: Aligned<u8> = vec![1; len].into();
            let zeros = Aligned::<f64>::zeros(len).unwrap();
            let copy = of_floats.clone();
            assert!(of_floats.iter().enumerate().all(|(k, x)| *x == k as f32) && *of_bytes == vec![1; len]);
            assert!(copy == of_floats && *zeros == vec![0.0; len]);
            let are_whole = len == 0 || begins_a_line(&of_floats) && begins_a_line(&of_bytes) && begins_a_line(&zeros);
            assert!(are_whole && (len == 0 || begins_a_line(&copy)), "{len}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_made() {
        assert!(Aligned::<f64>::zeros(usize::MAX).is_none() && Aligned::<f64>::zeros(1 << 60).is_none());
    }
}
