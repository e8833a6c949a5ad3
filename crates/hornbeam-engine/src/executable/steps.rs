//! Many steps in one call: the state stays in place, and batches are gathered from data by row indices.

use hornbeam_kernels::dtype::DType;
use hornbeam_kernels::pool::ThreadPool;

use super::{owned_pointer, Executable, Workspace};
use crate::buffer::Buffer;
use crate::error::{Error, Result};
use crate::instruction::OutputSource;
use crate::memory::copy_unless_same;
use crate::types::TensorType;
use crate::weight_cache::WeightCache;

/// Bytes of a batch that one task gathers.
const GATHER_TASK_BYTES: usize = 1 << 16;

/// The state after some steps, and the outcome of the call. After an error the state is that of the last complete step,
/// unless memory ran out within a kernel: a part of the state may be that of the next step, as the error says.
pub struct Steps {
    pub state: Vec<Buffer>,
    pub logs: Result<Vec<Buffer>>,
}

/// The memory that the steps of one call write: new state that does not overwrite the old, batches, and logs.
struct StepBuffers {
    spare_state: Vec<Option<Buffer>>,
    batches: Vec<Buffer>,
    logs: Vec<Buffer>,
}

/// One call of `run_steps`, its arguments checked.
pub(super) struct Stepper<'a> {
    executable: &'a Executable,
    data: &'a [Buffer],
    indices: &'a [i64],
    steps: usize,
    batch: usize,
    states: usize,
}

impl<'a> Stepper<'a> {
    pub fn new(executable: &'a Executable, state: &[Buffer], data: &'a [Buffer], indices: &'a Buffer) -> Result<Self> {
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
        if indices.tensor.dtype != DType::I64 || shape.len() != 2 {
            return argument(format!("indices must be int64[steps, batch], got {}", indices.tensor));
        }
        for (i, buffer) in state.iter().enumerate() {
            executable.check_type("state", i, &buffer.tensor, &program.inputs[i])?;
            executable.check_type("the new state", i, &program.outputs[i], &program.inputs[i])?;
        }
        let mut rows = usize::MAX;
        for (i, array) in data.iter().enumerate() {
            let expected = &program.inputs[state.len() + i];
            let mut batch = TensorType::clone(&array.tensor);
            if batch.shape.is_empty() {
                return argument(format!("data array {i} is a scalar, expected rows"));
            }
            rows = rows.min(std::mem::replace(&mut batch.shape[0], shape[1]));
            executable.check_type("a batch of data array", i, &batch, expected)?;
        }
        // SAFETY: the buffer holds int64 of this shape; borrowed arrays are aligned, which is checked when they are
        // borrowed.
        let indices: &[i64] = unsafe { std::slice::from_raw_parts(indices.as_ptr().cast(), indices.tensor.count()) };
        let outside = |&&row: &&i64| !data.is_empty() && (row < 0 || row as usize >= rows);
        if let Some(row) = indices.iter().find(outside) {
            return argument(format!("index {row} is outside of the {rows} rows of the data"));
        }
        Ok(Stepper { executable, data, indices, steps: shape[0], batch: shape[1], states: state.len() })
    }

    pub fn run(&self, mut state: Vec<Buffer>, interrupted: &mut dyn FnMut() -> bool) -> Steps {
        let prepared = self.executable.workspace().and_then(|workspace| Ok((workspace, self.allocate(&mut state)?)));
        let (mut workspace, mut buffers) = match prepared {
            Ok(both) => both,
            Err(error) => return Steps { state, logs: Err(error) },
        };
        for step in 0..self.steps {
            if interrupted() {
                self.executable.recycle(workspace);
                return Steps { state, logs: Err(Error::Interrupted) };
            }
            self.gather(step, &mut buffers.batches);
            if let Err(error) = self.step(step, &mut workspace, &mut state, &mut buffers) {
                let text = format!("{error}; the step did not end, so the state may be in part that of the next step");
                return Steps { state, logs: Err(Error::Memory(text)) };
            }
        }
        self.executable.recycle(workspace);
        Steps { state, logs: Ok(buffers.logs) }
    }

