//! The division of a loop's elements into tasks and blocks. It depends on the loop alone, never on the number of
//! threads, so that results do not either.

/// Cost of one task, in simple operations on single elements: some tens of microseconds.
const TASK_COST: usize = 1 << 18;
/// Loops cheaper than this run on the caller's thread.
const SERIAL_COST: usize = 1 << 17;

/// Return the elements per task of a loop of `count` elements.
pub fn task_elements(count: usize, cost: usize, block: usize) -> usize {
    if count * cost <= SERIAL_COST {
        return count.max(1);
    }
    (TASK_COST / cost.max(1)).next_multiple_of(block)
}

/// The iteration space of a loop with folds: the middle axis is folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IterationSpace {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

impl IterationSpace {
    /// Elements of one group: those that fold into one row of `inner` results.
    fn group_elements(&self) -> usize {
        self.n * self.inner
    }
}

/// The division of an iteration space into groups, and of long groups into pieces. Each piece has partial results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partition {
    pub space: IterationSpace,
    /// Rows of one piece of a group.
    pub height: usize,
    /// Pieces of a group.
    pub pieces: usize,
    /// Groups of one task, if each group is a single piece.
    pub groups: usize,
}

impl Partition {
    /// Partition into tasks of about `task` elements and blocks of `block`.
    pub fn new(space: IterationSpace, task: usize, block: usize) -> Partition {
        let IterationSpace { n, inner, .. } = space;
        let group = space.group_elements();
        if group <= task {
            return Partition { space, height: n, pieces: 1, groups: (task / group).max(1) };
        }
        // Pieces are multiples of a block. If rows are long, pieces have many of them, to amortize the accumulators.
        let rows_per_block = (block / inner).max(1);
        let least_rows = if inner > block { 64 } else { 1 };
        let height = (task / inner).max(least_rows).next_multiple_of(rows_per_block).min(n);
        Partition { space, height, pieces: n.div_ceil(height), groups: 1 }
    }

    /// Return whether each block holds one or more whole groups.
    pub fn folds_rows(&self, block: usize) -> bool {
        self.space.inner == 1 && self.space.n <= block
    }

    pub fn tasks(&self) -> usize {
        self.space.outer.div_ceil(self.groups) * self.pieces
    }

    /// Number of partial results, each of `inner` accumulators per plane.
    pub fn partials(&self) -> usize {
        self.space.outer * self.pieces
    }

    /// Return a number of which the first element of every block is a multiple.
    pub fn alignment(&self, block: usize) -> usize {
        let IterationSpace { outer, n, inner } = self.space;
        let mut alignment = block;
        if self.folds_rows(block) {
            return if outer > self.groups { gcd(alignment, self.groups * n) } else { alignment };
        }
        if outer > 1 {
            alignment = gcd(alignment, self.space.group_elements());
        }
        if self.pieces > 1 {
            alignment = gcd(alignment, self.height * inner);
        }
        if inner > block {
            gcd(alignment, inner)
        } else {
            alignment
        }
    }

    /// The first element of a task.
    pub fn start(&self, task: usize) -> usize {
        let group = self.space.group_elements();
        if self.pieces == 1 {
            return task * self.groups * group;
        }
        task / self.pieces * group + task % self.pieces * self.height * self.space.inner
    }
}

pub fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}
