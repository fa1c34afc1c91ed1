//! Loop nests: the paths of contractions, in register tiles of vectors.

#![expect(clippy::indexing_slicing, clippy::unreachable, reason = "places are of one nest's loops and accesses")]

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};

use crate::loops::strides::{Extent, Loop, is_regular, loops};
use crate::loops::{Access, MicroCall, Nest, Write};

use super::control::{Count, Moving};
use super::kernel::KernelBuilder;
use super::plan::{BLOCK, Plan, Vectors, plan};

/// A nest while it is emitted. Places of accesses are in the order of the strides: the output's, then those of what is
/// multiplied, of which a square has one.
struct Emit<'n> {
    nest: &'n Nest,
    /// The access of each factor.
    factors: Vec<usize>,
    loops: Vec<Loop>,
    plan: Plan,
    /// Bytes of an element.
    size: usize,
    /// How each factor may be loaded, and the output.
    flags: Vec<MemFlagsData>,
    /// What the sum is multiplied by, as a vector; none for 1.
    scale: Option<Value>,
}

/// A register tile: `blocked × vectors` accumulators of `width` lanes.
#[derive(Clone, Copy)]
struct Tile {
    blocked: usize,
    vectors: usize,
    width: usize,
    /// The first lanes of the accumulators are not written.
    skipped: usize,
}

impl Tile {
    /// So many vectors, in one block.
    fn of_vectors(vectors: usize, width: usize) -> Tile {
        Tile { blocked: 1, vectors, width, skipped: 0 }
    }
}

impl<'a> KernelBuilder<'a> {
    /// Emits a nest for the rows of the tile.
    pub(super) fn nest(&mut self, nest: &Nest) {
        let accesses: Vec<&Access> = nest.accesses().collect();
        if let Some(call) = &nest.call {
            if call.by_row {
                let one = self.b.ins().iconst(types::I64, 1);
                return self.each_row(&accesses, &mut |cx, places| cx.around(nest, call, 0, places, one));
            }
            let places: Vec<Value> = accesses.iter().map(|a| self.first_pointer(a)).collect();
            return self.around(nest, call, 0, &places, self.tile_rows);
        }
        let (accesses, factors) = distinct(&nest.factors, accesses);
        let regular = accesses.iter().all(|a| is_regular(a));
        let rows = regular && !self.kernel.rows.is_empty() && self.row.is_none();
        let loops = loops(nest, rows);
        let plan = plan(&loops, self.lanes);
        let flags = accesses.iter().map(|a| self.load_flags(a.array)).collect();
        let scale = self.scale(nest);
        let emit = Emit { nest, factors, plan, loops, size: self.loops.dtype.size(), flags, scale };
        if regular {
            let places: Vec<Value> = accesses.iter().map(|a| self.first_pointer(a)).collect();
            emit.outer(self, 0, &places);
        } else {
            self.each_row(&accesses, &mut |cx, places| emit.outer(cx, 0, places));
        }
    }

    /// The loops around the call of a micro-kernel for some rows, from the `depth`-th on, and the call.
    fn around(&mut self, nest: &Nest, call: &MicroCall, depth: usize, places: &[Value], rows: Value) {
        let Some(&axis) = call.outer.get(depth) else {
            let arrays: Vec<Value> = call.arrays.iter().map(|&k| places[k]).collect();
            return self.call_micro(call, &arrays, rows);
        };
        let size = self.loops.dtype.size();
        let accesses = nest.accesses();
        let moving: Vec<Moving> = accesses
            .zip(places)
            .map(|(a, &value)| Moving { value, step: (a.segment.strides[axis] * size) as i64 })
            .collect();
        self.repeat(Count::Static(nest.axes[axis].size), &moving, &[], &mut |cx, places, _| {
            cx.around(nest, call, depth + 1, places, rows);
            Vec::new()
        });
    }

    /// `coefficient / divisor` in all lanes; none for 1.
    fn scale(&mut self, nest: &Nest) -> Option<Value> {
        if nest.divisor.is_one() {
            return (nest.coefficient.0 != 1.0).then(|| self.constant(nest.coefficient.0));
        }
        let divisor = self.size_of(nest);
        let divisor = self.b.ins().fcvt_from_sint(self.scalar, divisor);
        let divisor = self.b.ins().splat(self.vector, divisor);
        let coefficient = self.constant(nest.coefficient.0);
        Some(self.b.ins().fdiv(coefficient, divisor))
    }

    fn size_of(&mut self, nest: &Nest) -> Value {
        let divisor = nest.divisor.clone();
        super::kernel::KernelBuilder::size(self, &divisor)
    }
}

