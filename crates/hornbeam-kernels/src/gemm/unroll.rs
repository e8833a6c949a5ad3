//! Macros that unroll loops over the registers of a micro-kernel.

/// Repeats a block for each row below `M`. LLVM unrolls a long loop only after it has decided to keep the array of sums
/// in memory, so the block is unrolled here. The condition is a `const` block because the compiler generates no code for
/// a branch on a constant that is not taken: without it, these blocks are most of the crate's code before optimisation.
macro_rules! rows {
    ($i:ident < $m:ident, $body:block) => {
        $crate::gemm::unroll::rows!(@ $i, $m, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
    };
    (@ $i:ident, $m:ident, $body:block, $($n:literal)*) => {
        $(if const { $n < $m } {
            const $i: usize = $n;
            $body
        })*
    };
}

/// Repeats a block for each vector of a row.
macro_rules! columns {
    ($j:ident < $n:ident, $body:block) => {
        $crate::gemm::unroll::rows!(@ $j, $n, $body, 0 1 2 3)
    };
}

/// Repeats a block for each pixel that a tile of pixels reads.
macro_rules! pixels {
    ($p:ident < $n:expr, $body:block) => {
        $crate::gemm::unroll::pixels!(@ $p, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18)
    };
    (@ $p:ident, $count:expr, $body:block, $($n:literal)*) => {
        $(if const { $n < $count } {
            const $p: usize = $n;
            $body
        })*
    };
}

pub(super) use {columns, pixels, rows};
