//! The kernels one by one, on random data in the shapes of a 1.5B model: what benchmarks run.

use crate::cost::Cost;
use crate::format::Format;
use crate::format::random::{RandomWeights, SplitMix};
use crate::isa::CpuIsa;
use crate::kv::{KvLayer, KvShape, KvType};
use crate::op::activation::{Activation, add, gate};
use crate::op::attention::{Query, Rules, attention};
use crate::op::delta::{DeltaShape, delta_rule};
use crate::op::matmul::{Input, Layout, Matrix, Product, matmul};
use crate::op::norm::rms_norm;
use crate::op::quantize::{ActBlock, GROUP, quantize, quantize_all};
use crate::op::rope::{Pairing, angles, rope};
use crate::op::scan::{ScanGates, ScanShape, scan};
use crate::pages::Pages;
use crate::state::{RunningState, StateRows, StateShape};
use crate::team::{Crew, Team, TeamError};
use std::time::{Duration, Instant};

/// Rows of a matrix.
const ROWS: usize = 4096;
/// Weights in a row, and channels of the elementwise kernels.
const COLS: usize = 1536;
/// Rows of the elementwise kernels: a long prompt's.
const BATCH: usize = 512;
/// Query heads, KV heads and channels of a head.
const HEADS: [usize; 3] = [12, 2, 128];

/// Gated delta nets as in a model of 0.8B to 2B.
const DELTA: DeltaShape = DeltaShape { k_heads: 16, v_heads: 16, dim: 128, taps: 4, interleaved: true };

/// State spaces as in a model of 1B.
const SPACE: ScanShape = ScanShape { heads: 48, key_heads: 1, k_dim: 128, v_dim: 64, taps: 4 };

/// A kernel and what it is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A product with a matrix of 4096 x 1536.
    Matmul {
        /// Format of the weights.
        format: Format,
        /// How they lie.
        layout: Layout,
        /// Rows of activations: 1 as in decoding, more as in a prompt.
        columns: usize,
    },
    /// Grouped-query attention, 12 heads on 2.
    Attention {
        /// Format of the cache.
        kv: KvType,
        /// Positions in the cache.
        positions: usize,
        /// How many of them ask, the last ones.
        queries: usize,
    },
    /// The gated delta rule, 16 heads of 128 channels.
    DeltaRule {
        /// Rows of one sequence.
        rows: usize,
    },
    /// The scan of a state space, 48 heads of 64 channels with keys of 128.
    Scan {
        /// Rows of one sequence.
        rows: usize,
    },
    /// 512 rows to blocks of 8 bits.
    Quantize,
    /// 512 rows normed.
    Norm,
    /// 512 rows of 12 heads turned.
    Rope,
    /// The gated activation of 512 rows.
    SiluGate,
    /// 512 rows added to others.
    Add,
}

