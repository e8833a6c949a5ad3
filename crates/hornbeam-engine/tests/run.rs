//! Execution: donation, many steps, control flow, threads.

mod common;

use common::{buffer, compile, indices, ramp, values, Text};
use hornbeam_engine::error::Error;
use hornbeam_engine::executable::Executable;

/// (w, x) -> (w - 0.5 * x, w * x)
fn update() -> Executable {
    let mut t = Text::default();
    let (w, x) = (t.input("float32", &[4]), t.input("float32", &[4]));
    let half = t.number(0.5, &[4]);
    let step = t.f32("mul", &[x, half], &[4]);
    let new = t.f32("sub", &[w, step], &[4]);
    let log = t.f32("mul", &[w, x], &[4]);
    compile(&t, &[new, log])
}

#[test]
fn donated_memory_is_reused_only_by_its_sole_owner() {
    let executable = update();
    let w = buffer(&[4], &[1.0, 2.0, 3.0, 4.0]);
    let x = buffer(&[4], &[2.0; 4]);
    let pointer = w.as_ptr();
    let shared = w.clone();
    let outputs = executable.run(vec![w, x.clone()], &[true, false]).unwrap();
    assert_ne!(outputs[0].as_ptr(), pointer);
    assert_eq!(values(&shared), [1.0, 2.0, 3.0, 4.0]);
    drop(outputs);
    let outputs = executable.run(vec![shared, x.clone()], &[true, false]).unwrap();
    assert_eq!(outputs[0].as_ptr(), pointer);
    assert_eq!(values(&outputs[0]), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(values(&outputs[1]), [2.0, 4.0, 6.0, 8.0]);
    // A buffer that is passed twice has two owners.
    let both = outputs[0].clone();
    drop(outputs);
    let outputs = executable.run(vec![both.clone(), both.clone()], &[true, true]).unwrap();
    assert_eq!(values(&outputs[0]), [0.0, 0.5, 1.0, 1.5]);
    assert_eq!(values(&both), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn many_steps_equal_single_steps() {
    let mut t = Text::default();
    let (w, n, x) = (t.input("float32", &[3]), t.input("float32", &[]), t.input("float32", &[2, 3]));
    let first = t.node("slice", &[x], "float32", &[1, 3], "\"start\":[0,0],\"step\":[1,1]");
    let second = t.node("slice", &[x], "float32", &[1, 3], "\"start\":[1,0],\"step\":[1,1]");
    let difference = t.f32("sub", &[first, second], &[1, 3]);
    let difference = t.f32("reshape", &[difference], &[3]);
    let new = t.f32("add", &[w, difference], &[3]);
    let one = t.number(1.0, &[]);
    let count = t.f32("add", &[n, one], &[]);
    let executable = compile(&t, &[new, count, new, n]);
    let data = ramp(&[5, 3]);
    let rows = indices(&[&[0, 1], &[4, 2], &[3, 3]]);
    let (w, n) = (buffer(&[3], &[1.0, 2.0, 3.0]), buffer(&[], &[0.0]));
    // A second owner, so that donated state must not overwrite it.
    let shared = w.clone();
    let mut current = vec![w.clone(), n.clone()];
    let mut log = Vec::new();
    for pair in [[0, 1], [4, 2], [3, 3]] {
        let all = values(&data);
        let batch: Vec<f32> = pair.iter().flat_map(|&r| all[r * 3..r * 3 + 3].to_vec()).collect();
        let outputs =
            executable.run(vec![current[0].clone(), current[1].clone(), buffer(&[2, 3], &batch)], &[]).unwrap();
        log.extend(values(&outputs[2]));
        current = outputs[..2].to_vec();
    }
    let steps = executable.run_steps(vec![w, n], std::slice::from_ref(&data), &rows, &mut || false);
    let logs = steps.logs.unwrap();
    assert_eq!(values(&steps.state[0]), values(&current[0]));
    assert_eq!((values(&steps.state[1]), values(&logs[1])), (vec![3.0], vec![0.0, 1.0, 2.0]));
    assert_eq!((values(&logs[0]), logs[0].tensor.shape.as_slice()), (log, [3, 3].as_slice()));
    assert_eq!(values(&shared), [1.0, 2.0, 3.0]);

    let outside = executable.run_steps(steps.state, &[data], &indices(&[&[0, 5]]), &mut || false);
    assert!(matches!(outside.logs, Err(Error::Argument(text)) if text.contains("index 5")));
}

#[test]
fn an_interrupted_run_keeps_the_last_complete_step() {
    let data = ramp(&[4, 4]);
    let mut t = Text::default();
    let (w, x) = (t.input("float32", &[4]), t.input("float32", &[1, 4]));
    let row = t.f32("reshape", &[x], &[4]);
    let new = t.f32("add", &[w, row], &[4]);
    let stepper = compile(&t, &[new]);
    let mut polls = 0;
    let mut stop = || {
        polls += 1;
        polls > 2
    };
    let rows = indices(&[&[0], &[0], &[0], &[0]]);
    let steps = stepper.run_steps(vec![buffer(&[4], &[0.0; 4])], &[data], &rows, &mut stop);
    assert_eq!(steps.logs.err(), Some(Error::Interrupted));
    assert_eq!(values(&steps.state[0]), [-6.0, -5.5, -5.0, -4.5]);
}

#[test]
fn loops_and_branches() {
    let mut cond = Text::default();
    let (x, limit) = (cond.input("float32", &[]), cond.input("float32", &[]));
    let below = cond.node("lt", &[x, limit], "bool", &[], "");
    let cond = cond.finish(&[below]);
    let mut body = Text::default();
    let (x, _) = (body.input("float32", &[]), body.input("float32", &[]));
    let doubled = body.f32("add", &[x, x], &[]);
    let body = body.finish(&[doubled]);
    let mut t = Text::default();
    let (x, limit) = (t.input("float32", &[]), t.input("float32", &[]));
    let params = format!("\"cond_graph\":{cond},\"body_graph\":{body}");
    let y = t.multi("while_loop", &[x, limit], &[("float32", &[])], &params);
    let y = t.node("project", &[y], "float32", &[], "\"index\":0");
    let executable = compile(&t, &[y]);
    let run = |x: f32, limit: f32| {
        values(&executable.run(vec![buffer(&[], &[x]), buffer(&[], &[limit])], &[]).unwrap()[0])[0]
    };
    assert_eq!((run(1.0, 100.0), run(3.0, 1.0), run(3.0, 4.0)), (128.0, 3.0, 6.0));
}

#[test]
fn scans_stack_results_and_carries() {
    for reverse in [false, true] {
        let mut body = Text::default();
        let (c, x, k) = (body.input("float32", &[2]), body.input("float32", &[2]), body.input("float32", &[2]));
        let sum = body.f32("add", &[c, x], &[2]);
        let y = body.f32("mul", &[sum, k], &[2]);
        let body = body.finish(&[sum, y]);
        let mut t = Text::default();
        let (c, x, k) = (t.input("float32", &[2]), t.input("float32", &[3, 2]), t.input("float32", &[2]));
        let params = format!("\"body\":{body},\"carries\":1,\"sequences\":1,\"length\":3,\"reverse\":{reverse}");
        let types: [(&str, &[usize]); 3] = [("float32", &[2]), ("float32", &[3, 2]), ("float32", &[3, 2])];
        let s = t.multi("scan", &[c, x, k], &types, &params);
        let last = t.node("project", &[s], "float32", &[2], "\"index\":0");
        let ys = t.node("project", &[s], "float32", &[3, 2], "\"index\":1");
        let carries = t.node("project", &[s], "float32", &[3, 2], "\"index\":2");
        let inputs = || {
            let x = buffer(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            vec![buffer(&[2], &[10.0, 20.0]), x, buffer(&[2], &[2.0, 3.0])]
        };
        let outputs = compile(&t, &[last, ys, carries]).run(inputs(), &[]).unwrap();
        let (sums, carried) = if reverse {
            ([19.0, 32.0, 18.0, 30.0, 15.0, 26.0], [18.0, 30.0, 15.0, 26.0, 10.0, 20.0])
        } else {
            ([11.0, 22.0, 14.0, 26.0, 19.0, 32.0], [10.0, 20.0, 11.0, 22.0, 14.0, 26.0])
        };
        let scaled: Vec<f32> = sums.chunks(2).flat_map(|r: &[f32]| [r[0] * 2.0, r[1] * 3.0]).collect();
        assert_eq!(values(&outputs[0]), [19.0, 32.0]);
        assert_eq!((values(&outputs[1]), values(&outputs[2])), (scaled.clone(), carried.to_vec()));
        // Carries without a reader are not stored.
        let outputs = compile(&t, &[last, ys]).run(inputs(), &[]).unwrap();
        assert_eq!((values(&outputs[0]), values(&outputs[1])), (vec![19.0, 32.0], scaled));
    }
}

#[test]
fn one_executable_serves_many_threads() {
    let mut t = Text::default();
    let x = t.input("float32", &[300, 40]);
    let y = t.f32("tanh", &[x], &[300, 40]);
    let z = t.node("dot_general", &[y, y], "float32", &[300, 300], "\"contract\":[[1],[1]],\"batch\":[[],[]]");
    let out = t.f32("exp", &[z], &[300, 300]);
    let executable = compile(&t, &[out]);
    let inputs: Vec<_> = (0..8).map(|k| buffer(&[300, 40], &vec![0.01 * k as f32; 12000])).collect();
    let expected: Vec<_> = inputs.iter().map(|b| values(&executable.run(vec![b.clone()], &[]).unwrap()[0])).collect();
    std::thread::scope(|scope| {
        for (input, expected) in inputs.iter().zip(&expected) {
            let executable = &executable;
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(&values(&executable.run(vec![input.clone()], &[]).unwrap()[0]), expected);
                }
            });
        }
    });
}

/// Compare sums and maxima over the middle axis of `[outer, n, inner]` with float64, on one and two threads.
/// Bounds: 2e-6 of the sum of absolute values, 1e-5 of the variance; extrema are exact.
#[test]
fn folds_agree_with_definitions_over_every_kind_of_space() {
    let spaces = [
        [1, 50_000, 16],
        [3, 40_000, 1],
        [1, 200_001, 1],
        [1, 3000, 2000],
        [300, 7, 1],
        [70, 1000, 1],
        [4, 100, 30],
        [2, 9000, 33],
        [9, 1, 5],
    ];
    for [outer, n, inner] in spaces {
        let (shape, reduced) = ([outer, n, inner], [outer, inner]);
        let mut t = Text::default();
        let (x, w) = (t.input("float32", &shape), t.input("float32", &[inner]));
        let wide = t.node("broadcast", &[w], "float32", &shape, "\"dims\":[2]");
        let y = t.f32("add", &[x, wide], &shape);
        let sum = t.node("reduce_sum", &[y], "float32", &reduced, "\"axes\":[1]");
        let max = t.node("reduce_max", &[y], "float32", &reduced, "\"axes\":[1]");
        let executable = compile(&t, &[sum, max, y]);
        let values_of = |i: usize| ((i * 7919) % 1013) as f32 / 507.0 - 1.0;
        let data: Vec<f32> = (0..outer * n * inner).map(values_of).collect();
        let shift: Vec<f32> = (0..inner).map(|i| i as f32 * 0.5).collect();
        let mut before: Option<Vec<Vec<u8>>> = None;
        for threads in [1, 2] {
            hornbeam_kernels::pool::ThreadPool::global().set_threads(threads);
            let result = executable.run(vec![buffer(&shape, &data), buffer(&[inner], &shift)], &[]).unwrap();
            for o in 0..outer {
                for i in 0..inner {
                    let column = (0..n).map(|k| data[(o * n + k) * inner + i] + shift[i]);
                    let total: f64 = column.clone().map(f64::from).sum();
                    let size: f64 = column.clone().map(|v| f64::from(v.abs())).sum();
                    let got = f64::from(values(&result[0])[o * inner + i]);
                    assert!((got - total).abs() <= 2e-6 * size + 1e-6, "{shape:?}: {got} for {total}");
                    assert_eq!(values(&result[1])[o * inner + i], column.fold(f32::MIN, f32::max), "{shape:?}");
                    // Some columns of a large space are enough, and the reference is slow.
                    if o * inner + i > 40 {
                        break;
                    }
                }
            }
            let bits: Vec<Vec<u8>> = result.iter().map(|r| r.bytes().to_vec()).collect();
            assert!(before.as_ref().is_none_or(|b| *b == bits), "{shape:?}: {threads} threads differ");
            before = Some(bits);
        }
    }
}
