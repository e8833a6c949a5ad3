//! Algorithms that were measured on this machine, ahead of what the cost model says.
//!
//! Another algorithm rounds otherwise: with measured choices, bits are the same on machines that share the
//! measurements, not on all.

use super::{conv_backward, conv_forward, cost_model, winograd, Algorithm, ConvShape, OutputGrad};
use crate::dtype::DType;
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::Scratch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Runs of each candidate, of which the fastest counts.
const RUNS: usize = 3;

static ANY: AtomicBool = AtomicBool::new(false);
static CHOICES: RwLock<Option<HashMap<(ConvShape, DType), Algorithm>>> = RwLock::new(None);

/// The measured choice, if there is one.
pub(super) fn choice(shape: &ConvShape, dtype: DType) -> Option<Algorithm> {
    if !ANY.load(Ordering::Acquire) {
        return None;
    }
    let choices = CHOICES.read().unwrap_or_else(PoisonError::into_inner);
    choices.as_ref()?.get(&(*shape, dtype)).copied()
}

/// Sets the algorithm for a shape.
///
/// # Panics
/// When it is none of the shape's [`candidate_algorithms`].
pub fn set_algorithm(shape: &ConvShape, dtype: DType, algorithm: Algorithm) {
    assert!(
        candidate_algorithms(shape, dtype).contains(&algorithm),
        "{algorithm:?} does not compute {shape:?} of {dtype}"
    );
    let mut choices = CHOICES.write().unwrap_or_else(PoisonError::into_inner);
    choices.get_or_insert_with(HashMap::new).insert((*shape, dtype), algorithm);
    ANY.store(true, Ordering::Release);
}

/// The algorithms that compute this shape within their bound of error, the cost model's choice first.
pub fn candidate_algorithms(shape: &ConvShape, dtype: DType) -> Vec<Algorithm> {
    let first = cost_model(shape, dtype);
    let others = [Algorithm::Winograd, Algorithm::Direct].into_iter().filter(|&other| {
        let possible = match other {
            Algorithm::Winograd => dtype == DType::F32 && winograd::computes(shape),
            _ => matches!(first, Algorithm::Winograd),
        };
        possible && other != first
    });
    std::iter::once(first).chain(others).collect()
}

/// Times forward and backward of every candidate for `f32` and keeps the fastest; returns it with the times.
pub fn autotune(
    pool: &ThreadPool,
    shape: &ConvShape,
    scratch: &mut Scratch,
) -> (Algorithm, Vec<(Algorithm, Duration)>) {
    let (x, w) = (vec![0.5f32; shape.input_len()], vec![0.25f32; shape.kernel_len()]);
    let (mut y, mut dx, mut dw) = (vec![0f32; shape.output_len()], x.clone(), w.clone());
    let mut times = Vec::new();
    for algorithm in candidate_algorithms(shape, DType::F32) {
        set_algorithm(shape, DType::F32, algorithm);
        let mut once = || {
            let started = Instant::now();
            conv_forward(pool, shape, &x, &w, &mut y, Epilogue::default(), scratch);
            conv_backward(pool, shape, &x, &w, OutputGrad::Plain(&y), Some(&mut dx), Some(&mut dw), None, scratch);
            started.elapsed()
        };
        once();
        times.push((algorithm, (0..RUNS).map(|_| once()).min().unwrap_or_default()));
    }
    let fastest = times.iter().min_by_key(|(_, time)| *time).map_or(Algorithm::Direct, |(algorithm, _)| *algorithm);
    set_algorithm(shape, DType::F32, fastest);
    (fastest, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> ConvShape {
        ConvShape {
            batch: 3,
            input: [1, 10, 11],
            output: [1, 8, 9],
            kernel: [1, 3, 3],
            strides: [1; 3],
            dilation: [1; 3],
            pad: [0; 3],
            in_channels: 16,
            out_channels: 16,
            groups: 1,
        }
    }

    #[test]
    fn a_measured_choice_is_one_of_the_candidates_and_is_kept() {
        let shape = shape();
        let all = candidate_algorithms(&shape, DType::F32);
        assert!(all.contains(&Algorithm::Winograd) && all.contains(&Algorithm::Direct));
        let (fastest, times) = autotune(ThreadPool::global(), &shape, &mut Scratch::new());
        assert_eq!(times.len(), all.len());
        assert_eq!(choice(&shape, DType::F32), Some(fastest));
        set_algorithm(&shape, DType::F32, Algorithm::Direct);
        assert_eq!(super::super::select_algorithm(&shape, DType::F32), Algorithm::Direct);
    }

    #[test]
    fn what_only_one_algorithm_computes_has_one_candidate() {
        let strided = ConvShape { strides: [1, 2, 2], output: [1, 4, 5], ..shape() };
        assert_eq!(candidate_algorithms(&strided, DType::F32), [Algorithm::Direct]);
        assert_eq!(candidate_algorithms(&shape(), DType::F64), [Algorithm::Direct]);
    }
}
