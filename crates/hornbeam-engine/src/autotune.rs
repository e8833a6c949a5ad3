//! The autotuner: with `HORNBEAM_AUTOTUNE=FILE`, the algorithms for convolutions are measured when a graph is compiled,
//! and remembered in the file.
//!
//! The file is JSON: for each machine (instruction set, threads) the algorithm for each shape.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hornbeam_kernels::conv::{self, Algorithm, ConvShape};
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::simd;

use crate::error::{Error, Result};
use crate::execute::conv_shape;
use crate::instruction::{Kind, Program};

type Choices = BTreeMap<String, BTreeMap<String, String>>;

/// Measure what the program convolves, unless autotuning is off.
pub fn tune(program: &Program) -> Result<()> {
    match std::env::var_os("HORNBEAM_AUTOTUNE") {
        Some(file) if !file.is_empty() => tune_into(program, file.into()),
        _ => Ok(()),
    }
}

fn tune_into(program: &Program, file: PathBuf) -> Result<()> {
    let mut shapes = Vec::new();
    collect(program, &mut shapes);
    if shapes.is_empty() {
        return Ok(());
    }
    let pool = ThreadPool::global();
    let machine = format!("{} {} threads", simd::isa().name(), pool.threads());
    let mut all = load(&file)?;
    let known = all.entry(machine).or_default();
    let mut scratch = Scratch::new();
    let mut measured = false;
    for shape in shapes {
        let key = format!("{shape:?}");
        let possible = conv::candidate_algorithms(&shape, DType::F32);
        match known.get(&key).map(|name| possible.iter().find(|a| name_of(a) == name)) {
            Some(Some(&algorithm)) => conv::set_algorithm(&shape, DType::F32, algorithm),
            // Nothing to choose from, or a name of another version.
            _ if possible.len() < 2 => {}
            _ => {
                let (fastest, _) = conv::autotune(pool, &shape, &mut scratch);
                known.insert(key, name_of(&fastest).to_string());
                measured = true;
            }
        }
    }
    if measured {
        save(&file, &all)?;
    }
    Ok(())
}

fn name_of(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Product { .. } => "product",
        Algorithm::Depthwise => "depthwise",
        Algorithm::Winograd => "winograd",
        Algorithm::Direct => "direct",
    }
}

/// The float32 convolutions of a program and of the programs nested in it.
fn collect(program: &Program, shapes: &mut Vec<ConvShape>) {
    for instruction in &program.instructions {
        let shape = match &instruction.kind {
            Kind::Conv { shape, .. } | Kind::ConvPool { shape, .. } | Kind::ConvBackward { shape, .. } => shape,
            Kind::ConvInputGrad(shape) | Kind::ConvKernelGrad(shape) => shape,
            other => {
                other.programs().iter().for_each(|(_, nested)| collect(nested, shapes));
                continue;
            }
        };
        let shape = conv_shape(shape);
        if instruction.writes[0].dtype == DType::F32 && !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
}

fn failed(what: &str, file: &std::path::Path, why: impl std::fmt::Display) -> Error {
    Error::Argument(format!("HORNBEAM_AUTOTUNE: cannot {what} {}: {why}", file.display()))
}

fn load(file: &std::path::Path) -> Result<Choices> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| failed("understand", file, e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Choices::new()),
        Err(e) => Err(failed("read", file, e)),
    }
}

/// Beside the file first, so that a reader never sees half of it.
fn save(file: &std::path::Path, choices: &Choices) -> Result<()> {
    let text = serde_json::to_string_pretty(choices).map_err(|e| failed("write", file, e))?;
    let beside = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, file)).map_err(|e| failed("write", file, e))
}
