//! A graph as boxes and wires: what stands in every box, and where everything is.
//!
//! The parameters of an op are drawn in a stack beside it, one stack a reader, and inputs beside readers that are far
//! apart: their wires would cross the whole drawing and say nothing.

use schur::Graph;
use schur::ir::graph::{Node, Op, OutputKind, ValueId};

use super::layout::{Layout, Size, layout, ranks};
use crate::cli::terminal::counted;

/// Width of a character of a box's text, and of the smaller text of types.
const LETTER: f64 = 7.0;
const SMALL_LETTER: f64 = 6.05;

/// The heights of boxes, of the steps of a stack, and of the type below a box.
pub(super) const BOX_HEIGHT: f64 = 46.0;
pub(super) const PILL_HEIGHT: f64 = 22.0;
pub(super) const STACK_STEP: f64 = 25.0;
pub(super) const TYPE_HEIGHT: f64 = 24.0;

/// Letters of a line of a box.
const MAX_LETTERS: usize = 34;

/// Inputs are drawn once for readers that are not further apart than this.
const REACH: usize = 4;

/// What a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Op,
    Input,
    Param,
    Output,
}

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Glyph {
    pub(super) value: ValueId,
    pub(super) shape: Shape,
    /// The op's name, or what a leaf or an output is.
    pub(super) title: String,
    /// What else there is to say of it on the same line.
    pub(super) detail: String,
    /// The type: on the wire that leaves the box, and in the box of a parameter. Empty for outputs.
    pub(super) ty: String,
    /// The width of the box itself.
    pub(super) width: f64,
}

impl Glyph {
    pub(super) fn height(&self) -> f64 {
        match self.shape {
            Shape::Op => BOX_HEIGHT,
            Shape::Input | Shape::Param | Shape::Output => PILL_HEIGHT,
        }
    }

    /// True where the type stands on the wire below the box.
    pub(super) fn has_type_below(&self) -> bool {
        match self.shape {
            Shape::Op | Shape::Input => true,
            Shape::Param | Shape::Output => false,
        }
    }
}

/// Boxes that are placed as one: a single box, or a stack of parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stack(pub(super) Vec<Glyph>);

impl Stack {
    /// The values of the boxes.
    pub(super) fn values(&self) -> Vec<ValueId> {
        self.0.iter().map(|glyph| glyph.value).collect()
    }

    /// The height without the type below.
    pub(super) fn height(&self) -> f64 {
        let last = self.0.last().map_or(0.0, Glyph::height);
        (self.0.len().max(1) - 1) as f64 * STACK_STEP + last
    }

    /// The room below for the type.
    pub(super) fn below(&self) -> f64 {
        if self.0.iter().any(Glyph::has_type_below) { TYPE_HEIGHT } else { 0.0 }
    }

    fn size(&self) -> Size {
        let ty = |glyph: &Glyph| if glyph.has_type_below() { small(&glyph.ty) + 12.0 } else { 0.0 };
        let width = self.0.iter().map(|glyph| glyph.width.max(ty(glyph))).fold(0.0, f64::max);
        Size { width, height: self.height() + self.below() }
    }
}

/// A graph as it is drawn.
pub(super) struct Drawing {
    pub(super) stacks: Vec<Stack>,
    pub(super) layout: Layout,
}

impl Drawing {
    pub(super) fn of(graph: &Graph) -> Self {
        let sketch = Sketch::of(graph);
        let sizes: Vec<Size> = sketch.stacks.iter().map(Stack::size).collect();
        let ranks = ranks(sizes.len(), &sketch.edges);
        Drawing { layout: layout(&sizes, &sketch.edges, &ranks), stacks: sketch.stacks }
    }
}

/// Stacks and edges, in an order in which edges lead to later stacks.
#[derive(Default)]
struct Sketch {
    stacks: Vec<Stack>,
    edges: Vec<(usize, usize)>,
}

impl Sketch {
    fn of(graph: &Graph) -> Self {
        let inputs = input_copies(graph);
        let mut sketch = Sketch::default();
        // For every value its stack; for an input that of every group of readers.
        let mut places: Vec<Vec<(Vec<ValueId>, usize)>> = vec![Vec::new(); graph.nodes.len()];
        for (value, node) in graph.values() {
            match &node.op {
                Op::Input(_) => {
                    for readers in &inputs[value.index()] {
                        places[value.index()].push((readers.clone(), sketch.add(vec![glyph(value, node)])));
                    }
                }
                Op::Param(_) => {}
                Op::Contract(_) | Op::Map(_) | Op::Max(_) | Op::Reshape(_) => {
                    sketch.op(graph, value, &mut places);
                }
            }
        }
        for output in &graph.outputs {
            let from = match places[output.value.index()].first() {
                Some((_, from)) => *from,
                None => sketch.add(vec![glyph(output.value, graph.node(output.value))]),
            };
            let to = sketch.add(vec![output_glyph(output.value, output.kind, &output.name)]);
            sketch.edges.push((from, to));
        }
        sketch
    }