/// What a nest touches, each array and place once, and which of them each factor is.
fn distinct<'n>(factors: &[Access], mut accesses: Vec<&'n Access>) -> (Vec<&'n Access>, Vec<usize>) {
    if matches!(factors, [one, other] if one == other) {
        accesses.truncate(2);
        return (accesses, vec![1, 1]);
    }
    let factors = (1..accesses.len()).collect();
    (accesses, factors)
}

impl Emit<'_> {
    fn count(&self, cx: &KernelBuilder<'_>, k: usize) -> Count {
        match self.loops[k].extent {
            Extent::Rows => cx.rows(),
            Extent::Axis(size) => Count::Static(size),
        }
    }

    /// The multiply-adds of so many accumulators in these loops.
    fn work<'k>(&self, accumulators: usize, loops: impl IntoIterator<Item = &'k usize>) -> usize {
        loops.into_iter().fold(accumulators, |work, &k| work.saturating_mul(self.loops[k].turns()))
    }

    /// The multiply-adds of a turn of the `depth`-th loop around.
    fn work_around(&self, cx: &KernelBuilder<'_>, depth: usize) -> usize {
        let vectors = match self.plan.vectors {
            Vectors::None => 1,
            Vectors::Along(k) | Vectors::Dot(k) => self.loops[k].turns() / cx.lanes + self.loops[k].turns() % cx.lanes,
        };
        self.work(vectors, self.plan.outer[depth + 1..].iter().chain(&self.plan.block).chain(&self.plan.summed))
    }

    /// The places, moving along loop `k` by `step` elements a turn.
    fn moving(&self, places: &[Value], k: usize, step: usize) -> Vec<Moving> {
        let bytes = |stride: &usize| (stride * step * self.size) as i64;
        places.iter().zip(&self.loops[k].strides).map(|(&value, s)| Moving { value, step: bytes(s) }).collect()
    }

    /// The places `count` elements further along loop `k`.
    fn advanced(&self, cx: &mut KernelBuilder<'_>, places: &[Value], k: usize, count: usize) -> Vec<Value> {
        self.moving(places, k, 1).iter().map(|moving| cx.moved(moving, count)).collect()
    }

    /// The loops around the register tile, from the `depth`-th on.
    fn outer<'a>(&self, cx: &mut KernelBuilder<'a>, depth: usize, places: &[Value]) {
        let Some(&k) = self.plan.outer.get(depth) else { return self.vectors(cx, places) };
        let turns = (self.count(cx, k), self.work_around(cx, depth));
        cx.repeat_or_unroll(turns, &self.moving(places, k, 1), &[], &mut |cx, places, _| {
            self.outer(cx, depth + 1, places);
            Vec::new()
        });
    }

    /// The loop over vectors: pairs of vectors, then the vectors left over, then the elements left over, each by itself or, of sums, in a
    /// vector that begins before the one in front of it ends.
    fn vectors<'a>(&self, cx: &mut KernelBuilder<'a>, places: &[Value]) {
        let one = Tile::of_vectors(1, 1);
        let Vectors::Along(k) = self.plan.vectors else { return self.blocks(cx, places, one) };
        let Extent::Axis(size) = self.loops[k].extent else { return self.blocks(cx, places, one) };
        let lanes = cx.lanes;
        let pair = self.vectors_a_turn(size / lanes);
        let main = size / (pair * lanes);
        cx.repeat(Count::Static(main), &self.moving(places, k, pair * lanes), &[], &mut |cx, places, _| {
            self.blocks(cx, places, Tile::of_vectors(pair, lanes));
            Vec::new()
        });
        let mut done = main * pair * lanes;
        let left = (size - done) / lanes;
        if left > 0 {
            let places = self.advanced(cx, places, k, done);
            self.blocks(cx, &places, Tile::of_vectors(left, lanes));
            done += left * lanes;
        }
        let rest = size - done;
        if rest > 1 && !self.plan.summed.is_empty() {
            let places = self.advanced(cx, places, k, size - lanes);
            return self.blocks(cx, &places, Tile { skipped: lanes - rest, ..Tile::of_vectors(1, lanes) });
        }
        let places = self.advanced(cx, places, k, done);
        let turns = (Count::Static(rest), self.work(1, self.plan.block.iter().chain(&self.plan.summed)));
        cx.repeat_or_unroll(turns, &self.moving(&places, k, 1), &[], &mut |cx, places, _| {
            self.blocks(cx, places, one);
            Vec::new()
        });
    }

    /// How many of the vectors are computed in a turn: where there are no blocks beside them, as many as hide the time of an
    /// addition, and that of the loop, and stay in sixteen registers with what they are sums of.
    fn vectors_a_turn(&self, vectors: usize) -> usize {
        let is_sum = !self.plan.summed.is_empty();
        match (vectors, self.plan.block) {
            (3, _) => 3,
            (_, None) if is_sum && self.flags.len() > 2 => vectors.min(4),
            (_, None) => vectors.min(8),
            (_, Some(_)) => vectors.min(2),
        }
    }

    /// The loop over blocks of rows (or of another loop), then what is left over.
    fn blocks<'a>(&self, cx: &mut KernelBuilder<'a>, places: &[Value], one: Tile) {
        let tile = |blocked| Tile { blocked, ..one };
        let Some(k) = self.plan.block else { return self.tile(cx, places, one) };
        match self.count(cx, k) {
            Count::Static(size) => {
                let block = BLOCK.min(size);
                cx.repeat(Count::Static(size / block), &self.moving(places, k, block), &[], &mut |cx, places, _| {
                    self.tile(cx, places, tile(block));
                    Vec::new()
                });
                if size % block > 0 {
                    let places = self.advanced(cx, places, k, size - size % block);
                    self.tile(cx, &places, tile(size % block));
                }
            }
            Count::Dynamic(rows) => {
                let whole = cx.b.ins().udiv_imm_u(rows, BLOCK as i64);
                let left = cx.b.ins().urem_imm_u(rows, BLOCK as i64);
                let done = cx.b.ins().isub(rows, left);
                cx.repeat(Count::Dynamic(whole), &self.moving(places, k, BLOCK), &[], &mut |cx, places, _| {
                    self.tile(cx, places, tile(BLOCK));
                    Vec::new()
                });
                let mut rest = Vec::with_capacity(places.len());
                for moving in self.moving(places, k, 1) {
                    let skip = cx.b.ins().imul_imm_s(done, moving.step);
                    rest.push(cx.b.ins().iadd(moving.value, skip));
                }
                cx.repeat(Count::Dynamic(left), &self.moving(&rest, k, 1), &[], &mut |cx, places, _| {
                    self.tile(cx, places, tile(1));
                    Vec::new()
                });
            }
        }
    }

    /// One register tile: sums in accumulators, then stores.
    fn tile<'a>(&self, cx: &mut KernelBuilder<'a>, places: &[Value], tile: Tile) {
        match self.plan.vectors {
            Vectors::Dot(k) => self.dot_tile(cx, places, tile, k),
            Vectors::None | Vectors::Along(_) => {
                let sums = if self.plan.summed.is_empty() {
                    self.products(cx, places, tile, None)
                } else {
                    let zeros = self.zeros(cx, tile);
                    self.sum(cx, 0, places, tile, &zeros)
                };
                self.store(cx, places[0], tile, &sums);
            }
        }
    }

    /// A tile whose vectors run along a summed loop: whole vectors, their lanes added, then the elements left over.
    fn dot_tile<'a>(&self, cx: &mut KernelBuilder<'a>, places: &[Value], tile: Tile, k: usize) {
        let Extent::Axis(size) = self.loops[k].extent else { unreachable!("dot products run along an axis") };
        let lanes = cx.lanes;
        let wide = Tile { width: lanes, ..tile };
        let zeros = self.zeros(cx, wide);
        let work = self.work(zeros.len(), &self.plan.summed);
        let (moving, turns) = (self.moving(places, k, lanes), (Count::Static(size / lanes), work));
        let sums =
            cx.repeat_or_unroll(turns, &moving, &zeros, &mut |cx, places, sums| self.sum(cx, 0, places, wide, sums));
        let sums: Vec<Value> = sums.into_iter().map(|sum| cx.sum_of_lanes(sum)).collect();
        let rest = self.advanced(cx, places, k, size / lanes * lanes);
        let (moving, turns) = (self.moving(&rest, k, 1), (Count::Static(size % lanes), work));
        let sums =
            cx.repeat_or_unroll(turns, &moving, &sums, &mut |cx, places, sums| self.sum(cx, 0, places, tile, sums));
        self.store(cx, places[0], tile, &sums);
    }

    fn zeros(&self, cx: &mut KernelBuilder<'_>, tile: Tile) -> Vec<Value> {
        let zero = cx.constant(0.0);
        let zero = if tile.width > 1 { zero } else { cx.b.ins().extractlane(zero, 0) };
        vec![zero; tile.blocked * tile.vectors]
    }

    /// The summed loops from the `depth`-th on, added to `sums`.
    fn sum<'a>(
        &self,
        cx: &mut KernelBuilder<'a>,
        depth: usize,
        places: &[Value],
        tile: Tile,
        sums: &[Value],
    ) -> Vec<Value> {
        let Some(&k) = self.plan.summed.get(depth) else { return self.products(cx, places, tile, Some(sums)) };
        let turns = (self.count(cx, k), self.work(sums.len(), &self.plan.summed[depth + 1..]));
        cx.repeat_or_unroll(turns, &self.moving(places, k, 1), sums, &mut |cx, places, sums| {
            self.sum(cx, depth + 1, places, tile, sums)
        })
    }

    /// The products of one turn, added to `sums` where there are any.
    fn products(&self, cx: &mut KernelBuilder<'_>, places: &[Value], tile: Tile, sums: Option<&[Value]>) -> Vec<Value> {
        let mut out = Vec::with_capacity(tile.blocked * tile.vectors);
        let mut loaded: Vec<((usize, usize, usize), Value)> = Vec::new();
        for blocked in 0..tile.blocked {
            for vector in 0..tile.vectors {
                let mut factors = Vec::with_capacity(2);
                for &f in &self.factors {
                    let (block_stride, vector_stride) = self.tile_strides(f);
                    let key =
                        (f, if block_stride > 0 { blocked } else { 0 }, if vector_stride > 0 { vector } else { 0 });
                    let known = loaded.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
                    let value = known.unwrap_or_else(|| {
                        let at = blocked * block_stride + vector * vector_stride * tile.width;
                        let value = self.load(cx, f, places[f], at * self.size, tile.width);
                        loaded.push((key, value));
                        value
                    });
                    factors.push((vector_stride, value));
                }
                // The operand that a fused multiply-add overwrites comes first: a broadcast rather than a vector.
                factors.sort_by_key(|(stride, _)| *stride);
                let sum = sums.map(|s| s[blocked * tile.vectors + vector]);
                let factors: Vec<Value> = factors.into_iter().map(|(_, value)| value).collect();
                out.push(cx.multiply_add(&factors, sum));
            }
        }
        out
    }

    /// The strides of an access along the blocked loop and along the vectors.
    fn tile_strides(&self, access: usize) -> (usize, usize) {
        let block = self.plan.block.map_or(0, |k| self.loops[k].strides[access]);
        let vector = match self.plan.vectors {
            Vectors::None => 0,
            Vectors::Along(k) | Vectors::Dot(k) => self.loops[k].strides[access],
        };
        (block, vector)
    }

    fn load(&self, cx: &mut KernelBuilder<'_>, factor: usize, place: Value, at: usize, width: usize) -> Value {
        let (_, vector_stride) = self.tile_strides(factor);
        let flags = self.flags[factor];
        let (place, at) = cx.displaced(place, at);
        if width > 1 && vector_stride == 1 {
            return cx.b.ins().load(cx.vector, flags, place, at);
        }
        let value = cx.b.ins().load(cx.scalar, flags, place, at);
        if width > 1 { cx.b.ins().splat(cx.vector, value) } else { value }
    }

    /// Scales the sums and writes them.
    fn store(&self, cx: &mut KernelBuilder<'_>, place: Value, tile: Tile, sums: &[Value]) {
        let (block_stride, vector_stride) = self.tile_strides(0);
        for blocked in 0..tile.blocked {
            for vector in 0..tile.vectors {
                let sum = sums[blocked * tile.vectors + vector];
                let at = (blocked * block_stride + vector * vector_stride * tile.width) * self.size;
                if tile.width > 1 && vector_stride == 1 && tile.skipped == 0 {
                    self.write(cx, place, at, sum, self.scale);
                } else if tile.width > 1 {
                    let sum = self.scale.map_or(sum, |scale| cx.b.ins().fmul(sum, scale));
                    for lane in tile.skipped..tile.width {
                        let element = cx.b.ins().extractlane(sum, lane as u8);
                        self.write(cx, place, at + lane * vector_stride * self.size, element, None);
                    }
                } else {
                    let scale = self.scale.map(|scale| cx.b.ins().extractlane(scale, 0));
                    self.write(cx, place, at, sum, scale);
                }
            }
        }
    }

    /// Sets or adds one vector or element, times `scale`.
    fn write(&self, cx: &mut KernelBuilder<'_>, place: Value, at: usize, sum: Value, scale: Option<Value>) {
        let ty = cx.b.func.dfg.value_type(sum);
        let (place, at) = cx.displaced(place, at);
        let value = match (self.nest.write, scale) {
            (Write::Set, None) => sum,
            (Write::Set, Some(scale)) => cx.b.ins().fmul(sum, scale),
            (Write::Add, scale) => {
                let old = cx.b.ins().load(ty, self.flags[0], place, at);
                let factors: Vec<Value> = std::iter::once(sum).chain(scale).collect();
                cx.multiply_add(&factors, Some(old))
            }
        };
        let flags = cx.store_flags();
        cx.b.ins().store(flags, value, place, at);
    }
}
