//! Comparison of chains with the kernels of their operations.

use super::super::chain::run;
use super::*;

#[test]
fn a_chain_gives_the_bits_of_its_operations_one_by_one() {
    for isa in Isa::available() {
        for dtype in [DType::F32, DType::BF16] {
            for (round, n) in [1, 63, 64, 65, 127, 129, 400].into_iter().enumerate() {
                with_isa(isa, || check_chain(chain(dtype).unwrap(), dtype, n, round));
                // Also without VNNI, where `chain` has it.
                with_isa(isa, || check_chain(run::<bf16>(), DType::BF16, n, round));
            }
        }
    }
}

fn check_chain(kernel: ChainFn, dtype: DType, n: usize, round: usize) {
    let names = ["add", "sub", "mul", "div", "max", "min", "sqrt", "neg", "abs"];
    let size = dtype.size();
    let (mut links, mut operands, mut want) = (vec![], vec![], samples(dtype, n, 3));
    let (mut got, mut stored) = (want.clone(), vec![vec![0; want.len()]; 3]);
    let mut wanted = Vec::new();
    for i in 0..24 {
        if i % 8 == 5 {
            // The value is stored, and read again at the end.
            links.push((ChainOp::Store, true));
            operands.push(std::mem::take(&mut stored[i / 8]));
            wanted.push((operands.len() - 1, want.clone()));
            continue;
        }
        let (name, position) = (names[(i * 5 + round) % names.len()], i % 2);
        let Some(op) = ChainOp::of(name, position) else { continue };
        let constant = i % 3 == 0;
        let y = samples(dtype, n, i as u64 + 7);
        let y = if constant { y[..size].repeat(n) } else { y };
        let mut out = vec![0; want.len()];
        // SAFETY: n elements each.
        unsafe {
            match (Binary::parse(name), position) {
                (None, _) => {
                    unary(Unary::parse(name).unwrap(), dtype).unwrap()(want.as_ptr(), out.as_mut_ptr(), n);
                }
                (Some(op), 0) => binary(op, dtype).unwrap()(want.as_ptr(), y.as_ptr(), out.as_mut_ptr(), n),
                (Some(op), _) => binary(op, dtype).unwrap()(y.as_ptr(), want.as_ptr(), out.as_mut_ptr(), n),
            }
        }
        want = out;
        links.push((op, !constant));
        operands.push(if constant { bytes(&[values(dtype, &y)[0] as f32; BLOCK]) } else { y });
    }
    // A block of accumulators takes the value from one link to another.
    let mut block = bytes(&[0f32; BLOCK]);
    let passed = Link { op: ChainOp::Store, y: block.as_mut_ptr(), advances: false };
    let x = Link { op: ChainOp::Load, y: got.as_mut_ptr(), advances: true };
    let mut chained = vec![x];
    let each = links.iter().zip(&mut operands);
    chained.extend(each.map(|(&(op, advances), y)| Link { op, y: y.as_mut_ptr(), advances }));
    chained.extend([passed, x, Link { op: ChainOp::Load, ..passed }]);
    chained.push(Link { op: ChainOp::Store, ..x });
    // SAFETY: n elements each, others one block; in place.
    unsafe { kernel(&chained, n) };
    let isa = crate::simd::isa();
    assert_eq!(canonical(dtype, &got), canonical(dtype, &want), "{isa:?} {dtype} {n}");
    for (index, value) in &wanted {
        assert_eq!(canonical(dtype, &operands[*index]), canonical(dtype, value), "{isa:?} {dtype} {n}");
    }
}
