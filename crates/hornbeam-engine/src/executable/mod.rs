//! Executables: compiled graphs that run once or for many steps.

mod steps;

use std::sync::{Arc, Mutex, PoisonError};

use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::{OutOfMemory, Scratch};

use crate::autotune;
use crate::buffer::{AlignedBytes, Buffer};
use crate::decode::decode;
use crate::error::{Error, Result};
use crate::execute::{self, ConstantPointers, Context, PointerTable};
use crate::instruction::{Kind, OutputSource, Program};
use crate::lower::{self, CompileContext};
use crate::passes::memory_budget::{self, MemoryPlan};
use crate::profile::{self, Profile};
use crate::types::TensorType;
use crate::weight_cache::WeightCache;

use steps::Stepper;
pub use steps::Steps;

/// A compiled graph. Many threads can run it at once: every run takes a workspace of its own.
pub struct Executable {
    program: Program,
    /// Types of the outputs, shared with the buffers of every run.
    output_types: Vec<Arc<TensorType>>,
    /// A run takes a few microseconds at most.
    tiny: bool,
    constants: Vec<Buffer>,
    literals: Vec<[u8; 8]>,
    idle: Mutex<Vec<Workspace>>,
    profile: Option<Profile>,
    /// Present if the graph has a memory budget.
    memory_plan: Option<MemoryPlan>,
}

/// The memory of one run besides its operands.
struct Workspace {
    table: PointerTable,
    scratch: Scratch,
    _arena: AlignedBytes,
}

// SAFETY: the table's pointers lead into the workspace's own arena, into the executable's constants, which are
// immutable, and into operands that every run sets anew.
unsafe impl Send for Workspace {}

// SAFETY: a program is immutable after compilation; the function pointers in it are plain code.
unsafe impl Send for Executable {}
// SAFETY: as above; workspaces are handed out under a lock.
unsafe impl Sync for Executable {}

impl Executable {
    /// Compile the text of a graph.
    pub fn compile(text: &str, constants: Vec<Buffer>) -> Result<Executable> {
        Executable::build(text, constants, false)
    }

    /// Compile the text of a graph, and keep a profile of its runs.
    pub fn profiled(text: &str, constants: Vec<Buffer>) -> Result<Executable> {
        Executable::build(text, constants, true)
    }

    fn build(text: &str, mut constants: Vec<Buffer>, profiled: bool) -> Result<Executable> {
        let types: Vec<TensorType> = constants.iter().map(|c| TensorType::clone(&c.tensor)).collect();
        let decoded = decode(text, &types)?;
        constants.extend(decoded.literals.into_iter().map(|(t, bytes)| Buffer::from_bytes(t, &bytes)));
        let mut context = CompileContext::new(decoded.scopes);
        context.has_budget = decoded.memory_budget.is_some();
        let mut program = lower::compile(&decoded.graph, &mut context, false)?;
        let mut memory_plan = None;
        if let Some(budget) = decoded.memory_budget {
            let bytes = constants.iter().map(|c| c.tensor.bytes()).sum();
            let (smaller, plan) = memory_budget::fit(program, budget, bytes, &context.scopes)?;
            (program, memory_plan) = (smaller, Some(plan));
        }
        autotune::autotune(&program)?;
        program.number(0);
        let profile = (profiled || profile::is_printed()).then(|| Profile::new(&program, &context.scopes));
        let output_types = program.outputs.iter().cloned().map(Arc::new).collect();
        let (tiny, literals, idle) = (is_tiny(&program), context.literals, Mutex::new(Vec::new()));
        Ok(Executable { program, output_types, tiny, constants, literals, idle, profile, memory_plan })
    }

    /// Return whether a run takes a few microseconds at most.
    pub fn is_tiny(&self) -> bool {
        self.tiny
    }

    pub fn inputs(&self) -> &[TensorType] {
        &self.program.inputs
    }

    pub fn outputs(&self) -> &[TensorType] {
        &self.program.outputs
    }

    /// The instructions as text, one per line. If the graph has a memory budget, its plan is the first line, as JSON.
    pub fn text(&self) -> String {
        match &self.memory_plan {
            Some(plan) => format!("{}\n{}", plan.json(), self.program),
            None => self.program.to_string(),
        }
    }

