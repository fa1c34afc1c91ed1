//! JSON text (RFC 8259) as a tree. A byte order mark is passed over; a key given twice is an error.

use indexmap::map;

use super::Problem;
use super::error::MAX_PROBLEMS;
use super::tree::{Entry, Node, Table, Value};

/// How deep lists and objects may nest.
const MAX_DEPTH: usize = 128;

/// Reads a JSON document.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut parser = Parser { text, at: start, depth: 0, duplicates: Vec::new() };
    match parser.document() {
        Ok(node) if parser.duplicates.is_empty() => Ok(node),
        Ok(_) => Err(parser.duplicates),
        Err(problem) => Err(parser.duplicates.into_iter().chain([problem]).collect()),
    }
}

/// A cursor over the text, always on a character boundary.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    duplicates: Vec<Problem>,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Node, Problem> {
        let node = self.value()?;
        self.space();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.unexpected("the end of the file")),
        }
    }

    fn value(&mut self) -> Result<Node, Problem> {
        self.space();
        let start = self.at;
        let value = match self.peek() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::array)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some('a'..='z' | 'A'..='Z') => self.literal()?,
            Some(_) | None => return Err(self.unexpected("a value")),
        };
        Ok(Node { span: start..self.at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Problem>) -> Result<Value, Problem> {
        if self.depth == MAX_DEPTH {
            let message = format!("lists and objects nest deeper than {MAX_DEPTH}");
            return Err(Problem::new(message, "too deep", self.at..self.at + 1));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// What follows `{`.
    fn object(&mut self) -> Result<Value, Problem> {
        let mut table = Table::new();
        if self.skip('}') {
            return Ok(Value::Table(table));
        }
        loop {
            self.space();
            let start = self.at;
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            if !self.skip(':') {
                return Err(self.unexpected("`:`"));
            }
            let node = self.value()?;
            match table.entry(key) {
                map::Entry::Vacant(place) => {
                    place.insert(Entry { key_span, node });
                }
                map::Entry::Occupied(_) if self.duplicates.len() == MAX_PROBLEMS => {}
                map::Entry::Occupied(first) => {
                    let line = self.text[..first.get().key_span.start].matches('\n').count() + 1;
                    let message = format!("the key `{}` is given twice", first.key());
                    self.duplicates.push(
                        Problem::new(message, "given again", key_span).with_help(format!("it stands in line {line}")),
                    );
                }
            }
            if self.skip('}') {
                return Ok(Value::Table(table));
            }
            if !self.skip(',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    /// What follows `[`.
    fn array(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        if self.skip(']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.skip(']') {
                return Ok(Value::Array(items));
            }
            if !self.skip(',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let mut out = String::new();
        self.at += 1;
        loop {
            match self.peek() {
                None | Some('\n' | '\r') => {
                    return Err(Problem::new("this string does not end on its line", "starts here", start..start + 1));
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some('\\') => out.push(self.escape()?),
                Some(c) if c < ' ' => {
                    let message = "a control character in a string must be escaped";
                    return Err(Problem::new(message, "control character", self.at..self.at + 1));
                }
                Some(c) => {
                    out.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
    }

    /// An escape, from its backslash on.
    fn escape(&mut self) -> Result<char, Problem> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek().unwrap_or(' ');
        self.at += self.peek().map_or(0, char::len_utf8);
        let c = match letter {
            '"' | '\\' | '/' => Some(letter),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => self.unicode_escape(),
            _ => None,
        };
        c.ok_or_else(|| Problem::new("this is not an escape of JSON", "not an escape", start..self.at))
    }

    /// The digits behind `\u`, and the second half of a surrogate pair.
    fn unicode_escape(&mut self) -> Option<char> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        if !self.text[self.at..].starts_with("\\u") {
            return None;
        }
        self.at += 2;
        let low = self.hex4().filter(|low| (0xdc00..0xe000).contains(low))?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let start = self.at;
        self.take('-');
        let well_formed = (self.take('0') || self.digits())
            && (!self.take('.') || self.digits())
            && (!(self.take('e') || self.take('E')) || {
                let _sign = self.take('+') || self.take('-');
                self.digits()
            });
        if !well_formed {
            return Err(self.unexpected("a digit"));
        }
        let text = &self.text[start..self.at];
        let too_large = |what| Problem::new(format!("this {what} is too large"), "too large", start..self.at);
        if text.contains(['.', 'e', 'E']) {
            let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
            float.map(Value::Float).ok_or_else(|| too_large("number"))
        } else {
            text.parse().map(Value::Int).map_err(|_| too_large("integer"))
        }
    }

    fn literal(&mut self) -> Result<Value, Problem> {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => {
                let message = format!("this is not JSON: expected a value, found `{word}`");
                let problem = Problem::new(message, "not a value", self.at..self.at + word.len());
                return Err(
                    problem.with_help("strings are in double quotes; other values are numbers, true, false, null")
                );
            }
        };
        self.at += word.len();
        Ok(value)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Passes over `c` if it is next.
    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Passes over space, then over `c` if it is next.
    fn skip(&mut self, c: char) -> bool {
        self.space();
        self.take(c)
    }

    /// Passes over digits; false where there is none.
    fn digits(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        self.at += length;
        length > 0
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let (found, length) = match self.peek() {
            Some(c) if c.is_control() => (format!("`{}`", c.escape_default()), c.len_utf8()),
            Some(c) => (format!("`{c}`"), c.len_utf8()),
            None => ("the end of the file".into(), 0),
        };
        let message = format!("this is not JSON: expected {expected}, found {found}");
        Problem::new(message, format!("expected {expected}"), self.at..self.at + length)
    }
}
