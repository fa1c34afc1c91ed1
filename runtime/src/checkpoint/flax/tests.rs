//! Files that flax made (`tests/flax/make.py`), and bytes that it would not make.

use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use proptest::prelude::*;

use super::super::msgpack::Writer;
use super::super::{bytes, safetensors};
use super::*;
use crate::array::{Array, Data};

const FILES: [&str; 4] = ["variables", "chunked", "scalars", "train_state"];

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flax").join(name)).unwrap()
}

fn arrays(name: &str) -> IndexMap<String, Array> {
    parse(&file(&format!("{name}.msgpack"))).unwrap()
}

fn written(arrays: &IndexMap<String, Array>, max_chunk: usize) -> Vec<u8> {
    serialize(arrays.iter().map(|(name, array)| (&**name, array)), max_chunk).unwrap()
}

fn assert_same(ours: &IndexMap<String, Array>, expected: &IndexMap<String, Array>) {
    assert!(ours.keys().eq(expected.keys()), "{:?} are not {:?}", ours.keys(), expected.keys());
    for (name, array) in expected {
        let summary = |array: &Array| (array.dtype(), array.shape().to_vec(), bytes(array).into_owned());
        assert_eq!(summary(&ours[name]), summary(array), "{name}");
    }
}

#[test]
fn the_arrays_of_flax_are_read() {
    for name in FILES {
        let expected = safetensors::parse(&file(&format!("{name}.safetensors"))).unwrap().arrays;
        assert!(expected.len() >= 4);
        assert_same(&arrays(name), &expected);
    }
}

#[test]
fn the_bytes_of_flax_are_written() {
    let variables = arrays("variables");
    assert_eq!(written(&variables, MAX_CHUNK), file("variables.msgpack"));
    assert_eq!(written(&variables, 32), file("chunked.msgpack"));
}

#[test]
fn chunks_of_any_size_are_read() {
    let variables = arrays("variables");
    let largest = variables.values().map(|array| bytes(array).len()).max().unwrap();
    assert_eq!(written(&variables, largest), file("variables.msgpack"));
    for max_chunk in [0, 1, 7, 8, 63, largest - 1] {
        let cut = written(&variables, max_chunk);
        assert_ne!(cut, file("variables.msgpack"));
        assert_same(&parse(&cut).unwrap(), &variables);
    }
}

#[test]
fn no_byte_less_is_a_checkpoint() {
    for name in FILES {
        let whole = file(&format!("{name}.msgpack"));
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{name} cut at {end}");
        }
        assert_eq!(message(&[&whole[..], b"\0"].concat()), "not a whole msgpack file: its end is followed by 1 byte");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_damage_makes_reading_panic(
        name in prop::sample::select(&FILES),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, any::<u8>()), 1..6),
    ) {
        let mut damaged = file(&format!("{name}.msgpack"));
        for (place, removed, byte) in changes {
            let place = place.index(damaged.len());
            let end = damaged.len().min(place + removed);
            damaged.splice(place..end, [byte]);
        }
        if let Ok(arrays) = parse(&damaged) {
            prop_assert!(arrays.values().map(|array| bytes(array).len()).sum::<usize>() < damaged.len());
        }
    }
}

