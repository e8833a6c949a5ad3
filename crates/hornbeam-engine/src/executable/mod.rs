//! A compiled graph and the ways to run it.

use std::sync::{Mutex, PoisonError};

use hornbeam_kernels::pool::ThreadPool;
use hornbeam_kernels::scratch::Scratch;

use crate::autotune;
use crate::bound::Prepared;
use crate::buffer::{AlignedBytes, Buffer};
use crate::decode::decode;
use crate::error::{Error, Result};
use crate::execute::{self, Context, Frame, Shared};
use crate::instruction::{OutputSource, Program};
use crate::lower::{self, Pool};
use crate::memory::copy;
use crate::profile::{self, Profile};
use crate::types::TensorType;

/// Bytes of a batch that are gathered in one task.
const GATHERED: usize = 1 << 16;

/// Runs from many threads at once: every run takes an arena of its own from a pool.
pub struct Executable {
    program: Program,
    constants: Vec<Buffer>,
    literals: Vec<[u8; 8]>,
    idle: Mutex<Vec<Workspace>>,
    profile: Option<Profile>,
}

/// What one run needs beside its operands.
struct Workspace {
    frame: Frame,
    scratch: Scratch,
    _arena: AlignedBytes,
}

// SAFETY: the frame's pointers lead into the workspace's own arena, into the executable's constants, which are
// immutable, and into operands that every run sets anew.
unsafe impl Send for Workspace {}

// SAFETY: a program is immutable after compilation; the function pointers in it are plain code.
unsafe impl Send for Executable {}
// SAFETY: as above; workspaces are handed out under a lock.
unsafe impl Sync for Executable {}