    /// Allocate the buffers of the steps. State with other owners is copied.
    fn allocate(&self, state: &mut [Buffer]) -> Result<StepBuffers> {
        let program = &self.executable.program;
        let mut spare_state: Vec<Option<Buffer>> = Vec::with_capacity(self.states);
        for (n, buffer) in state.iter_mut().enumerate() {
            let unchanged = program.sources[n] == OutputSource::Input(n as u32);
            if !unchanged && buffer.unique_ptr().is_none() {
                *buffer = Buffer::copied(buffer.tensor.clone(), buffer.bytes())?;
            }
            let in_place = unchanged || program.overwrites(n);
            spare_state.push(if in_place { None } else { Some(Buffer::new(buffer.tensor.clone())?) });
        }
        let batches = program.inputs[self.states..].iter().map(|t| Buffer::new(t.clone())).collect::<Result<_>>()?;
        let stacked = |t: &TensorType| TensorType::new(t.dtype, [&[self.steps], &t.shape[..]].concat());
        let logs = program.outputs[self.states..].iter().map(|t| Buffer::new(stacked(t))).collect::<Result<_>>()?;
        Ok(StepBuffers { spare_state, batches, logs })
    }

    /// Copy the rows of this step's batch.
    fn gather(&self, step: usize, batches: &mut [Buffer]) {
        let rows = &self.indices[step * self.batch..][..self.batch];
        for (index, (array, batch)) in self.data.iter().zip(batches).enumerate() {
            if self.executable.program.input_buffers[self.states + index].is_none() {
                continue;
            }
            let total = batch.tensor.bytes();
            let row_bytes = total / self.batch.max(1);
            // SAFETY: the batch is owned by this call and holds `total` bytes.
            let target = unsafe { std::slice::from_raw_parts_mut(owned_pointer(batch), total) };
            let task_rows = GATHER_TASK_BYTES.div_ceil(row_bytes.max(1));
            ThreadPool::global().run_chunks(target, (task_rows * row_bytes).max(1), &|task, target| {
                for (to, &row) in target.chunks_exact_mut(row_bytes).zip(&rows[task * task_rows..]) {
                    let from = array.as_ptr().wrapping_add(row as usize * row_bytes);
                    // SAFETY: rows were checked against the data; the batch has room for each.
                    unsafe { copy_unless_same(from, to.as_mut_ptr(), row_bytes) };
                }
            });
        }
    }

    fn step(
        &self,
        step: usize,
        workspace: &mut Workspace,
        state: &mut [Buffer],
        buffers: &mut StepBuffers,
    ) -> Result<()> {
        let program = &self.executable.program;
        let StepBuffers { spare_state, batches, logs } = buffers;
        let table = &mut workspace.table;
        for (index, buffer) in state.iter().chain(batches.iter()).enumerate() {
            table.set_input(program, index, buffer.as_ptr());
        }
        let mut targets: Vec<*mut u8> = Vec::with_capacity(program.outputs.len());
        for (n, buffer) in state.iter_mut().enumerate() {
            targets.push(match &mut spare_state[n] {
                Some(spare) => owned_pointer(spare),
                None if program.overwrites(n) => owned_pointer(buffer),
                None => std::ptr::null_mut(),
            });
        }
        for log in logs {
            let row = log.tensor.bytes() / self.steps;
            targets.push(owned_pointer(log).wrapping_add(step * row));
        }
        for (output, &pointer) in targets.iter().enumerate() {
            table.set_output(program, output, pointer);
        }
        self.executable.execute(workspace, &WeightCache::default())?;
        self.copy_uncomputed(&targets, state, batches);
        for (current, spare) in state.iter_mut().zip(spare_state) {
            if let Some(spare) = spare {
                std::mem::swap(current, spare);
            }
        }
        Ok(())
    }

    /// Copy the outputs that are inputs, constants or other outputs to the memory of the step's outputs.
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
                unsafe { copy_unless_same(from, targets[output], program.outputs[output].bytes()) };
            }
        }
    }
}
