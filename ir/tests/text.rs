//! The text form: what a person writes is read, and what is wrong with a text is said at its place.
//! That random graphs are read back as they were printed is tested in the root package's suite.

use insta::assert_snapshot;
use schur_ir::dim::Dim;
use schur_ir::expr::{Binary, Expr};
use schur_ir::graph::{Axis, Contract, Factor, Graph, Map, Op, Operand, Path, RowMap, Segment};
use schur_ir::irreps::Irreps;
use schur_ir::ty::{DType, Type};
use schur_ir::verify::verify;
use smallvec::smallvec;

/// Every construct of the text form, as it is printed.
const BLOCK: &str = include_str!("text/block.graph");

fn parse(text: &str) -> Graph {
    let graph = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&graph).unwrap_or_else(|e| panic!("{e}\n{text}"));
    graph
}

#[test]
fn a_block_is_printed_as_it_was_read() {
    assert_eq!(parse(BLOCK).to_string(), BLOCK);
}

#[test]
fn line_ends_space_and_comments_do_not_matter() {
    let flat: String = BLOCK.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(parse(&flat), parse(BLOCK));
    let commented = BLOCK.replace('\n', " # a comment: %0 \"\n\t");
    assert_eq!(parse(&commented), parse(BLOCK));
}

#[test]
fn odd_names_letters_and_numbers_are_read_back() {
    let mut graph = Graph { name: "a \"quoted\" \\ name\n\u{7}é".into(), ..Graph::default() };
    let rows = vec![Dim::symbol("number of atoms").times(&Dim::from(-3)).plus(&Dim::symbol("N")), Dim::from(0)];
    let ty = Type::new(rows.clone(), "2x0e+0x1o".parse().unwrap(), DType::F64);
    let x = graph.input("x; # \"", ty.clone());
    let numbers =
        [f64::NAN, -f64::NAN, f64::from_bits(0x7ff0_0000_0000_0001), f64::INFINITY, -0.0, 1e300, -5e-324, 0.1];
    for value in numbers {
        let map = Map { rows: rows.clone(), operands: vec![], expr: Expr::constant(value) };
        graph.map(map, ty.irreps.clone(), DType::F64, &"a layer's name".into());
    }
    let operand = Operand { value: x, map: RowMap::identity(2) };
    let axes = ['\'', '\\', ' ', '\n', '=', 'μ'].map(|letter| Axis { letter, size: 1 });
    let segment = |strides: [usize; 6]| Segment { offset: 1, strides: strides.iter().copied().collect() };
    let path = Path {
        coefficient: schur_ir::expr::Scalar(-1.0 / 3.0),
        axes: axes.iter().copied().collect(),
        factors: smallvec![
            Factor { operand: 0, segment: segment([1, 2, 3, 0, 7, 1]) },
            Factor { operand: 1, segment: segment([0; 6]) },
        ],
        out: segment([usize::MAX; 6]),
    };
    let out = RowMap { index: None, axes: vec![] };
    let divisor = Dim::symbol("if");
    let contract = Contract { rows, operands: vec![operand.clone(), operand], out, divisor, paths: vec![path] };
    graph.contract(contract, Irreps::scalars(2), DType::F64, &"".into());
    let text = graph.to_string();
    assert_eq!(parse(&text), graph, "{text}");
    assert_snapshot!(text);
}

#[test]
fn expressions_are_folded_as_they_are_read() {
    let text = "graph \"g\" %0: f32[] 0e = map add(mul(1, x0), sub(2, neg(3))) of %1[]";
    let Op::Map(map) = &text.parse::<Graph>().unwrap().nodes[0].op else { panic!("a map") };
    assert_eq!(map.expr, Expr::binary(Binary::Add, Expr::Arg(0), Expr::constant(5.0)));
}

#[test]
fn deep_expressions_are_refused_and_shallow_ones_read() {
    let nested = |depth: usize| {
        let (open, close) = ("tanh(".repeat(depth), ")".repeat(depth));
        format!("graph \"g\" %0: f32[] 1x0e = map {open}x0{close} of %1[]").parse::<Graph>()
    };
    assert!(nested(200).is_ok());
    assert_snapshot!(nested(201).unwrap_err(), @"1:1032: the expression is nested deeper than 200");
    assert!(nested(100_000).is_err());
}

