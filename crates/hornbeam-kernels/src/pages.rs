//! Huge pages for large blocks of memory.
//!
//! Matrix products walk down columns, a page per step: with pages of 4 KiB they spend most of their time on TLB misses.

/// Bytes of a huge page on x86-64 and most AArch64 systems. Blocks aligned to it use huge pages from their start.
pub const LARGE_PAGE: usize = 2 << 20;

/// Advises the system to back an unused block of memory with huge pages. A hint without effect on systems without huge
/// pages, and on blocks smaller than a page.
pub fn advise(start: *mut u8, bytes: usize) {
    let skipped = start.align_offset(LARGE_PAGE);
    let aligned = bytes.saturating_sub(skipped) / LARGE_PAGE * LARGE_PAGE;
    if aligned > 0 {
        hint(start.wrapping_add(skipped), aligned);
    }
}

#[cfg(target_os = "linux")]
fn hint(start: *mut u8, bytes: usize) {
    extern "C" {
        fn madvise(start: *mut std::ffi::c_void, bytes: usize, advice: i32) -> i32;
    }
    const MADV_HUGEPAGE: i32 = 14;
    // SAFETY: this advice does not change the contents of the range, and a refusal has no effect.
    unsafe { madvise(start.cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn hint(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_keeps_the_contents() {
        for bytes in [0, 1, LARGE_PAGE - 1, 3 * LARGE_PAGE + 5] {
            let mut block = vec![7u8; bytes];
            advise(block.as_mut_ptr(), bytes);
            assert!(block.iter().all(|&b| b == 7));
        }
    }
}
