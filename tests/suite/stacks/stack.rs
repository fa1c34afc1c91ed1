//! A spec that grows layer by layer: what is drawn, and what was made so far.

use std::fmt::Write;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use schur::Mode;
use schur_ir::dim::{Bindings, Dim};
use schur_ir::irreps::{Irrep, Irreps, MulIrrep, Parity};
use schur_ir::ty::{DType, Type};

use crate::specs::model;

/// Parts of vectors, whole ones, and what is next to them.
const MULTIPLICITIES: [usize; 14] = [1, 2, 3, 5, 8, 8, 12, 16, 16, 17, 24, 32, 33, 40];
const NARROW: [usize; 6] = [1, 3, 5, 8, 16, 17];
const WIDE: [usize; 6] = [16, 48, 64, 65, 96, 128];

/// Rows of one tile and of several, and those of which a few are left for the last one.
const ROWS: [usize; 11] = [0, 1, 2, 7, 12, 13, 50, 97, 99, 130, 200];
const FEW_ROWS: [usize; 7] = [0, 1, 2, 8, 13, 24, 50];
const MANY_ROWS: [usize; 2] = [513, 1000];

/// A value of the spec: a layer's or an input's.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) ty: Type,
}

/// A spec, layer by layer.
pub(super) struct Stack {
    pub(super) rng: ChaCha8Rng,
    pub(super) dtype: DType,
    /// Whether chunks have either parity, and not (−1)^l alone.
    both_parities: bool,
    multiplicities: &'static [usize],
    rows: &'static [usize],
    inputs: String,
    layers: String,
    /// What was made: the layer that the next one reads is the last.
    values: Vec<Value>,
    outputs: Vec<String>,
}