/// Texts with one fault each.
const FAULTS: &[&str] = &[
    "",
    "graph block",
    "graph \"g\"\n\n%0: f32[N] 8x0e = inptu \"x\"",
    "graph \"g\"\n%1: f32[N] 8x0e = input \"x\"",
    "graph \"g\"\n%0: f16[N] 8x0e = input \"x\"",
    "graph \"g\"\n%0: f32[N] 8x0e4x1o = input \"x\"",
    "graph \"g\"\n%0: f32[N] 8x0e+4x1 = input \"x\"",
    "graph \"g\"\n%0: f32[N+] 8x0e = input \"x\"",
    "graph \"g\"\n%0: f32[99999999999999999999] 0e = input \"x\"",
    "graph \"g\"\n%0: f32[] 0e = param \"p\" [4] gaussian(0, 1)",
    "graph \"g\"\n%0: f32[] 0e = param \"p\" [9999999999, 9999999999] constant(0)",
    "graph \"g\"\n%0: f32[] 0e = map cosh(x0) of %0[]",
    "graph \"g\"\n%0: f32[] 0e = map add(x0) of %0[]",
    "graph \"g\"\n%0: f32[N] 0e = contract %0[0] ovre [N]",
    "graph \"g\"\n%0: f32[N] 0e = contract %0[0] over [N]\n  x0@0(u v) -> @0(u) for u=4",
    "graph \"g\"\n%0: f32[N] 0e = contract %0[0] over [N]\n  x0@0(u) > @0(u) for u=4",
    "graph \"g\"\n%0: f32[N] 0e = contract %0[0] over [N]\n  x0@0(u u) -> @0 for u=3",
    "graph \"g\"\n%0: f32[N] 0e = contract %0[0, %1[0]<4] over [N]",
    "graph \"é\" require index \"é\" >",
    "graph \"g\"\noutput \"y\" = %0\nfoo",
    "graph \"g",
];

#[test]
fn faults_are_told_with_their_place() {
    let told = FAULTS.iter().map(|text| match text.parse::<Graph>() {
        Ok(graph) => panic!("no fault in\n{graph}"),
        Err(error) => format!("{}\n=> {error}\n\n", text.trim_end()),
    });
    assert_snapshot!(told.collect::<String>());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(cuts in proptest::collection::vec((0..BLOCK.len(), 0..BLOCK.len(), 0usize..40), 1..6)) {
        let mut bytes = BLOCK.as_bytes().to_vec();
        for (from, to, length) in cuts {
            let piece = BLOCK.as_bytes()[from..(from + length).min(BLOCK.len())].to_vec();
            let to = to.min(bytes.len());
            bytes.splice(to..(to + length / 2).min(bytes.len()), piece);
        }
        if let Ok(graph) = String::from_utf8_lossy(&bytes).parse::<Graph>() {
            let _ = verify(&graph);
            proptest::prop_assert_eq!(graph.to_string().parse::<Graph>(), Ok(graph));
        }
    }
}

