//! Layers and the options of every op.

use std::num::NonZeroUsize;

use indexmap::IndexMap;

use super::check;
use super::error::MAX_PROBLEMS;
use super::reader::{Fields, FromNode, Item, Reader, did_you_mean, list, one_of};
use super::tree::{Node, Table, Value};
use super::values::{Balance, IrrepSet, Name};
use super::{
    Activation, BatchNorm, Biases, Config, FilterRule, Gate, IrrepNormalization, Layer, LayerOp, Linear, Mlp,
    NormActivation, OutputActivation, Problem, Reduce, ScalarActivation, Spanned,
};

/// An op's name in specs, and how its options are read: exactly the keys that are asked for are its options.
#[derive(Clone, Copy)]
pub(super) struct Op {
    pub(super) name: &'static str,
    read: fn(&mut Fields<'_, '_, '_>, &Config) -> LayerOp,
}

pub(super) const OPS: [Op; 12] = [
    Op { name: "linear", read: linear },
    Op { name: "mlp", read: mlp },
    Op { name: "batch_norm", read: batch_norm },
    Op { name: "add", read: |_, _| LayerOp::Add },
    Op { name: "concatenate", read: |_, _| LayerOp::Concatenate },
    Op { name: "filter", read: filter },
    Op { name: "regroup", read: |_, _| LayerOp::Regroup },
    Op { name: "norm", read: |fields, _| LayerOp::Norm { squared: fields.or("squared", false) } },
    Op { name: "multiply", read: |_, _| LayerOp::Multiply },
    Op { name: "scalar_activation", read: scalar_activation },
    Op { name: "norm_activation", read: norm_activation },
    Op { name: "gate", read: gate },
];

impl Op {
    /// The names of the op's options.
    fn options(self, reader: &Reader<'_>) -> Vec<&'static str> {
        let mut scratch = Reader { source: reader.source, limits: reader.limits, problems: Vec::new() };
        let node = Node { span: 0..0, value: Value::Table(Table::new()) };
        let fields = Fields::open(&mut scratch, Item { key: self.name, node: &node }, self.name, 0..0);
        fields.map_or(Vec::new(), |mut fields| {
            (self.read)(&mut fields, &Config::default());
            fields.asked().to_vec()
        })
    }
}

impl FromNode for Op {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        reader.word(item, "an op", &OPS.map(|op| (op.name, op)))
    }
}

/// `input`: a name or a list of names.
#[derive(Default)]
struct InputNames(Vec<Spanned<String>>);

impl FromNode for InputNames {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        if let Value::String(_) = &item.node.value {
            Spanned::from_node(reader, item).map(|name| InputNames(vec![name]))
        } else if let Value::Array(_) = &item.node.value {
            Vec::from_node(reader, item).map(InputNames)
        } else {
            reader.expected(item, "a name or a list of names")
        }
    }
}

/// Reads one layer. What is wrong with its op leaves a placeholder, so that its name is still known.
pub(super) fn read_layer(reader: &mut Reader<'_>, item: Item<'_>, config: &Config) -> Option<Layer> {
    let before = reader.problems.len();
    let mut fields = Fields::open(reader, item, "this layer", item.node.span.clone())?;
    let Name(name) = fields.required("name");
    if !name.is_empty() {
        fields.rename(format!("the layer `{}`", name.value));
    }
    let op: Option<Op> = fields.required("op");
    let InputNames(inputs) = fields.required("input");
    let layer_op = op.map(|op| (op.read)(&mut fields, config));
    let spans = fields.table.iter().map(|(key, entry)| (key.clone(), entry.node.span.clone()));
    let option_spans: IndexMap<_, _> = spans.collect();
    let span = fields.span();
    match op {
        Some(op) => report_unknown(fields, op),
        None if !fields.table.contains_key("op") => report_unowned(fields),
        None => {}
    }
    let layer = Layer { name, span, option_spans, inputs, op: layer_op.unwrap_or(LayerOp::Regroup) };
    if reader.problems.len() == before {
        reader.problems.extend(check::options(&layer));
    }
    Some(layer)
}

/// `op`, which has no default: `None` stands for one that was reported.
impl FromNode for Option<Op> {
    fn from_node(reader: &mut Reader<'_>, item: Item<'_>) -> Option<Self> {
        Some(Op::from_node(reader, item))
    }
}

fn report_unknown(fields: Fields<'_, '_, '_>, op: Op) {
    for (key, span) in fields.unknown().into_iter().take(MAX_PROBLEMS) {
        let owners = OPS.iter().filter(|other| other.options(fields.reader).contains(&key));
        let owners: Vec<&str> = owners.map(|owner| owner.name).collect();
        let options = op.options(fields.reader);
        let help = if let Some(help) = did_you_mean(key, fields.asked()) {
            help
        } else if !owners.is_empty() {
            format!("it is an option of {}", list(&owners))
        } else if options.is_empty() {
            format!("`{}` has no options", op.name)
        } else {
            format!("options of `{}`: {}", op.name, list(&options))
        };
        let message = format!("`{key}` is not an option of `{}`", op.name);
        let problem = Problem::new(message, "unknown option", span).with_help(help);
        fields.reader.problems.push(problem);
    }
}

