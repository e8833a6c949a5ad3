//! The only code that turns planned memory into slices.
//!
//! A program's buffers are pointers in a table. The planner gives buffers that live at the same time disjoint memory,
//! apart from a write that shares the memory of a read whose lifetime ends there. The instructions that allow this use
//! [`Memory::pointer`] and never hold slices of both.

use hornbeam_kernels::dtype::DType;

use crate::operand::Operand;

/// The pointers of a running program, one per buffer.
#[derive(Clone, Copy)]
pub struct Memory<'a> {
    pointers: &'a [*mut u8],
}

impl<'a> Memory<'a> {
    /// # Safety
    /// Every pointer that an instruction uses is valid, and aligned, for the bytes of its buffer while `'a` lasts;
    /// buffers of one instruction are disjoint apart from planned sharing; written buffers belong to this run.
    pub unsafe fn new(pointers: &'a [*mut u8]) -> Self {
        Memory { pointers }
    }

    pub fn pointer(&self, operand: &Operand) -> *mut u8 {
        self.pointers[operand.buffer as usize].wrapping_add(operand.offset)
    }

    pub fn read<T>(&self, operand: &Operand) -> &'a [T] {
        debug_assert_eq!(size_of::<T>(), operand.dtype.size());
        if operand.count == 0 {
            return &[];
        }
        // SAFETY: guaranteed to `new`; lowering keeps operands inside their buffers.
        unsafe { std::slice::from_raw_parts(self.pointer(operand).cast(), operand.count) }
    }

    /// A slice to write. The caller takes one slice for each write of an instruction, and no two of the same write.
    #[allow(clippy::mut_from_ref)]
    pub fn write<T>(&self, operand: &Operand) -> &'a mut [T] {
        debug_assert_eq!(size_of::<T>(), operand.dtype.size());
        if operand.count == 0 {
            return &mut [];
        }
        // SAFETY: as in `read`; the planner keeps writes disjoint from every other live buffer.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(operand).cast(), operand.count) }
    }

    pub fn read_bytes(&self, operand: &Operand) -> &'a [u8] {
        self.read::<u8>(&as_bytes(operand))
    }

    /// A slice of bytes to write, under the conditions of [`Memory::write`].
    #[allow(clippy::mut_from_ref)]
    pub fn write_bytes(&self, operand: &Operand) -> &'a mut [u8] {
        self.write::<u8>(&as_bytes(operand))
    }

    /// Copy the bytes of `from` to `to`, unless the planner gave both the same memory.
    pub fn copy_unless_shared(&self, from: &Operand, to: &Operand) {
        // SAFETY: buffers that are not the same are disjoint, and both hold the bytes of `to`.
        unsafe { copy_unless_same(self.pointer(from), self.pointer(to), to.bytes()) };
    }
}

fn as_bytes(operand: &Operand) -> Operand {
    Operand { count: operand.bytes(), dtype: DType::U8, ..*operand }
}

/// Copy `bytes` between ranges that are either the same or disjoint.
///
/// # Safety
/// Both pointers are valid for `bytes`.
pub unsafe fn copy_unless_same(from: *const u8, to: *mut u8, bytes: usize) {
    if !std::ptr::eq(from, to) && bytes > 0 {
        // SAFETY: guaranteed by the caller.
        unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
    }
}
