//! msgpack (<https://github.com/msgpack/msgpack/blob/master/spec.md>), as far as flax's files need it.
//!
//! The reader borrows what it reads, and never believes a length that is greater than what is left. The writer gives
//! every value the shortest form, as Python's `msgpack` does.

use schur_ir::counted::Counted;

/// Why bytes are no msgpack value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MsgpackFault {
    /// A value needs more bytes than there are.
    #[error("it ends inside a value")]
    End,
    /// No value begins with the byte 0xc1.
    #[error("a value begins with 0xc1")]
    Reserved,
    /// There is more than one value.
    #[error("its end is followed by {}", Counted(*.0, "byte"))]
    Trailing(usize),
}

/// A value, or how many values follow that belong to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Nil,
    Bool,
    Unsigned(u64),
    /// An integer of a signed type.
    Signed,
    Float,
    /// Text, which may not be UTF-8.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Extension(u8, &'a [u8]),
    /// So many values follow.
    List(usize),
    /// So many pairs of a key and a value follow.
    Map(usize),
}

/// Takes values off the front of a slice.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// The next value; of lists and maps, the head.
    pub(super) fn value(&mut self) -> Result<Value<'a>, MsgpackFault> {
        let tag = self.byte()?;
        let above = |first: u8| usize::from(tag.saturating_sub(first));
        Ok(match tag {
            0x00..=0x7f => Value::Unsigned(tag.into()),
            0x80..=0x8f => Value::Map(self.count(above(0x80), 2)?),
            0x90..=0x9f => Value::List(self.count(above(0x90), 1)?),
            0xa0..=0xbf => Value::Text(self.take(above(0xa0))?),
            0xc0 => Value::Nil,
            0xc1 => return Err(MsgpackFault::Reserved),
            0xc2 | 0xc3 => Value::Bool,
            0xc4..=0xc6 => Value::Bytes(self.sized(above(0xc4))?),
            0xc7..=0xc9 => {
                let len = self.len(above(0xc7))?;
                Value::Extension(self.byte()?, self.take(len)?)
            }
            0xca | 0xcb => self.take(4 << above(0xca)).map(|_| Value::Float)?,
            0xcc..=0xcf => Value::Unsigned(self.number(1 << above(0xcc))?),
            0xd0..=0xd3 => self.take(1 << above(0xd0)).map(|_| Value::Signed)?,
            0xd4..=0xd8 => Value::Extension(self.byte()?, self.take(1 << above(0xd4))?),
            0xd9..=0xdb => Value::Text(self.sized(above(0xd9))?),
            0xdc | 0xdd => {
                let len = self.len(above(0xdb))?;
                Value::List(self.count(len, 1)?)
            }
            0xde | 0xdf => {
                let len = self.len(above(0xdd))?;
                Value::Map(self.count(len, 2)?)
            }
            0xe0..=0xff => Value::Signed,
        })
    }

    /// Passes over a value and all that belongs to it.
    pub(super) fn skip(&mut self) -> Result<(), MsgpackFault> {
        let mut values = 1u128;
        while values > 0 {
            values = values.saturating_sub(1);
            match self.value()? {
                Value::List(count) => values = values.saturating_add(count as u128),
                Value::Map(count) => values = values.saturating_add((count as u128).saturating_mul(2)),
                Value::Nil | Value::Bool | Value::Unsigned(_) | Value::Signed | Value::Float => {}
                Value::Text(_) | Value::Bytes(_) | Value::Extension(..) => {}
            }
        }
        Ok(())
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), MsgpackFault> {
        if self.0.is_empty() { Ok(()) } else { Err(MsgpackFault::Trailing(self.0.len())) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], MsgpackFault> {
        let (taken, left) = self.0.split_at_checked(len).ok_or(MsgpackFault::End)?;
        self.0 = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, MsgpackFault> {
        self.take(1)?.first().copied().ok_or(MsgpackFault::End)
    }

    fn number(&mut self, size: usize) -> Result<u64, MsgpackFault> {
        Ok(self.take(size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length of 2^`log` bytes.
    fn len(&mut self, log: usize) -> Result<usize, MsgpackFault> {
        usize::try_from(self.number(1 << log)?).map_err(|_| MsgpackFault::End)
    }

    fn sized(&mut self, log: usize) -> Result<&'a [u8], MsgpackFault> {
        let len = self.len(log)?;
        self.take(len)
    }

    /// Checks that `count` times as many values can follow: each has at least one byte.
    fn count(&self, count: usize, values: usize) -> Result<usize, MsgpackFault> {
        if count.saturating_mul(values) <= self.0.len() { Ok(count) } else { Err(MsgpackFault::End) }
    }
}

/// How the length of a value is written: in its first byte, which is `short` + the length, where the length is less
/// than `below`; else in 1, 2 or 4 bytes behind a tag.
struct Head {
    short: u8,
    below: usize,
    tags: [Option<u8>; 3],
}

const TEXT: Head = Head { short: 0xa0, below: 32, tags: [Some(0xd9), Some(0xda), Some(0xdb)] };
const BYTES: Head = Head { short: 0, below: 0, tags: [Some(0xc4), Some(0xc5), Some(0xc6)] };
const EXTENSION: Head = Head { short: 0, below: 0, tags: [Some(0xc7), Some(0xc8), Some(0xc9)] };
const LIST: Head = Head { short: 0x90, below: 16, tags: [None, Some(0xdc), Some(0xdd)] };
const MAP: Head = Head { short: 0x80, below: 16, tags: [None, Some(0xde), Some(0xdf)] };

/// Appends values to bytes. A length is less than 2^32.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

#[allow(clippy::arithmetic_side_effects, reason = "heads are less than 10 bytes, sizes in them powers of two")]
impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn truth(&mut self) {
        self.0.push(0xc3);
    }

    pub(super) fn unsigned(&mut self, number: u64) {
        let bytes = number.to_be_bytes();
        let log = match number {
            0..0x80 => return self.0.push(bytes[7]),
            0x80..=0xff => 0,
            0x100..=0xffff => 1,
            0x1_0000..=0xffff_ffff => 2,
            _ => 3,
        };
        self.0.push(0xcc + log);
        self.0.extend(bytes.iter().skip(8 - (1 << log)));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.head(&TEXT, text.len());
        self.0.extend(text.as_bytes());
    }

    pub(super) fn list(&mut self, count: usize) {
        self.head(&LIST, count);
    }

    pub(super) fn map(&mut self, count: usize) {
        self.head(&MAP, count);
    }

    /// The head of so many bytes, which are to follow.
    pub(super) fn bytes(&mut self, len: usize) {
        self.head(&BYTES, len);
    }

    /// The head of an extension of so many bytes, which are to follow.
    pub(super) fn extension(&mut self, kind: u8, len: usize) {
        match [1, 2, 4, 8, 16].iter().position(|fixed| *fixed == len) {
            Some(log) => self.0.push(0xd4 + log as u8),
            None => self.head(&EXTENSION, len),
        }
        self.0.push(kind);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    #[allow(
        clippy::expect_used,
        reason = "arrays are cut in chunks and names are short, and four bytes hold any such length"
    )]
    fn head(&mut self, head: &Head, len: usize) {
        if len < head.below {
            return self.0.push(head.short + len as u8);
        }
        let bytes = u32::try_from(len).expect("a length is less than 2^32").to_be_bytes();
        let fits = |(log, tag): (usize, &Option<u8>)| {
            tag.filter(|_| (len as u64) >> (8 << log) == 0).map(|tag| (tag, 1 << log))
        };
        let (tag, size) = head.tags.iter().enumerate().find_map(fits).expect("four bytes hold any length");
        self.0.push(tag);
        self.0.extend(bytes.iter().skip(4 - size));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.into_bytes()
    }

    fn read(bytes: &[u8]) -> Result<Value<'_>, MsgpackFault> {
        let mut reader = Reader::new(bytes);
        let value = reader.value()?;
        reader.end().map(|()| value)
    }

    #[test]
    fn numbers_have_the_shortest_form() {
        let forms: [(u64, &[u8]); 8] = [
            (0, &[0]),
            (127, &[0x7f]),
            (128, &[0xcc, 128]),
            (256, &[0xcd, 1, 0]),
            (0xffff, &[0xcd, 0xff, 0xff]),
            (0x1_0000, &[0xce, 0, 1, 0, 0]),
            (0xffff_ffff, &[0xce, 0xff, 0xff, 0xff, 0xff]),
            (0x1_0000_0000, &[0xcf, 0, 0, 0, 1, 0, 0, 0, 0]),
        ];
        for (number, form) in forms {
            assert_eq!(written(|w| w.unsigned(number)), form);
            assert_eq!(read(form), Ok(Value::Unsigned(number)));
        }
    }

    #[test]
    fn lengths_have_the_shortest_form() {
        let text = |len: usize| written(|w| w.text(&"a".repeat(len)));
        assert_eq!(text(31)[..2], *b"\xbfa");
        assert_eq!(text(32)[..3], *b"\xd9\x20a");
        assert_eq!(text(256)[..4], *b"\xda\x01\x00a");
        assert_eq!(text(65536)[..6], *b"\xdb\x00\x01\x00\x00a");
        assert_eq!(read(&text(65536)), Ok(Value::Text(&[b'a'; 65536])));
        assert_eq!([15, 16].map(|n| written(|w| w.map(n))).concat(), *b"\x8f\xde\x00\x10");
        assert_eq!(written(|w| w.list(65536)), *b"\xdd\x00\x01\x00\x00");
        assert_eq!(written(|w| w.bytes(0)), *b"\xc4\x00");
        assert_eq!(written(|w| w.extension(1, 16)), *b"\xd8\x01");
        assert_eq!(written(|w| w.extension(1, 17)), *b"\xc7\x11\x01");
    }

    #[test]
    fn lengths_are_not_believed() {
        // Text, bytes, an extension, a list and a map that all claim 4 GiB; the last two by what must follow at least.
        for tag in [0xdb, 0xc6, 0xc9, 0xdd, 0xdf] {
            assert_eq!(read(&[tag, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), Err(MsgpackFault::End), "{tag:x}");
        }
        assert_eq!(read(&[0x82, 0, 0, 0]), Err(MsgpackFault::End));
        assert_eq!(read(&[0xc1]), Err(MsgpackFault::Reserved));
        assert_eq!(read(&[0xc0, 0, 0]), Err(MsgpackFault::Trailing(2)));
    }

    #[test]
    fn any_depth_is_passed_over() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            reader.skip().and_then(|()| reader.end())
        };
        // [[…[nil]…]], then {-1: {2.0: […]}} with a signed and a float of each size.
        let mut deep = vec![0x91; 1_000_000];
        assert_eq!(skip(&deep), Err(MsgpackFault::End));
        deep.push(0xc0);
        assert_eq!(skip(&deep), Ok(()));
        assert_eq!(skip(b"\x82\xff\x81\xca\0\0\0\0\x92\xcb\0\0\0\0\0\0\0\0\xd1\0\0\xd0\0\xc2"), Ok(()));
    }
}