/// The state after some steps, and how the call ended. After an error the state is that of the last whole step.
pub struct Steps {
    pub state: Vec<Buffer>,
    pub logs: Result<Vec<Buffer>>,
}

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
        let types: Vec<TensorType> = constants.iter().map(|c| c.tensor.clone()).collect();
        let decoded = decode(text, &types)?;
        constants.extend(decoded.literals.into_iter().map(|(t, bytes)| Buffer::from_bytes(t, &bytes)));
        let mut pool = Pool::new();
        pool.scopes = decoded.scopes;
        let mut program = lower::compile(&decoded.graph, &mut pool, false)?;
        autotune::tune(&program)?;
        program.number(0);
        let profile = (profiled || profile::is_printed()).then(|| Profile::new(&program, &pool.scopes));
        Ok(Executable { program, constants, literals: pool.literals, idle: Mutex::new(Vec::new()), profile })
    }

    pub fn inputs(&self) -> &[TensorType] {
        &self.program.inputs
    }

    pub fn outputs(&self) -> &[TensorType] {
        &self.program.outputs
    }

    /// The instructions as text, one a line.
    pub fn text(&self) -> String {
        self.program.to_string()
    }

    /// Bytes of working memory that one run takes.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena
    }

    /// What the runs so far took, if a profile is kept.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    fn workspace(&self) -> Result<Workspace> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        let Some(arena) = AlignedBytes::try_new(self.program.arena) else {
            return Err(Error::Memory(format!("no memory for a run: it works on {} bytes", self.program.arena)));
        };
        let shared =
            Shared { constants: self.constants.iter().map(Buffer::as_ptr).collect(), literals: self.literals.as_ptr() };
        let frame = Frame::new(&self.program, arena.as_ptr(), &shared);
        Ok(Workspace { frame, scratch: Scratch::new(), _arena: arena })
    }

    fn put_back(&self, workspace: Workspace) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    fn enter(&self, workspace: &mut Workspace, prepared: &[Option<Prepared>]) {
        let profile = self.profile.as_ref();
        let mut context = Context { pool: ThreadPool::global(), scratch: &mut workspace.scratch, profile, prepared };
        // SAFETY: the frame is this program's and used by this run alone; inputs and outputs were set by the caller to
        // buffers of the right types, where outputs are new or uniquely held inputs that may be overwritten.
        unsafe { execute::run(&self.program, &mut workspace.frame, &mut context) };
    }

    fn check(&self, what: &str, index: usize, given: &TensorType, expected: &TensorType) -> Result<()> {
        if given == expected {
            return Ok(());
        }
        Err(Error::Argument(format!("{what} {index} is {given}, the executable takes {expected}")))
    }

    /// Refuse inputs that do not fit.
    pub fn check_inputs(&self, inputs: &[Buffer]) -> Result<()> {
        let expected = self.program.inputs.len();
        if inputs.len() != expected {
            return Err(Error::Argument(format!("expected {expected} inputs, got {}", inputs.len())));
        }
        self.check_from(0, inputs)
    }

    /// Refuse inputs that do not fit, the first of which is number `first`.
    pub(crate) fn check_from(&self, first: usize, inputs: &[Buffer]) -> Result<()> {
        let mut pairs = inputs.iter().zip(&self.program.inputs[first..]).enumerate();
        pairs.try_for_each(|(i, (buffer, t))| self.check("input", first + i, &buffer.tensor, t))
    }

    /// Run once. Inputs marked in `donate` are overwritten where that helps and nobody else holds them.
    pub fn run(&self, mut inputs: Vec<Buffer>, donate: &[bool]) -> Result<Vec<Buffer>> {
        self.check_inputs(&inputs)?;
        // Uniqueness is asked before anything shares an input again.
        let mut overwritten = vec![None; self.program.outputs.len()];
        for (target, source) in overwritten.iter_mut().zip(&self.program.sources) {
            if let OutputSource::Computed { reuse: Some(input) } = *source {
                if donate.get(input as usize) == Some(&true) {
                    *target = inputs[input as usize].unique_ptr();
                }
            }
        }
        self.launch([&inputs, &[]], &overwritten, &[])
    }

    /// Run once on inputs that fit, given in two parts. Outputs that have a place in `overwritten` go there: into the
    /// memory of the input that they may reuse.
    pub(crate) fn launch(
        &self,
        inputs: [&[Buffer]; 2],
        overwritten: &[Option<*mut u8>],
        prepared: &[Option<Prepared>],
    ) -> Result<Vec<Buffer>> {
        let mut workspace = self.workspace()?;
        let sources = &self.program.sources;
        let mut computed: Vec<Option<Buffer>> = vec![None; sources.len()];
        for (number, source) in sources.iter().enumerate() {
            let OutputSource::Computed { .. } = source else { continue };
            let pointer = match overwritten.get(number).copied().flatten() {
                Some(pointer) => pointer,
                None => writable(computed[number].insert(Buffer::new(self.program.outputs[number].clone())?)),
            };
            workspace.frame.set_output(&self.program, number, pointer);
        }
        for (index, input) in inputs.into_iter().flatten().enumerate() {
            workspace.frame.set_input(&self.program, index, input.as_ptr());
        }
        self.enter(&mut workspace, prepared);
        self.put_back(workspace);
        let input = |index: u32| {
            let index = index as usize;
            inputs[0].get(index).unwrap_or_else(|| &inputs[1][index - inputs[0].len()]).clone()
        };
        let mut outputs: Vec<Buffer> = Vec::with_capacity(sources.len());
        for (number, source) in sources.iter().enumerate() {
            let t = &self.program.outputs[number];
            let buffer = match (*source, computed[number].take()) {
                (_, Some(fresh)) => fresh,
                (OutputSource::Computed { reuse: Some(j) } | OutputSource::Input(j), None) => input(j),
                (OutputSource::Constant(n), None) => self.constants[n as usize].clone(),
                (OutputSource::Output(n), None) => outputs[n as usize].clone(),
                (OutputSource::Computed { reuse: None }, None) => unreachable!("made above"),
            };
            outputs.push(buffer.retyped(t.clone()));
        }
        Ok(outputs)
    }

    /// Run once for every row of `indices`, with state that stays in place and batches gathered from `data`.
    ///
    /// `interrupted` is asked between steps. The state is donated.
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

