//! With the feature `native`, sets the configuration `native_isa` to the instruction set of the machine that compiles.

use std::env::{var, var_os};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/x86_features.rs");
    println!("cargo::rustc-check-cfg=cfg(native_isa, values(\"avx512\", \"avx2\", \"neon\"))");
    // Cross-compilation builds all, as does a machine that has none of them.
    if var_os("CARGO_FEATURE_NATIVE").is_some() && var("HOST") == var("TARGET") {
        if let Some(isa) = native_isa() {
            println!("cargo::rustc-cfg=native_isa=\"{isa}\"");
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn native_isa() -> Option<&'static str> {
    if has_avx512() && var_os("CARGO_FEATURE_AVX512").is_some() {
        Some("avx512")
    } else {
        has_avx2().then_some("avx2")
    }
}

#[cfg(target_arch = "x86_64")]
include!("src/x86_features.rs");

#[cfg(not(target_arch = "x86_64"))]
fn native_isa() -> Option<&'static str> {
    cfg!(target_arch = "aarch64").then_some("neon")
}
