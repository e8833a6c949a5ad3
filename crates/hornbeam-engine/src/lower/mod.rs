//! Lowers an ordered graph to instructions over buffers: values become memory or views of it.

mod cluster;
mod composites;
mod control;
mod loop_epilogues;
mod single;

use std::collections::HashMap;

use hornbeam_kernels::dtype::DType;

use crate::error::Result;
use crate::graph::{scope_name, Graph, NodeId, Op, ScopeId, Value};
use crate::instruction::{BufferInfo, Instruction, Kind, Location, OutputSource, Program};
use crate::memory_plan;
use crate::operand::Operand;
use crate::passes::fuse::{fuse, Unit};
use crate::passes::{
    bias_relu, convolution, half_kernels, int8_epilogue, int8_padding, loop_operands, order, padding, remat, use_counts,
};
use crate::strided::{self, Dim};
use crate::types::{row_major, TensorType};

/// The state of a compilation that all programs of one executable share.
#[derive(Default)]
pub struct CompileContext {
    pub literals: Vec<[u8; 8]>,
    /// Names of scopes, for errors.
    pub scopes: Vec<String>,
    /// The program is fitted into a memory budget next, which takes each value to have a buffer of its own.
    pub has_budget: bool,
    literal_numbers: HashMap<[u8; 8], u32>,
}

impl CompileContext {
    /// Create the context of a graph, with the names of its scopes.
    pub fn new(scopes: Vec<String>) -> Self {
        CompileContext { scopes, ..CompileContext::default() }
    }

    fn literal(&mut self, bytes: [u8; 8]) -> u32 {
        *self.literal_numbers.entry(bytes).or_insert_with(|| {
            self.literals.push(bytes);
            self.literals.len() as u32 - 1
        })
    }
}

/// Compile a decoded graph. A `nested` program writes all its outputs to memory that the caller names; the outermost
/// program may also return inputs and constants themselves.
pub fn compile(graph: &Graph, context: &mut CompileContext, nested: bool) -> Result<Program> {
    let graph = padding::fold(int8_padding::fold(loop_operands::move_transposes(graph))?);
    let graph = int8_epilogue::fuse(&graph)?;
    let graph = half_kernels::narrow(convolution::fuse(bias_relu::fuse(&graph)?)?);
    let units = remat::rematerialize(&graph, fuse(&graph));
    let mut lowering = Lowering::new(&graph, context);
    lowering.stored = remat::stored(&graph, &units);
    for unit in &units {
        if let Err(error) = lowering.unit(unit) {
            let scope = lowering.scopes.first().map_or(0, |(scope, _)| *scope);
            return Err(error.inside(scope_name(&lowering.context.scopes, scope)));
        }
    }
    let mut program = order::hoist(loop_epilogues::fuse(lowering.finish(nested)?));
    if !nested && !context.has_budget {
        memory_plan::merge_into_outputs(&mut program);
    }
    memory_plan::plan(program).map(memory_plan::pack_large)
}

/// A value in memory.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub buffer: u32,
    /// In elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<isize>,
    pub dtype: DType,
}

impl View {
    fn contiguous(buffer: u32, t: &TensorType) -> Self {
        View { buffer, offset: 0, shape: t.shape.clone(), strides: row_major(&t.shape), dtype: t.dtype }
    }