impl Case {
    /// Everything there is to measure.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for &format in Format::ALL {
            for columns in [1, 64] {
                let layouts: &[Layout] =
                    if format.is_quant() { &[Layout::Packed, Layout::File] } else { &[Layout::File] };
                all.extend(layouts.iter().map(|&layout| Self::Matmul { format, layout, columns }));
            }
        }
        for kv in KvType::ALL {
            all.extend([1, 64].map(|queries| Self::Attention { kv, positions: 1024, queries }));
        }
        all.extend([1, BATCH].map(|rows| Self::DeltaRule { rows }));
        all.extend([1, BATCH].map(|rows| Self::Scan { rows }));
        all.extend([Self::Quantize, Self::Norm, Self::Rope, Self::SiluGate, Self::Add]);
        all
    }

    /// Such as `matmul/q4_k/packed/1`.
    pub fn name(&self) -> String {
        match self {
            Self::Matmul { format, layout, columns } => {
                let layout = if *layout == Layout::Packed { "packed" } else { "file" };
                format!("matmul/{}/{layout}/{columns}", format.name().to_lowercase())
            }
            Self::Attention { kv, positions, queries } => {
                format!("attention/{}/{positions}/{queries}", kv.name())
            }
            Self::DeltaRule { rows } => format!("delta-rule/{rows}"),
            Self::Scan { rows } => format!("scan/{rows}"),
            Self::Quantize => format!("quantize/{BATCH}"),
            Self::Norm => format!("norm/{BATCH}"),
            Self::Rope => format!("rope/{BATCH}"),
            Self::SiluGate => format!("silu-gate/{BATCH}"),
            Self::Add => format!("add/{BATCH}"),
        }
    }

    /// Makes the data. Weights are repeated until they take `span` bytes, and read in turn, as a model's are: with more
    /// than the caches hold they come from memory. `None` where memory does not suffice.
    pub fn prepare(&self, span: usize) -> Option<Ready> {
        let mut rng = SplitMix(1);
        let mut floats = |n: usize| (0..n).map(|_| rng.float()).collect::<Vec<f32>>();
        let data = match *self {
            Self::Matmul { format, layout, columns } => {
                let one = RandomWeights::new(format, 0.02, 1).take(ROWS * COLS);
                let one = match layout {
                    Layout::File => one,
                    Layout::Packed => Matrix::new(format, Layout::File, ROWS, COLS, &one).ok()?.pack()?,
                };
                let copies = span.div_ceil(one.len()).max(1);
                // Where a packed file's weights lie too.
                let mut weights = Pages::zeroed(copies * one.len(), 64)?;
                weights.chunks_exact_mut(one.len()).for_each(|copy| copy.copy_from_slice(&one));
                let x = floats(columns * COLS);
                let mut blocks = vec![ActBlock::default(); columns * COLS / 32];
                quantize_all(CpuIsa::best(), columns, &x, &mut blocks).ok()?;
                Data::Matmul { weights, one: one.len(), x, blocks, out: vec![0.0; columns * ROWS] }
            }
            Self::Attention { kv, positions, queries } => {
                let [heads, kv_heads, dim] = HEADS;
                let mut layer = KvLayer::new(KvShape { kind: kv, heads: kv_heads, k_dim: dim, v_dim: dim });
                let (k, v) = (floats(positions * kv_heads * dim), floats(positions * kv_heads * dim));
                layer.append(CpuIsa::best(), &k, &v).ok()?;
                let q = floats(queries * heads * dim);
                Data::Attention { layer: Box::new(layer), out: vec![0.0; q.len()], q }
            }
            Self::DeltaRule { rows } => {
                let qkv = floats(rows * DELTA.channels());
                // Kept by half and corrected by half: so it neither grows nor fades away.
                let gates = vec![0.5; rows * 2 * DELTA.v_heads];
                let out = vec![0.0; rows * DELTA.padded_width()];
                Data::State { state: Box::new(RunningState::new(DELTA.state())?), x: qkv, gates, out }
            }
            Self::Scan { rows } => {
                let vkq = floats(rows * SPACE.channels());
                let gates = vec![0.5; rows * 2 * SPACE.heads];
                let out = vec![0.0; rows * SPACE.padded_width()];
                Data::State { state: Box::new(RunningState::new(SPACE.state())?), x: vkq, gates, out }
            }
            _ => Data::Rows {
                x: floats(BATCH * COLS),
                y: floats(BATCH * COLS),
                blocks: vec![ActBlock::default(); BATCH * COLS / 32],
            },
        };
        Some(Ready { case: *self, data, next: 0 })
    }
}

enum Data {
    /// `one` is the length of a matrix.
    Matmul {
        weights: Pages,
        one: usize,
        x: Vec<f32>,
        blocks: Vec<ActBlock>,
        out: Vec<f32>,
    },
    Attention {
        layer: Box<KvLayer>,
        q: Vec<f32>,
        out: Vec<f32>,
    },
    State {
        state: Box<RunningState>,
        x: Vec<f32>,
        gates: Vec<f32>,
        out: Vec<f32>,
    },
    Rows {
        x: Vec<f32>,
        y: Vec<f32>,
        blocks: Vec<ActBlock>,
    },
}

/// A kernel with its data.
pub struct Ready {
    case: Case,
    data: Data,
    /// The matrix whose turn it is.
    next: usize,
}

/// What a rule over a running state reads and computes; both stay in the CPU's caches.
fn stateful(rows: usize, width: usize, state: &StateShape, operations: usize) -> Cost {
    let io = Cost::elements(rows, width, 1, 0);
    let held = 2 * state.bytes() as u64;
    Cost { activation_bytes: io.activation_bytes + held, float: (rows * operations) as u64, ..io }
}

