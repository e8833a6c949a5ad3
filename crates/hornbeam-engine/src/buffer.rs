//! Memory of values: aligned, immutable once shared, and writable only by a sole owner.

use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};
use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use hornbeam_kernels::pages::{self, LARGE_PAGE};

use crate::block_cache;
use crate::error::{Error, Result};
use crate::types::TensorType;

/// All allocations of the engine start on a cache line.
pub const ALIGNMENT: usize = 64;

/// A block of bytes on a cache line boundary. Blocks of large values are kept in a cache for the next ones.
pub struct AlignedBytes {
    pointer: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory with one owner.
unsafe impl Send for AlignedBytes {}
// SAFETY: shared access only reads; writing needs `&mut` or the planner's proof of disjointness.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// Allocate at least one byte, so that the pointer is always valid. The contents are not initialized: kernels write
    /// every element of a result before it is read, and any bits are a value of every dtype.
    pub fn new(bytes: usize) -> Self {
        Self::try_new(bytes).unwrap_or_else(|| handle_alloc_error(Self::layout(bytes)))
    }

    /// Allocate, or return None if memory is exhausted.
    pub fn try_new(bytes: usize) -> Option<Self> {
        let layout = Self::layout(bytes);
        let pointer = block_cache::take(layout.size()).or_else(|| allocate(layout)).or_else(|| {
            release(block_cache::clear());
            allocate(layout)
        })?;
        Some(AlignedBytes { pointer, bytes })
    }

    fn layout(bytes: usize) -> Layout {
        // Rounded up, so that vector loads past the last element stay inside the allocation.
        Self::block_layout(block_cache::block_size(bytes.max(1).next_multiple_of(ALIGNMENT)))
    }

    /// The layout of a block of the cache.
    fn block_layout(size: usize) -> Layout {
        let alignment = if size < LARGE_PAGE { ALIGNMENT } else { LARGE_PAGE };
        Layout::from_size_align(size, alignment).unwrap_or_else(|_| panic!("{size} bytes do not fit in memory"))
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.pointer.as_ptr()
    }

    pub fn from_slice(data: &[u8]) -> Self {
        let bytes = AlignedBytes::new(data.len());
        // SAFETY: `bytes` holds `data.len()` bytes and is new, so it overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), bytes.as_ptr(), data.len()) };
        bytes
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        let layout = Self::layout(self.bytes);
        if block_cache::keeps(layout.size()) {
            release(block_cache::give(self.pointer, layout.size()));
        } else if layout.size() <= SMALL_BLOCK {
            // SAFETY: allocated with this size.
            unsafe { free_small(self.pointer, layout.size()) };
        } else {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.pointer.as_ptr(), layout) };
        }
    }
}

/// Blocks up to this size are aligned by hand: the system's allocator keeps freed ones for their next use only where it
/// need not align them.
const SMALL_BLOCK: usize = 512;

/// The layout of an allocation that holds a small block, with the distance to the block in the byte before it.
fn around_small(size: usize) -> Layout {
    Layout::from_size_align(size + ALIGNMENT, 16).unwrap_or_else(|_| unreachable!("small blocks fit in memory"))
}

fn allocate_small(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the size is not zero.
    let pointer = NonNull::new(unsafe { alloc(around_small(size)) })?;
    let distance = ALIGNMENT - pointer.as_ptr() as usize % ALIGNMENT;
    // SAFETY: the distance is 16 to 64, so that the block and the byte before it lie inside.
    unsafe {
        let block = pointer.add(distance);
        block.sub(1).write(distance as u8);
        Some(block)
    }
}

/// # Safety
/// The block came from [`allocate_small`] with this size.
unsafe fn free_small(block: NonNull<u8>, size: usize) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let distance = block.sub(1).read() as usize;
        dealloc(block.sub(distance).as_ptr(), around_small(size));
    }
}

