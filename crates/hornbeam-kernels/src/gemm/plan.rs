//! Partition of a product into tasks, blocks of k and packed operands.

use super::types::{Kernels, PackB, Plan, Real, MAX_VECTORS};
use super::{Form, Mat};

/// Steps of k in a block: a panel of B (two vectors wide) then about fills the L1 cache.
const K_BLOCK: usize = 256;
/// Steps of k in a block of few rows and a large B, whose rows are then read as so many streams.
const FEW_K_BLOCK: usize = 64;
/// Rows that are few, and elements of B that are many: more than half of the L2 cache holds.
const FEW_ROWS: usize = 32;
const LARGE: usize = 1 << 18;
/// Tiles of rows in a chunk: its parts of A and C then stay in the L2 cache.
pub(super) const M_BLOCK: usize = 10;
/// Tiles of rows up to which B is read in place.
const DIRECT: usize = 10;
/// Panels of B up to which a transposed A is read in place.
const TRANSPOSED_PASSES: usize = 4;
/// Rows of a block that are worth its own copy of B, which stays in the L2 cache. Fewer share one in the L3 cache.
const OWN_ROWS: usize = 256;
/// Results of a block that a fused epilogue reads from the L2 cache.
const FUSED_RESULTS: usize = 1 << 15;
/// Elements of a widened A and of C that stay in the L1 cache.
const WIDENED: usize = 1 << 13;
/// Multiply-adds that justify a separate task.
pub(super) const TASK_WORK: usize = 1 << 19;
/// Maximum number of tasks beyond those required by the block sizes.
const TASKS: usize = 16;
/// Tasks for each thread, so that threads of different speed end together.
const TASKS_PER_THREAD: usize = 4;
/// Results up to which k is split: more of them are enough tasks, and their partial sums would leave the cache.
const SPLIT_RESULTS: usize = 1 << 16;
/// Steps of k up to which writing C takes more time than the sums.
pub(super) const SHORT: usize = 64;
/// Maximum number of splits of k; their partial sums are stored separately and added in order.
const SPLITS: usize = 16;

/// Width of a packed panel in vectors, for a product with `n` columns.
pub(super) fn vectors<E: Real>(kernels: &Kernels<E>, n: usize) -> usize {
    n.div_ceil(kernels.lanes).min(2)
}

/// Inputs of the block sizes.
struct Blocking {
    batch: usize,
    m: usize,
    n: usize,
    k: usize,
    /// Maximum rows of a tile, and its columns.
    rows: usize,
    width: usize,
    lanes: usize,
    splits: usize,
    /// Desired number of tasks.
    tasks: usize,
    /// True if an epilogue is fused into the product, and if it does more than to convert the results.
    fused: bool,
    fuses: bool,
    /// True for long sums of many rows, which are split by columns first: a block then has enough rows for its own copy of
    /// B, packed in cache. For fewer rows B is read in place.
    long: bool,
    /// True if the rows of B are not contiguous.
    transposed: bool,
    /// True if operands are widened as they are packed.
    widened: bool,
}

impl Plan {
    /// Chooses the partition; `cost` is the cost of the fused epilogue, if any, in multiply-adds per element.
    ///
    /// Only `k_split` and `k_block`, which determine the order of additions, must not depend on the number of threads.
    pub fn new<E: Real>(
        kernels: &Kernels<E>,
        [batch, m, n, k]: [usize; 4],
        am: Mat,
        bm: Mat,
        form: Form,
        widened: bool,
        cost: Option<usize>,
        threads: usize,
    ) -> Self {
        let lanes = kernels.lanes;
        let total_vectors = n.div_ceil(lanes);
        // Tiles of all columns read A once, which saves its copy, but read B more often: only if B fits the L1 cache, or if a
        // copy of A was needed.
        let all = total_vectors.min(MAX_VECTORS);
        // (Wide tiles read strided rows of A. Rows of one element are contiguous, too.)
        let strided = am.cols == 1 && am.rows >= 0 && am.rows != 1;
        let once = form != Form::Packed && strided && (k <= K_BLOCK / 2 || aliases::<E>(am.rows));
        let efficient = 8 * all * kernels.rows[all - 1] > 13 * kernels.rows[1];
        let vectors = if all == total_vectors && once && efficient { all } else { vectors(kernels, n) };
        let rows = match kernels.rows[vectors - 1] {
            // Short sums write the rows of C at once, which here share a set of 12 ways of the L1 cache.
            14 if k <= SHORT && aliases::<E>(n as isize) => 11,
            rows => rows,
        };
        let tasks = (batch * m * n * (k + cost.unwrap_or(0)) / TASK_WORK).clamp(1, TASKS);
        let splits = if k >= 2 * m.max(n) && m * n <= SPLIT_RESULTS && batch == 1 {
            // Few results, long sums: splitting k reads each operand once.
            tasks.min(k / (2 * K_BLOCK)).clamp(1, SPLITS)
        } else {
            1
        };
        let tasks = if threads == 1 { 1 } else { tasks.min(TASKS_PER_THREAD * threads) };
        let long = splits > 1 && m > DIRECT / 2 * rows && m <= 2 * M_BLOCK * rows;
        let width = vectors * lanes;
        let blocking = Blocking {
            batch,
            m,
            n,
            k,
            rows,
            width,
            lanes,
            splits,
            tasks,
            fused: cost.is_some(),
            fuses: cost.is_some_and(|cost| cost > 0),
            long,
            transposed: form != Form::Packed && bm.cols != 1,
            widened,
        };
        let [m_block, n_block] = blocking.sizes();
        let k_split = k.div_ceil(splits).max(1);

        // Broadcasts from another cache line at each step are hidden by the arithmetic of a tile, except when rows alias in
        // the cache and several panels of B pass over them. The columns of a transposed A are a cache line of each step,
        // which the next tile reads once more: a copy pays off after a few panels.
        let in_place_a = (am.cols == 1 && am.rows >= 0) || (am.rows == 1 && am.cols >= 0);
        let passes = total_vectors.div_ceil(vectors);
        let pack_a = widened
            || !in_place_a
            || (am.cols == 1 && aliases::<E>(am.rows) && passes > 1)
            || (am.cols != 1 && passes > TRANSPOSED_PASSES);
        let in_place_b = bm.cols == 1 && bm.rows >= 0;
        // In place, a panel is a few lines of each row, which pays off while few tiles reread it.
        let in_place_rows = if long || shares_sets::<E>(bm.rows) { 2 * rows } else { DIRECT * rows };
        // Rows of a single panel are in its order already.
        let pack_b = if form == Form::Packed {
            PackB::Shared
        } else if in_place_b && !widened && (m <= in_place_rows || bm.rows == width as isize) {
            PackB::Direct
        } else if batch == 1 && m > m_block && (widened || m_block < OWN_ROWS) {
            PackB::Shared
        } else {
            PackB::Local
        };
        let k_block = if m <= FEW_ROWS && n * k > LARGE { FEW_K_BLOCK } else { K_BLOCK };
        let splits = k.div_ceil(k_split).max(1);
        Plan { vectors, rows, m_block, n_block, k_block, k_split, splits, pack_a, pack_b }
    }

