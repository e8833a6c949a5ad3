//! Freed memory that is kept for the next values of its size.
//!
//! The system hands out large blocks page by page, on the first touch of each: an operation on new memory waits for
//! these page faults longer than for its arithmetic. Calls tend to repeat, with results of the same sizes.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::Mutex;

/// Smaller blocks are left to the allocator of the system, which keeps them by itself.
const SMALLEST: usize = 64 << 10;
/// Larger blocks are returned to the system: they are few, and much memory.
const LARGEST: usize = 128 << 20;
/// Bytes that are kept at most; the oldest blocks go first.
const BUDGET: usize = 256 << 20;

static CACHE: Mutex<BlockCache> = Mutex::new(BlockCache::new());

/// True for a size of blocks that are kept.
pub fn keeps(size: usize) -> bool {
    (SMALLEST..=LARGEST).contains(&size)
}

/// The size of the blocks that hold `bytes`: one of eight to each doubling, so that sizes that differ little share
/// blocks. Pages that are not touched take no memory.
pub fn block_size(bytes: usize) -> usize {
    if !keeps(bytes) {
        return bytes;
    }
    bytes.next_multiple_of((bytes.next_power_of_two() / 16).max(1))
}

/// Take a block of a size from the cache, if there is one.
pub fn take(size: usize) -> Option<NonNull<u8>> {
    if !keeps(size) {
        return None;
    }
    with_cache(|cache| cache.take(size)).flatten()
}

/// Give a block to the cache. Returns the blocks, with their sizes, that the caller must return to the system.
pub fn give(block: NonNull<u8>, size: usize) -> Vec<(NonNull<u8>, usize)> {
    debug_assert!(keeps(size));
    with_cache(|cache| cache.give(block, size)).unwrap_or_else(|| vec![(block, size)])
}

/// Empty the cache. Returns the blocks that the caller must return to the system.
pub fn clear() -> Vec<(NonNull<u8>, usize)> {
    with_cache(|cache| cache.shrink(0)).unwrap_or_default()
}

/// Use the cache unless another thread does: a child of `fork` must not wait for a thread that it does not have.
fn with_cache<R>(f: impl FnOnce(&mut BlockCache) -> R) -> Option<R> {
    CACHE.try_lock().ok().map(|mut cache| f(&mut cache))
}

struct BlockCache {
    /// Blocks by size and number: numbers grow with time.
    blocks: BTreeMap<(usize, u64), NonNull<u8>>,
    /// Size of each block by its number.
    sizes: BTreeMap<u64, usize>,
    given: u64,
    bytes: usize,
}

// SAFETY: plain memory that belongs to the cache alone.
unsafe impl Send for BlockCache {}

impl BlockCache {
    const fn new() -> Self {
        BlockCache { blocks: BTreeMap::new(), sizes: BTreeMap::new(), given: 0, bytes: 0 }
    }

    /// The newest block of a size: parts of it may be in the processor's caches.
    fn take(&mut self, size: usize) -> Option<NonNull<u8>> {
        let (&key, _) = self.blocks.range((size, 0)..=(size, u64::MAX)).next_back()?;
        self.remove(key.1);
        self.blocks.remove(&key)
    }

    fn give(&mut self, block: NonNull<u8>, size: usize) -> Vec<(NonNull<u8>, usize)> {
        self.blocks.insert((size, self.given), block);
        self.sizes.insert(self.given, size);
        self.given += 1;
        self.bytes += size;
        self.shrink(BUDGET)
    }

    fn shrink(&mut self, budget: usize) -> Vec<(NonNull<u8>, usize)> {
        let mut released = Vec::new();
        while self.bytes > budget {
            let (&number, &size) = self.sizes.iter().next().expect("bytes are those of blocks");
            self.remove(number);
            released.push((self.blocks.remove(&(size, number)).expect("every size has a block"), size));
        }
        released
    }

    fn remove(&mut self, number: u64) {
        self.bytes -= self.sizes.remove(&number).expect("every block has a size");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(address: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).expect("not null")
    }

    #[test]
    fn sizes_have_eight_steps_to_a_doubling() {
        assert_eq!(block_size(SMALLEST - 1), SMALLEST - 1);
        assert_eq!(block_size(SMALLEST), SMALLEST);
        assert_eq!(block_size(SMALLEST + 1), SMALLEST / 8 * 9);
        assert_eq!(block_size(LARGEST + 1), LARGEST + 1);
        for bytes in (SMALLEST..4 * SMALLEST).step_by(1000) {
            let size = block_size(bytes);
            assert!(bytes <= size && size <= bytes + bytes / 8 + 1, "{bytes} {size}");
            assert_eq!(block_size(size), size);
        }
    }

    #[test]
    fn the_newest_block_of_a_size_is_taken() {
        let mut cache = BlockCache::new();
        assert!(cache.take(SMALLEST).is_none());
        for address in [64, 128, 192] {
            assert!(cache.give(block(address), SMALLEST).is_empty());
        }
        assert!(cache.take(2 * SMALLEST).is_none());
        assert_eq!([192, 128, 64].map(block).map(Some), [(); 3].map(|()| cache.take(SMALLEST)));
        assert_eq!((cache.bytes, cache.take(SMALLEST)), (0, None));
    }

    #[test]
    fn the_oldest_blocks_leave_first() {
        let mut cache = BlockCache::new();
        let count = BUDGET / LARGEST;
        let mut released = Vec::new();
        for number in 0..count + 2 {
            released.extend(cache.give(block(64 * (number + 1)), LARGEST));
        }
        assert_eq!(released, [(block(64), LARGEST), (block(128), LARGEST)]);
        assert_eq!(cache.bytes, BUDGET);
        assert_eq!(cache.shrink(0).len(), count);
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn blocks_of_other_sizes_are_not_kept() {
        assert_eq!([SMALLEST - 1, SMALLEST, LARGEST, LARGEST + 1].map(keeps), [false, true, true, false]);
        assert!(take(SMALLEST - 1).is_none());
    }
}
