//! Large pages for large blocks of memory.
//!
//! Products walk down columns, a page apart at each step: with pages of 4 KiB most of their time goes into finding them.

/// Bytes of a large page on x86-64 and most AArch64 systems; blocks that begin at a multiple use them from the start.
pub const LARGE_PAGE: usize = 2 << 20;

/// Asks the system for large pages under a block of memory that has not been used yet. Only a hint: systems without them,
/// and blocks that hold no whole page, stay as they are.
pub fn advise(start: *mut u8, bytes: usize) {
    let skipped = start.align_offset(LARGE_PAGE);
    let whole = bytes.saturating_sub(skipped) / LARGE_PAGE * LARGE_PAGE;
    if whole > 0 {
        hint(start.wrapping_add(skipped), whole);
    }
}

#[cfg(target_os = "linux")]
fn hint(start: *mut u8, bytes: usize) {
    extern "C" {
        fn madvise(start: *mut std::ffi::c_void, bytes: usize, advice: i32) -> i32;
    }
    const MADV_HUGEPAGE: i32 = 14;
    // SAFETY: this advice changes no contents, whatever the range holds; where it is refused, nothing happens.
    unsafe { madvise(start.cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn hint(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_what_it_holds() {
        for bytes in [0, 1, LARGE_PAGE - 1, 3 * LARGE_PAGE + 5] {
            let mut block = vec![7u8; bytes];
            advise(block.as_mut_ptr(), bytes);
            assert!(block.iter().all(|&b| b == 7));
        }
    }
}
