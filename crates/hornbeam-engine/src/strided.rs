//! Views: strides over the memory of another value, and copies of ranges of their elements.

/// One axis of a view: extent and stride in elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Dim {
    pub extent: usize,
    pub stride: isize,
}

/// The fewest axes that describe the same elements in the same order.
pub fn collapse(shape: &[usize], strides: &[isize]) -> Vec<Dim> {
    let mut dims: Vec<Dim> = Vec::with_capacity(shape.len());
    for (&extent, &stride) in shape.iter().zip(strides).filter(|(&e, _)| e != 1) {
        match dims.last_mut() {
            Some(last) if last.stride == stride * extent as isize => {
                last.extent *= extent;
                last.stride = stride;
            }
            _ => dims.push(Dim { extent, stride }),
        }
    }
    dims
}

pub fn is_contiguous(dims: &[Dim]) -> bool {
    matches!(dims, [] | [Dim { stride: 1, .. }])
}

/// Return whether all positions are one element.
pub fn is_uniform(dims: &[Dim]) -> bool {
    dims.iter().all(|d| d.stride == 0)
}

/// The number of elements after which a view repeats itself, if its outermost axis has stride 0.
pub fn period(dims: &[Dim]) -> Option<usize> {
    match dims {
        [Dim { stride: 0, .. }, rest @ ..] if !rest.is_empty() => Some(rest.iter().map(|d| d.extent).product()),
        _ => None,
    }
}

/// The strides of a reshape of a view (extents and strides), if the result can be a view too.
pub fn reshape(from: (&[usize], &[isize]), shape: &[usize]) -> Option<Vec<isize>> {
    let mut strides = vec![0isize; shape.len()];
    if shape.contains(&0) {
        return Some(strides); // without elements, any strides do
    }
    let dims = collapse(from.0, from.1);
    let mut source = dims.iter().rev().copied();
    let mut current = Dim { extent: 1, stride: 1 };
    for axis in (0..shape.len()).rev() {
        let extent = shape[axis];
        if extent == 1 {
            continue;
        }
        if current.extent == 1 {
            current = source.next()?;
        }
        if !current.extent.is_multiple_of(extent) {
            return None;
        }
        strides[axis] = current.stride;
        current = Dim { extent: current.extent / extent, stride: current.stride * extent as isize };
    }
    Some(strides)
}

/// Copy elements `start..start + count` (row-major) of a view to `dst`.
///
/// # Safety
/// `src` is the view's first element; all elements of the view are readable at their strides, `dst` has room for
/// `count` of them, both are aligned to `size` (1, 2, 4 or 8), and they do not overlap.
pub unsafe fn copy_range(src: *const u8, dims: &[Dim], size: usize, start: usize, count: usize, dst: *mut u8) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        match size {
            1 => copy_typed::<u8>(src, dims, start, count, dst),
            2 => copy_typed::<u16>(src.cast(), dims, start, count, dst.cast()),
            4 => copy_typed::<u32>(src.cast(), dims, start, count, dst.cast()),
            _ => copy_typed::<u64>(src.cast(), dims, start, count, dst.cast()),
        }
    }
}

/// # Safety
/// As [`copy_range`], for elements of type `T`.
unsafe fn copy_typed<T: Copy>(src: *const T, dims: &[Dim], start: usize, count: usize, dst: *mut T) {
    let Some((inner, outer)) = dims.split_last() else {
        if count > 0 {
            // SAFETY: a view without axes has one element.
            unsafe { dst.write(src.read()) };
        }
        return;
    };
    // Position along every outer axis, and the offset of the inner axis at it.
    let mut index = start / inner.extent;
    let mut column = start % inner.extent;
    let mut position = [0usize; 16];
    debug_assert!(outer.len() <= position.len());
    let mut offset = 0isize;
    for (axis, dim) in outer.iter().enumerate().rev() {
        position[axis] = index % dim.extent;
        index /= dim.extent;
        offset += position[axis] as isize * dim.stride;
    }
    let mut copied = 0;
    while copied < count {
        let run = (inner.extent - column).min(count - copied);
        // SAFETY: elements of the view by construction, and `copied + run <= count`.
        unsafe {
            let from = src.offset(offset + column as isize * inner.stride);
            let to = dst.add(copied);
            match inner.stride {
                1 => std::ptr::copy_nonoverlapping(from, to, run),
                0 => std::slice::from_raw_parts_mut(to, run).fill(from.read()),
                stride => (0..run).for_each(|i| to.add(i).write(from.offset(i as isize * stride).read())),
            }
        }
        copied += run;
        column = 0;
        for (axis, dim) in outer.iter().enumerate().rev() {
            position[axis] += 1;
            offset += dim.stride;
            if position[axis] < dim.extent {
                break;
            }
            offset -= dim.extent as isize * dim.stride;
            position[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::row_major;

    #[test]
    fn contiguous_axes_collapse() {
        let shape = [2, 1, 3, 4];
        assert_eq!(collapse(&shape, &row_major(&shape)), [Dim { extent: 24, stride: 1 }]);
        let bias = collapse(&[5, 6, 3], &[0, 0, 1]);
        assert_eq!(bias, [Dim { extent: 30, stride: 0 }, Dim { extent: 3, stride: 1 }]);
        assert_eq!(period(&bias), Some(3));
        assert!(is_uniform(&collapse(&[2, 2], &[0, 0])));
    }

    #[test]
    fn reshape_returns_views_where_possible() {
        assert_eq!(reshape((&[4, 6], &[6, 1]), &[2, 2, 3, 2]), Some(vec![12, 6, 2, 1]));
        assert_eq!(reshape((&[4, 6], &[1, 4]), &[24]), None);
        assert_eq!(reshape((&[4, 6], &[1, 4]), &[2, 2, 6]), Some(vec![2, 1, 4]));
        assert_eq!(reshape((&[1], &[1]), &[1, 1]), Some(vec![0, 0]));
    }

    #[test]
    fn ranges_of_a_transposed_view() {
        let data: Vec<u32> = (0..12).collect();
        let dims = collapse(&[4, 3], &[1, 4]);
        let mut out = [0u32; 7];
        // SAFETY: the view covers the 12 elements of `data`.
        unsafe { copy_range(data.as_ptr().cast(), &dims, 4, 2, 7, out.as_mut_ptr().cast()) };
        assert_eq!(out, [8, 1, 5, 9, 2, 6, 10]);
    }
}