fn allocate(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() <= SMALL_BLOCK {
        return allocate_small(layout.size());
    }
    // SAFETY: layouts of blocks have a non-zero size.
    let pointer = NonNull::new(unsafe { alloc(layout) })?;
    pages::advise(pointer.as_ptr(), layout.size());
    Some(pointer)
}

/// Return blocks to the system.
fn release(blocks: Vec<(NonNull<u8>, usize)>) {
    for (pointer, size) in blocks {
        // SAFETY: every block was allocated with the layout of its size.
        unsafe { dealloc(pointer.as_ptr(), AlignedBytes::block_layout(size)) };
    }
}

/// The owner of the bytes.
enum Storage {
    Owned(AlignedBytes),
    // Foreign memory, kept alive by `_owner`. Never written.
    Borrowed { pointer: *const u8, _owner: Box<dyn Any + Send + Sync> },
}

// SAFETY: borrowed memory is only read, and its owner may move between threads.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

/// A value outside of runs: its type and storage, both shared.
#[derive(Clone)]
pub struct Buffer {
    storage: Arc<Storage>,
    pub tensor: Arc<TensorType>,
}

impl Buffer {
    /// Allocate a value, or return an error with the number of bytes.
    pub fn new(tensor: impl Into<Arc<TensorType>>) -> Result<Self> {
        let tensor = tensor.into();
        tensor.validate()?;
        let Some(bytes) = AlignedBytes::try_new(tensor.bytes()) else {
            return Err(Error::Memory(format!(
                "out of memory: a value of type {tensor} needs {} bytes",
                tensor.bytes()
            )));
        };
        Ok(Buffer { storage: Arc::new(Storage::Owned(bytes)), tensor })
    }

    /// Copy a value, or return an error with the number of bytes.
    pub fn copied(tensor: impl Into<Arc<TensorType>>, data: &[u8]) -> Result<Self> {
        let mut copy = Buffer::new(tensor)?;
        assert_eq!(data.len(), copy.tensor.bytes(), "bytes of {}", copy.tensor);
        if let Some(pointer) = copy.unique_ptr() {
            // SAFETY: the copy is new and holds this many bytes.
            unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), pointer, data.len()) };
        }
        Ok(copy)
    }

    /// Copy a value of few bytes.
    pub fn from_bytes(tensor: impl Into<Arc<TensorType>>, data: &[u8]) -> Self {
        let tensor = tensor.into();
        assert_eq!(data.len(), tensor.bytes(), "bytes of {tensor}");
        Buffer { storage: Arc::new(Storage::Owned(AlignedBytes::from_slice(data))), tensor }
    }

    /// Borrow foreign memory without a copy.
    ///
    /// # Safety
    /// `pointer` is aligned for the dtype and stays readable and unchanged for `tensor.bytes()` while `owner` lives.
    pub unsafe fn borrow(tensor: TensorType, pointer: *const u8, owner: Box<dyn Any + Send + Sync>) -> Self {
        Buffer { storage: Arc::new(Storage::Borrowed { pointer, _owner: owner }), tensor: Arc::new(tensor) }
    }

    pub fn as_ptr(&self) -> *const u8 {
        match &*self.storage {
            Storage::Owned(bytes) => bytes.as_ptr(),
            Storage::Borrowed { pointer, .. } => *pointer,
        }
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the storage holds `tensor.bytes()` bytes, and shared storage is never written.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.tensor.bytes()) }
    }

    /// The pointer for writing, if this is the only handle of storage that the engine allocated.
    pub fn unique_ptr(&mut self) -> Option<*mut u8> {
        match Arc::get_mut(&mut self.storage)? {
            Storage::Owned(bytes) => Some(bytes.as_ptr()),
            Storage::Borrowed { .. } => None,
        }
    }

    /// The same storage under another type of the same size.
    pub fn retyped(&self, tensor: &Arc<TensorType>) -> Self {
        assert_eq!(tensor.bytes(), self.tensor.bytes(), "{} as {tensor}", self.tensor);
        Buffer { storage: self.storage.clone(), tensor: tensor.clone() }
    }
}