fn message(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

/// `{"params": {"x": …}}`, and why it is refused.
fn refusal(value: &[u8]) -> String {
    message(&[b"\x81\xa6params\x81\xa1x", value].concat())
}

fn extension(shape: &[usize], dtype: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    write::ndarray(&mut writer, shape, dtype, bytes);
    writer.into_bytes()
}

#[test]
fn what_stands_for_no_array_is_refused_with_its_name() {
    for (value, found) in [
        (&b"\x07"[..], "an integer"),
        (b"\xff", "an integer"),
        (b"\xca\0\0\0\0", "a float"),
        (b"\xc0", "None"),
        (b"\xc3", "a bool"),
        (b"\xa1a", "a string"),
        (b"\xc4\x01a", "bytes"),
        (b"\x90", "a list"),
        (b"\xd4\x02\0", "a complex number"),
        (b"\xd4\x09\0", "an unknown extension"),
    ] {
        assert_eq!(refusal(value), format!("`params/x` is {found}, not an array"));
    }
    for dtype in ["bfloat16", "float16", "int64", "complex64"] {
        let expected = format!("the tensor `params/x` is {dtype}; f32, f64, i32 and bool can be read");
        assert_eq!(refusal(&extension(&[1], dtype, &[0; 8])), expected);
    }
}

#[test]
fn damaged_arrays_are_refused_with_their_name() {
    let damaged = "the array `params/x` is damaged";
    assert_eq!(refusal(&extension(&[1], "float32", &[0; 5])), damaged);
    assert_eq!(refusal(b"\xd4\x01\x93"), damaged);
    assert_eq!(refusal(b"\xc7\x02\x01\x93\x90"), damaged);
    assert_eq!(refusal(b"\xc7\x0b\x01\x93\x90\xa4bool\xc4\x01\0\0"), damaged);
    let half = "the tensor `params/x`: the shape [2] is not filled by 1 element";
    assert_eq!(refusal(&extension(&[2], "float32", &[0; 4])), half);
    let huge = refusal(&extension(&[usize::MAX, usize::MAX], "float32", &[0; 4]));
    assert!(huge.contains("not filled by 1 element"), "{huge}");
    let mask = "the tensor `params/x`: a mask holds 2 at element 1; only 0 and 1 are allowed";
    assert_eq!(refusal(&extension(&[2], "bool", &[1, 2])), mask);
}

#[test]
fn damaged_chunks_are_refused_with_their_name() {
    let refusal = |shape: &[u8], chunks: &[&[u8]]| {
        let head = [b"\x83\xb9", CHUNKED.as_bytes(), b"\xc3\xa5shape", shape, b"\xa6chunks"].concat();
        refusal(&[&head[..], &chunks.concat()].concat())
    };
    let damaged = "the array `params/x` is damaged";
    let [float, double] = ["float32", "float64"].map(|dtype| extension(&[1], dtype, &[0; 8]));
    let short = refusal(b"\x81\xa10\x03", &[b"\x81\xa10", &float]);
    assert_eq!(short, "the tensor `params/x`: the shape [3] is not filled by 2 elements");
    assert_eq!(refusal(b"\x81\xa11\x02", &[b"\x81\xa10", &float]), damaged);
    assert_eq!(refusal(b"\x81\xa10\xff", &[b"\x81\xa10", &float]), damaged);
    assert_eq!(refusal(b"\x81\xa10\x03", &[b"\x82\xa10", &float, b"\xa11", &double]), damaged);
    assert_eq!(refusal(b"\x81\xa10\x04", &[b"\x82\xa10", &float, b"\xa10", &float]), damaged);
    assert_eq!(refusal(b"\x80", &[b"\x80"]), damaged);
    assert_eq!(refusal(b"\x80", &[b"\x81\xa10\xc0"]), damaged);
}

#[test]
fn other_dictionaries_are_refused() {
    assert_eq!(message(b""), "not a whole msgpack file: it ends inside a value");
    assert_eq!(message(b"\xc1"), "not a whole msgpack file: a value begins with 0xc1");
    assert_eq!(message(&extension(&[], "float32", &[0; 4])), "the top level is an array, not a dictionary");
    let keys = |keys: &[&str]| {
        let mut writer = Writer::default();
        writer.map(keys.len());
        for key in keys {
            writer.text(key);
            writer.unsigned(7);
        }
        message(&writer.into_bytes())
    };
    let missing = "neither `params` nor `batch_stats` is at the top level, but";
    assert_eq!(keys(&["step", "mlp/~/linear"]), format!("{missing} `step`, `mlp/~/linear`"));
    let many = keys(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    assert_eq!(many, format!("{missing} `a`, `b`, `c`, `d`, `e`, `f`, `g`, `h` and 2 more"));
    assert!(parse(b"\x80").unwrap().is_empty());
    assert!(parse(b"\x81\xa6params\x80").unwrap().is_empty());
}

#[test]
fn keys_that_make_no_name_are_refused() {
    assert_eq!(message(b"\x81\x01\x80"), "a key in `/` is no text");
    assert_eq!(refusal(b"\x81\xa1\xff\x80"), "a key in `params/x` is no text");
    assert_eq!(refusal(b"\x81\xa3a/b\x80"), "the key `a/b` in `params/x` has a `/`, which joins the keys of a name");
    let scalar = extension(&[], "float32", &[0; 4]);
    let twice = message(&[b"\x81\xa6params\x82\xa1x", &scalar[..], b"\xa1x", &scalar].concat());
    assert_eq!(twice, "the tensor `params/x` is given twice");
    let long = [b"\x81\xda\x04\x00", &[b'a'; 1024][..], b"\x80"].concat();
    assert_eq!(refusal(&long), "a name in `params/x` has more than 1024 bytes or 64 keys");
    let deep = refusal(&b"\x81\xa1a".repeat(100_000));
    assert!(deep.ends_with("/a` has more than 1024 bytes or 64 keys"), "{deep}");
}

#[test]
fn names_are_written_where_they_can_be_read() {
    let array = Array::new([1], Data::F32(vec![0.0].into())).unwrap();
    let write = |names: &[&str]| serialize(names.iter().map(|name| (*name, &array)), MAX_CHUNK);
    let message = |names: &[&str]| write(names).unwrap_err().to_string();
    let elsewhere = "`energy` is neither in `params` nor in `batch_stats`, and a .msgpack file has nothing else";
    assert_eq!(message(&["params/a", "energy"]), elsewhere);
    assert_eq!(message(&["params/a", "params/a"]), "the tensor `params/a` is given twice");
    for inside in [["params/a", "params/a/b"], ["params/a/b", "params/a"]] {
        let expected = format!("`{}` cannot be an array and a dictionary of arrays", inside[1]);
        assert_eq!(message(&inside), expected);
    }
    let [long, deep] = ["a", "a/"].map(|key| move |times: usize| format!("params/{}", key.repeat(times)));
    for (most, name) in [(1017, &long as &dyn Fn(usize) -> String), (62, &deep)] {
        assert!(parse(&write(&[&name(most)]).unwrap()).unwrap().contains_key(&name(most)));
        assert!(message(&[&name(most + 1)]).ends_with("has more than 1024 bytes or 64 keys"));
    }
}