/// Reports the keys that no op has, of a layer that lacks its op: one of them may be `op` with a typo.
fn report_unowned(fields: Fields<'_, '_, '_>) {
    let options: Vec<&str> = OPS.iter().flat_map(|op| op.options(fields.reader)).collect();
    let known = [fields.asked(), &options].concat();
    let unknown = fields.unknown().into_iter().filter(|(key, _)| !options.contains(key));
    for (key, span) in unknown.take(MAX_PROBLEMS) {
        let ops = || format!("`op` says what a layer does: {}", one_of(&OPS.map(|op| op.name)));
        let problem = Problem::new(format!("no op has the option `{key}`"), "unknown key", span);
        fields.reader.problems.push(problem.with_help(did_you_mean(key, &known).unwrap_or_else(ops)));
    }
}

fn linear(fields: &mut Fields<'_, '_, '_>, config: &Config) -> LayerOp {
    LayerOp::Linear(Linear {
        irreps_out: fields.required("irreps_out"),
        irreps_in: fields.optional("irreps_in"),
        channel_out: fields.optional("channel_out").map(NonZeroUsize::get),
        biases: fields.or("biases", Biases::Flag(false)),
        path_normalization: fields.or("path_normalization", Balance(config.path_normalization)).0,
        gradient_normalization: fields.or("gradient_normalization", Balance(config.gradient_normalization)).0,
        instructions: fields.optional("instructions"),
        num_indexed_weights: fields.optional("num_indexed_weights").map(NonZeroUsize::get),
        weights_per_channel: fields.or("weights_per_channel", false),
        force_irreps_out: fields.or("force_irreps_out", false),
        simplify_irreps_internally: fields.or("simplify_irreps_internally", true),
        weights: fields.optional("weights"),
        init: fields.optional("init"),
    })
}

fn mlp(fields: &mut Fields<'_, '_, '_>, config: &Config) -> LayerOp {
    LayerOp::Mlp(Mlp {
        list_neurons: fields.required("list_neurons"),
        act: fields.or("act", None),
        gradient_normalization: fields.or("gradient_normalization", Balance(config.gradient_normalization)).0,
        output_activation: fields.explicit("output_activation", OutputActivation::SameAsAct),
        with_bias: fields.or("with_bias", false),
        init: fields.optional("init"),
    })
}

fn batch_norm(fields: &mut Fields<'_, '_, '_>, config: &Config) -> LayerOp {
    LayerOp::BatchNorm(BatchNorm {
        use_running_average: fields.optional("use_running_average"),
        eps: fields.or("eps", 1e-4),
        momentum: fields.or("momentum", 0.1),
        affine: fields.or("affine", true),
        reduce: fields.or("reduce", Reduce::Mean),
        instance: fields.or("instance", false),
        normalization: fields.or("normalization", config.irrep_normalization),
        mask: fields.optional("mask"),
    })
}

fn filter(fields: &mut Fields<'_, '_, '_>, _: &Config) -> LayerOp {
    let keep = fields.optional("keep").map(|IrrepSet(irreps)| FilterRule::Keep(irreps));
    let drop = fields.optional("drop").map(|IrrepSet(irreps)| FilterRule::Drop(irreps));
    let lmax = fields.optional("lmax").map(FilterRule::Lmax);
    let given = |key: &&str| fields.table.get(*key).is_some_and(|entry| !matches!(entry.node.value, Value::Null));
    let count = ["keep", "drop", "lmax"].iter().filter(|key| given(key)).count();
    if count != 1 {
        let message = format!("{} needs one of `keep`, `drop` and `lmax`, and has {count}", fields.what());
        let problem = Problem::new(message, format!("{count} rules"), fields.span());
        fields.reader.problems.push(problem);
    }
    LayerOp::Filter(keep.or(drop).or(lmax).unwrap_or(FilterRule::Lmax(0)))
}

fn scalar_activation(fields: &mut Fields<'_, '_, '_>, _: &Config) -> LayerOp {
    LayerOp::ScalarActivation(ScalarActivation {
        acts: fields.optional("acts"),
        even_act: fields.explicit("even_act", Activation::Gelu),
        odd_act: fields.explicit("odd_act", Activation::SoftOdd),
        normalize_act: fields.or("normalize_act", true),
    })
}

fn norm_activation(fields: &mut Fields<'_, '_, '_>, _: &Config) -> LayerOp {
    LayerOp::NormActivation(NormActivation {
        acts: fields.required("acts"),
        normalization: fields.or("normalization", IrrepNormalization::Component),
    })
}

fn gate(fields: &mut Fields<'_, '_, '_>, _: &Config) -> LayerOp {
    LayerOp::Gate(Gate {
        even_act: fields.explicit("even_act", Activation::Gelu),
        odd_act: fields.explicit("odd_act", Activation::SoftOdd),
        even_gate_act: fields.explicit("even_gate_act", Activation::Sigmoid),
        odd_gate_act: fields.explicit("odd_gate_act", Activation::Tanh),
        normalize_act: fields.or("normalize_act", true),
    })
}
