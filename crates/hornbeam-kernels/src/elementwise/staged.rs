//! Operations on dtypes without kernels of their own: a block of each operand is widened to float32, the kernel of float32
//! computes it, and results are rounded. The bits are those of an operation on elements, which is widened and rounded in the
//! same way; a kernel for each would take more code than all others of floats together.

use std::mem::MaybeUninit;

use super::convert::convert;
use super::loops::{map1, map2, Array, Map1, Map2, Operand, Scalar};
use super::{BinaryFn, UnaryFn};
use crate::dtype::{DType, Element};

/// Elements of a block: operands and results stay in the L1 cache.
const BLOCK: usize = 512;

/// Returns true for dtypes whose operations are staged: 16-bit floats that few models compute with.
pub(super) const fn is_staged(dtype: DType) -> bool {
    match dtype {
        DType::F16 => true,
        DType::BF16 => cfg!(target_arch = "wasm32"),
        _ => false,
    }
}

/// Kernel of [`map1`] for operands of type `T`.
///
/// # Safety
/// As for [`map1`].
pub(super) unsafe fn unary<O: Map1<In = f32>, T: Element>(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: the caller's contract.
    unsafe { run1(map1::<O>(), T::DTYPE, O::Out::DTYPE, src, dst, n) };
}

/// Kernel of [`map2`] for operands of type `T`.
///
/// # Safety
/// As for [`map2`].
pub(super) unsafe fn binary<O: Map2<In = f32>, T: Element, A: Operand, B: Operand>(
    a: *const u8,
    b: *const u8,
    dst: *mut u8,
    n: usize,
) {
    // SAFETY: the caller's contract.
    unsafe { run2(map2::<O, A, B>(), T::DTYPE, O::Out::DTYPE, [A::SCALAR, B::SCALAR], [a, b], dst, n) };
}

/// Kernel like [`binary`] with swapped operands.
///
/// # Safety
/// As for [`map2`].
unsafe fn binary_swapped<O: Map2<In = f32>, T: Element, A: Operand, B: Operand>(
    a: *const u8,
    b: *const u8,
    dst: *mut u8,
    n: usize,
) {
    // SAFETY: the caller's contract.
    unsafe { binary::<O, T, B, A>(b, a, dst, n) };
}

/// Selects the kernel of [`binary`] for the kinds of its operands.
pub(super) fn with_scalars<O: Map2<In = f32>, T: Element>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => binary::<O, T, Array, Array>,
        [true, false] => binary::<O, T, Scalar, Array>,
        [false, true] => binary::<O, T, Array, Scalar>,
        [true, true] => binary::<O, T, Scalar, Scalar>,
    }
}

/// Selects the kernel of [`binary_swapped`] for the kinds of its operands.
pub(super) fn swapped<O: Map2<In = f32>, T: Element>(scalars: [bool; 2]) -> BinaryFn {
    match scalars {
        [false, false] => binary_swapped::<O, T, Array, Array>,
        [true, false] => binary_swapped::<O, T, Scalar, Array>,
        [false, true] => binary_swapped::<O, T, Array, Scalar>,
        [true, true] => binary_swapped::<O, T, Scalar, Scalar>,
    }
}

/// Runs `kernel` of float32 on `n` elements of `dtype`. Its results are rounded to the dtype, or are of type `out`. One copy for
/// all kernels.
///
/// # Safety
/// Both arrays have `n` elements.
#[inline(never)]
unsafe fn run1(kernel: UnaryFn, dtype: DType, out: DType, src: *const u8, dst: *mut u8, n: usize) {
    let widen = convert(dtype, DType::F32);
    let round = (out == DType::F32).then(|| convert(DType::F32, dtype));
    let mut block = MaybeUninit::<[f32; BLOCK]>::uninit();
    let x = block.as_mut_ptr().cast::<u8>();
    for i in (0..n).step_by(BLOCK) {
        let m = BLOCK.min(n - i);
        // SAFETY: m <= BLOCK elements remain.
        unsafe {
            widen(src.add(i * dtype.size()), x, m);
            if let Some(round) = round {
                kernel(x, x, m);
                round(x, dst.add(i * dtype.size()), m);
            } else {
                kernel(x, dst.add(i * out.size()), m);
            }
        }
    }
}

/// As [`run1`], for two operands, of which `scalars` have one element.
///
/// # Safety
/// Arrays have `n` elements.
#[inline(never)]
unsafe fn run2(
    kernel: BinaryFn,
    dtype: DType,
    out: DType,
    scalars: [bool; 2],
    operands: [*const u8; 2],
    dst: *mut u8,
    n: usize,
) {
    let widen = convert(dtype, DType::F32);
    let round = (out == DType::F32).then(|| convert(DType::F32, dtype));
    let mut blocks = [MaybeUninit::<[f32; BLOCK]>::uninit(); 2];
    let mut z = MaybeUninit::<[f32; BLOCK]>::uninit();
    let [x, y] = blocks.each_mut().map(|block| block.as_mut_ptr().cast::<u8>());
    for i in (0..n).step_by(BLOCK) {
        let m = BLOCK.min(n - i);
        for ((operand, scalar), block) in operands.into_iter().zip(scalars).zip([x, y]) {
            // SAFETY: m <= BLOCK elements remain; a scalar is widened once.
            unsafe {
                match scalar {
                    false => widen(operand.add(i * dtype.size()), block, m),
                    true if i == 0 => widen(operand, block, 1),
                    true => {}
                }
            }
        }
        // SAFETY: m <= BLOCK elements of each operand are widened, and remain in `dst`.
        unsafe {
            if let Some(round) = round {
                kernel(x, y, z.as_mut_ptr().cast(), m);
                round(z.as_ptr().cast(), dst.add(i * dtype.size()), m);
            } else {
                kernel(x, y, dst.add(i * out.size()), m);
            }
        }
    }
}
