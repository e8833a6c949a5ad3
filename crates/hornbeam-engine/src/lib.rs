//! Decodes a graph, fuses and plans it, and runs it as a flat list of instructions. No Python.
//!
//! The way of a graph: [`decode`] checks the text and simplifies while it builds, [`passes`] merge and order, `lower`
//! turns values into memory and operations into instructions, `plan` places the memory, `execute` runs.

pub mod bound;
pub mod buffer;
mod composites;
pub mod decode;
pub mod error;
pub mod executable;
mod execute;
mod fused;
pub mod graph;
mod hash;
pub mod instruction;
mod lower;
mod memory;
pub mod names;
pub mod passes;
mod plan;
pub mod profile;
mod rules;
mod scalar;
mod strided;
mod tune;
pub mod types;
mod work;
