//! Random stacks of layers, of the multiplicities that models have: what lies between layers goes through micro-kernels that random
//! graphs, which are narrow, do not reach.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use schur::{CompileOptions, Mode};
use schur_compiler::compile::compile;
use schur_ir::graph::Graph;
use schur_runtime::executor::{Executor, Outputs};
use schur_runtime::store::ParamStore;
use schur_runtime::view::ArrayView;

use crate::levels::{Arrays, check_every_level};
use crate::random_graph::random_arrays;
use crate::specs::model;

/// Parts of vectors, whole ones, and what is next to them.
const MULTIPLICITIES: [usize; 14] = [1, 2, 3, 5, 8, 8, 12, 16, 16, 17, 24, 32, 33, 40];

const ACTIVATIONS: [&str; 5] = ["silu", "silu", "tanh", "gelu", "softplus"];

/// Rows of one tile and of several, and those of which a few are left for the last one.
const ROWS: [usize; 9] = [1, 2, 7, 12, 13, 50, 97, 99, 200];

/// Chunks: multiplicities with degrees, of parity (−1)^l.
type Chunks = Vec<(usize, usize)>;

/// A spec, layer by layer.
struct Stack {
    rng: ChaCha8Rng,
    text: String,
    layers: usize,
    /// The layer that the next one reads, and what it gives.
    last: (String, Chunks),
    outputs: Vec<String>,
}

impl Stack {
    /// The text of a seed's.
    fn text(seed: u64) -> String {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let dtype = if rng.random_bool(0.3) { "f32" } else { "f64" };
        let mut stack =
            Stack { rng, text: String::new(), layers: 0, last: ("x".into(), Vec::new()), outputs: Vec::new() };
        stack.last.1 = stack.chunks(&[0, 1, 2, 3]);
        let input = spelled(&stack.last.1);
        for _ in 0..stack.rng.random_range(2..5) {
            stack.part();
        }
        stack.outputs.push(stack.last.0.clone());
        let Stack { text, outputs, .. } = stack;
        format!(
            "name = 'stack'\ndtype = '{dtype}'\noutputs = {outputs:?}\n[inputs.x]\nshape = ['N']\nirreps = '{input}'\n{text}"
        )
    }

    fn chunks(&mut self, degrees: &[usize]) -> Chunks {
        let mut chunks = Vec::new();
        for &degree in degrees {
            for _ in 0..[1, 1, 1, 0, 2].choose(&mut self.rng).copied().unwrap_or(1) {
                chunks.push((self.multiplicity(), degree));
            }
        }
        if chunks.is_empty() { vec![(16, 0)] } else { chunks }
    }

    fn layer(&mut self, op: &str, options: &str, gives: Chunks) {
        let input = format!("'{}'", self.last.0);
        self.layer_on(&input, op, options, gives);
    }

    fn layer_on(&mut self, input: &str, op: &str, options: &str, gives: Chunks) {
        let name = format!("l{}", self.layers);
        let _ = writeln!(self.text, "[[layers]]\nname = '{name}'\nop = '{op}'\ninput = {input}\n{options}");
        self.layers += 1;
        self.last = (name, gives);
    }

    fn linear(&mut self, to: Chunks) {
        let biases = self.rng.random_bool(0.3);
        self.layer(
            "linear",
            &format!("irreps_out = '{}'\nbiases = {biases}\nforce_irreps_out = true", spelled(&to)),
            to,
        );
    }

    /// A layer, or a few that belong together.
    fn part(&mut self) {
        match self.rng.random_range(0..7) {
            0 => {
                let to = self.chunks(&[0, 1, 2, 3]);
                self.linear(to);
            }
            1 | 2 => self.gate(),
            3 => self.layer("batch_norm", "", self.last.1.clone()),
            4 => self.norm_activation(),
            5 => self.residual(),
            _ => self.mlp(),
        }
    }

    fn gate(&mut self) {
        let gated = self.chunks(&[1, 2, 3]);
        let scalars = self.multiplicity();
        let gates: usize = gated.iter().filter(|(_, degree)| *degree > 0).map(|(mul, _)| mul).sum();
        let all = [&[(scalars + gates, 0)][..], &gated].concat();
        self.linear(all);
        self.layer("gate", "", [&[(scalars, 0)][..], &gated].concat());
    }

    fn norm_activation(&mut self) {
        let act = |degree: usize, act: &str| if degree % 2 == 1 { "silu".to_owned() } else { act.to_owned() };
        let chosen = ACTIVATIONS.choose(&mut self.rng).copied().unwrap_or("silu");
        let acts: Vec<String> = self.last.1.iter().map(|(_, degree)| act(*degree, chosen)).collect();
        self.layer("norm_activation", &format!("acts = {acts:?}"), self.last.1.clone());
    }

    /// On the norms of what is there, which goes on as it was.
    fn mlp(&mut self) {
        let before = self.norms();
        let neurons: Vec<usize> = (0..self.rng.random_range(1..4)).map(|_| self.multiplicity()).collect();
        self.dense(&neurons);
        self.outputs.push(std::mem::replace(&mut self.last, before).0);
    }

    /// A perceptron whose input is added to its output, on the norms of what is there, which goes on as it was.
    fn residual(&mut self) {
        let before = self.norms();
        let (width, hidden) = (self.multiplicity(), self.multiplicity());
        self.linear(vec![(width, 0)]);
        let input = self.last.0.clone();
        self.dense(&[hidden, width]);
        let both = format!("['{input}', '{}']", self.last.0);
        self.layer_on(&both, "add", "", vec![(width, 0)]);
        self.dense(&[hidden]);
        self.outputs.push(std::mem::replace(&mut self.last, before).0);
    }