    pub fn dims(&self) -> Vec<Dim> {
        strided::collapse(&self.shape, &self.strides)
    }

    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

pub(crate) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub context: &'a mut CompileContext,
    pub buffers: Vec<BufferInfo>,
    pub instructions: Vec<Instruction>,
    /// Scopes of the nodes that are being lowered, and the number of nodes from each.
    scopes: Vec<(ScopeId, u32)>,
    views: Vec<Vec<Option<View>>>,
    /// Contiguous copies of views, for instructions that need them.
    copies: HashMap<Value, Operand>,
    input_buffers: Vec<Option<u32>>,
    /// Per node: a member of a cluster that is stored in memory.
    pub stored: Vec<bool>,
    pub uses: Vec<Vec<u32>>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph, context: &'a mut CompileContext) -> Self {
        Lowering {
            graph,
            context,
            buffers: Vec::new(),
            instructions: Vec::new(),
            scopes: Vec::new(),
            views: graph.nodes.iter().map(|n| vec![None; n.types.len()]).collect(),
            copies: HashMap::new(),
            input_buffers: vec![None; graph.inputs.len()],
            stored: Vec::new(),
            uses: use_counts(graph),
        }
    }

    pub fn buffer(&mut self, location: Location, bytes: usize) -> u32 {
        self.buffers.push(BufferInfo { location, bytes });
        self.buffers.len() as u32 - 1
    }

    /// A new buffer in the arena, as a contiguous operand.
    pub fn temporary(&mut self, t: &TensorType) -> Operand {
        let buffer = self.buffer(Location::Arena(0), t.bytes());
        Operand { buffer, offset: 0, count: t.count(), dtype: t.dtype }
    }

    /// A new buffer of bytes in the arena, for a nested program.
    pub fn region(&mut self, bytes: usize) -> Operand {
        let buffer = self.buffer(Location::Arena(0), bytes);
        Operand { buffer, offset: 0, count: bytes, dtype: DType::U8 }
    }

    /// Allocate the buffer of a computed value.
    pub fn define(&mut self, value: Value) -> Operand {
        let t = self.graph.type_of(value).clone();
        let operand = self.temporary(&t);
        self.views[value.node as usize][value.output as usize] = Some(View::contiguous(operand.buffer, &t));
        operand
    }

    pub fn is_defined(&self, value: Value) -> bool {
        self.views[value.node as usize][value.output as usize].is_some()
    }

    pub fn emit(&mut self, kind: Kind, reads: Vec<Operand>, writes: Vec<Operand>) {
        // An instruction that writes no element has nothing to compute.
        if writes.iter().any(|w| w.count > 0) {
            let scopes = self.scopes.clone();
            self.instructions.push(Instruction { kind, reads, writes, loop_epilogue: None, scopes, number: 0 });
        }
    }

    /// The memory of `value`. Emits nothing but the copies that a reshape of a strided view needs.
    pub fn view(&mut self, value: Value) -> View {
        if let Some(view) = &self.views[value.node as usize][value.output as usize] {
            return view.clone();
        }
        // Views of views are created from the innermost outwards, without recursion: their number is not bounded.
        let mut undefined = Vec::new();
        let mut next = self.graph.viewed(value);
        while let Some(source) = next.filter(|&source| !self.is_defined(source)) {
            undefined.push(source);
            next = self.graph.viewed(source);
        }
        for source in undefined.into_iter().rev() {
            self.create_view(source);
        }
        self.create_view(value)
    }

    /// Create the view of a value whose source already has one.
    fn create_view(&mut self, value: Value) -> View {
        let node = self.graph.node(value.node);
        let t = &node.types[value.output as usize];
        let view = match &node.op {
            Op::Input(n) => {
                let buffer = self.buffer(Location::Input(*n), t.bytes());
                self.input_buffers[*n as usize] = Some(buffer);
                View::contiguous(buffer, t)
            }
            Op::Constant(n) => View::contiguous(self.buffer(Location::Constant(*n), t.bytes()), t),
            Op::Literal(bytes) => {
                let number = self.context.literal(*bytes);
                View::contiguous(self.buffer(Location::Literal(number), t.dtype.size()), t)
            }
            Op::Barrier => self.view(node.inputs[value.output as usize]),
            Op::Reshape => {
                let source = self.view(node.inputs[0]);
                match strided::reshape((&source.shape, &source.strides), &t.shape) {
                    Some(strides) => View { shape: t.shape.clone(), strides, ..source },
                    None => {
                        let copy = self.contiguous(node.inputs[0]);
                        View { offset: copy.offset / t.dtype.size(), ..View::contiguous(copy.buffer, t) }
                    }
                }
            }
            Op::Transpose { perm } => {
                let source = self.view(node.inputs[0]);
                let strides = perm.iter().map(|&p| source.strides[p]).collect();
                View { shape: t.shape.clone(), strides, ..source }
            }
            Op::Broadcast { dims } => {
                let source = self.view(node.inputs[0]);
                let mut strides = vec![0; t.rank()];
                for (axis, &dim) in dims.iter().enumerate() {
                    strides[dim] = if source.shape[axis] == 1 { 0 } else { source.strides[axis] };
                }
                View { shape: t.shape.clone(), strides, ..source }
            }
            Op::Slice { start, step } => {
                let source = self.view(node.inputs[0]);
                let shift: isize = start.iter().zip(&source.strides).map(|(&s, &d)| s as isize * d).sum();
                // The step of a single element may exceed the axis.
                let steps = step.iter().zip(&t.shape).map(|(&s, &count)| if count > 1 { s as isize } else { 1 });
                let strides = source.strides.iter().zip(steps).map(|(&d, s)| d * s).collect();
                // An empty slice may start past the end.
                let offset = if t.count() == 0 { source.offset } else { (source.offset as isize + shift) as usize };
                View { offset, shape: t.shape.clone(), strides, ..source }
            }
            other => unreachable!("{other:?} is read before it is computed"),
        };
        self.views[value.node as usize][value.output as usize] = Some(view.clone());
        view
    }

    /// The operand that reaches from a view's first element to the end of its buffer.
    pub fn reach(&self, view: &View) -> Operand {
        let size = view.dtype.size();
        let total = self.buffers[view.buffer as usize].bytes / size;
        Operand {
            buffer: view.buffer,
            offset: view.offset * size,
            count: total - view.offset.min(total),
            dtype: view.dtype,
        }
    }

    /// `value` as a contiguous operand, copied if necessary.
    pub fn contiguous(&mut self, value: Value) -> Operand {
        if let Some(copy) = self.copies.get(&value) {
            return *copy;
        }
        let view = self.view(value);
        let dims = view.dims();
        let count = view.count();
        if strided::is_contiguous(&dims) || count == 0 {
            return Operand { count, ..self.reach(&view) };
        }
        let out = self.temporary(&TensorType::new(view.dtype, view.shape.clone()));
        let source = self.reach(&view);
        self.emit(Kind::Copy { dims, count }, vec![source], vec![out]);
        self.copies.insert(value, out);
        out
    }

    /// Attribute the instructions that follow to the scopes of `nodes`.
    fn set_scopes(&mut self, nodes: &[NodeId]) {
        self.scopes.clear();
        for scope in nodes.iter().map(|&id| self.graph.node(id).scope).filter(|&scope| scope != 0) {
            match self.scopes.iter_mut().find(|(other, _)| *other == scope) {
                Some((_, count)) => *count += 1,
                None => self.scopes.push((scope, 1)),
            }
        }
    }

    fn unit(&mut self, unit: &Unit) -> Result<()> {
        self.set_scopes(unit.nodes());
        match unit {
            Unit::Cluster(nodes) => self.cluster(nodes),
            Unit::Single(node) => self.single(*node),
        }
    }

    /// Give the outputs their own buffers and return the program.
    fn finish(mut self, nested: bool) -> Result<Program> {
        let outputs = self.graph.outputs.clone();
        let mut sources = Vec::with_capacity(outputs.len());
        let mut output_buffers = Vec::with_capacity(outputs.len());
        for (number, &value) in outputs.iter().enumerate() {
            let number = number as u32;
            self.set_scopes(&[value.node]);
            let (source, buffer) = self.output(value, number, nested);
            sources.push(source);
            output_buffers.push(buffer);
        }
        Ok(Program {
            instructions: self.instructions,
            buffers: self.buffers,
            arena: 0,
            inputs: self.graph.inputs.clone(),
            outputs: self.graph.output_types(),
            sources,
            input_buffers: self.input_buffers,
            output_buffers,
        })
    }

    fn output(&mut self, value: Value, number: u32, nested: bool) -> (OutputSource, Option<u32>) {
        let t = self.graph.type_of(value).clone();
        let operand = self.contiguous(value);
        let info = self.buffers[operand.buffer as usize].clone();
        let full = operand.offset == 0 && info.bytes == t.bytes();
        match info.location {
            Location::Arena(_) if full => {
                self.buffers[operand.buffer as usize].location = Location::Output(number);
                return (OutputSource::Computed { reuse: None }, Some(operand.buffer));
            }
            Location::Input(n) if full && !nested => return (OutputSource::Input(n), None),
            Location::Constant(n) if full && !nested => return (OutputSource::Constant(n), None),
            Location::Output(n) if full && !nested => return (OutputSource::Output(n), None),
            _ => {}
        }
        let buffer = self.buffer(Location::Output(number), t.bytes());
        let out = Operand { buffer, offset: 0, count: t.count(), dtype: t.dtype };
        let dims = strided::collapse(&[t.count()], &[1]);
        self.emit(Kind::Copy { dims, count: t.count() }, vec![operand], vec![out]);
        (OutputSource::Computed { reuse: None }, Some(buffer))
    }
}
