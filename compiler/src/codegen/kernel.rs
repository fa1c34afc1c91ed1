//! The functions of a kernel: entry, the loop over tiles, and the statements of a tile.

#![expect(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "blocks have the parameters they were made with; statements the arrays of their kind"
)]

use std::collections::HashMap;
use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, ExtFuncData, ExternalName, Function, InstBuilder, MemFlagsData, SigRef, SourceLoc, StackSlot,
    StackSlotData, StackSlotKind, Type, UserExternalName, UserFuncName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use schur_ir::dim::{Dim, Symbol};
use schur_ir::micro::{Arguments, Entry};
use schur_ir::program::BufferId;
use schur_ir::ty::DType;

use crate::loops::{Array, Kernel, Loops, MicroCall, Stmt};

use super::groups::{Emission, Group, Sums, groups};
use super::listing::location;
use super::native::{micro_signature, section_signature, signature};
use super::scope::Scope;
use super::target::Target;

/// What is at hand while a function is built.
pub(super) struct KernelBuilder<'a> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) loops: &'a Loops,
    pub(super) kernel: &'a Kernel,
    pub(super) scope: &'a Scope,
    /// What the function was called with, as [`schur_ir::program::KernelFn`] has it.
    arguments: [Value; 7],
    pub(super) fused_multiply_add: bool,
    /// The element type and the vector of it.
    pub(super) scalar: Type,
    pub(super) vector: Type,
    pub(super) lanes: usize,
    /// The sizes of symbols.
    pub(super) symbols: HashMap<Symbol, Value>,
    /// Symbolic sizes that were computed at the entry.
    pub(super) dims: HashMap<Dim, Value>,
    /// Where buffers start.
    pub(super) bases: HashMap<BufferId, Value>,
    pub(super) scratch: Value,
    /// What calls of micro-kernels need; none where there is no call.
    pub(super) micros: Option<Micros>,
    /// Buffers that the kernel writes.
    pub(super) written: Vec<BufferId>,
    /// The first row of the chunk.
    chunk_first: Value,
    /// The tile: its first row and its number of rows.
    pub(super) tile_first: Value,
    pub(super) tile_rows: Value,
    /// The row that statements are emitted for; none where they are for all rows of the tile.
    pub(super) row: Option<Value>,
}

/// What calls of micro-kernels need.
#[derive(Clone, Copy)]
pub(super) struct Micros {
    /// The table of entries.
    table: Value,
    /// Memory for the arguments of a call.
    pub(super) arguments: StackSlot,
    signature: SigRef,
}

impl Micros {
    fn new(b: &mut FunctionBuilder<'_>, table: Value, target: &Target) -> Self {
        let bytes = size_of::<Arguments>() as u32;
        let arguments = b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3));
        Micros { table, arguments, signature: b.import_signature(micro_signature(target)) }
    }
}