    fn multiplicity(&mut self) -> usize {
        MULTIPLICITIES.choose(&mut self.rng).copied().unwrap_or(1)
    }

    /// Goes on with norms; what was there.
    fn norms(&mut self) -> (String, Chunks) {
        let before = self.last.clone();
        let scalars = before.1.iter().map(|(mul, _)| (*mul, 0)).collect();
        self.layer("norm", "", scalars);
        before
    }

    fn dense(&mut self, neurons: &[usize]) {
        let act = ACTIVATIONS.choose(&mut self.rng).copied().unwrap_or("silu");
        let (ends, bias) = (self.rng.random_bool(0.5), self.rng.random_bool(0.2));
        let gives = vec![(neurons.last().copied().unwrap_or(1), 0)];
        let options =
            format!("list_neurons = {neurons:?}\nact = '{act}'\noutput_activation = {ends}\nwith_bias = {bias}");
        self.layer("mlp", &options, gives);
    }
}

fn spelled(chunks: &Chunks) -> String {
    let chunk = |(mul, degree): &(usize, usize)| format!("{mul}x{degree}{}", if degree % 2 == 0 { "e" } else { "o" });
    chunks.iter().map(chunk).collect::<Vec<_>>().join(" + ")
}

/// The graph of a stack, forward or with gradients, in inference or in training; the number of rows and the tolerance.
fn graph(seed: u64, text: &str) -> (Graph, usize, f64) {
    let model = model(text);
    let (joint, train) = (seed % 2 == 1, seed % 4 > 1);
    let mode = if train { Mode::Train } else { Mode::Infer };
    let graph = if joint { model.joint(mode) } else { model.graph(mode) };
    // The variance of few rows may be nearly zero.
    let rows: Vec<usize> = ROWS.into_iter().filter(|rows| !train || *rows > 7).collect();
    let rows = rows[(seed / 4) as usize % rows.len()];
    let tolerance = match (text.contains("f32"), joint) {
        (true, false) => 2e-4,
        (true, true) => 2e-3,
        (false, _) => 1e-10,
    };
    (graph.unwrap_or_else(|e| panic!("{e}\n{text}")), rows, tolerance)
}

fn check(seeds: Range<u64>) {
    for seed in seeds {
        let text = Stack::text(seed);
        let (graph, rows, tolerance) = graph(seed, &text);
        let arrays = random_arrays(&graph, &[("N".into(), rows)].into(), seed);
        let case = format!("seed {seed}, {rows} rows\n{text}");
        check_every_level(&case, &graph, &arrays, |found| &found.outputs, tolerance);
        check_every_level(&case, &graph, &arrays, |found| &found.statistics, tolerance);
        check_every_level(&case, &graph, &arrays, |found| &found.gradients, tolerance);
    }
}

#[test]
fn stacks_of_layers_agree_at_every_level() {
    check(0..10);
}

/// `SCHUR_STACKS=first..last` takes other seeds.
#[test]
#[ignore = "2,000 stacks: many minutes, in a release build"]
fn two_thousand_stacks_agree_at_every_level() {
    let seeds = std::env::var("SCHUR_STACKS").unwrap_or_else(|_| "1000..3000".into());
    let (first, last) = seeds.split_once("..").expect("a range");
    check(first.parse().expect("a number")..last.parse().expect("a number"));
}

/// The bits of three calls: what a call learns of the time that rows take decides how the next one cuts them.
fn bits(executor: &mut Executor, inputs: &Arrays, params: &ParamStore) -> Vec<Vec<u64>> {
    let views: Vec<(&str, ArrayView<'_>)> = inputs.iter().map(|(name, array)| (&**name, array.view())).collect();
    let of = |found: Outputs| {
        let arrays: Vec<_> = found.outputs.values().chain(found.gradients.values()).map(|a| a.to_f64()).collect();
        arrays.iter().flatten().map(|x| x.to_bits()).collect()
    };
    (0..3).map(|_| of(executor.call(&views, params).unwrap_or_else(|e| panic!("{e}")))).collect()
}

/// Checks that a model has the same bits on one, two and three threads, and from call to call.
fn check_bits(text: &str, rows: usize) {
    let model = model(text);
    let graph = model.graph(Mode::Infer).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let (inputs, params) = random_arrays(&graph, &[("N".into(), rows)].into(), 1);
    let program = compile(&graph, &CompileOptions::default(), &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let program = Arc::new(program);
    let store = ParamStore::from_arrays(program.params.iter().map(|slot| &slot.param), program.dtype, params).unwrap();
    let all = [1, 2, 3].map(|threads| {
        let mut executor = Executor::new(Arc::clone(&program)).unwrap();
        executor.set_threads(threads);
        bits(&mut executor, &inputs, &store)
    });
    let mut calls = all.iter().flatten();
    let wanted = calls.next().expect("there are nine calls");
    assert!(calls.all(|found| found == wanted), "{rows} rows\n{text}");
}

#[test]
fn the_last_rows_have_the_same_bits_for_any_number_of_threads() {
    for (from, to) in [("128x0e", "128x0e"), ("3x0e", "64x0e"), ("64x1o", "64x1o"), ("1x2e", "64x2e"), ("8x0e", "8x0e")]
    {
        let text = format!(
            "name = 'linear'\noutputs = ['y']\ninputs.x = {{ shape = ['N'], irreps = '{from}' }}\n\
             layers = [{{ name = 'y', op = 'linear', input = 'x', irreps_out = '{to}' }}]"
        );
        [97, 98, 99, 193, 289].into_iter().for_each(|rows| check_bits(&text, rows));
    }
}

#[test]
fn stacks_have_the_same_bits_for_any_number_of_threads() {
    for seed in 5000..5012 {
        check_bits(&Stack::text(seed), [97, 98, 193, 700][seed as usize % 4]);
    }
}
