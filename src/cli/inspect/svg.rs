//! A drawing as SVG, with the marks that the page's script and screen readers need.

use std::fmt::Write;

use schur::Graph;
use schur::ir::graph::{Node, Op};

use super::drawing::{BOX_HEIGHT, Drawing, Glyph, PILL_HEIGHT, STACK_STEP, Shape, Stack, TYPE_HEIGHT};
use super::html::escape;
use super::layout::{Point, Wire};

/// The drawing of a graph; `key` tells the drawings of a page apart.
pub(super) fn svg(key: &str, graph: &Graph, drawing: &Drawing) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        r#"<svg class="drawing" data-view="{key}" data-width="{}" data-height="{}" role="application" aria-label="Values of the graph: arrow keys go along wires">"#,
        drawing.layout.width, drawing.layout.height
    );
    out += r#"<g class="plane"><g class="wires" aria-hidden="true">"#;
    for wire in &drawing.layout.wires {
        wire_path(&mut out, wire, &drawing.stacks[wire.from], &drawing.stacks[wire.to]);
    }
    out += "</g>";
    for (stack, at) in drawing.stacks.iter().zip(&drawing.layout.boxes) {
        for (k, glyph) in stack.0.iter().enumerate() {
            let at = Point { x: at.x, y: at.y + k as f64 * STACK_STEP };
            glyph_group(&mut out, graph.node(glyph.value), glyph, at);
        }
    }
    out + "</g></svg>"
}

/// A wire: vertical where it passes a rank, in curves between ranks.
fn wire_path(out: &mut String, wire: &Wire, from: &Stack, to: &Stack) {
    let mut at = wire.start;
    let mut path = format!("M{} {}V{}", at.x, at.y - from.below(), at.y);
    let mut curve = |to: Point| {
        if to.x == at.x {
            let _ = write!(path, "V{}", to.y);
        } else {
            let middle = (at.y + to.y) / 2.0;
            let _ = write!(path, "C{} {middle} {} {middle} {} {}", at.x, to.x, to.x, to.y);
        }
        at = to;
    };
    for (top, bottom) in &wire.bends {
        curve(*top);
        curve(*bottom);
    }
    curve(wire.end);
    let numbers = |stack: &Stack| stack.values().iter().map(|value| value.0.to_string()).collect::<Vec<_>>().join(" ");
    let is_leaf = from.0.iter().all(|glyph| matches!(glyph.shape, Shape::Input | Shape::Param));
    let is_output = to.0.iter().any(|glyph| glyph.shape == Shape::Output);
    let class = if is_leaf { " leaf" } else { "" };
    let output = if is_output { r#" data-output="true""# } else { "" };
    let _ = write!(
        out,
        r#"<path class="wire{class}" data-from="{}" data-to="{}"{output} d="{path}"/>"#,
        numbers(from),
        numbers(to)
    );
}

fn glyph_group(out: &mut String, node: &Node, glyph: &Glyph, at: Point) {
    let value = glyph.value;
    let class = match glyph.shape {
        Shape::Op => match &node.op {
            Op::Contract(_) => "contract",
            Op::Map(_) => "map",
            Op::Max(_) => "max",
            Op::Reshape(_) => "reshape",
            Op::Input(_) | Op::Param(_) => "leaf",
        },
        Shape::Param => "leaf param",
        Shape::Input => "leaf input",
        Shape::Output => "output",
    };
    let layer = if node.layer.is_empty() { String::new() } else { format!(", layer {}", node.layer) };
    let label = format!("{value} {} {}{layer}, type {}", glyph.title, glyph.detail, node.ty);
    let _ = write!(
        out,
        r#"<g class="value {class}" data-value="{}" transform="translate({} {})" role="button" tabindex="-1" aria-pressed="false" aria-label="{}"><title>{}</title>"#,
        value.0,
        at.x - glyph.width / 2.0,
        at.y,
        escape(&label),
        escape(&node.ty.to_string())
    );
    match glyph.shape {
        Shape::Op => op_box(out, node, glyph),
        Shape::Input | Shape::Output => pill(out, glyph, [("title", &glyph.title), ("detail", &glyph.detail)]),
        Shape::Param => pill(out, glyph, [("detail", &glyph.detail), ("shape", &glyph.ty)]),
    }
    if glyph.has_type_below() {
        let (x, y) = (glyph.width / 2.0, glyph.height() + TYPE_HEIGHT * 0.62);
        let _ = write!(out, r#"<text class="type" x="{x}" y="{y}">{}</text>"#, escape(&glyph.ty));
    }
    *out += "</g>";
}

fn op_box(out: &mut String, node: &Node, glyph: &Glyph) {
    let width = glyph.width;
    let _ = write!(out, r#"<rect class="box" width="{width}" height="{BOX_HEIGHT}" rx="5"/>"#);
    text(out, 18.0, [("title", &glyph.title), ("detail", &glyph.detail)]);
    text(out, 33.0, [("number", &glyph.value.to_string()), ("layer", &node.layer)]);
    strip(out, node, width);
}

/// A line of two words in a box.
fn text(out: &mut String, y: f64, words: [(&str, &str); 2]) {
    let _ = write!(out, r#"<text class="line" x="12" y="{y}">"#);
    for (k, (class, word)) in words.into_iter().enumerate() {
        let gap = if k > 0 { " " } else { "" };
        let _ = write!(out, r#"{gap}<tspan class="{class}">{}</tspan>"#, escape(word));
    }
    *out += "</text>";
}

/// The chunks of a value as a strip along the lower edge of its box, as wide as they are.
fn strip(out: &mut String, node: &Node, width: f64) {
    let (total, room) = (node.ty.width().max(1) as f64, width - 12.0);
    let mut x = 6.0;
    for (chunk, zero) in node.ty.irreps.iter().zip(&node.ty.zero) {
        let wide = room * chunk.dim() as f64 / total;
        let zero = if *zero { " zero" } else { "" };
        let _ = write!(
            out,
            r#"<rect class="chunk l{}{zero}" data-parity="{}" x="{x:.1}" y="{}" width="{:.1}" height="4"/>"#,
            chunk.ir.l.min(5),
            chunk.ir.p.sign(),
            BOX_HEIGHT - 7.0,
            (wide - 0.8).max(0.6)
        );
        x += wide;
    }
}

fn pill(out: &mut String, glyph: &Glyph, words: [(&str, &str); 2]) {
    let (width, radius) = (glyph.width, PILL_HEIGHT / 2.0);
    let _ = write!(out, r#"<rect class="box" width="{width}" height="{PILL_HEIGHT}" rx="{radius}"/>"#);
    text(out, 15.0, words);
}