    /// Adds an op, with the stack of its parameters.
    fn op(&mut self, graph: &Graph, value: ValueId, places: &mut [Vec<(Vec<ValueId>, usize)>]) {
        let mut reads = graph.node(value).op.reads();
        reads.sort_unstable();
        reads.dedup();
        let (params, reads): (Vec<ValueId>, Vec<ValueId>) =
            reads.into_iter().partition(|read| matches!(graph.node(*read).op, Op::Param(_)));
        let stack = params.iter().map(|param| glyph(*param, graph.node(*param))).collect::<Vec<_>>();
        let stack = (!stack.is_empty()).then(|| self.add(stack));
        let to = self.add(vec![glyph(value, graph.node(value))]);
        self.edges.extend(stack.map(|from| (from, to)));
        for read in reads {
            let of = &places[read.index()];
            let own = of.iter().find(|(readers, _)| readers.contains(&value)).or(of.first());
            self.edges.extend(own.map(|(_, from)| (*from, to)));
        }
        places[value.index()].push((Vec::new(), to));
    }

    fn add(&mut self, glyphs: Vec<Glyph>) -> usize {
        self.stacks.push(Stack(glyphs));
        self.stacks.len() - 1
    }
}

/// For every input the readers of each box that it is drawn as.
fn input_copies(graph: &Graph) -> Vec<Vec<Vec<ValueId>>> {
    let is_leaf = |value: ValueId| matches!(graph.node(value).op, Op::Input(_) | Op::Param(_));
    let mut edges = Vec::new();
    let mut readers: Vec<Vec<ValueId>> = vec![Vec::new(); graph.nodes.len()];
    for (value, node) in graph.values() {
        for read in node.op.reads() {
            readers[read.index()].push(value);
            if !is_leaf(read) {
                edges.push((read.index(), value.index()));
            }
        }
    }
    let ranks = ranks(graph.nodes.len(), &edges);
    let groups = readers.into_iter().map(|mut readers| {
        readers.sort_by_key(|reader| ranks[reader.index()]);
        readers.dedup();
        let mut groups: Vec<Vec<ValueId>> = Vec::new();
        for reader in readers {
            match groups.last_mut() {
                Some(group) if ranks[reader.index()] - ranks[group[0].index()] <= REACH => group.push(reader),
                Some(_) | None => groups.push(vec![reader]),
            }
        }
        groups
    });
    groups.collect()
}

fn glyph(value: ValueId, node: &Node) -> Glyph {
    let (shape, title, detail) = match &node.op {
        Op::Input(name) => (Shape::Input, "input".to_owned(), name.to_string()),
        Op::Param(param) => (Shape::Param, "param".to_owned(), short_name(&param.name, &node.layer)),
        Op::Contract(c) => {
            let paths = counted(c.paths.len(), "path");
            (Shape::Op, "contract".to_owned(), if c.reduces() { format!("{paths}, sums rows") } else { paths })
        }
        Op::Map(map) => (Shape::Op, "map".to_owned(), map.expr.to_string()),
        Op::Max(_) => (Shape::Op, "max".to_owned(), String::new()),
        Op::Reshape(_) => (Shape::Op, "reshape".to_owned(), String::new()),
    };
    let mut glyph = Glyph { value, shape, title, detail: cut(&detail), ty: cut(&short_type(node)), width: 0.0 };
    glyph.width = width(&glyph, &node.layer);
    glyph
}

fn output_glyph(value: ValueId, kind: OutputKind, name: &str) -> Glyph {
    let mut glyph = Glyph {
        value,
        shape: Shape::Output,
        title: kind.name().to_owned(),
        detail: cut(name),
        ty: String::new(),
        width: 0.0,
    };
    glyph.width = width(&glyph, "");
    glyph
}

fn width(glyph: &Glyph, layer: &str) -> f64 {
    let letters = |text: &str| text.chars().count() as f64 * LETTER;
    match glyph.shape {
        Shape::Op => {
            let first = letters(&glyph.title) + letters(&glyph.detail) + LETTER;
            let second = letters(layer) + letters(&glyph.value.to_string()) + 3.0 * LETTER;
            (first.max(second) + 26.0).max(120.0)
        }
        Shape::Input | Shape::Output => letters(&glyph.title) + letters(&glyph.detail) + LETTER + 24.0,
        Shape::Param => letters(&glyph.detail) + small(&glyph.ty) + 34.0,
    }
}

/// The width of a small text.
fn small(text: &str) -> f64 {
    text.chars().count() as f64 * SMALL_LETTER
}

/// A parameter's name without what its layer says already.
pub(super) fn short_name(name: &str, layer: &str) -> String {
    let name = name.split_once('/').map_or(name, |(_, rest)| rest);
    let rest = name.strip_prefix(layer).and_then(|rest| rest.strip_prefix('/'));
    rest.unwrap_or(name).to_owned()
}

/// The leading sizes and the irreps: the element type is the same nearly everywhere.
fn short_type(node: &Node) -> String {
    let ty = node.ty.to_string();
    let start = ty.find('[').unwrap_or(0);
    if node.ty.dtype.is_float() { ty[start..].to_owned() } else { ty }
}

/// The text, or as much of it as fits a box.
pub(super) fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_LETTERS {
        return text.to_owned();
    }
    text.chars().take(MAX_LETTERS - 1).chain(['…']).collect()
}
