//! The autotuner: with `HORNBEAM_AUTOTUNE=FILE`, the algorithms for convolutions are measured when a graph is compiled,
//! and stored in the file.
//!
//! The file is JSON: for each machine (instruction set, threads) the algorithm for each shape.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use hornbeam_kernels::conv::{self, Algorithm, ConvShape};
use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;
use hornbeam_kernels::simd;

use crate::error::{Error, Result};
use crate::instruction::{Kind, Program};

type Choices = BTreeMap<String, BTreeMap<String, String>>;

/// Measure the convolutions of a program, unless autotuning is off.
pub fn autotune(program: &Program) -> Result<()> {
    match std::env::var_os("HORNBEAM_AUTOTUNE") {
        Some(file) if !file.is_empty() => autotune_with(program, file.into()),
        _ => Ok(()),
    }
}

fn autotune_with(program: &Program, file: PathBuf) -> Result<()> {
    let mut shapes = Vec::new();
    collect(program, &mut shapes);
    if shapes.is_empty() {
        return Ok(());
    }
    let pool = ThreadPool::global();
    let machine = format!("{} {} threads", simd::isa().name(), pool.threads());
    let mut choices = load(&file)?;
    let chosen = choices.entry(machine).or_default();
    let mut scratch = Scratch::new();
    let mut measured = false;
    for shape in shapes {
        let key = format!("{shape:?}");
        let candidates = conv::candidate_algorithms(&shape, DType::F32);
        match chosen.get(&key).map(|name| candidates.iter().find(|a| name_of(a) == name)) {
            Some(Some(&algorithm)) => conv::set_algorithm(&shape, DType::F32, algorithm),
            _ if candidates.len() < 2 => {}
            // No choice yet, or one of another version.
            _ => {
                let (fastest, _) = conv::autotune(pool, &shape, &mut scratch);
                chosen.insert(key, name_of(&fastest).to_string());
                measured = true;
            }
        }
    }
    if measured {
        save(&file, &choices)?;
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

/// Collect the float32 convolutions of a program and of the programs nested in it.
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
        if instruction.writes[0].dtype == DType::F32 && !shapes.contains(shape) {
            shapes.push(*shape);
        }
    }
}

fn file_error(action: &str, file: &Path, reason: impl Display) -> Error {
    Error::Argument(format!("HORNBEAM_AUTOTUNE: cannot {action} {}: {reason}", file.display()))
}

fn load(file: &Path) -> Result<Choices> {
    match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map_err(|e| file_error("parse", file, e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Choices::new()),
        Err(e) => Err(file_error("read", file, e)),
    }
}

/// Write to a temporary file and rename it, so that no reader sees a partial file.
fn save(file: &Path, choices: &Choices) -> Result<()> {
    let text = serde_json::to_string_pretty(choices).map_err(|e| file_error("write", file, e))?;
    let temporary = file.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, file))
        .map_err(|e| file_error("write", file, e))
}
