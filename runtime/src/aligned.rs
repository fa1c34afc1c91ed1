//! Elements of arrays in memory that begins at a line of the cache.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bytemuck::allocation::try_zeroed_vec;
use bytemuck::{Pod, cast_slice, cast_slice_mut};
use schur_ir::micro::LINE;

use crate::pages::Pages;

/// A fixed number of elements, the first of which begins a line of the cache, if there is memory for that. A vector that lies across
/// two lines is read and written at the price of two; rows of whole vectors have none. Where they take 4 MiB or more, they
/// are on huge pages, if the system has some.
///
/// It is made of a `Vec`, or by `collect`, and is a slice otherwise.
pub struct Aligned<T>(Memory<T>);

/// Where elements are.
enum Memory<T> {
    /// In a vector, from the place `first` on. It is never resized, so that what is aligned stays so.
    Vec { elements: Vec<T>, first: usize },
    /// On pages of their own, whole elements.
    Pages(Pages),
}

impl<T: Pod> Aligned<T> {
    /// Zeros; `None` where they do not fit in memory.
    pub fn zeros(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<T>())?;
        if bytes >= Pages::LEAST {
            return Pages::zeros(bytes).map(|pages| Aligned(Memory::Pages(pages)));
        }
        let spare = if len == 0 { 0 } else { LINE / size_of::<T>() - 1 };
        let mut elements: Vec<T> = try_zeroed_vec(len + spare).ok()?;
        let first = elements.as_ptr().align_offset(LINE).min(spare);
        elements.truncate(first + len);
        Some(Aligned(Memory::Vec { elements, first }))
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

impl<T: Pod> From<Vec<T>> for Aligned<T> {
    fn from(elements: Vec<T>) -> Self {
        let begins_a_line = elements.as_ptr().addr().is_multiple_of(LINE);
        if elements.is_empty() || begins_a_line && size_of_val(&*elements) < Pages::LEAST {
            return Aligned(Memory::Vec { elements, first: 0 });
        }
        Aligned::copy(&elements).unwrap_or(Aligned(Memory::Vec { elements, first: 0 }))
    }
}

impl<T: Pod> FromIterator<T> for Aligned<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        elements.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T: Pod> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        Aligned::copy(self).unwrap_or_else(|| Aligned(Memory::Vec { elements: self.to_vec(), first: 0 }))
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Aligned(Memory::Vec { elements: Vec::new(), first: 0 })
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Vec { elements, first } => elements.get(*first..).unwrap_or_default(),
            Memory::Pages(pages) => cast_slice(pages),
        }
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            Memory::Vec { elements, first } => elements.get_mut(*first..).unwrap_or_default(),
            Memory::Pages(pages) => cast_slice_mut(pages),
        }
    }
}

impl<T: Pod + PartialEq> PartialEq for Aligned<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Aligned<T> {
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
    fn what_is_large_has_pages_of_its_own() {
        let len = Pages::LEAST / size_of::<f32>() + 1;
        let elements: Aligned<f32> = (0..len).map(|k| k as f32).collect();
        let mut copy = elements.clone();
        assert!(matches!((&elements.0, &copy.0), (Memory::Pages(_), Memory::Pages(_))));
        assert!(elements.iter().enumerate().all(|(k, x)| *x == k as f32) && copy == elements);
        copy[len - 1] = 0.0;
        assert!(copy != elements && Aligned::from(vec![1u8; Pages::LEAST]).iter().all(|x| *x == 1));
    }

    #[test]
    fn what_does_not_fit_is_not_made() {
        assert!(Aligned::<f64>::zeros(usize::MAX).is_none() && Aligned::<f64>::zeros(1 << 60).is_none());
    }
}
