//! Memory of code: never writable and executable at once, and freed with its program.

use std::fs;
use std::process::Command;
use std::thread;

use schur::{Array, CompileOptions, Data, Mode, Model};

use crate::specs::model;

fn linear(width: usize) -> Model {
    let text = format!(
        "name = 'm'\noutputs = ['y']\ninputs.x = {{ shape = ['N'], irreps = '{width}x0e+2x1o' }}\n\
         [[layers]]\nname = 'y'\nop = 'linear'\ninput = 'x'\nirreps_out = '3x0e+2x1o'\n"
    );
    model(&text)
}

/// Compiles and runs once; the first output.
fn compile_and_run(width: usize) -> f32 {
    let model = linear(width);
    let params = model.init(0).unwrap();
    let mut compiled = model.compile(Mode::Infer, &CompileOptions::default()).unwrap();
    let x = Array::new([1, width + 6], Data::F32(vec![1.0; width + 6].into())).unwrap();
    let results = compiled.run([("x", &x)], &params).unwrap();
    let Data::F32(y) = results.outputs["y"].data() else { panic!("a model of f32") };
    y[0]
}

/// The access that every mapping of this process allows, with its address range.
fn mappings() -> Vec<(String, std::ops::Range<usize>)> {
    let hexadecimal = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = |line: &str| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next().unwrap().split_once('-').unwrap();
        (words.next().unwrap().to_owned(), hexadecimal(from)..hexadecimal(to))
    };
    maps.lines().map(mapping).collect()
}

#[test]
fn no_memory_is_ever_writable_and_executable() {
    let model = linear(8);
    let programs: Vec<_> = (0..8).map(|_| model.compile(Mode::Infer, &CompileOptions::default()).unwrap()).collect();
    let places: Vec<usize> =
        programs.iter().map(|p| p.program().code.kernel(0).unwrap() as *const () as usize).collect();
    let of = |place: &usize| mappings().into_iter().find(|(_, range)| range.contains(place)).map(|(access, _)| access);
    assert!(places.iter().all(|place| of(place).is_some_and(|access| access.starts_with("r-x"))));
    // While others are made and freed.
    thread::scope(|scope| {
        let makers: Vec<_> = (0..2)
            .map(|k| scope.spawn(move || (0..20).for_each(|_| assert!(compile_and_run(4 + k).is_finite()))))
            .collect();
        while !makers.iter().all(|maker| maker.is_finished()) {
            for (access, range) in mappings() {
                assert!(!(access.contains('w') && access.contains('x')), "{access} {range:x?}");
            }
        }
    });
}

/// Kibibytes of this process that are in memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// In a process of its own, as other tests would be counted as well. `SCHUR_COMPILATIONS` says how many.
#[test]
#[ignore = "is started by the test below; prints resident memory as compilations go on"]
fn resident_memory_of_many_compilations() {
    let count = std::env::var("SCHUR_COMPILATIONS").map_or(200_000, |count| count.parse().unwrap());
    let wanted = compile_and_run(5);
    let steps = 10;
    let mut curve = Vec::new();
    for step in 0..=steps {
        let (maps, kibibytes) = (mappings().len(), resident());
        println!("{:>7} compilations: {kibibytes} KiB resident, {maps} mappings", step * count / steps);
        curve.push(kibibytes);
        if step < steps {
            (0..count / steps).for_each(|_| assert_eq!(compile_and_run(5).to_bits(), wanted.to_bits()));
        }
    }
    // Allocators settle at first; from a fifth on, nothing is kept.
    let (early, late) = (curve[2], curve[steps]);
    assert!(late < early + 2048, "{early} KiB became {late} KiB");
}

#[test]
fn programs_are_freed() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "executable::resident_memory_of_many_compilations", "--ignored", "--nocapture"])
        .env("SCHUR_COMPILATIONS", "1000")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1000 compilations"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
