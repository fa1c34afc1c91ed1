//! The bytes of a file: a header with what it is named for, functions, and a hash of all that.

use std::collections::HashMap;

use cranelift_codegen::binemit::Reloc;
use sha2::{Digest, Sha256};

use super::key::Key;
use crate::codegen::{Call, MachineCode};

/// What a file begins with; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"schur c\x01";
/// The bytes of a hash.
const HASH: usize = 32;
/// The bytes of the address that a call is given.
const ADDRESS: usize = 8;
/// The largest alignment that code may ask for: that of a page.
const MOST_ALIGNED: u32 = 4096;

/// The file of this name with these functions; none where one of them calls in a way that files do not know.
pub(super) fn encode(name: Key, functions: &[(Key, &MachineCode)]) -> Option<Vec<u8>> {
    let mut file: Vec<u8> = MAGIC.into_iter().chain(name.0).collect();
    file.extend(u32::try_from(functions.len()).ok()?.to_le_bytes());
    for (key, code) in functions {
        file.extend(key.0);
        put(code, &mut file)?;
    }
    let hash = Sha256::digest(&file);
    file.extend_from_slice(&hash);
    Some(file)
}

/// The functions of the file of this name; none where the bytes are not such a file.
pub(super) fn decode(file: &[u8], name: Key) -> Option<HashMap<Key, MachineCode>> {
    let (content, hash) = file.split_last_chunk::<HASH>()?;
    let mut rest = content.strip_prefix(&MAGIC)?.strip_prefix(&name.0)?;
    if Sha256::digest(content)[..] != hash[..] {
        return None;
    }
    let mut functions = HashMap::new();
    for _ in 0..number(&mut rest)? {
        functions.insert(Key(chunk(&mut rest)?), take(&mut rest)?);
    }
    rest.is_empty().then_some(functions)
}

/// Puts a function at the end.
fn put(MachineCode { bytes, align, calls }: &MachineCode, file: &mut Vec<u8>) -> Option<()> {
    let numbers = [u32::try_from(*align).ok()?, calls.len().try_into().ok()?, bytes.len().try_into().ok()?];
    file.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    for Call { section, offset, kind, addend } in calls {
        if *kind != Reloc::Abs8 {
            return None;
        }
        file.extend([section, offset].into_iter().flat_map(|number| number.to_le_bytes()));
        file.extend(addend.to_le_bytes());
    }
    file.extend_from_slice(bytes);
    Some(())
}

/// Takes a function off the front; none where it is not there, or does not hold together.
fn take(rest: &mut &[u8]) -> Option<MachineCode> {
    let [align, calls, length] = [number(rest)?, number(rest)?, number(rest)?];
    let calls = (0..calls).map(|_| call(rest)).collect::<Option<Vec<Call>>>()?;
    let (bytes, after) = rest.split_at_checked(length as usize)?;
    *rest = after;
    let is_inside = |call: &Call| (call.offset as usize).checked_add(ADDRESS).is_some_and(|end| end <= bytes.len());
    let is_sound = align.is_power_of_two() && align <= MOST_ALIGNED && calls.iter().all(is_inside);
    is_sound.then(|| MachineCode { bytes: bytes.to_vec(), align: align.into(), calls })
}

/// Takes a call off the front.
fn call(rest: &mut &[u8]) -> Option<Call> {
    let [section, offset] = [number(rest)?, number(rest)?];
    Some(Call { section, offset, kind: Reloc::Abs8, addend: i64::from_le_bytes(chunk(rest)?) })
}

/// Takes a number off the front.
fn number(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(chunk(rest)?))
}

/// Takes so many bytes off the front.
fn chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: Key = Key([7; HASH]);
    const FUNCTION: Key = Key([3; HASH]);

    fn code(calls: Vec<Call>) -> MachineCode {
        MachineCode { bytes: (0..40).collect(), align: 16, calls }
    }

    fn to(section: u32, offset: u32) -> Call {
        Call { section, offset, kind: Reloc::Abs8, addend: -4 }
    }

    /// The file of one function.
    fn file(code: &MachineCode) -> Vec<u8> {
        encode(NAME, &[(FUNCTION, code)]).unwrap()
    }

    #[test]
    fn files_hold_functions() {
        let codes = [code(Vec::new()), code(vec![to(2, 0), to(0, 32)]), MachineCode { align: 64, ..code(Vec::new()) }];
        let functions: Vec<(Key, &MachineCode)> =
            codes.iter().enumerate().map(|(k, code)| (Key([k as u8; HASH]), code)).collect();
        for few in 0..=functions.len() {
            let found = decode(&encode(NAME, &functions[..few]).unwrap(), NAME).unwrap();
            let wanted = functions[..few].iter().map(|(key, code)| (*key, (*code).clone()));
            assert_eq!(found, wanted.collect());
        }
    }

    #[test]
    fn calls_are_inside_the_code() {
        for call in [to(0, 33), to(0, u32::MAX)] {
            assert_eq!(decode(&file(&code(vec![to(0, 0), call])), NAME), None);
        }
        let relative = Call { kind: Reloc::X86PCRel4, ..to(0, 0) };
        assert_eq!(encode(NAME, &[(FUNCTION, &code(vec![relative]))]), None);
    }

    #[test]
    fn alignments_are_those_of_memory() {
        for align in [0, 3, 8192] {
            assert_eq!(decode(&file(&MachineCode { align, ..code(Vec::new()) }), NAME), None);
        }
    }

    #[test]
    fn counts_that_the_file_does_not_hold_are_refused() {
        let file = file(&code(vec![to(0, 8)]));
        // Of functions; of calls and of bytes, behind the function's key and alignment.
        let functions = MAGIC.len() + HASH;
        for place in [functions, functions + 4 + HASH + 4, functions + 4 + HASH + 8] {
            for count in [0, 2, 1 << 20, u32::MAX] {
                let mut content = file[..file.len() - HASH].to_vec();
                content[place..place + 4].copy_from_slice(&count.to_le_bytes());
                let hash = Sha256::digest(&content);
                assert_eq!(decode(&[&content[..], &hash[..]].concat(), NAME), None, "{count} at {place}");
            }
        }
    }

    #[test]
    fn what_is_damaged_or_of_another_program_is_refused() {
        let file = file(&code(vec![to(1, 8)]));
        assert!((0..file.len()).all(|length| decode(&file[..length], NAME).is_none()));
        assert_eq!(decode(&file, Key([8; HASH])), None);
        let damaged = |place: usize| {
            let mut file = file.clone();
            file[place] ^= 1;
            decode(&file, NAME)
        };
        assert!((0..file.len()).all(|place| damaged(place).is_none()));
    }
}