impl Stack {
    /// The stack of a seed, with all its layers.
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (multiplicities, rows, parts): (&[usize], &[usize], _) = match rng.random_range(0..12) {
            0 => (&WIDE, &FEW_ROWS, 1..4),
            1 => (&NARROW, &MANY_ROWS, 1..3),
            _ => (&MULTIPLICITIES, &ROWS, 2..5),
        };
        let dtype = if rng.random_bool(0.3) { DType::F32 } else { DType::F64 };
        let both_parities = rng.random_bool(0.25);
        let (inputs, layers, values, outputs) = Default::default();
        let mut stack = Stack { rng, dtype, both_parities, multiplicities, rows, inputs, layers, values, outputs };
        let shape = ["'N'", "'N'", "'N'", "'N', 3", "'N', 'M'"].choose(&mut stack.rng).copied().unwrap_or("'N'");
        let irreps = stack.irreps(0..=3);
        stack.input(&format!("shape = [{shape}], irreps = '{irreps}'"));
        for _ in 0..stack.rng.random_range(parts) {
            stack.part();
        }
        stack.returns();
        stack
    }

    /// The spec.
    pub(super) fn text(&self) -> String {
        self.text_with(&self.outputs)
    }

    fn text_with(&self, outputs: &[String]) -> String {
        let Stack { dtype, inputs, layers, .. } = self;
        let layers = if layers.is_empty() { "layers = []" } else { layers };
        format!("name = 'stack'\ndtype = '{dtype}'\noutputs = {outputs:?}\n{inputs}{layers}")
    }

    /// Sizes for a call. Statistics are of more rows than a few, whose variance may be nearly zero.
    pub(super) fn sizes(&mut self, has_statistics: bool) -> Bindings {
        let rows: Vec<usize> = self.rows.iter().copied().filter(|rows| !has_statistics || *rows > 7).collect();
        let rows = self.one_of(&rows);
        [("N".into(), rows), ("M".into(), self.one_of(&[2, 3, 5]))].into()
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices.choose(&mut self.rng).copied().expect("there is a choice")
    }

    pub(super) fn flag(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }

    /// Whether a function with a kink may be drawn: rounding to `f32` would take its slope from the wrong side too often.
    pub(super) fn may_have_kinks(&self) -> bool {
        self.dtype == DType::F64
    }

    /// The value that the next layer reads.
    pub(super) fn last(&self) -> &Value {
        self.values.last().expect("there is an input")
    }

    /// A value whose leading sizes are those of the last one.
    pub(super) fn earlier(&mut self) -> Value {
        let dims = &self.last().ty.dims;
        let alike: Vec<Value> = self.values.iter().filter(|value| value.ty.dims == *dims).cloned().collect();
        alike.choose(&mut self.rng).cloned().expect("the last is one")
    }

    /// Goes on with what an earlier layer made.
    pub(super) fn go_on_with(&mut self, value: Value) {
        self.values.push(value);
    }

    /// Returns the last value to the caller of the model.
    pub(super) fn returns(&mut self) {
        let name = self.last().name.clone();
        if !self.outputs.contains(&name) {
            self.outputs.push(name);
        }
    }

    /// Whether there is a layer of this kind.
    pub(super) fn has(&self, op: &str) -> bool {
        self.layers.contains(&format!("op = '{op}'"))
    }

    /// Declares an input and gives its name.
    pub(super) fn input(&mut self, declared: &str) -> String {
        let name = format!("x{}", self.inputs.lines().count());
        let _ = writeln!(self.inputs, "inputs.{name} = {{ {declared} }}");
        if self.values.is_empty() {
            self.learn(&name);
        }
        name
    }

    /// A layer of the last value.
    pub(super) fn layer(&mut self, op: &str, options: &str) {
        let input = self.last().name.clone();
        self.layer_of(&[&input], op, options);
    }

    pub(super) fn layer_of(&mut self, inputs: &[&str], op: &str, options: &str) {
        let name = format!("l{}", self.layers.matches("[[").count());
        let input = if let [one] = inputs { format!("'{one}'") } else { format!("{inputs:?}") };
        let _ = writeln!(self.layers, "[[layers]]\nname = '{name}'\nop = '{op}'\ninput = {input}\n{options}");
        self.learn(&name);
    }

    /// Goes on with a value of the spec.
    fn learn(&mut self, name: &str) {
        let text = self.text_with(&[name.to_owned()]);
        let graph = model(&text).graph(Mode::Infer).unwrap_or_else(|e| panic!("{e}\n{text}"));
        self.values.push(Value { name: name.to_owned(), ty: graph.ty(graph.outputs[0].value).clone() });
    }

    pub(super) fn multiplicity(&mut self) -> usize {
        self.one_of(self.multiplicities)
    }

    fn parity(&mut self, natural: Parity) -> Parity {
        if self.both_parities && self.flag(0.5) { natural.times(Parity::Odd) } else { natural }
    }

    /// Chunks of some degrees: of most of them one, in order or not.
    pub(super) fn irreps(&mut self, degrees: std::ops::RangeInclusive<u32>) -> Irreps {
        let mut chunks = Vec::new();
        for degree in degrees {
            for _ in 0..self.one_of(&[1, 1, 1, 0, 2]) {
                let parity = self.parity(Parity::natural(degree));
                chunks.push(MulIrrep::new(self.multiplicity(), Irrep::new(degree, parity)));
            }
        }
        if chunks.is_empty() { Irreps::scalars(16) } else { Irreps::new(chunks) }
    }

    /// Scalars, of both parities where chunks have them.
    pub(super) fn scalars(&mut self, count: usize) -> Irreps {
        let odd = if self.both_parities { self.rng.random_range(0..=count) } else { 0 };
        let chunks = [MulIrrep::new(count - odd, Irrep::SCALAR), MulIrrep::new(odd, Irrep::new(0, Parity::Odd))];
        Irreps::new(chunks).remove_zero_multiplicities()
    }

    /// Leading sizes that those of the last value allow of indices and weights.
    pub(super) fn shape_of_weights(&mut self) -> String {
        let dims = self.last().ty.dims.clone();
        let spelled = |dim: &Dim| dim.constant().map_or_else(|| format!("'{dim}'"), |size| size.to_string());
        let all: Vec<String> = dims.iter().map(spelled).collect();
        let mut row = vec!["1".to_owned(); all.len()];
        row[0].clone_from(&all[0]);
        let chosen = self.one_of(&[0, 0, 0, 1, 2]);
        [all, row, Vec::new()][chosen].join(", ")
    }
}
