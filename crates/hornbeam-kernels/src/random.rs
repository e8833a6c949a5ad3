//! Random bits: threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! 2011).
//!
//! Element `i` of a stream is word `i % 2` of the block with counter words `(high, low)` of `i / 2`. Any range can be
//! generated independently, so fused loops generate blocks on demand.

use crate::multiversion;
use crate::pool::ThreadPool;
use crate::simd::LANES;

const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
/// Parity constant of the Skein key schedule.
const PARITY: u32 = 0x1bd1_1bda;

/// Elements of a task: a few microseconds.
const CHUNK: usize = 1 << 14;

/// Computes one block: two output words for two counter words.
#[inline(always)]
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let (mut x, mut y) = (counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1]));
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(schedule[(group + 1) % 3]);
        y = y.wrapping_add(schedule[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [x, y]
}

#[inline(always)]
fn block(key: [u32; 2], index: u64) -> [u32; 2] {
    threefry2x32(key, [(index >> 32) as u32, index as u32])
}

/// Fewer blocks than this are computed one by one.
const FEW: usize = 6;

/// Computes consecutive blocks with a common high counter word.
#[inline(always)]
fn blocks(key: [u32; 2], high: u32, low: u32) -> [[u32; LANES]; 2] {
    let schedule = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let mut x = [high.wrapping_add(key[0]); LANES];
    let mut y = [0; LANES];
    for (lane, y) in y.iter_mut().enumerate() {
        *y = low.wrapping_add(lane as u32).wrapping_add(key[1]);
    }
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            for lane in 0..LANES {
                x[lane] = x[lane].wrapping_add(y[lane]);
                y[lane] = y[lane].rotate_left(rotation) ^ x[lane];
            }
        }
        let (left, right) = (schedule[(group + 1) % 3], schedule[(group + 2) % 3].wrapping_add(group as u32 + 1));
        for lane in 0..LANES {
            x[lane] = x[lane].wrapping_add(left);
            y[lane] = y[lane].wrapping_add(right);
        }
    }
    [x, y]
}

multiversion! {
    unsafe fn fill_blocks[S](key: [u32; 2], first: u64, out: &mut [[u32; 2]]) {
        let mut chunks = out.chunks_exact_mut(LANES);
        let mut at = first;
        for chunk in &mut chunks {
            let (high, low) = ((at >> 32) as u32, at as u32);
            if low.checked_add(LANES as u32).is_some() {
                let [x, y] = blocks(key, high, low);
                for lane in 0..LANES {
                    chunk[lane] = [x[lane], y[lane]];
                }
            } else {
                for (lane, pair) in chunk.iter_mut().enumerate() {
                    *pair = block(key, at.wrapping_add(lane as u64));
                }
            }
            at = at.wrapping_add(LANES as u64);
        }
        let rest = chunks.into_remainder();
        let (high, low) = ((at >> 32) as u32, at as u32);
        if rest.len() >= FEW && low.checked_add(LANES as u32).is_some() {
            let [x, y] = blocks(key, high, low);
            for (lane, pair) in rest.iter_mut().enumerate() {
                *pair = [x[lane], y[lane]];
            }
            return;
        }
        for pair in rest {
            *pair = block(key, at);
            at = at.wrapping_add(1);
        }
    }
}

/// Generates elements `offset ..` of the stream of `key`.
pub fn fill_bits(key: [u32; 2], offset: u64, out: &mut [u32]) {
    let (odd, rest) = out.split_at_mut(((offset % 2) as usize).min(out.len()));
    for word in odd {
        *word = block(key, offset / 2)[1];
    }
    let first = offset.div_ceil(2);
    let (pairs, last) = rest.as_chunks_mut::<2>();
    let end = first.wrapping_add(pairs.len() as u64);
    // SAFETY: the kernel is compiled for this machine and has no other precondition.
    unsafe { fill_blocks()(key, first, pairs) };
    for word in last {
        *word = block(key, end)[0];
    }
}

/// Generates the first elements of the stream of `key` in parallel.
pub fn random_bits(pool: &ThreadPool, key: [u32; 2], out: &mut [u32]) {
    pool.run_chunks(out, CHUNK, &|i, piece| fill_bits(key, (i * CHUNK) as u64, piece));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_each_isa;

    #[test]
    fn known_answers_of_random123() {
        let ones = u32::MAX;
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([ones, ones], [ones, ones]), [0x1cb9_96fc, 0xbb00_2be7]);
        let pi = threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(pi, [0xc492_3a9c, 0x483d_f7a0]);
    }

    #[test]
    fn any_range_of_the_stream_is_the_same_on_every_instruction_set() {
        let key = [0xdead_beef, 42];
        // Across the wrap of the low counter word.
        for base in [0, (1 << 33) - 100] {
            let want: Vec<u32> = (base..base + 400).map(|i| block(key, i / 2)[(i % 2) as usize]).collect();
            on_each_isa(|isa| {
                for (from, to) in [(0, 400), (1, 400), (0, 1), (3, 4), (5, 5), (7, 206), (130, 399)] {
                    let mut out = vec![0; to - from];
                    fill_bits(key, base + from as u64, &mut out);
                    assert_eq!(out, want[from..to], "{isa:?} {from} {to}");
                }
            });
        }
    }

    #[test]
    fn threads_do_not_change_the_stream() {
        let mut one = vec![0; 3 * CHUNK + 77];
        random_bits(&ThreadPool::new(1), [1, 2], &mut one);
        for threads in [2, 3] {
            let mut more = vec![0; one.len()];
            random_bits(&ThreadPool::new(threads), [1, 2], &mut more);
            assert_eq!(one, more);
        }
    }
}
