#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| schur_fuzz::Target::Graph.run(data));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Every other time a graph, where it is one, the others its bytes.
    let edited = (seed % 2 == 0).then(|| schur_fuzz::edited(&data[..size], u64::from(seed))).flatten();
    match edited {
        Some(text) if text.len() <= max_size => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
});
