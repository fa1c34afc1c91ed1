//! Counted loops in Cranelift IR.

#![expect(clippy::indexing_slicing, reason = "a block has the parameters that it was made with")]

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value, types};

use super::kernel::KernelBuilder;

/// How often a loop runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    /// Known when the code is generated.
    Static(usize),
    /// A value, not negative.
    Dynamic(Value),
}

/// A pointer (or a counter) that moves by a constant at every turn of a loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving {
    pub(super) value: Value,
    pub(super) step: i64,
}

/// What a loop repeats: given the moving values and the state of its turn, it returns the next state.
pub(super) type Body<'f, 'a> = &'f mut dyn FnMut(&mut KernelBuilder<'a>, &[Value], &[Value]) -> Vec<Value>;

/// So many multiply-adds, or operations of an expression, are emitted without a loop: it takes longer to count turns, and to move places,
/// than to do a few of them.
const MAX_UNROLLED_WORK: usize = 16;

/// The most turns at once of a loop that is unrolled in part.
const MAX_TURNS_AT_ONCE: usize = 4;

fn args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}

impl<'a> KernelBuilder<'a> {
    /// Emits a loop and returns its last state. A loop of one turn is emitted without a loop.
    pub(super) fn repeat(
        &mut self,
        count: Count,
        moving: &[Moving],
        state: &[Value],
        body: Body<'_, 'a>,
    ) -> Vec<Value> {
        match count {
            Count::Static(0) => state.to_vec(),
            Count::Static(1) => body(self, &moving.iter().map(|m| m.value).collect::<Vec<_>>(), state),
            Count::Static(n) => {
                let turns = self.b.ins().iconst(types::I64, n as i64);
                self.do_while(turns, moving, state, body)
            }
            Count::Dynamic(turns) => {
                let (enter, done) = (self.b.create_block(), self.b.create_block());
                self.block_params(done, state);
                self.b.ins().brif(turns, enter, &[], done, &args(state));
                self.start(enter);
                let last = self.do_while(turns, moving, state, body);
                self.b.ins().jump(done, &args(&last));
                self.start(done);
                self.b.block_params(done).to_vec()
            }
        }
    }

    /// As [`repeat`](Self::repeat), each turn being so much work; a loop of little work in all is unrolled, and one of little work a turn in
    /// part.
    pub(super) fn repeat_or_unroll(
        &mut self,
        (count, work): (Count, usize),
        moving: &[Moving],
        state: &[Value],
        body: Body<'_, 'a>,
    ) -> Vec<Value> {
        let at_once = MAX_UNROLLED_WORK / work.max(1);
        match count {
            Count::Static(turns) if turns <= at_once => self.unroll(turns, moving, state, body),
            Count::Static(turns) if at_once > 1 => {
                self.unroll_in_part(turns, at_once.min(MAX_TURNS_AT_ONCE), moving, state, body)
            }
            Count::Static(_) | Count::Dynamic(_) => self.repeat(count, moving, state, body),
        }
    }

    /// A loop of so many turns at once, and those that are left.
    fn unroll_in_part(
        &mut self,
        turns: usize,
        at_once: usize,
        moving: &[Moving],
        state: &[Value],
        body: Body<'_, 'a>,
    ) -> Vec<Value> {
        let left = turns % at_once;
        let steps: Vec<Moving> = moving.iter().map(|m| Moving { step: m.step * at_once as i64, ..*m }).collect();
        let state = self.repeat(Count::Static(turns / at_once), &steps, state, &mut |cx, places, state| {
            let moving: Vec<Moving> = moving.iter().zip(places).map(|(m, &value)| Moving { value, ..*m }).collect();
            cx.unroll(at_once, &moving, state, body)
        });
        let rest: Vec<Moving> = moving.iter().map(|m| Moving { value: self.moved(m, turns - left), ..*m }).collect();
        self.unroll(left, &rest, &state, body)
    }

    /// So many turns without a loop.
    fn unroll(&mut self, turns: usize, moving: &[Moving], state: &[Value], body: Body<'_, 'a>) -> Vec<Value> {
        (0..turns).fold(state.to_vec(), |state, turn| {
            let places: Vec<Value> = moving.iter().map(|m| self.moved(m, turn)).collect();
            body(self, &places, &state)
        })
    }

    /// Where a value is after so many turns.
    pub(super) fn moved(&mut self, moving: &Moving, turns: usize) -> Value {
        match turns as i64 * moving.step {
            0 => moving.value,
            by => self.b.ins().iadd_imm_s(moving.value, by),
        }
    }

    /// A loop whose body runs at least once. Values that do not move are not carried.
    fn do_while(&mut self, turns: Value, moving: &[Moving], state: &[Value], body: Body<'_, 'a>) -> Vec<Value> {
        let (head, done) = (self.b.create_block(), self.b.create_block());
        let carried: Vec<usize> = (0..moving.len()).filter(|&k| moving[k].step != 0).collect();
        let mut initial = vec![turns];
        initial.extend(carried.iter().map(|&k| moving[k].value));
        initial.extend(state);
        self.block_params(head, &initial);
        self.b.ins().jump(head, &args(&initial));
        self.b.switch_to_block(head);

        let params = self.b.block_params(head).to_vec();
        let mut now: Vec<Value> = moving.iter().map(|m| m.value).collect();
        for (slot, &k) in carried.iter().enumerate() {
            now[k] = params[1 + slot];
        }
        let next_state = body(self, &now, &params[1 + carried.len()..]);
        let left = self.b.ins().iadd_imm_s(params[0], -1);
        let mut next = vec![left];
        next.extend(carried.iter().map(|&k| self.b.ins().iadd_imm_s(now[k], moving[k].step)));
        next.extend(&next_state);
        self.block_params(done, &next_state);
        let more = self.b.ins().icmp_imm_s(IntCC::NotEqual, left, 0);
        self.b.ins().brif(more, head, &args(&next), done, &args(&next_state));
        self.b.seal_block(head);
        self.start(done);
        self.b.block_params(done).to_vec()
    }

    fn block_params(&mut self, block: Block, like: &[Value]) {
        for &value in like {
            let ty = self.b.func.dfg.value_type(value);
            self.b.append_block_param(block, ty);
        }
    }

    /// Goes on in a block all of whose predecessors are known.
    fn start(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }
}
