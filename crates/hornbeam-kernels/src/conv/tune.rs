//! Autotuned algorithms, which take precedence over the cost model.
//!
//! Algorithms differ in rounding: with autotuned choices, results are bit-identical only on machines that share them.

use super::{conv_backward, conv_forward, cost_model, winograd, Algorithm, ConvShape, OutputGrad};
use crate::dtype::DType;
use crate::gemm::Epilogue;
use crate::pool::ThreadPool;
use crate::scratch::Scratch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Timed runs of each candidate; the fastest counts.
const RUNS: usize = 3;

static HAS_CHOICES: AtomicBool = AtomicBool::new(false);
static CHOICES: RwLock<Option<HashMap<(ConvShape, DType), Algorithm>>> = RwLock::new(None);

/// Returns the autotuned algorithm, if any.
pub(super) fn tuned_algorithm(shape: &ConvShape, dtype: DType) -> Option<Algorithm> {
    if !HAS_CHOICES.load(Ordering::Acquire) {
        return None;
    }
    let choices = CHOICES.read().unwrap_or_else(PoisonError::into_inner);
    choices.as_ref()?.get(&(*shape, dtype)).copied()
}

/// Sets the algorithm for a shape.
///
/// # Panics
/// If it is not one of the [`candidate_algorithms`] of the shape.
pub fn set_algorithm(shape: &ConvShape, dtype: DType, algorithm: Algorithm) {
    assert!(
        candidate_algorithms(shape, dtype).contains(&algorithm),
        "{algorithm:?} does not support {shape:?} of {dtype}"
    );
    let mut choices = CHOICES.write().unwrap_or_else(PoisonError::into_inner);
    choices.get_or_insert_with(HashMap::new).insert((*shape, dtype), algorithm);
    HAS_CHOICES.store(true, Ordering::Release);
}

/// Algorithms that support a shape within their error bounds, the choice of the cost model first.
pub fn candidate_algorithms(shape: &ConvShape, dtype: DType) -> Vec<Algorithm> {
    let first = cost_model(shape, dtype);
    let others = [Algorithm::Winograd, Algorithm::Direct].into_iter().filter(|&other| {
        let possible = match other {
            Algorithm::Winograd => dtype == DType::F32 && winograd::supports(shape),
            _ => matches!(first, Algorithm::Winograd),
        };
        possible && other != first
    });
    std::iter::once(first).chain(others).collect()
}

/// Times the forward and backward pass of every candidate for `f32`, selects the fastest, and returns it with the times.
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
        let mut time_once = || {
            let started = Instant::now();
            conv_forward(pool, shape, &x, &w, &mut y, Epilogue::default(), scratch);
            conv_backward(pool, shape, &x, &w, OutputGrad::Plain(&y), Some(&mut dx), Some(&mut dw), None, scratch);
            started.elapsed()
        };
        time_once();
        times.push((algorithm, (0..RUNS).map(|_| time_once()).min().unwrap_or_default()));
    }
    let fastest = times.iter().min_by_key(|(_, time)| *time).map_or(Algorithm::Direct, |(algorithm, _)| *algorithm);
    set_algorithm(shape, DType::F32, fastest);
    (fastest, times)
}

#[cfg(test)]
mod tests {
    use super::super::tests::valid;
    use super::*;

    fn shape() -> ConvShape {
        ConvShape { input: [1, 10, 11], output: [1, 8, 9], ..valid(3, 10, 3, [16, 16]) }
    }

    #[test]
    fn an_autotuned_choice_is_a_candidate_and_is_kept() {
        let shape = shape();
        let all = candidate_algorithms(&shape, DType::F32);
        assert!(all.contains(&Algorithm::Winograd) && all.contains(&Algorithm::Direct));
        let (fastest, times) = autotune(ThreadPool::global(), &shape, &mut Scratch::new());
        assert_eq!(times.len(), all.len());
        assert_eq!(tuned_algorithm(&shape, DType::F32), Some(fastest));
        set_algorithm(&shape, DType::F32, Algorithm::Direct);
        assert_eq!(super::super::select_algorithm(&shape, DType::F32), Algorithm::Direct);
    }

    #[test]
    fn shapes_with_one_algorithm_have_one_candidate() {
        let strided = ConvShape { strides: [1, 2, 2], output: [1, 4, 5], ..shape() };
        assert_eq!(candidate_algorithms(&strided, DType::F32), [Algorithm::Direct]);
        assert_eq!(candidate_algorithms(&shape(), DType::F64), [Algorithm::Direct]);
    }
}
