//! Layers other than linear ones, alone or with those that they need.

use rand::RngExt;
use schur_ir::irreps::{Irreps, MulIrrep, Parity};
use schur_ir::ty::DType;

use super::stack::{Stack, Value};

const SMOOTH: [&str; 7] = ["silu", "silu", "tanh", "gelu", "softplus", "sigmoid", "identity"];
const KINKS: [&str; 2] = ["relu", "abs"];
/// Of odd scalars: those that are even or odd.
const ODD: [&str; 4] = ["tanh", "soft_odd", "identity", "abs"];

impl Stack {
    /// A layer, or a few that belong together.
    pub(super) fn part(&mut self) {
        match self.rng.random_range(0..16) {
            0..3 => self.any_linear(),
            3 | 4 => self.gate(),
            5 | 6 => self.batch_norm(),
            7 => self.norm_activation(),
            8 => self.scalar_activation(),
            9 => self.residual(),
            10 => self.mlp(),
            11 => self.multiply(),
            12 | 13 => self.add(),
            14 => self.concatenate(),
            _ => self.filter(),
        }
    }

    fn act(&mut self) -> &'static str {
        if self.may_have_kinks() && self.flag(0.2) { self.one_of(&KINKS) } else { self.one_of(&SMOOTH) }
    }

    fn odd_act(&mut self) -> &'static str {
        let choices = if self.may_have_kinks() { &ODD[..] } else { &ODD[..3] };
        self.one_of(choices)
    }

    fn gate(&mut self) {
        let gated = self.irreps(1..=3).filter(|chunk| chunk.ir.l > 0);
        let free = self.multiplicity();
        let scalars = self.scalars(free).concat(&self.scalars(gated.num_irreps()));
        self.linear(&scalars.concat(&gated));
        let acts = [("even_act", self.act()), ("odd_act", self.odd_act()), ("odd_gate_act", self.odd_act())];
        let mut options: String = acts.iter().map(|(key, act)| format!("{key} = '{act}'\n")).collect();
        if self.flag(0.3) {
            options += &format!("even_gate_act = '{}'\n", self.act());
        }
        if self.flag(0.3) {
            options += "normalize_act = false\n";
        }
        if self.flag(0.5) { self.layer("gate", "") } else { self.layer("gate", &options) }
    }

    /// In `f32` one a stack: the gradients before a second one cancel to nothing but rounding.
    fn batch_norm(&mut self) {
        if self.dtype == DType::F32 && self.has("batch_norm") {
            return self.any_linear();
        }
        let mut options = String::new();
        // With one row an element, what is centred is nothing but rounding.
        let instance = self.last().ty.dims.len() > 1 && self.may_have_kinks() && self.flag(0.4);
        if instance {
            options += "instance = true\n";
        } else if self.flag(0.25) {
            options += &format!("use_running_average = {}\n", self.flag(0.5));
        }
        if !instance && self.flag(0.2) {
            let batch = self.last().ty.dims[0].clone();
            let mask = self.input(&format!("shape = ['{batch}'], dtype = 'bool'"));
            options += &format!("mask = '{mask}'\n");
        }
        if self.may_have_kinks() && self.flag(0.3) {
            options += "reduce = 'max'\n";
        }
        for (probability, option) in
            [(0.2, "affine = false"), (0.3, "normalization = 'norm'"), (0.2, "momentum = 0.7"), (0.2, "eps = 0.3")]
        {
            if self.flag(probability) {
                options += option;
                options += "\n";
            }
        }
        self.layer("batch_norm", &options);
    }

    fn norm_activation(&mut self) {
        let count = self.last().ty.irreps.len();
        let acts: Vec<&str> = (0..count).map(|_| if self.flag(0.15) { "none" } else { self.act() }).collect();
        let normalization = self.one_of(&["component", "norm"]);
        self.layer("norm_activation", &format!("acts = {acts:?}\nnormalization = '{normalization}'"));
    }

    /// Another function of every chunk of scalars.
    fn scalar_activation(&mut self) {
        let chunks = self.last().ty.irreps.clone();
        let mut act = |chunk: MulIrrep| match (chunk.ir.l, chunk.ir.p) {
            (0, Parity::Even) => self.act(),
            (0, Parity::Odd) => self.odd_act(),
            _ => "none",
        };
        let acts: Vec<&str> = chunks.iter().map(&mut act).collect();
        let normalized = self.flag(0.7);
        self.layer("scalar_activation", &format!("acts = {acts:?}\nnormalize_act = {normalized}"));
    }

    /// On the norms of what is there, which goes on as it was.
    fn mlp(&mut self) {
        let before = self.norms();
        let neurons: Vec<usize> = (0..self.rng.random_range(1..4)).map(|_| self.multiplicity()).collect();
        self.perceptron(&neurons);
        self.returns();
        self.go_on_with(before);
    }

    /// A perceptron whose input is added to its output, on the norms of what is there, which goes on as it was.
    fn residual(&mut self) {
        let before = self.norms();
        let (width, hidden) = (self.multiplicity(), self.multiplicity());
        self.linear(&Irreps::scalars(width));
        let input = self.last().name.clone();
        self.perceptron(&[hidden, width]);
        let output = self.last().name.clone();
        self.layer_of(&[&input, &output], "add", "");
        self.perceptron(&[hidden]);
        self.returns();
        self.go_on_with(before);
    }

    /// Every irrep by a scalar, that a perceptron makes of all norms.
    fn multiply(&mut self) {
        let before = self.norms();
        let hidden = self.multiplicity();
        self.perceptron(&[hidden, before.ty.irreps.num_irreps()]);
        let scalars = self.last().name.clone();
        let pair = if self.flag(0.5) { [&*scalars, &before.name] } else { [&*before.name, &scalars] };
        self.layer_of(&pair, "multiply", "");
    }

    /// Two or three branches, of which one may be what is there.
    fn add(&mut self) {
        let start = self.last().clone();
        let mut branches = Vec::new();
        let to = if self.flag(0.5) {
            branches.push(start.name.clone());
            start.ty.irreps.clone()
        } else {
            self.related().simplify()
        };
        // A linear layer gives irreps that are simplified.
        let options = if to == to.simplify() { "" } else { "simplify_irreps_internally = false\n" };
        for _ in 0..self.rng.random_range(1..3) {
            let from = if self.flag(0.5) { start.clone() } else { self.earlier() };
            self.go_on_with(from);
            self.layer("linear", &format!("irreps_out = '{to}'\nforce_irreps_out = true\n{options}"));
            if self.flag(0.3) {
                self.norm_activation();
            }
            branches.push(self.last().name.clone());
        }
        let branches: Vec<&str> = branches.iter().map(String::as_str).collect();
        self.layer_of(&branches, "add", "");
    }

    /// What is there beside what was before, in order or not.
    fn concatenate(&mut self) {
        let (last, other) = (self.last().name.clone(), self.earlier().name);
        self.layer_of(&[&other, &last], "concatenate", "");
        if self.flag(0.5) {
            self.layer("regroup", "");
        }
        let to = self.related();
        self.linear(&to);
    }

    fn filter(&mut self) {
        let irreps = self.last().ty.irreps.clone();
        let Some(one) = irreps.chunks().first() else { return };
        let lmax = irreps.lmax().unwrap_or(0);
        let rule = match self.rng.random_range(0..3) {
            0 => format!("keep = ['{}', '1o']", one.ir),
            1 if irreps.iter().any(|chunk| chunk.ir != one.ir) => format!("drop = ['{}']", one.ir),
            _ => format!("lmax = {}", lmax.saturating_sub(1).max(one.ir.l)),
        };
        self.layer("filter", &rule);
    }

    /// Goes on with norms; what was there.
    pub(super) fn norms(&mut self) -> Value {
        let before = self.last().clone();
        // The norm of a scalar has a kink.
        let squared = !self.may_have_kinks() && before.ty.irreps.iter().any(|chunk| chunk.ir.l == 0) || self.flag(0.2);
        self.layer("norm", if squared { "squared = true" } else { "" });
        before
    }

    pub(super) fn perceptron(&mut self, neurons: &[usize]) {
        let (act, ends) = (self.act(), self.one_of(&["true", "true", "false", "'tanh'"]));
        let (bias, balance) = (self.flag(0.2), self.one_of(&["'path'", "'path'", "'element'", "0.5"]));
        let options = format!(
            "list_neurons = {neurons:?}\nact = '{act}'\noutput_activation = {ends}\nwith_bias = {bias}\n\
             gradient_normalization = {balance}\n"
        );
        self.layer("mlp", &options);
    }
}
