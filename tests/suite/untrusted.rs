//! Files that nobody vouches for, through the library: refused with a reason, before memory or time is spent on them.

use std::fs;
use std::path::Path;

use schur::compiler::autodiff::{AutodiffError, VjpOptions, vjp};
use schur::compiler::compile::{CompileError, compile_simplified};
use schur::compiler::loops::{InterpretError, LoopOptions, LoopsError, interpret, lower};
use schur::compiler::simplify::{SimplifyError, SimplifyOptions, explain, simplify, variants};
use schur::compiler::validate::{ValidationError, validate};
use schur::ir::graph::{Op, ValueId};
use schur::runtime::reference::{ReferenceError, evaluate};
use schur::spec::{SpecBuilder, norm, regroup};
use schur::{Array, CompileOptions, Data, Error, Limits, Mode, Model, Source, checkpoint};

fn model(text: &str, limits: &Limits) -> Result<Model, Error> {
    Model::parse_within(&Source::new("m.toml", text).unwrap(), limits)
}

const LINEAR: &str = r#"
name = "m"
outputs = ["y"]
[inputs.x]
shape = ["N"]
irreps = "4x0e + 2x1o"
[[layers]]
name = "y"
op = "linear"
input = "x"
irreps_out = "3000x0e + 2x1o"
"#;

fn small() -> Model {
    model(LINEAR, &Limits::default()).unwrap()
}

/// A program that made its spec itself raises the limits, of the spec and of the graph.
#[test]
fn a_spec_that_is_built_has_the_limits_it_is_given() {
    let spec = SpecBuilder::new("m").input("x", ["N"], "1x200e").layer("y", regroup("x")).outputs(["y"]);
    assert!(Model::new(spec.clone()).is_err());
    let model = Model::new_within(spec.clone(), &Limits::NONE).unwrap();
    assert!(model.graph(Mode::Infer).is_ok());
    let few = Limits { nodes: 0, ..Limits::NONE };
    let model = Model::new_within(spec.layer("z", norm("y")), &few).unwrap();
    assert!(model.graph(Mode::Infer).is_err());
}

#[test]
fn a_file_that_is_too_long_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.toml");
    fs::write(&path, LINEAR).unwrap();
    let limits = Limits { text: 100, ..Limits::default() };
    let error = Model::from_file_within(&path, &limits).unwrap_err().to_string();
    assert!(error.ends_with(&format!("m.toml: {}, where the limit `text` is 100", LINEAR.len())), "{error}");
    assert!(Model::from_file(&path).is_ok());
    fs::write(&path, b"name = \"\xff\"").unwrap();
    let error = Model::from_file(&path).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["toml", "safetensors", "msgpack"] {
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless").with_extension(ending)).unwrap();
    }
    let path = folder.path().join("endless.toml");
    let error = Model::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("where the limit `text` is 8388608"), "{error}");
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    for ending in ["safetensors", "msgpack"] {
        let error = checkpoint::read_within(&path.with_extension(ending), &limits).unwrap_err().to_string();
        assert!(error.contains("the bytes of a file of arrays: 524289, where the limit `memory` is 524288"), "{error}");
    }
}

#[test]
fn parameters_and_calls_beyond_memory_are_refused_before_they_are_tried() {
    let error = model(LINEAR, &Limits { memory: 1000, ..Limits::default() }).unwrap().init(0).unwrap_err();
    assert_eq!(error.to_string(), "the bytes of all parameters: 48016, where the limit `memory` is 1000");
    let params = small().init(0).unwrap();
    let options =
        |memory| CompileOptions { limits: Limits { memory, ..Limits::default() }, ..CompileOptions::default() };
    let mut tight = small().compile(Mode::Infer, &options(1 << 20)).unwrap();
    let x = |rows: usize| Array::new([rows, 10], Data::F32(vec![1.0; rows * 10].into())).unwrap();
    assert!(tight.run([("x", &x(10))], &params).is_ok());
    let error = tight.run([("x", &x(1000))], &params).unwrap_err().to_string();
    assert!(error.contains("bytes, where 1048576 are allowed, does not fit in memory"), "{error}");
    let mut free = small().compile(Mode::Infer, &options(usize::MAX)).unwrap();
    assert!(free.run([("x", &x(1000))], &params).is_ok());
    assert!(tight.run([("x", &x(10))], &params).is_ok(), "a refused call leaves the executor as it was");
}