/// What the steps of one call write: new state that does not overwrite the old, batches, logs.
struct Room {
    spare: Vec<Option<Buffer>>,
    batches: Vec<Buffer>,
    logs: Vec<Buffer>,
}

/// One call of `run_steps`, checked.
struct Stepper<'a> {
    executable: &'a Executable,
    data: &'a [Buffer],
    indices: &'a [i64],
    steps: usize,
    batch: usize,
    states: usize,
}

impl<'a> Stepper<'a> {
    fn new(executable: &'a Executable, state: &[Buffer], data: &'a [Buffer], indices: &'a Buffer) -> Result<Self> {
        let program = &executable.program;
        let argument = |text: String| Err(Error::Argument(text));
        if state.len() + data.len() != program.inputs.len() || state.len() > program.outputs.len() {
            return argument(format!(
                "{} state buffers and {} data arrays do not fit {} inputs and {} outputs",
                state.len(),
                data.len(),
                program.inputs.len(),
                program.outputs.len()
            ));
        }
        let shape = &indices.tensor.shape;
        if indices.tensor.dtype != hornbeam_kernels::dtype::DType::I64 || shape.len() != 2 {
            return argument(format!("indices must be int64[steps, batch], got {}", indices.tensor));
        }
        for (i, buffer) in state.iter().enumerate() {
            executable.check("state", i, &buffer.tensor, &program.inputs[i])?;
            executable.check("the new state", i, &program.outputs[i], &program.inputs[i])?;
        }
        let mut rows = usize::MAX;
        for (i, array) in data.iter().enumerate() {
            let expected = &program.inputs[state.len() + i];
            let mut batch = array.tensor.clone();
            if batch.shape.is_empty() {
                return argument(format!("data array {i} has no rows"));
            }
            rows = rows.min(std::mem::replace(&mut batch.shape[0], shape[1]));
            executable.check("a batch of data array", i, &batch, expected)?;
        }
        // SAFETY: the buffer holds int64 of this shape; borrowed arrays are aligned (checked where they are borrowed).
        let indices: &[i64] = unsafe { std::slice::from_raw_parts(indices.as_ptr().cast(), indices.tensor.count()) };
        if let Some(bad) = indices.iter().find(|&&row| !data.is_empty() && (row < 0 || row as usize >= rows)) {
            return argument(format!("index {bad} is outside of the {rows} rows of the data"));
        }
        Ok(Stepper { executable, data, indices, steps: shape[0], batch: shape[1], states: state.len() })
    }

    fn run(&self, mut state: Vec<Buffer>, interrupted: &mut dyn FnMut() -> bool) -> Steps {
        let (mut workspace, Room { mut spare, mut batches, mut logs }) =
            match self.executable.workspace().and_then(|workspace| Ok((workspace, self.room(&mut state)?))) {
                Ok(both) => both,
                Err(error) => return Steps { state, logs: Err(error) },
            };
        for step in 0..self.steps {
            if interrupted() {
                self.executable.put_back(workspace);
                return Steps { state, logs: Err(Error::Interrupted) };
            }
            self.gather(step, &mut batches);
            self.step(step, &mut workspace, &mut state, &mut spare, &batches, &mut logs);
        }
        self.executable.put_back(workspace);
        Steps { state, logs: Ok(logs) }
    }

    /// Room for what the steps write. State that somebody else holds is copied.
    fn room(&self, state: &mut [Buffer]) -> Result<Room> {
        let program = &self.executable.program;
        let mut spare: Vec<Option<Buffer>> = Vec::with_capacity(self.states);
        for (n, buffer) in state.iter_mut().enumerate() {
            let unchanged = program.sources[n] == OutputSource::Input(n as u32);
            if !unchanged && buffer.unique_ptr().is_none() {
                *buffer = Buffer::from_bytes(buffer.tensor.clone(), buffer.bytes());
            }
            let in_place = unchanged || self.overwrites(n);
            spare.push(if in_place { None } else { Some(Buffer::new(buffer.tensor.clone())?) });
        }
        let batches = program.inputs[self.states..].iter().map(|t| Buffer::new(t.clone())).collect::<Result<_>>()?;
        let stacked = |t: &TensorType| TensorType::new(t.dtype, [&[self.steps], &t.shape[..]].concat());
        let logs = program.outputs[self.states..].iter().map(|t| Buffer::new(stacked(t))).collect::<Result<_>>()?;
        Ok(Room { spare, batches, logs })
    }

