//! Mutable slices that tasks share.

use std::marker::PhantomData;
use std::ops::Range;

/// Mutable slice of which tasks write disjoint parts.
pub struct SharedMut<'a, T> {
    pointer: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: every access goes through `range` or `as_ptr`, whose callers guarantee that tasks access disjoint elements.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub fn new(data: &'a mut [T]) -> SharedMut<'a, T> {
        SharedMut { pointer: data.as_mut_ptr(), len: data.len(), lifetime: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn as_ptr(&self) -> *mut T {
        self.pointer
    }

    /// Returns a part of the slice.
    ///
    /// # Safety
    /// No two live results may overlap.
    ///
    /// # Panics
    /// If the range does not lie within the slice.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within bounds by the assertion; not aliased by the caller's contract.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(range.start), range.len()) }
    }
}
