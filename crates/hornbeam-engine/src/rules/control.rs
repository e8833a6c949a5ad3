//! Type rules of control flow.

use hornbeam_kernels::dtype::DType;

use super::ensure;
use crate::error::Result;
use crate::graph::{Nested, Op};
use crate::types::TensorType;

fn check_graph(op: &Op, graph: &Nested, inputs: &[TensorType], outputs: &[TensorType]) -> Result<()> {
    ensure!(graph.0.inputs == inputs, "{}: the inputs of its graph have other types", control_name(op));
    ensure!(graph.0.output_types() == outputs, "{}: the outputs of its graph have other types", control_name(op));
    Ok(())
}

fn control_name(op: &Op) -> &'static str {
    match op {
        Op::Cond { .. } => "cond",
        Op::While { .. } => "while_loop",
        _ => "scan",
    }
}

pub fn check(op: &Op, x: &[&TensorType], outputs: &[TensorType]) -> Result<()> {
    let owned: Vec<TensorType> = x.iter().map(|&t| t.clone()).collect();
    match op {
        Op::Cond { true_graph, false_graph } => {
            ensure!(owned[0] == TensorType::scalar(DType::Bool), "cond needs a bool[] predicate, got {}", owned[0]);
            check_graph(op, true_graph, &owned[1..], outputs)?;
            check_graph(op, false_graph, &owned[1..], outputs)
        }
        Op::While { cond, body } => {
            ensure!(outputs.len() <= owned.len() && *outputs == owned[..outputs.len()], "while_loop: carry types");
            check_graph(op, cond, &owned, &[TensorType::scalar(DType::Bool)])?;
            check_graph(op, body, &owned, outputs)
        }
        Op::Scan { body, carries, sequences, length, .. } => {
            ensure!(carries.saturating_add(*sequences) <= owned.len(), "scan: {carries} carries of {}", owned.len());
            ensure!(*carries <= body.0.outputs.len(), "scan: its body returns too few values");
            let mut inner = owned.clone();
            for t in &mut inner[*carries..carries + sequences] {
                ensure!(t.rank() > 0 && t.shape[0] == *length, "scan over {length} steps got a sequence {t}");
                t.shape.remove(0);
            }
            let results = body.0.output_types();
            check_graph(op, body, &inner, &results)?;
            ensure!(results[..*carries] == owned[..*carries], "scan: its body changes the types of the carry");
            let stacked = results[*carries..].iter().chain(&owned[..*carries]).map(|t| {
                let mut stacked = t.clone();
                stacked.shape.insert(0, *length);
                stacked
            });
            let expected: Vec<TensorType> = owned[..*carries].iter().cloned().chain(stacked).collect();
            ensure!(expected == outputs, "scan: declared results do not follow from its body");
            Ok(())
        }
        _ => unreachable!("called for control flow"),
    }
}