    /// The memory and the operations of a run, if the graph has a memory budget.
    pub fn memory_plan(&self) -> Option<&MemoryPlan> {
        self.memory_plan.as_ref()
    }

    /// Bytes of working memory of one run.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena
    }

    /// The profile of the runs so far, if one is kept.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// Take an idle workspace, or create one.
    fn workspace(&self) -> Result<Workspace> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        let bytes = self.program.arena;
        let Some(arena) = AlignedBytes::try_new(bytes) else {
            return Err(Error::Memory(format!("out of memory: a run needs {bytes} bytes of working memory")));
        };
        let constants = self.constants.iter().map(Buffer::as_ptr).collect();
        let shared = ConstantPointers { constants, literals: self.literals.as_ptr() };
        let table = PointerTable::new(&self.program, arena.as_ptr(), &shared);
        Ok(Workspace { table, scratch: Scratch::new(), _arena: arena })
    }

    fn recycle(&self, workspace: Workspace) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    fn execute(&self, workspace: &mut Workspace, weights: &WeightCache) -> Result<()> {
        let profile = self.profile.as_ref();
        let mut context = Context { pool: ThreadPool::global(), scratch: &mut workspace.scratch, profile, weights };
        // SAFETY: the table is this program's and used by this run alone; the caller set inputs and outputs to
        // buffers of the right types, where outputs are new or uniquely held inputs that may be overwritten.
        OutOfMemory::catch(|| unsafe { execute::run(&self.program, &mut workspace.table, &mut context) }).map_err(
            |error| Error::Memory(format!("out of memory: a kernel needs {} bytes of scratch space", error.bytes)),
        )
    }

    fn check_type(&self, name: &str, index: usize, received: &TensorType, expected: &TensorType) -> Result<()> {
        // Extent by extent: comparing the memory of two empty shapes, which have none, takes a tenth of a microsecond.
        if received.dtype == expected.dtype && received.shape.iter().eq(&expected.shape) {
            return Ok(());
        }
        Err(Error::Argument(format!("{name} {index} is {received}, the executable takes {expected}")))
    }

    /// Return an error if the number or the types of the inputs do not fit.
    pub fn check_inputs(&self, inputs: &[Buffer]) -> Result<()> {
        let expected = self.program.inputs.len();
        if inputs.len() != expected {
            return Err(Error::Argument(format!("expected {expected} inputs, got {}", inputs.len())));
        }
        self.check_inputs_from(0, inputs)
    }

    /// Return an error if the types of some of the inputs, from number `first` on, do not fit.
    pub(crate) fn check_inputs_from(&self, first: usize, inputs: &[Buffer]) -> Result<()> {
        let mut pairs = inputs.iter().zip(&self.program.inputs[first..]).enumerate();
        pairs.try_for_each(|(i, (buffer, t))| self.check_type("input", first + i, &buffer.tensor, t))
    }

    /// Run once. Inputs marked in `donate` are overwritten if the program can reuse them and they have no other owner.
    pub fn run(&self, inputs: Vec<Buffer>, donate: &[bool]) -> Result<Vec<Buffer>> {
        self.check_inputs(&inputs)?;
        self.run_checked(inputs, donate)
    }

    /// Run once, as [`Executable::run`], on inputs that passed [`Executable::check_inputs`].
    pub fn run_checked(&self, mut inputs: Vec<Buffer>, donate: &[bool]) -> Result<Vec<Buffer>> {
        // Ownership is checked before the inputs are shared again.
        let donated = if donate.is_empty() { 0 } else { self.program.outputs.len() };
        let mut overwritten = vec![None; donated];
        for (target, source) in overwritten.iter_mut().zip(&self.program.sources) {
            if let OutputSource::Computed { reuse: Some(input) } = *source {
                if donate.get(input as usize) == Some(&true) {
                    *target = inputs[input as usize].unique_ptr();
                }
            }
        }
        self.launch([&inputs, &[]], &overwritten, &WeightCache::default())
    }

    /// Run once on inputs of the right types, passed in two parts. Outputs with a pointer in `overwritten` are written
    /// there: into the memory of the input that they may reuse.
    pub(crate) fn launch(
        &self,
        inputs: [&[Buffer]; 2],
        overwritten: &[Option<*mut u8>],
        weights: &WeightCache,
    ) -> Result<Vec<Buffer>> {
        let mut workspace = self.workspace()?;
        let sources = &self.program.sources;
        let mut computed: Vec<Option<Buffer>> = vec![None; sources.len()];
        for (number, source) in sources.iter().enumerate() {
            let OutputSource::Computed { .. } = source else { continue };
            let pointer = match overwritten.get(number).copied().flatten() {
                Some(pointer) => pointer,
                None => owned_pointer(computed[number].insert(Buffer::new(self.output_types[number].clone())?)),
            };
            workspace.table.set_output(&self.program, number, pointer);
        }
        for (index, input) in inputs.into_iter().flatten().enumerate() {
            workspace.table.set_input(&self.program, index, input.as_ptr());
        }
        self.execute(&mut workspace, weights)?;
        self.recycle(workspace);
        Ok(self.collect_outputs(inputs, computed))
    }

    /// The outputs of a run: computed buffers, or the inputs and constants that they are.
    fn collect_outputs(&self, inputs: [&[Buffer]; 2], mut computed: Vec<Option<Buffer>>) -> Vec<Buffer> {
        let input = |index: u32| {
            let index = index as usize;
            inputs[0].get(index).unwrap_or_else(|| &inputs[1][index - inputs[0].len()]).clone()
        };
        let sources = &self.program.sources;
        let mut outputs: Vec<Buffer> = Vec::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            let buffer = match (*source, computed[number].take()) {
                (_, Some(computed)) => computed,
                (OutputSource::Computed { reuse: Some(j) } | OutputSource::Input(j), None) => input(j),
                (OutputSource::Constant(n), None) => self.constants[n as usize].clone(),
                (OutputSource::Output(n), None) => outputs[n as usize].clone(),
                (OutputSource::Computed { reuse: None }, None) => unreachable!("allocated by `launch`"),
            };
            let tensor = &self.output_types[number];
            outputs.push(if Arc::ptr_eq(&buffer.tensor, tensor) { buffer } else { buffer.retyped(tensor) });
        }
        outputs
    }

    /// Run once for every row of `indices`, with state that stays in place and batches gathered from `data`.
    ///
    /// The state is donated. `interrupted` is called between steps, and ends the call if it returns true.
    pub fn run_steps(
        &self,
        state: Vec<Buffer>,
        data: &[Buffer],
        indices: &Buffer,
        interrupted: &mut dyn FnMut() -> bool,
    ) -> Steps {
        match Stepper::new(self, &state, data, indices) {
            Err(error) => Steps { state, logs: Err(error) },
            Ok(stepper) => stepper.run(state, interrupted),
        }
    }
}

