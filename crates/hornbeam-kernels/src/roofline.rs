//! What the machine can do at most: multiply-adds a second, and bytes a second from each level of memory.
//!
//! A profile compares kernels with these numbers. They are measured, in a fraction of a second, since clocks, neighbours
//! and virtual machines make of every data sheet what they like.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::multiversion;
use crate::simd::isa;
#[cfg(target_arch = "x86_64")]
use crate::simd::Isa;

/// Each measurement takes the best of the rounds that fit into this time.
const TIME: Duration = Duration::from_millis(12);

/// Bytes a second, and the bytes that each thread worked on.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    pub bytes: usize,
    pub read: f64,
    /// Bytes read and written, both counted.
    pub copy: f64,
}

/// Peaks of all threads together.
#[derive(Clone, Debug)]
pub struct Roofline {
    pub threads: usize,
    /// FLOPs a second in float32; a multiply-add is two.
    pub float32: f64,
    /// In bfloat16 with float32 sums, where the CPU has an instruction for it.
    pub bfloat16: Option<f64>,
    /// From the second and the third level of cache, and from memory.
    pub memory: [Bandwidth; 3],
}

/// Bytes for each thread that lie in the second level of cache, and in the third; then all threads' in memory.
const IN_L2: usize = 512 << 10;
const IN_L3: usize = 4 << 20;
const IN_MEMORY: usize = 96 << 20;

/// Measure with `threads` threads, which should be idle otherwise.
pub fn measure(threads: usize) -> Roofline {
    let threads = threads.max(1);
    let memory = [IN_L2, IN_L3, IN_MEMORY / threads].map(|bytes| bandwidth(threads, bytes));
    let float32 = rate(threads, || (), |()| float32_flops());
    let bfloat16 = bfloat16_kernel().map(|kernel| rate(threads, || (), |()| kernel()));
    Roofline { threads, float32, bfloat16, memory }
}

/// What all threads reach together: `round` returns what it did, `prepare` makes what it works on.
///
/// Threads begin each measurement together; the slowest one's share counts for all.
fn rate<D>(threads: usize, prepare: impl Fn() -> D + Sync, round: impl Fn(&mut D) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let work = || {
        let mut data = prepare();
        round(&mut data);
        barrier.wait();
        let begun = Instant::now();
        let mut best = 0f64;
        while begun.elapsed() < TIME {
            let started = Instant::now();
            let done = round(&mut data);
            best = best.max(done / started.elapsed().as_secs_f64());
        }
        best
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        own + others.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum::<f64>()
    })
}

/// Chains of multiply-adds: more than an addition takes cycles times the units that work on them.
const CHAINS: usize = 12;
const STEPS: usize = 20_000;

/// Multiply-adds on registers.
fn float32_flops() -> f64 {
    let (factor, term) = (black_box(0.999), black_box(1e-3));
    let (sum, lanes) = match isa() {
        // SAFETY: the dispatch asks the CPU for the features.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => (unsafe { chains_avx512(factor, term) }, 16),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => (unsafe { chains_avx2(factor, term) }, 8),
        _ => (chains(factor, term), 16),
    };
    black_box(sum);
    2.0 * (lanes * CHAINS * STEPS) as f64
}

/// For the compiler to vectorise, where it has multiply-adds or not.
fn chains(factor: f32, term: f32) -> f32 {
    let mut sums = [[1.0f32; 16]; CHAINS];
    for _ in 0..STEPS {
        for lanes in &mut sums {
            for x in lanes {
                *x = if cfg!(target_arch = "aarch64") { x.mul_add(factor, term) } else { *x * factor + term };
            }
        }
    }
    sums.iter().flatten().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn chains_avx512(factor: f32, term: f32) -> f32 {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_fmadd_ps, _mm512_reduce_add_ps, _mm512_set1_ps, _mm512_setzero_ps};
    let (factor, term) = (_mm512_set1_ps(factor), _mm512_set1_ps(term));
    let mut sums = [_mm512_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    _mm512_reduce_add_ps(sums.into_iter().fold(_mm512_setzero_ps(), |a, b| _mm512_add_ps(a, b)))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn chains_avx2(factor: f32, term: f32) -> f32 {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let (factor, term) = (_mm256_set1_ps(factor), _mm256_set1_ps(term));
    let mut sums = [_mm256_set1_ps(1.0); CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    _mm256_cvtss_f32(sums.into_iter().fold(term, |a, b| _mm256_add_ps(a, b)))
}

multiversion! {
    unsafe fn sum_words[S](data: &[u64]) -> u64 {
        let mut sums = [0u64; 64];
        for chunk in data.chunks_exact(64) {
            for (sum, word) in sums.iter_mut().zip(chunk) {
                *sum ^= *word;
            }
        }
        sums.iter().fold(0, |a, b| a ^ b)
    }
}

#[cfg(target_arch = "x86_64")]
fn bfloat16_kernel() -> Option<fn() -> f64> {
    let there = isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    there.then_some(|| {
        // SAFETY: the CPU has the features, which was just asked.
        let sum = unsafe { half_chains(black_box(0x3f80_3f80)) };
        black_box(sum);
        // Sixteen sums of two products.
        4.0 * (16 * CHAINS * STEPS) as f64
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn half_chains(pair: i32) -> f32 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };
    // SAFETY: both types are 64 bytes without invalid values.
    let x = unsafe { std::mem::transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair)) };
    let mut sums = [_mm512_setzero_ps(); CHAINS];
    for _ in 0..STEPS {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, x, x);
        }
    }
    _mm512_reduce_add_ps(sums.into_iter().fold(_mm512_setzero_ps(), |a, b| _mm512_add_ps(a, b)))
}

#[cfg(not(target_arch = "x86_64"))]
fn bfloat16_kernel() -> Option<fn() -> f64> {
    None
}

fn bandwidth(threads: usize, bytes: usize) -> Bandwidth {
    let words = bytes / 8;
    let read = rate(
        threads,
        || vec![1u64; words],
        |data| {
            // SAFETY: the pointer is the one for this machine, and the body asks nothing more of its caller.
            black_box(unsafe { sum_words()(black_box(data)) });
            bytes as f64
        },
    );
    let copy = rate(
        threads,
        || (vec![1u64; words / 2], vec![2u64; words / 2]),
        |(from, to)| {
            to.copy_from_slice(black_box(from));
            black_box(&mut *to);
            bytes as f64
        },
    );
    Bandwidth { bytes, read, copy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roofs_are_of_the_right_order() {
        let started = Instant::now();
        let roof = measure(1);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(roof.float32 > 1e8 && roof.float32 < 1e13, "{roof:?}");
        assert!(roof.bfloat16.is_none_or(|flops| flops > 1e8 && flops < 1e14), "{roof:?}");
        for level in roof.memory {
            assert!(level.read > 1e8 && level.read < 1e13 && level.copy > 1e8 && level.copy < 1e13, "{level:?}");
        }
        assert_eq!(roof.memory[0].bytes, IN_L2);
    }
}
