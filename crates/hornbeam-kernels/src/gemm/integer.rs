//! Integer products: a plain loop over rows with wrapping arithmetic.

use super::{Activation, Product};
use crate::dtype::Element;
use crate::pool::{SharedMut, ThreadPool};
use crate::scratch::Scratch;

/// Integer with wrapping arithmetic.
pub(crate) trait Integer: Element + Ord {
    fn wrapping_mul_add(self, b: Self, c: Self) -> Self;
    fn wrapping_sum(self, b: Self) -> Self;
}

macro_rules! integer {
    ($($t:ty)*) => {$(
        impl Integer for $t {
            #[inline(always)]
            fn wrapping_mul_add(self, b: Self, c: Self) -> Self {
                self.wrapping_mul(b).wrapping_add(c)
            }
            #[inline(always)]
            fn wrapping_sum(self, b: Self) -> Self {
                self.wrapping_add(b)
            }
        }
    )*};
}
integer!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Adds the bias and applies the activation to one row or pixel.
#[inline]
pub(crate) fn apply_epilogue<T: Integer>(row: &mut [T], bias: Option<&[T]>, activation: Activation) {
    if let Some(bias) = bias {
        for (value, bias) in row.iter_mut().zip(bias) {
            *value = value.wrapping_sum(*bias);
        }
    }
    if let Activation::Relu { limit } = activation {
        assert_eq!(limit, f32::INFINITY, "the relu of integers has no limit");
        for value in row {
            *value = (*value).max(T::ZERO);
        }
    }
}

pub(super) fn product<T: Integer>(pool: &ThreadPool, product: Product<'_, T>, _: &mut Scratch) {
    let Product { batch, m, n, k, a, am, b, bm, c, epilogue, fused, .. } = product;
    let index = |mat: super::Mat, l: usize, i: usize, j: usize| {
        (mat.offset as isize + l as isize * mat.batch + i as isize * mat.rows + j as isize * mat.cols) as usize
    };
    let c = SharedMut::new(c);
    pool.run(batch * m, &|task| {
        let (l, i) = (task / m, task % m);
        // SAFETY: one task writes one row.
        let row = unsafe { c.range(task * n..(task + 1) * n) };
        if !epilogue.accumulate {
            row.fill(T::ZERO);
        }
        for p in 0..k {
            let lhs = a[index(am, l, i, p)];
            if bm.cols == 1 {
                let start = index(bm, l, p, 0);
                for (value, rhs) in row.iter_mut().zip(&b[start..start + n]) {
                    *value = lhs.wrapping_mul_add(*rhs, *value);
                }
            } else {
                for (j, value) in row.iter_mut().enumerate() {
                    *value = lhs.wrapping_mul_add(b[index(bm, l, p, j)], *value);
                }
            }
        }
        apply_epilogue(row, epilogue.bias, epilogue.activation);
        if let Some(fused) = fused {
            fused.apply(task * n, row);
        }
    });
}
