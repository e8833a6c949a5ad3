//! Roofline of the machine: peak FLOP/s, and bandwidth of each level of memory.
//!
//! A profile compares kernels with these peaks. They are measured, in a fraction of a second, because clock frequencies,
//! other processes and virtual machines make data sheets unreliable.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::multiversion;
use crate::simd::isa;
#[cfg(target_arch = "x86_64")]
use crate::simd::Isa;

/// Time of one measurement, which keeps the best round.
const TIME: Duration = Duration::from_millis(12);
/// Least number of rounds: another process may stall a single one.
const MIN_ROUNDS: usize = 3;

/// Bandwidth in bytes per second, with the working set of each thread.
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
    /// FLOP/s in float32; a multiply-add counts as two.
    pub float32: f64,
    /// FLOP/s in bfloat16 with float32 sums, where the CPU has an instruction for it that is faster than float32.
    pub bfloat16: Option<f64>,
    /// Bandwidth of the L2 cache, the L3 cache and main memory.
    pub memory: [Bandwidth; 3],
}

/// Working sets in bytes: of each thread for the L2 and the L3 cache, of all threads together for main memory.
const IN_L2: usize = 512 << 10;
const IN_L3: usize = 4 << 20;
const IN_MEMORY: usize = 96 << 20;

/// Measures the peaks with `threads` threads on an otherwise idle machine.
pub fn measure(threads: usize) -> Roofline {
    let threads = threads.max(1);
    let memory = [IN_L2, IN_L3, IN_MEMORY / threads].map(|bytes| bandwidth(threads, bytes));
    let float32 = rate(threads, || (), |()| float32_flops());
    let bfloat16 = bfloat16_kernel().map(|kernel| rate(threads, || (), |()| kernel())).filter(|&rate| rate > float32);
    Roofline { threads, float32, bfloat16, memory }
}

/// Sum of the rates of all threads: `prepare` creates the data of a thread, `round` returns the work that it did.
///
/// All threads start a measurement together, and each contributes its best round.
fn rate<D>(threads: usize, prepare: impl Fn() -> D + Sync, round: impl Fn(&mut D) -> f64 + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let measure_thread = || {
        let mut data = prepare();
        round(&mut data);
        barrier.wait();
        let start = Instant::now();
        let (mut best, mut rounds) = (0f64, 0);
        while rounds < MIN_ROUNDS || start.elapsed() < TIME {
            rounds += 1;
            let round_start = Instant::now();
            let work = round(&mut data);
            best = best.max(work / round_start.elapsed().as_secs_f64());
        }
        best
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(measure_thread)).collect();
        measure_thread() + others.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum::<f64>()
    })
}

/// Independent chains of multiply-adds: more than latency times throughput of the arithmetic units.
const CHAINS: usize = 12;
const STEPS: usize = 20_000;

/// Runs multiply-adds on registers and returns their FLOPs.
fn float32_flops() -> f64 {
    let (factor, term) = (black_box(0.999), black_box(1e-3));
    let (sum, lanes) = match isa() {
        // SAFETY: the dispatch has checked the CPU features.
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

/// Multiply-adds for the compiler to vectorise on the remaining targets.
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
    let available = isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    available.then_some(|| {
        // SAFETY: the CPU features were checked above.
        let sum = unsafe { bfloat16_chains(black_box(0x3f80_3f80)) };
        black_box(sum);
        // Sixteen sums of two products.
        4.0 * (16 * CHAINS * STEPS) as f64
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
unsafe fn bfloat16_chains(pair: i32) -> f32 {
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
            // SAFETY: the kernel is compiled for this machine and has no other precondition.
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
    fn peaks_have_a_plausible_magnitude() {
        let started = Instant::now();
        let roofline = measure(1);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(roofline.float32 > 1e8 && roofline.float32 < 1e13, "{roofline:?}");
        assert!(roofline.bfloat16.is_none_or(|flops| flops > 1e8 && flops < 1e14), "{roofline:?}");
        for level in roofline.memory {
            assert!(level.read > 1e8 && level.read < 1e13 && level.copy > 1e8 && level.copy < 1e13, "{level:?}");
        }
        assert_eq!(roofline.memory[0].bytes, IN_L2);
    }
}