#[test]
fn programs_beyond_the_limits_are_refused() {
    let refused = |limits| {
        let options = CompileOptions { limits, ..CompileOptions::default() };
        let error = small().compile(Mode::Infer, &options).unwrap_err();
        assert!(!error.is_bug());
        error.to_string()
    };
    let code = refused(Limits { code: 10, ..Limits::default() });
    assert!(
        code.starts_with("the bytes of machine code: ") && code.ends_with("where the limit `code` is 10"),
        "{code}"
    );
    let nodes = refused(Limits { nodes: 2, ..Limits::default() });
    assert!(nodes.ends_with("where the limit `nodes` is 2"), "{nodes}");
}

#[test]
fn names_of_any_length_make_short_messages_in_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.safetensors");
    let array = Array::new([1], Data::F32(vec![0.0].into())).unwrap();
    let names: Vec<String> = (0..200).map(|k| format!("params/y/{k}{}", "w".repeat(100_000))).collect();
    checkpoint::write(&path, names.iter().map(|name| (name.as_str(), &array))).unwrap();
    let compiled = small().compile(Mode::Infer, &CompileOptions::default()).unwrap();
    let error = compiled.params(checkpoint::read(&path).unwrap()).unwrap_err();
    assert!(error.to_string().contains("the model has no parameter"));
}

/// Damaged headers of checkpoints: lengths that lie, nesting, and sizes whose product overflows.
#[test]
fn checkpoints_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |ending: &str, bytes: &[u8]| {
        let path = folder.path().join("c").with_extension(ending);
        fs::write(&path, bytes).unwrap();
        checkpoint::read(Path::new(&path)).map(|arrays| arrays.len())
    };
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    let huge = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}"#;
    let far = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551608,18446744073709551612]}}"#;
    let nested = format!("{{\"a\":{}", "[".repeat(1 << 20));
    for json in [huge, far, &nested, &"{".repeat(1 << 20)] {
        assert!(read("safetensors", &header(json)).is_err());
    }
    assert!(read("safetensors", &u64::MAX.to_le_bytes()).is_err());
    // msgpack: a dictionary of 2^32 − 1 keys, one inside the other, and an array of 2^32 − 1 bytes.
    assert!(read("msgpack", &[0xdf, 0xff, 0xff, 0xff, 0xff]).is_err());
    let nested: Vec<u8> = [b"\x81\xa6params".as_slice(), &b"\x81\xa1a".repeat(1 << 20)].concat();
    assert!(read("msgpack", &nested).is_err());
    assert!(read("msgpack", &[b"\x81\xa1x".as_slice(), &[0x91; 1 << 20]].concat()).is_err());
    assert!(read("msgpack", b"\x81\xa6params\xc9\xff\xff\xff\xff\x01").is_err());
}

#[test]
fn an_index_into_a_symbolic_size_is_not_compiled() {
    let text = r#"
graph "scatter"
%0: f32[N] 2x0e = input "x"
%1: i32[N] 1x0e = input "i"
%2: f32[M] 2x0e = input "y"
%3: f32[M] 2x0e = contract %0[0] over [N] into [%1[0]<M]
    x0@0(u) -> @0(u) for u=2
%4: f32[M] 2x0e = contract %3[0], %2[0] over [M]
    x0@0(u) -> @0(u) for u=2
    x1@0(u) -> @0(u) for u=2
output "z" = %4
"#;
    let graph: schur::Graph = text.parse().unwrap();
    let options = CompileOptions { simplify: None, ..CompileOptions::default() };
    let error = schur::compiler::compile::compile(&graph, &options, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("picks from an axis of size M, which is not a number"), "{error}");
}

/// Stages take graphs of anyone: what the verifier refuses is no graph to work on.
#[test]
fn every_stage_refuses_a_graph_that_is_not_valid() {
    let mut graph = small().graph(Mode::Infer).unwrap();
    let last = graph.nodes.last_mut().map(|node| &mut node.op);
    let Some(Op::Contract(contract)) = last else { panic!("no contraction") };
    contract.operands[0].value = ValueId(1000);
    let options = SimplifyOptions::default();
    assert!(matches!(simplify(&graph, &options), Err(SimplifyError::Graph(_))));
    assert!(matches!(explain(&graph, &options), Err(SimplifyError::Graph(_))));
    assert!(matches!(variants(&graph, &options), Err(SimplifyError::Graph(_))));
    assert!(matches!(lower(&graph, &LoopOptions::default()), Err(LoopsError::Graph(_))));
    assert!(matches!(validate(&graph, &graph, 0), Err(ValidationError::Loops(LoopsError::Graph(_)))));
    assert!(matches!(vjp(&graph, &VjpOptions { outputs: Vec::new(), wrt: Vec::new() }), Err(AutodiffError::Graph(_))));
    let compiled = compile_simplified(&graph, &CompileOptions::default(), &mut |_, _| {});
    assert!(matches!(compiled, Err(CompileError::Graph(_))));
}