impl Drop for Executable {
    fn drop(&mut self) {
        if let Some(profile) = self.profile.as_ref().filter(|_| profile::is_printed()) {
            eprint!("{}", profile.report(self.program.arena));
        }
    }
}

/// Bytes that a tiny program works on.
const TINY_BYTES: usize = 1 << 14;
/// Instructions of a tiny program.
const TINY_INSTRUCTIONS: usize = 8;

/// Return whether a program runs a few loops and products over little memory.
fn is_tiny(program: &Program) -> bool {
    let types = program.inputs.iter().chain(&program.outputs);
    let bytes: usize = program.arena + types.map(TensorType::bytes).sum::<usize>();
    let is_quick = |kind: &Kind| {
        matches!(kind, Kind::Fused(_) | Kind::Copy { .. } | Kind::Rows { .. } | Kind::Gather(_) | Kind::Dot { .. })
    };
    bytes <= TINY_BYTES
        && program.instructions.len() <= TINY_INSTRUCTIONS
        && program.instructions.iter().all(|i| is_quick(&i.kind))
}

/// The pointer of a buffer that this run allocated or took over.
fn owned_pointer(buffer: &mut Buffer) -> *mut u8 {
    buffer.unique_ptr().unwrap_or_else(|| unreachable!("buffers of a run have one owner"))
}
