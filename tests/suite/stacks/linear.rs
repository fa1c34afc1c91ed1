//! Linear layers of every kind.

use rand::RngExt;
use schur_ir::irreps::{Irrep, Irreps, MulIrrep};

use super::stack::Stack;

impl Stack {
    /// To irreps of which most are those of the input, with weights of any kind.
    pub(super) fn any_linear(&mut self) {
        let to = self.related();
        let channels =
            self.last().ty.dims.len() > 1 && self.last().ty.dims.last().is_some_and(|d| d.constant().is_some());
        match self.rng.random_range(0..if channels { 12 } else { 9 }) {
            0..3 => self.linear(&to),
            3 | 4 => self.indexed(&to),
            5 | 6 => self.external(&to),
            7 => self.instructions(&to),
            8 => self.linear_with(&to, "simplify_irreps_internally = false\n"),
            9 | 10 => {
                let outer = self.rng.random_range(1..5);
                self.linear_with(&to, &format!("channel_out = {outer}\n"));
            }
            _ => {
                let shape = self.shape_of_weights();
                // The axis of channels has weights of its own.
                let shape = shape.rsplit_once(", ").map_or("", |(rest, _)| rest).to_owned();
                let weights = self.mixture(&shape);
                self.linear_with(&to, &format!("weights = '{weights}'\nweights_per_channel = true\n"));
            }
        }
    }

    /// One set of weights for all rows; exactly these irreps.
    pub(super) fn linear(&mut self, to: &Irreps) {
        self.linear_with(to, "force_irreps_out = true\n");
    }

    fn linear_with(&mut self, to: &Irreps, options: &str) {
        let mut options = format!("irreps_out = '{to}'\n{options}");
        if self.flag(0.3) {
            options += "biases = true\n";
        }
        for key in ["path_normalization", "gradient_normalization"] {
            if self.flag(0.2) {
                options += &format!("{key} = {}\n", self.one_of(&["'element'", "'path'", "0.3"]));
            }
        }
        self.layer("linear", &options);
    }

    fn indexed(&mut self, to: &Irreps) {
        let shape = self.shape_of_weights();
        let index = self.input(&format!("shape = [{shape}], dtype = 'i32'"));
        let count = self.one_of(&[1, 2, 4, 7]);
        self.linear_with(to, &format!("weights = '{index}'\nnum_indexed_weights = {count}\n"));
    }

    /// Mixtures of a few sets: by an input, or by a perceptron of what is mixed.
    fn external(&mut self, to: &Irreps) {
        let weights = if self.flag(0.5) {
            let shape = self.shape_of_weights();
            self.mixture(&shape)
        } else {
            let before = self.norms();
            let neurons = [self.multiplicity(), self.one_of(&[1, 4, 8])];
            self.perceptron(&neurons);
            let weights = self.last().name.clone();
            self.go_on_with(before);
            weights
        };
        self.linear_with(to, &format!("weights = '{weights}'\n"));
    }

    fn mixture(&mut self, shape: &str) -> String {
        let sets = self.one_of(&[1, 2, 3, 5, 8, 16]);
        self.input(&format!("shape = [{shape}], irreps = '{sets}x0e'"))
    }

    /// Some of the pairs of chunks that may meet.
    fn instructions(&mut self, to: &Irreps) {
        let from = self.last().ty.irreps.clone();
        let pairs = (0..from.len()).flat_map(|i| (0..to.len()).map(move |o| [i, o]));
        let pairs: Vec<[usize; 2]> = pairs.filter(|[i, o]| from.chunks()[*i].ir == to.chunks()[*o].ir).collect();
        let pairs: Vec<[usize; 2]> = pairs.into_iter().filter(|_| self.flag(0.7)).collect();
        let options = format!(
            "irreps_in = '{from}'\ninstructions = {pairs:?}\nsimplify_irreps_internally = false\nforce_irreps_out = true\n"
        );
        self.linear_with(to, &options);
    }

    /// Chunks of most irreps of the last value, and of strangers, in any order.
    pub(super) fn related(&mut self) -> Irreps {
        let mut irreps: Vec<Irrep> = self.last().ty.irreps.iter().map(|chunk| chunk.ir).collect();
        let kept = irreps.first().copied();
        irreps.retain(|_| self.flag(0.8));
        irreps.extend(kept.filter(|_| irreps.is_empty()));
        if self.flag(0.2) {
            irreps.extend(self.irreps(0..=2).iter().map(|chunk| chunk.ir));
        }
        if self.flag(0.3) {
            irreps.reverse();
        }
        Irreps::new(irreps.into_iter().map(|ir| MulIrrep::new(self.multiplicity(), ir)))
    }
}