/// Evaluators for tests refuse what does not fit into memory as the executor does, before they allocate.
#[test]
fn evaluators_ask_for_no_memory_that_is_not_there() {
    let text = r#"
graph "wide"
%0: f32[N] 1x0e = input "x"
%1: f32[N, 100000, 100000] 1x0e = contract %0[0] over [N, 100000, 100000]
    x0@0 -> @0
%2: f32[N, 100000, 100000] 1x0e = map exp(x0) of %1[0, 1, 2]
output "y" = %2
"#;
    let graph: schur::Graph = text.parse().unwrap();
    let inputs = [("x".to_owned(), Array::new([1000, 1], Data::F32(vec![0.0; 1000].into())).unwrap())].into();
    let refused = evaluate(&graph, &inputs, &Default::default()).unwrap_err();
    assert!(matches!(refused, ReferenceError::Memory(_)), "{refused}");
    let loops = lower(&graph, &LoopOptions { fuse: false, ..LoopOptions::default() }).unwrap();
    let refused = interpret(&loops, &[("N".into(), 1000)].into(), &Default::default()).unwrap_err();
    assert!(matches!(refused, InterpretError::Memory(_)), "{refused}");
    let leaves =
        "graph \"wide\"\n%0: f32[N, 100000, 100000] 1000x0e = input \"x\"\noutput \"y\" = %0\n".parse().unwrap();
    let refused = validate(&leaves, &leaves, 0).unwrap_err();
    assert!(matches!(refused, ValidationError::Interpret(InterpretError::Memory(_))), "{refused}");
}

/// Rows without elements take no memory, but would take time.
#[test]
fn calls_go_over_no_more_rows_than_there_are_bytes() {
    let text = "graph \"g\"\n%0: f32[N] 0x0e = input \"x\"\n%1: f32[N] 0x0e = contract %0[0] over [N]\n\
                output \"y\" = %1\n";
    let graph: schur::Graph = text.parse().unwrap();
    let x = |rows| Array::new([rows, 0], Data::F32(vec![].into())).unwrap();
    let inputs = [("x".to_owned(), x(1 << 62))].into();
    assert!(matches!(evaluate(&graph, &inputs, &Default::default()), Err(ReferenceError::Memory(_))));
    let loops = lower(&graph, &LoopOptions::default()).unwrap();
    let interpreted = interpret(&loops, &[("N".into(), 1 << 62)].into(), &Default::default());
    assert!(matches!(interpreted, Err(InterpretError::Memory(_))));
    let spec = "name = 'm'\noutputs = ['y']\ninputs.x = { shape = ['N'], irreps = '0x0e' }\n\
                [[layers]]\nname = 'y'\nop = 'scalar_activation'\ninput = 'x'\n";
    let model = Model::parse(&Source::new("m.toml", spec).unwrap()).unwrap();
    let mut compiled = model.compile(Mode::Infer, &CompileOptions::default()).unwrap();
    let params = model.init(0).unwrap();
    assert_eq!(compiled.run([("x", &x(1000))], &params).unwrap().outputs["y"].shape(), [1000, 0]);
    let error = compiled.run([("x", &x(1 << 62))], &params).map(drop).unwrap_err().to_string();
    assert_eq!(error, "an array of the 4611686018427387904 rows that this call goes over does not fit in memory");
}

/// A symbol is known where it is an axis of an input, not where it is in a product or a sum.
#[test]
fn sizes_that_no_call_tells_are_not_compiled() {
    let graph = |dims: &str, requirement: &str| {
        let text = format!("graph \"g\"\n%0: f32[{dims}] 2x0e = input \"x\"\n{requirement}\noutput \"y\" = %0\n");
        lower(&text.parse().unwrap(), &LoopOptions::default()).map(drop)
    };
    assert!(graph("N, N*N+1", "require rows [N]").is_ok());
    for dims in ["M*N", "N, M+1", "2*N"] {
        assert!(matches!(graph(dims, ""), Err(LoopsError::UnknownSize(..))), "{dims}");
    }
    assert!(matches!(graph("N", "require rows [K]"), Err(LoopsError::UnknownRequired(_))));
}
