//! Decodes a graph, fuses and plans it, and runs it as a flat list of instructions. No Python.
//!
//! The path of a graph: [`decode`] checks the text and simplifies while it builds, [`passes`] merge and order, `lower`
//! turns values into memory and operations into instructions, `memory_plan` places the memory, `execute` runs.

mod autotune;
mod block_cache;
pub mod bound;
pub mod buffer;
mod composites;
mod cost;
pub mod decode;
pub mod error;
pub mod executable;
mod execute;
mod fused;
pub mod graph;
mod instruction;
mod lower;
mod memory;
mod memory_plan;
mod operand;
pub mod passes;
pub mod profile;
mod rules;
mod scalar;
mod strided;
pub mod supported;
pub mod types;
mod weight_cache;
