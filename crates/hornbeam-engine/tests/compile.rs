//! Compilation: graphs become instruction lists, compared as text.

mod common;

use common::{buffer, compile, indices, ramp, values, Text};
use hornbeam_engine::error::Error;
use hornbeam_engine::executable::Executable;

#[test]
fn a_chain_is_one_loop_and_scalars_fold() {
    let mut t = Text::default();
    let x = t.input("float32", &[4, 8]);
    let (two, three) = (t.number(2.0, &[4, 8]), t.number(3.0, &[4, 8]));
    let six = t.f32("mul", &[two, three], &[4, 8]);
    let one = t.number(1.0, &[4, 8]);
    let same = t.f32("mul", &[x, one], &[4, 8]);
    let scaled = t.f32("mul", &[same, six], &[4, 8]);
    let flat = t.f32("reshape", &[scaled], &[32]);
    let out = t.f32("tanh", &[flat], &[32]);
    let executable = compile(&t, &[out]);
    assert_eq!(executable.text(), "out0 = fused 32 [mul tanh](in0, lit0)\n");
    let result = executable.run(vec![ramp(&[4, 8])], &[]).unwrap();
    let expected: Vec<f32> = (0..32).map(|i| ((i as f32 * 0.25 - 3.0) * 6.0).tanh()).collect();
    assert!(values(&result[0]).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn bias_and_relu_are_fused_into_the_product() {
    let mut t = Text::default();
    let (x, w, b) = (t.input("float32", &[8, 5]), t.input("float32", &[5, 3]), t.input("float32", &[3]));
    let y = t.node("dot_general", &[x, w], "float32", &[8, 3], "\"contract\":[[1],[0]],\"batch\":[[],[]]");
    let bias = t.node("broadcast", &[b], "float32", &[8, 3], "\"dims\":[1]");
    let y = t.f32("add", &[y, bias], &[8, 3]);
    let zero = t.number(0.0, &[8, 3]);
    let y = t.f32("max", &[y, zero], &[8, 3]);
    assert_eq!(compile(&t, &[y]).text(), "out0 = dot_general 1x8x3x5 +bias +relu(in0, in1, in2)\n");
}

#[test]
fn limits_of_a_relu_are_fused_in_either_order() {
    let program = |operations: &[(&str, f32)]| {
        let mut t = Text::default();
        let (x, w) = (t.input("float32", &[8, 5]), t.input("float32", &[5, 3]));
        let mut y = t.node("dot_general", &[x, w], "float32", &[8, 3], "\"contract\":[[1],[0]],\"batch\":[[],[]]");
        for (name, bound) in operations {
            let bound = t.number(*bound, &[8, 3]);
            y = t.f32(name, &[y, bound], &[8, 3]);
        }
        compile(&t, &[y])
    };
    let run = |operations: &[(&str, f32)]| {
        let executable = program(operations);
        let w = (0..15).map(|i| if i == 4 { f32::NAN } else { i as f32 / 7.0 - 1.0 }).collect::<Vec<_>>();
        (executable.text(), values(&executable.run(vec![ramp(&[8, 5]), buffer(&[5, 3], &w)], &[]).unwrap()[0]))
    };
    let (_, sums) = run(&[]);
    let cases: [(&[(&str, f32)], &str); 5] = [
        (&[("max", 0.0), ("min", 6.0)], " +relu6(in0, in1)\n"),
        (&[("min", 0.3), ("max", 0.0)], " +relu0.3(in0, in1)\n"),
        (&[("max", 0.0), ("min", 6.0), ("max", 0.0)], " +relu6(in0, in1)\nout0 = fused 24 [max]"),
        (&[("max", 0.0), ("min", -1.0)], " +relu(in0, in1)\nout0 = fused 24 [min]"),
        (&[("max", 1.0), ("min", 6.0)], "(in0, in1)\nout0 = fused 24 [max min]"),
    ];
    for (operations, want) in cases {
        let (text, found) = run(operations);
        assert!(text.starts_with(&format!("out0 = dot_general 1x8x3x5{want}")), "{text}");
        for (sum, found) in sums.iter().zip(found) {
            let bound = |x: f32, (name, bound): &(&str, f32)| match *name {
                _ if x.is_nan() => x,
                "max" => x.max(*bound),
                _ => x.min(*bound),
            };
            let want = operations.iter().fold(*sum, bound);
            assert!(want == found || (want.is_nan() && found.is_nan()), "{text}: {found} for {sum}");
        }
    }
}

#[test]
fn loops_multiply_by_transposed_operands_without_a_copy() {
    let program = |combine: &str| {
        let mut body = Text::default();
        let (c, w) = (body.input("float32", &[1, 4]), body.input("float32", &[4, 4]));
        let contract = "\"contract\":[[1],[0]],\"batch\":[[],[]]";
        let y = match combine {
            "multiply" => body.node("dot_general", &[c, w], "float32", &[1, 4], contract),
            _ => {
                let w = body.f32("tanh", &[w], &[4, 4]);
                body.node("dot_general", &[c, w], "float32", &[1, 4], contract)
            }
        };
        let body = body.finish(&[y]);
        let mut t = Text::default();
        let (c, w) = (t.input("float32", &[1, 4]), t.input("float32", &[4, 4]));
        let w = t.node("transpose", &[w], "float32", &[4, 4], "\"perm\":[1,0]");
        let params = format!("\"body\":{body},\"carries\":1,\"sequences\":0,\"length\":2,\"reverse\":false");
        let y = t.multi("scan", &[c, w], &[("float32", &[1, 4]), ("float32", &[2, 1, 4])], &params);
        let y = t.node("project", &[y], "float32", &[1, 4], "\"index\":0");
        compile(&t, &[y])
    };
    // Other operations read a copy, which is made once.
    assert!(program("tanh").text().contains("copy 16"));
    let executable = program("multiply");
    assert!(!executable.text().contains("copy"), "{}", executable.text());
    let (row, matrix) = (ramp(&[1, 4]), ramp(&[4, 4]));
    let result = values(&executable.run(vec![row.clone(), matrix.clone()], &[]).unwrap()[0]);
    let (mut expected, matrix) = (values(&row), values(&matrix));
    for _ in 0..2 {
        expected = (0..4).map(|j| (0..4).map(|p| expected[p] * matrix[j * 4 + p]).sum()).collect();
    }
    assert_eq!(result, expected);
}

#[test]
fn products_read_transposes_by_their_strides() {
    let mut t = Text::default();
    let (x, y) = (t.input("float32", &[8, 5]), t.input("float32", &[8, 3]));
    let xt = t.node("transpose", &[x], "float32", &[5, 8], "\"perm\":[1,0]");
    let z = t.node("dot_general", &[y, xt], "float32", &[3, 5], "\"contract\":[[0],[1]],\"batch\":[[],[]]");
    // The transposed result is the product of the swapped operands.
    let z = t.node("transpose", &[z], "float32", &[5, 3], "\"perm\":[1,0]");
    let executable = compile(&t, &[z]);
    assert_eq!(executable.text(), "out0 = dot_general 1x5x3x8(in0, in1)\n");
    let (a, b) = (ramp(&[8, 5]), ramp(&[8, 3]));
    let result = values(&executable.run(vec![a.clone(), b.clone()], &[]).unwrap()[0]);
    let (a, b) = (values(&a), values(&b));
    for i in 0..5 {
        for j in 0..3 {
            let expected: f32 = (0..8).map(|r| a[r * 5 + i] * b[r * 3 + j]).sum();
            assert!((result[i * 3 + j] - expected).abs() < 1e-3);
        }
    }
}

#[test]
fn an_optimizer_update_is_one_loop_in_place() {
    let mut t = Text::default();
    let (w, m, g) = (t.input("float32", &[100]), t.input("float32", &[100]), t.input("float32", &[100]));
    let (beta, rate) = (t.number(0.9, &[100]), t.number(0.1, &[100]));
    let decayed = t.f32("mul", &[m, beta], &[100]);
    let moment = t.f32("add", &[decayed, g], &[100]);
    let step = t.f32("mul", &[moment, rate], &[100]);
    let new = t.f32("sub", &[w, step], &[100]);
    let executable = compile(&t, &[new, moment]);
    assert_eq!(executable.text(), "out1/in1, out0/in0 = fused 100 [mul add mul sub](in1, lit0, in2, lit1, in0)\n");
    assert_eq!(executable.arena_bytes(), 0);
}

#[test]
fn a_loop_ends_where_its_sum_is_read() {
    let mut t = Text::default();
    let x = t.input("float32", &[4, 8]);
    let e = t.f32("exp", &[x], &[4, 8]);
    let total = t.node("reduce_sum", &[e], "float32", &[4], "\"axes\":[1]");
    let wide = t.node("broadcast", &[total], "float32", &[4, 8], "\"dims\":[0]");
    let y = t.f32("div", &[e, wide], &[4, 8]);
    let executable = compile(&t, &[y]);
    assert_eq!(
        executable.text(),
        "out0/in0, @0 = fused 32 [exp reduce_sum] over [4 -8 1](in0)\nout0/in0 = fused 32 [div] views=1(out0/in0, @0)\n"
    );
    let result = values(&executable.run(vec![ramp(&[4, 8])], &[]).unwrap()[0]);
    assert!(result.chunks(8).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
}

#[test]
fn sums_over_one_space_share_a_loop_without_constant_factors() {
    let mut t = Text::default();
    let (x, v) = (t.input("float32", &[64, 8]), t.input("float32", &[8]));
    let e = t.f32("exp", &[x], &[64, 8]);
    let first = t.node("reduce_sum", &[e], "float32", &[8], "\"axes\":[0]");
    let wide = t.node("broadcast", &[v], "float32", &[64, 8], "\"dims\":[1]");
    let scaled = t.f32("mul", &[e, wide], &[64, 8]);
    let second = t.node("reduce_sum", &[scaled], "float32", &[8], "\"axes\":[0]");
    let largest = t.node("reduce_max", &[x], "float32", &[8], "\"axes\":[0]");
    assert_eq!(
        compile(&t, &[first, second, largest]).text(),
        "out2, out0 = fused 512 [reduce_max exp reduce_sum] over [1 -64 8](in0)\nout1/in1 = fused 8 [mul](out0, in1)\n"
    );
}

#[test]
fn large_cheap_values_are_rematerialized() {
    let mut t = Text::default();
    let shape = [4096, 16];
    let (x, m) = (t.input("float32", &shape), t.input("float32", &[16]));
    let wide = t.node("broadcast", &[m], "float32", &shape, "\"dims\":[1]");
    let centred = t.f32("sub", &[x, wide], &shape);
    let square = t.f32("mul", &[centred, centred], &shape);
    let sum = t.node("reduce_sum", &[square], "float32", &[16], "\"axes\":[0]");
    let root = t.f32("rsqrt", &[sum], &[16]);
    let wide = t.node("broadcast", &[root], "float32", &shape, "\"dims\":[1]");
    let y = t.f32("mul", &[centred, wide], &shape);
    let executable = compile(&t, &[sum, y]);
    assert_eq!(
        executable.text(),
        "out0 = fused 65536 [sub mul reduce_sum] views=1 over [1 -4096 16](in0, in1)\n@0 = fused 16 [rsqrt](out0)\n\
         out1/in0 = fused 65536 [sub mul] views=2(in0, in1, @0)\n"
    );
}

#[test]
fn dead_and_equal_nodes_are_removed() {
    let mut t = Text::default();
    let x = t.input("float32", &[16]);
    let _dead = t.f32("exp", &[x], &[16]);
    let (a, b) = (t.f32("sin", &[x], &[16]), t.f32("sin", &[x], &[16]));
    let y = t.f32("mul", &[a, b], &[16]);
    assert_eq!(compile(&t, &[y]).text(), "out0/in0 = fused 16 [sin mul](in0)\n");
}

#[test]
fn outputs_that_are_inputs_need_no_instruction() {
    let mut t = Text::default();
    let x = t.input("float32", &[2, 3]);
    let flat = t.f32("reshape", &[x], &[6]);
    let executable = compile(&t, &[flat, x]);
    assert_eq!(executable.text(), "");
    let input = ramp(&[2, 3]);
    let result = executable.run(vec![input.clone()], &[]).unwrap();
    assert_eq!(result[0].as_ptr(), input.as_ptr());
    assert_eq!((result[0].tensor.shape.as_slice(), values(&result[1])), ([6].as_slice(), values(&input)));
}

#[test]
fn a_view_of_a_row_is_read_once_per_task() {
    let mut t = Text::default();
    let (x, b) = (t.input("float32", &[50, 7]), t.input("float32", &[7]));
    let wide = t.node("broadcast", &[b], "float32", &[50, 7], "\"dims\":[1]");
    let y = t.f32("mul", &[x, wide], &[50, 7]);
    let executable = compile(&t, &[y]);
    let (a, b) = (ramp(&[50, 7]), ramp(&[7]));
    let result = values(&executable.run(vec![a.clone(), b.clone()], &[]).unwrap()[0]);
    let (a, b) = (values(&a), values(&b));
    assert!((0..350).all(|i| result[i] == a[i] * b[i % 7]));
}

#[test]
fn malformed_texts_are_errors() {
    let malformed = [
        "",
        "{",
        "{\"inputs\":[],\"nodes\":[],\"outputs\":[0]}",
        "{\"inputs\":[[\"float31\",[2]]],\"nodes\":[],\"outputs\":[0]}",
        "{\"inputs\":[[\"float32\",[-2]]],\"nodes\":[],\"outputs\":[0]}",
        "{\"inputs\":[[\"float32\",[4294967296,4294967296,64]]],\"nodes\":[],\"outputs\":[0]}",
        r#"{"inputs":[["float32",[2]]],"nodes":[{"op":"add","in":[0,1],"out":[["float32",[2]]]}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[2]]],"nodes":[{"op":"add","in":[0],"out":[["float32",[2]]]}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[2]]],"nodes":[{"op":"exp","in":[0],"out":[["float32",[3]]]}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[2]]],"nodes":[{"op":"exp","in":[0],"out":[]}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[2,3]]],"nodes":[{"op":"transpose","in":[0],"out":[["float32",[3,3]]],"params":{"perm":[1,1]}}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[4]]],"nodes":[{"op":"slice","in":[0],"out":[["float32",[3]]],"params":{"start":[2],"step":[1]}}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[4]]],"nodes":[{"op":"reduce_sum","in":[0],"out":[["float32",[]]],"params":{"axes":[0,0]}}],"outputs":[1]}"#,
        r#"{"inputs":[["float32",[4]]],"nodes":[{"op":"reduce_sum","in":[0],"out":[["float32",[]]]}],"outputs":[1]}"#,
        r#"{"inputs":[],"nodes":[{"op":"constant","in":[],"out":[["float32",[]]],"params":{"data":"00"}}],"outputs":[0]}"#,
        r#"{"inputs":[],"nodes":[{"op":"constant","in":[],"out":[["float32",[]]],"params":{"data":"0000zz00"}}],"outputs":[0]}"#,
        r#"{"inputs":[],"nodes":[{"op":"constant","in":[],"out":[["float32",[]]],"params":{"buffer":0}}],"outputs":[0]}"#,
    ];
    for text in malformed {
        match Executable::compile(text, Vec::new()) {
            Err(Error::Decode(_)) => {}
            Err(other) => panic!("{text}: {other}"),
            Ok(_) => panic!("{text} was accepted"),
        }
    }
    let unknown =
        r#"{"inputs":[["float32",[2]]],"nodes":[{"op":"warp","in":[0],"out":[["float32",[2]]]}],"outputs":[1]}"#;
    let error = Executable::compile(unknown, Vec::new()).err().unwrap();
    assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains("warp"));
    let nested = "[".repeat(100_000);
    assert!(matches!(Executable::compile(&nested, Vec::new()), Err(Error::Decode(_))));
}

#[test]
fn wrong_inputs_are_errors() {
    let mut t = Text::default();
    let x = t.input("float32", &[2]);
    let y = t.f32("exp", &[x], &[2]);
    let executable = compile(&t, &[y]);
    let error = executable.run(vec![buffer(&[3], &[0.0; 3])], &[]).err().unwrap();
    assert_eq!(error.to_string(), "input 0 is float32[3], the executable takes float32[2]");
    assert!(executable.run(vec![], &[]).is_err());
}

#[test]
fn values_read_through_a_barrier_are_written_first() {
    let mut t = Text::default();
    let x = t.input("float32", &[6]);
    let (one, zero) = (t.number(1.0, &[6]), t.number(0.0, &[6]));
    let small = t.node("lt", &[x, one], "bool", &[6], "");
    let before = t.f32("select", &[small, x, zero], &[6]);
    let barrier = t.node("optimization_barrier", &[small], "bool", &[6], "");
    let barrier = t.node("project", &[barrier], "bool", &[6], "\"index\":0");
    let after = t.f32("select", &[barrier, x, zero], &[6]);
    let executable = compile(&t, &[before, after]);
    let result = executable.run(vec![ramp(&[6])], &[]).unwrap();
    assert_eq!(values(&result[0]), values(&result[1]));
}

#[test]
fn integers_become_one_hot_vectors_by_one_instruction() {
    let shape = [2, 4, 3];
    let graph = |dtype: &str, stored: bool| {
        let mut t = Text::default();
        let x = t.input(dtype, &[2, 3]);
        let wide = t.node("broadcast", &[x], dtype, &shape, "\"dims\":[0,2]");
        let positions = t.node("iota", &[], dtype, &shape, "\"axis\":1");
        let hits = t.node("eq", &[wide, positions], "bool", &shape, "");
        let hot = t.node("convert", &[hits], "float32", &shape, "");
        let outputs = [hot, hits];
        compile(&t, &outputs[..1 + usize::from(stored)])
    };
    let executable = graph("int64", false);
    assert_eq!(executable.text(), "out0 = one_hot(in0)\n");
    let result = executable.run(vec![indices(&[&[0, 3, -1], &[2, 4, 2]])], &[]).unwrap();
    let mut expected = [0.0; 24];
    for (i, at) in [0, 3, -1, 2, 4, 2].into_iter().enumerate() {
        if (0..4).contains(&at) {
            expected[(i / 3 * 4 + at as usize) * 3 + i % 3] = 1.0;
        }
    }
    assert_eq!(values(&result[0]), expected);
    // Floats can be between positions; eight bits wrap; comparisons may be read by others.
    for (dtype, stored) in [("float32", false), ("int8", false), ("int32", true)] {
        assert!(graph(dtype, stored).text().contains("fused 24 ["), "{dtype} {stored}");
    }
}

#[test]
fn a_streamed_loop_gives_the_results_of_a_short_one() {
    // Two costly steps, with more memory than a second-level cache, and a last block that is not full.
    let run = |n: usize| {
        let mut t = Text::default();
        let x = t.input("float32", &[n]);
        let (a, b) = (t.f32("tanh", &[x], &[n]), t.f32("exp", &[x], &[n]));
        let executable = compile(&t, &[a, b]);
        assert_eq!(executable.text(), format!("out0/in0, out1 = fused {n} [tanh exp](in0)\n"));
        let x = buffer(&[n], &(0..n).map(|i| (i % 1000) as f32 * 0.01 - 5.0).collect::<Vec<_>>());
        executable.run(vec![x], &[]).unwrap().iter().map(values).collect::<Vec<_>>()
    };
    let (short, long) = (run(1000), run(700_013));
    for (short, long) in short.iter().zip(&long) {
        assert!(long.iter().enumerate().all(|(i, v)| v.to_bits() == short[i % 1000].to_bits()));
    }
}

#[test]
fn loops_over_more_than_the_caches_reduce_and_store() {
    // Sums of small integers are exact in any order. No number of columns is a multiple of a kernel's block.
    for columns in [24, 40, 144] {
        let rows = (9 << 20) / columns + 3;
        let shape = [rows, columns];
        let mut t = Text::default();
        let (x, m) = (t.input("float32", &shape), t.input("float32", &[columns]));
        let wide = t.node("broadcast", &[m], "float32", &shape, "\"dims\":[1]");
        let centred = t.f32("sub", &[x, wide], &shape);
        let square = t.f32("mul", &[centred, centred], &shape);
        let sum = t.node("reduce_sum", &[square], "float32", &[columns], "\"axes\":[0]");
        let executable = compile(&t, &[sum, centred]);
        assert_eq!(executable.text().lines().count(), 1, "{}", executable.text());
        let value = |i: usize| ((i * 7 + i / columns) % 5) as f32;
        let x = buffer(&shape, &(0..rows * columns).map(value).collect::<Vec<_>>());
        let m = buffer(&[columns], &(0..columns).map(|j| (j % 3) as f32).collect::<Vec<_>>());
        let results = executable.run(vec![x, m], &[]).unwrap();
        let centred = |i: usize| value(i) - (i % columns % 3) as f32;
        assert!(values(&results[1]).iter().enumerate().all(|(i, v)| *v == centred(i)), "{columns}");
        for (j, sum) in values(&results[0]).iter().enumerate() {
            let expected: f32 = (0..rows).map(|row| centred(row * columns + j).powi(2)).sum();
            assert_eq!(*sum, expected, "{columns}, {j}");
        }
    }
}

#[test]
fn chains_of_any_depth_compile() {
    for name in ["add", "mul", "max"] {
        let mut t = Text::default();
        let mut x = t.input("float32", &[2]);
        let one = t.number(1.0, &[2]);
        for _ in 0..100_000 {
            x = t.f32(name, &[x, one], &[2]);
        }
        compile(&t, &[x]);
    }
}

#[test]
fn values_that_an_output_overwrites_lie_in_its_memory() {
    let mut t = Text::default();
    let (x, at, rows) = (t.input("float32", &[4, 2]), t.input("int64", &[3, 1]), t.input("float32", &[3, 2]));
    let e = t.f32("exp", &[x], &[4, 2]);
    let total = t.node("reduce_sum", &[e], "float32", &[4], "\"axes\":[1]");
    let wide = t.node("broadcast", &[total], "float32", &[4, 2], "\"dims\":[0]");
    let y = t.f32("div", &[e, wide], &[4, 2]);
    let sums = t.node("scatter", &[y, at, rows], "float32", &[4, 2], "\"mode\":\"add\",\"batch_dims\":0");
    let executable = compile(&t, &[sums]);
    let text = executable.text();
    assert!(text.starts_with("out0/in0, @0 = fused 8 [exp reduce_sum]"), "{text}");
    assert!(text.ends_with("out0/in0 = scatter(out0/in0, in1, in2)\n"), "{text}");
    let x = buffer(&[4, 2], &[0.0; 8]);
    let at = indices(&[&[1], &[3], &[1]]);
    let inputs = vec![x, at, buffer(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    for donate in [false, true] {
        let result = values(&executable.run(inputs.clone(), &[donate, false, false]).unwrap()[0]);
        assert_eq!(result, [0.5, 0.5, 6.5, 8.5, 0.5, 0.5, 3.5, 4.5]);
    }
}

#[test]
fn values_that_are_read_again_keep_memory_of_their_own() {
    let mut t = Text::default();
    let x = t.input("float32", &[2, 3]);
    let e = t.f32("exp", &[x], &[2, 3]);
    let total = t.node("reduce_sum", &[e], "float32", &[2], "\"axes\":[1]");
    let wide = t.node("broadcast", &[total], "float32", &[2, 3], "\"dims\":[0]");
    let y = t.f32("div", &[e, wide], &[2, 3]);
    let largest = t.node("reduce_max", &[y], "float32", &[], "\"axes\":[0,1]");
    let most = t.node("broadcast", &[largest], "float32", &[2, 3], "\"dims\":[]");
    let z = t.f32("div", &[y, most], &[2, 3]);
    let again = t.f32("mul", &[e, z], &[2, 3]);
    let executable = compile(&t, &[z, again]);
    let results = executable.run(vec![buffer(&[2, 3], &[0.0, 0.0, 0.0, 0.0, 0.0, 2f32.ln()])], &[]).unwrap();
    let near = |a: Vec<f32>, b: [f32; 6]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(near(values(&results[0]), [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.5, 0.5, 1.0]));
    assert!(near(values(&results[1]), [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 0.5, 0.5, 2.0]));
}

#[test]
fn all_folds_of_a_value_are_part_of_its_first_loop() {
    let mut t = Text::default();
    let x = t.input("float32", &[64, 8]);
    let e = t.f32("exp", &[x], &[64, 8]);
    let total = t.node("reduce_sum", &[e], "float32", &[8], "\"axes\":[0]");
    // Reads a result of the loop, which it closes.
    let root = t.f32("rsqrt", &[total], &[8]);
    let largest = t.node("reduce_max", &[e], "float32", &[8], "\"axes\":[0]");
    assert_eq!(
        compile(&t, &[root, largest]).text(),
        "out0, out1 = fused 512 [exp reduce_sum reduce_max] over [1 -64 8](in0)\nout0 = fused 8 [rsqrt](out0)\n"
    );
}

#[test]
fn normalizations_of_16_bit_floats_need_no_conversions() {
    let program = |ct: &str| {
        let mut t = Text::default();
        let (x, ct, gamma) = (t.input("bfloat16", &[4, 8]), t.input(ct, &[4, 8]), t.input("float32", &[8]));
        let [x, ct] = [x, ct].map(|v| t.f32("convert", &[v], &[4, 8]));
        let types = [("float32", &[4, 8][..]), ("float32", &[8]), ("float32", &[8])];
        // The engine's kernel replaces the body.
        let mut body = Text::default();
        let inputs = [&[4, 8][..], &[8], &[4, 8]].map(|shape| body.input("float32", shape));
        let body = body.finish(&[inputs[0], inputs[1], inputs[1]]);
        let params = format!("\"epsilon\":0.001,\"groups\":2,\"axis\":1,\"body\":{body}");
        let gradients = t.multi("group_norm_grad", &[x, gamma, ct], &types, &params);
        let dx = t.node("project", &[gradients], "float32", &[4, 8], "\"index\":0");
        let dx = t.node("convert", &[dx], "bfloat16", &[4, 8], "");
        compile(&t, &[dx]).text()
    };
    assert_eq!(program("bfloat16"), "out0, @0, @64 = group_norm_grad 4x8(in0, in2, in1)\n");
    // Operands of several dtypes are converted.
    assert!(program("float16").contains("convert"));
}

/// Arena, in units, of a program in which a value of six does not fit the five that another one leaves.
fn units_of_arena(unit: usize) -> usize {
    let mut t = Text::default();
    let x = t.input("int32", &[5 * unit]);
    let sort = |t: &mut Text, x, units: usize| t.node("argsort", &[x], "int32", &[units * unit], "\"axis\":0");
    let first = sort(&mut t, x, 5);
    let part = t.node("slice", &[first], "int32", &[2 * unit], "\"start\":[0],\"step\":[2]");
    let second = sort(&mut t, part, 2);
    let joined = t.node("concatenate", &[part, second, second], "int32", &[6 * unit], "\"axis\":0");
    let third = sort(&mut t, joined, 6);
    compile(&t, &[third]).arena_bytes() / (4 * unit)
}

#[test]
fn values_that_no_cache_holds_are_packed() {
    assert_eq!([1 << 10, 1 << 22].map(units_of_arena), [13, 10]);
}