#[test]
fn the_documentations_graphs_are_as_they_are_printed() {
    let page = include_str!("../../docs/graph.md");
    let graphs: Vec<&str> = page.split("```graph\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(graphs.len(), 2);
    graphs.iter().for_each(|text| assert_eq!(parse(text).to_string(), *text));
}

#[test]
fn what_is_too_large_is_refused_before_it_costs_time() {
    let reason = |text: &str| text.parse::<Graph>().unwrap_err().reason;
    let typed = |dim: &str| format!("graph \"g\"\n%0: f32[{dim}] 0e = input \"x\"");
    assert_eq!(reason(&typed(&vec!["N"; 1001].join("*"))), "a size has more than 1000 factors");
    let sum: Vec<String> = (0..1001).map(|k| format!("N{k}")).collect();
    assert_eq!(reason(&typed(&sum.join("+"))), "a size has more than 1000 factors");
    assert!(reason(&" ".repeat(9 << 20)).contains("where the limit `text` is 8388608"));
    let wide = format!("graph \"g\"\n%0: f32[N] {} = input \"x\"", vec!["0e"; 200_000].join("+"));
    assert!(reason(&wide).contains("where the limit `chunks` is 10000"));
    let path = "  x0@0 -> @0\n".repeat(200_001);
    let many = format!("{}\n%1: f32[N] 0e = contract %0[0] over [N]\n{path}", typed("N"));
    assert!(reason(&many).contains("where the limit `paths` is 200000"));
    let deep = format!("graph \"g\"\n%0: f32[N] 0e = map {}", "exp(".repeat(1 << 20));
    assert_eq!(reason(&deep), "the expression is nested deeper than 200");
}

#[test]
fn sizes_that_were_cut_off_are_invalid() {
    // Both products are beyond 64 bits, and would be equal where they are cut off at the end of the range.
    let text = "graph \"g\"\n%0: f32[N, 4611686018427387904, 4] 0e = input \"x\"\n\
                %1: f32[N, 4611686018427387904, 8] 0e = reshape %0";
    let error = verify(&text.parse().unwrap()).unwrap_err().to_string();
    assert_eq!(error, "%0: an array of f32[N, 4611686018427387904, 4] 1x0e fits in no memory");
    let rows = "graph \"g\"\n%0: f32[N] 0e = input \"x\"\n\
                %1: f32[N] 0e = contract %0[0] over [N, 4611686018427387904, 4] into [0]\n  x0@0 -> @0\n";
    let error = verify(&rows.parse().unwrap()).unwrap_err().to_string();
    assert_eq!(error, "%1: the number of rows, or the divisor, is too large");
}

/// The product of sums of different symbols has as many terms as there are ways to choose one of each.
#[test]
fn sizes_whose_product_has_too_many_terms_are_invalid() {
    let sum = |axis: usize| (0..30).map(|k| format!("S{axis}_{k}")).collect::<Vec<_>>().join("+");
    let graph = |axes| {
        let dims = (0..axes).map(sum).collect::<Vec<_>>().join(", ");
        verify(&format!("graph \"g\"\n%0: f32[{dims}] 0e = input \"x\"").parse().unwrap())
    };
    assert!(graph(2).is_ok());
    assert!(graph(32).unwrap_err().rule.ends_with("fits in no memory"));
    let many = format!("graph \"g\"\n%0: f32[{}] 0e = input \"x\"", vec!["N"; 100_000].join(", "));
    let error = many.parse::<Graph>().unwrap_err().to_string();
    assert_eq!(error, "1:1: the leading axes of %0 in the layer ``: 100000, where the limit `axes` is 32");
}

#[test]
fn what_is_required_is_required_of_inputs() {
    let graph = |leaf: &str, requirement: &str| {
        let text = format!("graph \"g\"\n%0: {leaf}\n{requirement}\noutput \"y\" = %0\n");
        verify(&text.parse().unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(graph("bool[N] 1x0e = input \"m\"", "require any \"m\""), Ok(()));
    assert_eq!(graph("i32[N] 1x0e = input \"m\"", "require index \"m\" < 3"), Ok(()));
    let of_no_input = |name, ty| Err(format!("%0: a requirement is of `{name}`, which is no input of type {ty}"));
    assert_eq!(graph("f32[N] 1x0e = input \"m\"", "require any \"m\""), of_no_input("m", "bool"));
    assert_eq!(graph("i32[N] 1x0e = input \"m\"", "require index \"n\" < 3"), of_no_input("n", "i32"));
    assert_eq!(graph("i32[N] 2x0e = input \"m\"", ""), Err("%0: `m` is i32 of width 2, not 1".into()));
    assert_eq!(graph("i32[] 1x0e = param \"p\" [1] constant(0)", ""), Err("%0: the parameter `p` is i32".into()));
    let unknown = "%0: a size of the parameter `p` is not a number";
    assert_eq!(graph("f32[N] 0x0e = param \"p\" [0] constant(0)", ""), Err(unknown.into()));
}

#[test]
fn shapes_of_outputs_hold_a_row() {
    let output = |dims: &str, shape: &str| {
        let text = format!("graph \"g\"\n%0: f32{dims} 4x0e = input \"x\"\noutput \"y\" = %0 as {shape}");
        verify(&text.parse().unwrap()).map_err(|error| error.rule)
    };
    assert_eq!(output("[2]", "[2, 2]"), Ok(()));
    for shape in ["[2]", "[]", "[0]", "[5]"] {
        assert_eq!(output("[]", shape), Err("the shape of `y` is not its width".into()));
    }
    assert_eq!(output("[N]", "[2, 2]"), Err("`y` has a shape, and sizes that are no numbers".into()));
}

#[test]
fn expressions_that_a_graph_cannot_hold_are_invalid() {
    let map = |expr: Expr| {
        let mut graph = Graph::default();
        let ty = Type::new(vec![Dim::symbol("N")], "0e".parse().unwrap(), DType::F64);
        let x = graph.input("x", ty.clone());
        let operands = vec![Operand { value: x, map: RowMap::identity(1) }];
        graph.map(Map { rows: ty.dims, operands, expr }, ty.irreps, ty.dtype, &"".into());
        verify(&graph).map_err(|error| error.rule)
    };
    let nested = |depth, step: fn(Expr) -> Expr| (0..depth).fold(Expr::Arg(0), |x, _| step(x));
    let deep = |depth| map(nested(depth, |x| Expr::unary(schur_ir::expr::Unary::Exp, x)));
    let refused = Err("the expression is deeper than 200 or too large".to_owned());
    assert_eq!((deep(200), deep(201), deep(5000)), (Ok(()), refused.clone(), refused.clone()));
    // Shared halves: 2^60 functions in 60 nodes.
    assert_eq!(map(nested(60, |x| Expr::binary(Binary::Add, x.clone(), x))), refused);
}

/// What is said to be zero is taken for zero by the compiler, so a graph must not lie.
#[test]
fn zeros_that_are_not_are_refused() {
    let refused = |nodes: &str| {
        let text = format!("graph \"g\"\n%0: f32[N] 2x0e+1x1o = input \"x\"\n{nodes}\noutput \"y\" = %1\n");
        verify(&text.parse::<Graph>().unwrap_or_else(|e| panic!("{e}\n{text}"))).err().map(|error| error.rule)
    };
    let copy = "contract %0[0] over [N]\n    x0@2(i) -> @2(i) for i=3";
    assert!(refused("%1: f32[N] 1x0e! = input \"z\"").is_some());
    assert!(refused(&format!("%1: f32[N] 2x0e!+1x1o = {copy}")).is_none());
    assert!(refused(&format!("%1: f32[N] 2x0e+1x1o! = {copy}")).is_some());
    let all = "contract %0[0] over [N]\n    x0@0(u) -> @0(u) for u=5";
    assert!(refused(&format!("%1: f32[N] 2x0e+0x1o!+1x1o = {all}")).is_none(), "an empty chunk holds nothing");
    assert!(refused("%1: f32[N] 2x0e!+1x1o = map mul(x0, 2) of %0[0]").is_some());
    assert!(refused("%1: f32[N] 2x0e+1x1o! = reshape %0").is_some());
    assert!(refused("%1: f32[] 2x0e!+1x1o = max %0 keep 0").is_some());
    let after = |node: &str| refused(&format!("%1: f32[N] 2x0e!+1x1o = {copy}\n{node}"));
    assert!(after("%2: f32[N] 2x0e!+1x1o = map abs(x0) of %1[0]").is_none());
    assert!(after("%2: f32[N] 2x0e!+1x1o = map exp(x0) of %1[0]").is_some());
    assert!(after("%2: f32[N] 1x0e!+1x0e!+3x0e = reshape %1").is_none());
    assert!(after("%2: f32[N] 1x0e!+1x1o!+1x0e = reshape %1").is_some());
}