/// Builds a function of a kernel.
pub(super) fn build(
    loops: &Loops,
    (kernel, scope): (&Kernel, &Scope),
    symbols: &[Symbol],
    target: &Target,
    func: &mut Function,
    context: &mut FunctionBuilderContext,
) {
    func.signature = if scope.goes_over_tiles() { signature(target) } else { section_signature(target) };
    func.name = UserFuncName::user(0, 0);
    let mut b = FunctionBuilder::new(func, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let [buffers, sizes, begin, end, chunk, scratch, micros_table, ref first @ ..] = *b.block_params(entry) else {
        unreachable!("the signatures have seven parameters or more")
    };
    let chunk_first = first.first().copied().unwrap_or(begin);
    let (scalar, vector, lanes) = match loops.dtype {
        DType::F32 | DType::I32 | DType::Bool => (types::F32, types::F32X4, 4),
        DType::F64 => (types::F64, types::F64X2, 2),
    };
    let statements = &kernel.body[scope.statements(kernel.body.len())];
    let asks = scope.goes_over_tiles() && kernel.ahead.is_some();
    let calls = asks || !kernel.together.is_empty() || statements.iter().any(|stmt| stmt.calls());
    let micros = calls.then(|| Micros::new(&mut b, micros_table, target));
    let mut builder = KernelBuilder {
        b,
        loops,
        kernel,
        scope,
        arguments: [buffers, sizes, begin, end, chunk, scratch, micros_table],
        fused_multiply_add: target.has_fused_multiply_add(),
        scalar,
        vector,
        lanes,
        symbols: HashMap::new(),
        dims: HashMap::new(),
        bases: HashMap::new(),
        scratch,
        micros,
        written: kernel.body.iter().filter_map(|s| s.written().array.memory()).collect(),
        chunk_first,
        tile_first: begin,
        tile_rows: begin,
        row: None,
    };
    builder.entry(symbols);
    if scope.goes_over_tiles() {
        builder.chunk(begin, end, target);
    } else {
        builder.tile_rows = builder.b.ins().isub(end, begin);
        builder.body();
    }
    builder.b.ins().return_(&[]);
    builder.b.seal_all_blocks();
    builder.b.finalize(target.isa().frontend_config());
}

impl<'a> KernelBuilder<'a> {
    /// Loads sizes and base pointers, and computes the symbolic sizes that addresses need.
    fn entry(&mut self, symbols: &[Symbol]) {
        let [buffers, sizes, _, _, chunk, ..] = self.arguments;
        for (k, symbol) in symbols.iter().enumerate() {
            let flags = MemFlagsData::trusted().with_readonly();
            let size = self.b.ins().load(types::I64, flags, sizes, (k * 8) as i32);
            self.symbols.insert(symbol.clone(), size);
        }
        let kernel = self.kernel;
        let mut needed: Vec<Dim> = kernel.by_row_above.map(|_| Dim::product(&kernel.rows)).into_iter().collect();
        for (k, dim) in kernel.rows.iter().enumerate() {
            needed.push(dim.clone());
            needed.push(Dim::product(&kernel.rows[k + 1..]));
        }
        let statements = &kernel.body[self.scope.statements(kernel.body.len())];
        needed.extend(statements.iter().flat_map(Stmt::accesses).flat_map(|access| access.row.sizes()).cloned());
        for dim in needed {
            let value = self.size(&dim);
            self.dims.insert(dim, value);
        }
        self.nothing_ahead();
        let accesses = statements.iter().flat_map(Stmt::accesses);
        let touched = accesses.flat_map(|access| access.array.memory().into_iter().chain(access.row.index_buffers()));
        let ahead = kernel.ahead.iter().filter(|_| self.scope.goes_over_tiles()).flat_map(|ahead| &ahead.buffers);
        for buffer in touched.chain(ahead.map(|(buffer, _)| *buffer)).collect::<Vec<_>>() {
            if !self.bases.contains_key(&buffer)
                && let Some(base) = self.load_base(buffers, chunk, Array::Memory(buffer))
            {
                self.bases.insert(buffer, base);
            }
        }
    }

    /// All rows `begin..end`: by one micro-kernel where one does all, tile by tile otherwise.
    fn chunk(&mut self, begin: Value, end: Value, target: &Target) {
        match self.kernel.streamed() {
            Some(all) => {
                self.tile_rows = self.b.ins().isub(end, begin);
                self.together(all);
            }
            None => self.tiles(begin, end, target),
        }
    }

    /// True where the number of all rows is above `most`.
    pub(super) fn are_rows_above(&mut self, most: usize) -> Value {
        let rows = self.size(&Dim::product(&self.kernel.rows));
        self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, rows, i64::try_from(most).unwrap_or(i64::MAX))
    }

    fn switch_to(&mut self, block: Block) {
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }

    /// The loop over tiles of rows `begin..end`.
    fn tiles(&mut self, begin: Value, end: Value, target: &Target) {
        let (head, body, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.append_block_param(head, types::I64);
        self.b.ins().jump(head, &[BlockArg::Value(begin)]);
        self.b.switch_to_block(head);
        let row = self.b.block_params(head)[0];
        let more = self.b.ins().icmp(IntCC::SignedLessThan, row, end);
        self.b.ins().brif(more, body, &[], done, &[]);
        self.switch_to(body);
        let left = self.b.ins().isub(end, row);
        let tile = self.b.ins().iconst(types::I64, self.kernel.tile as i64);
        self.tile_first = row;
        self.tile_rows = self.smaller(left, tile);
        self.look_ahead(end);
        match self.scope {
            Scope::Tiles(sections) => self.call_sections(*sections, target),
            Scope::Kernel | Scope::Section(_) => self.body(),
        }
        self.b.set_srcloc(SourceLoc::default());
        self.ask_for_rest();
        let next = self.b.ins().iadd_imm_s(row, self.kernel.tile as i64);
        self.b.ins().jump(head, &[BlockArg::Value(next)]);
        self.b.seal_block(head);
        self.b.switch_to_block(done);
        self.b.seal_block(done);
    }

    /// Calls the sections of the kernel, one after the other, for the rows of the tile.
    fn call_sections(&mut self, sections: usize, target: &Target) {
        let signature = self.b.import_signature(section_signature(target));
        let [buffers, sizes, _, _, chunk, scratch, micros] = self.arguments;
        let end = self.b.ins().iadd(self.tile_first, self.tile_rows);
        let arguments = [buffers, sizes, self.tile_first, end, chunk, scratch, micros, self.chunk_first];
        for section in 0..sections {
            let name = self.b.func.declare_imported_user_function(UserExternalName::new(0, section as u32));
            let function = self.b.import_function(ExtFuncData {
                name: ExternalName::user(name),
                signature,
                // Its address may be far away.
                colocated: false,
                patchable: false,
            });
            self.b.ins().call(function, &arguments);
        }
    }

    /// Emits the statements for the rows of the tile; in both ways where the number of all rows decides on one.
    fn body(&mut self) {
        let Some(most) = self.kernel.by_row_above else { return self.groups(Sums::Across) };
        let (large, small, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let is_large = self.are_rows_above(most);
        self.b.ins().brif(is_large, large, &[], small, &[]);
        for (block, sums) in [(large, Sums::ByRow), (small, Sums::Across)] {
            self.switch_to(block);
            self.groups(sums);
            self.b.ins().jump(done, &[]);
        }
        self.switch_to(done);
    }

    /// Emits the statements, group by group.
    fn groups(&mut self, sums: Sums) {
        let statements = self.scope.statements(self.kernel.body.len());
        for Group { statements, emission } in groups(self.kernel, statements, sums) {
            let mut all = |cx: &mut Self| statements.clone().for_each(|k| cx.statement(k));
            match emission {
                Emission::Alone => all(self),
                Emission::ByRow => self.row_by_row(&mut all),
                Emission::Together(together) => self.together(together),
            }
        }
    }

    /// Emits the `k`-th statement for the row that is being emitted, or for all rows of the tile.
    fn statement(&mut self, k: usize) {
        self.b.set_srcloc(location(k));
        match &self.kernel.body[k] {
            Stmt::Zero { out, count } => self.zero(out, *count),
            Stmt::Nest(nest) => self.nest(nest),
            Stmt::Map(map) => self.map(map),
            Stmt::Max { value, out, count } => self.max(value, out, *count),
        }
    }

    /// Calls the micro-kernel of a statement for some rows: in the first tile of a chunk the one that sets, where there is one.
    pub(super) fn call_micro(&mut self, call: &MicroCall, arrays: &[Value], rows: Value) {
        let mut entry = self.entry_of(call.micro);
        if let Some(first) = call.first {
            let setting = self.entry_of(first);
            let is_first = self.b.ins().icmp(IntCC::Equal, self.tile_first, self.chunk_first);
            entry = self.b.ins().select(is_first, setting, entry);
        }
        self.call_entry(entry, arrays, rows);
    }

    /// Where the entry of a micro-kernel is.
    pub(super) fn entry_of(&mut self, micro: usize) -> Value {
        let table = self.micros().table;
        self.b.ins().iadd_imm_s(table, (micro * size_of::<Entry>()) as i64)
    }

    pub(super) fn micros(&self) -> Micros {
        self.micros.unwrap_or_else(|| unreachable!("the kernel was searched for calls"))
    }

    pub(super) fn call_entry(&mut self, entry: Value, arrays: &[Value], rows: Value) {
        let Micros { arguments: slot, signature, .. } = self.micros();
        for (k, &array) in arrays.iter().enumerate() {
            let at = offset_of!(Arguments, arrays) + k * size_of::<*mut u8>();
            self.b.ins().stack_store(types::I64, array, slot, at as i32);
        }
        self.b.ins().stack_store(types::I64, self.tile_first, slot, offset_of!(Arguments, first) as i32);
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let run = self.b.ins().load(types::I64, flags, entry, offset_of!(Entry, run) as i32);
        let plan = self.b.ins().load(types::I64, flags, entry, offset_of!(Entry, plan) as i32);
        let arguments = self.b.ins().stack_addr(types::I64, slot, 0);
        self.b.ins().call_indirect(signature, run, &[plan, arguments, rows]);
    }
}