    /// Rows of a chunk, for `run` steps of k.
    pub fn chunk_rows(&self, run: usize) -> usize {
        chunk_rows(self.rows, run)
    }
}

impl Blocking {
    /// Number of tasks with the given block sizes.
    fn count(&self, m_block: usize, n_block: usize) -> usize {
        self.batch * self.m.div_ceil(m_block) * self.n.div_ceil(n_block) * self.splits
    }

    /// Chooses the rows and columns of a block.
    ///
    /// A block packs its rows of A and, if it has all rows, its columns of B: the longer side (in tiles) is halved, but
    /// blocks stay wide enough to amortise the packing as long as that gives enough tasks.
    fn sizes(&self) -> [usize; 2] {
        let &Blocking { m, n, k, rows, width, lanes, tasks, fused, fuses, long, transposed, widened, .. } = self;
        // A transposed B that few tiles read is packed in parts that stay in the L1 cache.
        // Of a large B, rows of a block are long enough to be read in their order: see `next_rows`.
        let vectors = match (transposed, m) {
            (true, ..) if m <= 4 * rows => 8,
            (false, ..=FEW_ROWS) if n * k > LARGE => 64,
            _ => 32,
        };
        // A fused epilogue reads the block of results, which has to stay in cache.
        let mut n_block = n.min(vectors * lanes);
        // Short sums of few columns take a moment: more rows for each task.
        let most = (FUSED_RESULTS / n_block / rows * rows).clamp(M_BLOCK * rows, chunk_rows(rows, k));
        let mut m_block = if fused { m.min(most) } else { m };
        if widened && k <= SHORT && n <= width {
            m_block = m_block.min((WIDENED / (k + n)).next_multiple_of(rows));
        }
        if fuses {
            // The fused epilogue takes full rows unless they are too long: split between rows.
            let needed = tasks.div_ceil(self.count(m, n_block));
            m_block = m.div_ceil(needed).next_multiple_of(rows).min(m_block);
        }
        let mut least = if long { [8 * lanes, m] } else { [16 * lanes, 4 * rows] };
        if long {
            m_block = m;
        }
        while self.count(m_block, n_block) < tasks && (!fuses || m_block <= rows) {
            let (wide, tall) = (n_block >= 2 * least[0].max(width), m_block >= 2 * least[1]);
            if wide && (!tall || n_block / width >= m_block / rows) {
                n_block = n_block.div_ceil(2).div_ceil(width) * width;
            } else if tall {
                m_block = m_block.div_ceil(2);
            } else if least[0] > width {
                least = [width, rows];
            } else {
                break;
            }
        }
        [m_block, n_block.div_ceil(width) * width]
    }
}

/// Rows of a chunk of tiles of `rows` rows. Chunks of short sums have more rows: as many elements of A.
fn chunk_rows(rows: usize, run: usize) -> usize {
    M_BLOCK * rows * (K_BLOCK / run.max(1)).max(1)
}

/// Returns true if the rows of a block of k, with this stride, map to so few sets of the L2 cache that they do not fit: with
/// 2048 sets of 64 bytes and 16 ways, rows a multiple of 8 KiB apart have 256 lines or fewer.
fn shares_sets<E>(stride: isize) -> bool {
    let bytes = stride.unsigned_abs() * size_of::<E>();
    bytes > 0 && bytes.is_multiple_of(8192)
}

/// Returns true if rows with this stride map to the same few sets of the L1 cache (64 sets of 64 bytes).
fn aliases<E>(stride: isize) -> bool {
    let bytes = stride.unsigned_abs() * size_of::<E>();
    bytes >= 4096 && (bytes % 4096 < 256 || bytes % 4096 > 4096 - 256)
}