impl Ready {
    /// What one turn reads and computes. A cache of a thousand positions stays in the CPU's caches, as do activations.
    pub fn cost(&self) -> Cost {
        let elements = |moved, float| Cost::elements(BATCH, COLS, moved, float);
        match (&self.data, self.case) {
            (Data::Matmul { weights, one, .. }, Case::Matmul { format, layout, columns }) => {
                match Matrix::new(format, layout, ROWS, COLS, &weights[..*one]) {
                    Ok(w) => Cost::products(columns, &[w]),
                    Err(_) => Cost::default(),
                }
            }
            (Data::Attention { layer, .. }, Case::Attention { positions, queries, .. }) => {
                let [heads, _, dim] = HEADS;
                let seen: usize = (positions - queries..positions).map(|p| p + 1).sum();
                let rows = Cost::elements(queries, heads * dim, 2, 0);
                let held = (positions * layer.shape().position_bytes()) as u64;
                let cost = Cost { activation_bytes: rows.activation_bytes + held, ..rows };
                cost.attending(layer.shape(), seen * heads)
            }
            (_, Case::DeltaRule { rows }) => {
                stateful(rows, DELTA.channels() + DELTA.width(), &DELTA.state(), DELTA.operations())
            }
            (_, Case::Scan { rows }) => {
                stateful(rows, SPACE.channels() + SPACE.width(), &SPACE.state(), SPACE.operations())
            }
            (_, Case::Quantize) => Cost::quantize(BATCH, COLS),
            (_, Case::Norm) => elements(2, 2),
            (_, Case::Rope) => elements(2, 2),
            (_, Case::SiluGate) => elements(3, 20),
            _ => elements(3, 1),
        }
    }

    /// How long `turns` turns take on a team that is awake.
    ///
    /// # Errors
    /// A thread of the team panicked.
    pub fn run(&mut self, team: &Team, turns: usize) -> Result<Duration, TeamError> {
        team.step(|crew| {
            super::meet(crew, &|_| {});
            let start = Instant::now();
            (0..turns).for_each(|_| self.turn(crew));
            start.elapsed()
        })
    }

    fn turn(&mut self, crew: &Crew<'_>) {
        let isa = crew.isa();
        match (&mut self.data, self.case) {
            (Data::Matmul { weights, one, x, blocks, out }, Case::Matmul { format, layout, columns }) => {
                let at = self.next * *one;
                self.next = if at + 2 * *one <= weights.len() { self.next + 1 } else { 0 };
                let w = Matrix::new(format, layout, ROWS, COLS, &weights[at..at + *one]).expect("made for this shape");
                matmul(crew, columns, &mut [Product { w, x: Input { floats: x, blocks }, out }]);
            }
            (Data::Attention { layer, q, out }, Case::Attention { positions, queries, .. }) => {
                let ([heads, _, dim], layer) = (HEADS, &**layer);
                let all: Vec<Query<'_>> = (positions - queries..positions).map(|pos| Query::all(layer, pos)).collect();
                attention(crew, &all, heads, &Rules::plain(1.0 / (dim as f32).sqrt()), q, out);
            }
            (Data::State { state, x, gates, out }, Case::DeltaRule { rows }) => {
                delta_rule(crew, &DELTA, &mut [StateRows { state, rows }], x, gates, out);
            }
            (Data::State { state, x, gates, out }, Case::Scan { rows }) => {
                let gates = ScanGates { gates, skip: &[0.5; SPACE.heads] };
                scan(crew, &SPACE, &mut [StateRows { state, rows }], x, gates, out);
            }
            (Data::Rows { x, blocks, .. }, Case::Quantize) => {
                crew.rows(blocks, GROUP * COLS / 32, true, |_, g, blocks| {
                    let rows = GROUP.min(BATCH - g * GROUP);
                    quantize(isa, rows, &x[g * GROUP * COLS..][..rows * COLS], blocks).expect("finite");
                });
            }
            (Data::Rows { x, y, .. }, Case::Norm) => {
                let w = &x[..COLS];
                crew.rows(y, COLS, true, |_, r, y| {
                    y.copy_from_slice(&x[r * COLS..][..COLS]);
                    rms_norm(isa, y, w, 1e-6);
                });
            }
            (Data::Rows { y, .. }, Case::Rope) => {
                let half = HEADS[2] / 2;
                let (mut cos, mut sin) = (vec![0.0; half], vec![0.0; half]);
                angles(1, &vec![0.5; half], 1.0, &mut cos, &mut sin);
                crew.rows(y, COLS, true, |_, _, y| rope(isa, y, HEADS[2], Pairing::Halves, &cos, &sin));
            }
            (Data::Rows { x, y, .. }, Case::SiluGate) => {
                // Gated again and again, values would fade to where the CPU is slow.
                crew.rows(y, COLS, true, |_, r, y| {
                    let x = &x[r * COLS..][..COLS];
                    y.copy_from_slice(x);
                    gate(isa, Activation::Silu, y, x);
                });
            }
            (Data::Rows { x, y, .. }, _) => crew.rows(y, COLS, true, |_, r, y| add(y, &x[r * COLS..][..COLS])),
            _ => {}
        }
    }
}