    fn overwrites(&self, n: usize) -> bool {
        self.executable.program.sources[n] == OutputSource::Computed { reuse: Some(n as u32) }
    }

    /// Copy the rows of this step's batch.
    fn gather(&self, step: usize, batches: &mut [Buffer]) {
        let rows = &self.indices[step * self.batch..][..self.batch];
        for (index, (array, batch)) in self.data.iter().zip(batches).enumerate() {
            if self.executable.program.input_buffers[self.states + index].is_none() {
                continue;
            }
            let total = batch.tensor.bytes();
            let bytes = total / self.batch.max(1);
            // SAFETY: the batch is ours and holds `total` bytes.
            let target = unsafe { std::slice::from_raw_parts_mut(writable(batch), total) };
            let some = GATHERED.div_ceil(bytes.max(1));
            ThreadPool::global().run_chunks(target, (some * bytes).max(1), &|part, target| {
                for (place, &row) in target.chunks_exact_mut(bytes).zip(&rows[part * some..]) {
                    let source = array.as_ptr().wrapping_add(row as usize * bytes);
                    // SAFETY: rows were checked against the data; the batch has one place for each.
                    unsafe { copy(source, place.as_mut_ptr(), bytes) };
                }
            });
        }
    }

    fn step(
        &self,
        step: usize,
        workspace: &mut Workspace,
        state: &mut [Buffer],
        spare: &mut [Option<Buffer>],
        batches: &[Buffer],
        logs: &mut [Buffer],
    ) {
        let program = &self.executable.program;
        let frame = &mut workspace.frame;
        for (index, buffer) in state.iter().chain(batches).enumerate() {
            frame.set_input(program, index, buffer.as_ptr());
        }
        let mut targets: Vec<*mut u8> = Vec::with_capacity(program.outputs.len());
        for (n, buffer) in state.iter_mut().enumerate() {
            targets.push(match &mut spare[n] {
                Some(other) => writable(other),
                None if self.overwrites(n) => writable(buffer),
                None => std::ptr::null_mut(),
            });
        }
        for log in logs {
            let row = log.tensor.bytes() / self.steps;
            targets.push(writable(log).wrapping_add(step * row));
        }
        for (output, &pointer) in targets.iter().enumerate() {
            frame.set_output(program, output, pointer);
        }
        self.executable.enter(workspace, &[]);
        self.copy_uncomputed(&targets, state, batches);
        for (current, other) in state.iter_mut().zip(spare) {
            if let Some(other) = other {
                std::mem::swap(current, other);
            }
        }
    }

    /// Outputs that are inputs, constants or other outputs: their bytes go where the step's outputs are expected.
    fn copy_uncomputed(&self, targets: &[*mut u8], state: &[Buffer], batches: &[Buffer]) {
        let program = &self.executable.program;
        for (output, source) in program.sources.iter().enumerate() {
            let from = match *source {
                OutputSource::Computed { .. } => continue,
                OutputSource::Input(j) if (j as usize) < self.states => state[j as usize].as_ptr(),
                OutputSource::Input(j) => batches[j as usize - self.states].as_ptr(),
                OutputSource::Constant(n) => self.executable.constants[n as usize].as_ptr(),
                OutputSource::Output(n) => targets[n as usize].cast_const(),
            };
            if !targets[output].is_null() {
                // SAFETY: both sides hold a value of this type; targets are distinct buffers.
                unsafe { copy(from, targets[output], program.outputs[output].bytes()) };
            }
        }
    }
}

/// The pointer of a buffer that `run_steps` itself has made or taken over.
fn writable(buffer: &mut Buffer) -> *mut u8 {
    buffer.unique_ptr().unwrap_or_else(|| unreachable!("buffers of a run have one owner"))
}
