//! Tokens of the text form. Space and comments (`#` to the end of the line) may stand before any of them.

use winnow::ascii::{digit1, hex_digit1, multispace1, till_line_ending};
use winnow::combinator::{alt, delimited, opt, preceded, repeat};
use winnow::error::ParserError;
use winnow::stream::{LocatingSlice, Location, Stream};
use winnow::token::{any, none_of, one_of, take_while};
use winnow::{Parser, Result};

use super::is_name_char;
use crate::expr::Scalar;

/// The text that is left.
pub(super) type Input<'a> = LocatingSlice<&'a str>;

/// What a parser gives.
pub(super) type Parsed<T> = Result<T, Fault>;

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Reason,
}

/// What is wrong with a text.
#[derive(Debug)]
pub(super) enum Reason {
    /// Something else should stand here.
    Expected(&'static str),
    /// What stands here is not allowed.
    Wrong(String),
}

impl Fault {
    pub(super) fn wrong<T>(at: usize, reason: impl Into<String>) -> Parsed<T> {
        Err(Fault { at, reason: Reason::Wrong(reason.into()) })
    }
}

impl<'a> ParserError<Input<'a>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        Fault { at: input.current_token_start(), reason: Reason::Expected("a token") }
    }

    fn into_inner(self) -> std::result::Result<Self::Inner, Self> {
        Ok(self)
    }
}

/// The place of the next token.
pub(super) fn here(input: &mut Input<'_>) -> Parsed<usize> {
    let comment = ('#', till_line_ending).void();
    repeat::<_, _, (), _, _>(0.., alt((multispace1.void(), comment))).parse_next(input)?;
    Ok(input.current_token_start())
}

/// A token: `parser`, or the fault that `what` is expected where it would start.
pub(super) fn token<'a, T>(
    input: &mut Input<'a>,
    what: &'static str,
    mut parser: impl Parser<Input<'a>, T, Fault>,
) -> Parsed<T> {
    let at = here(input)?;
    parser.parse_next(input).map_err(|_| Fault { at, reason: Reason::Expected(what) })
}

/// True where the next token starts with `text`.
pub(super) fn next_is(input: &mut Input<'_>, text: &str) -> Parsed<bool> {
    here(input)?;
    Ok(input.starts_with(text))
}

/// Takes a punctuation mark.
pub(super) fn mark(input: &mut Input<'_>, text: &'static str) -> Parsed<()> {
    token(input, text, text.void())
}

/// Takes a punctuation mark if it is there.
pub(super) fn maybe(input: &mut Input<'_>, text: &'static str) -> Parsed<bool> {
    let there = next_is(input, text)?;
    if there {
        mark(input, text)?;
    }
    Ok(there)
}

/// Takes a keyword if it is there, as a whole word.
pub(super) fn maybe_word(input: &mut Input<'_>, text: &'static str) -> Parsed<bool> {
    here(input)?;
    let start = input.checkpoint();
    let there = opt(take_while(1.., is_name_char)).parse_next(input)? == Some(text);
    if !there {
        input.reset(&start);
    }
    Ok(there)
}

/// An identifier or keyword.
pub(super) fn word<'a>(input: &mut Input<'a>, what: &'static str) -> Parsed<&'a str> {
    let first = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    token(input, what, (first, take_while(0.., is_name_char)).take())
}

/// A natural number that fits its type.
pub(super) fn number<T: std::str::FromStr>(input: &mut Input<'_>, what: &'static str) -> Parsed<T> {
    let at = here(input)?;
    let digits: &str = token(input, what, digit1)?;
    digits.parse().or_else(|_| Fault::wrong(at, format!("`{digits}` is too large")))
}

/// An integer with an optional sign.
pub(super) fn integer(input: &mut Input<'_>) -> Parsed<i64> {
    let at = here(input)?;
    let digits: &str = token(input, "an integer", (opt('-'), digit1).take())?;
    digits.parse().or_else(|_| Fault::wrong(at, format!("`{digits}` is too large")))
}

/// True where the next token is a [`scalar`].
pub(super) fn next_is_scalar(input: &mut Input<'_>) -> Parsed<bool> {
    here(input)?;
    let text = input.strip_prefix('-').unwrap_or(input);
    Ok(["inf", "NaN"].iter().any(|w| text.starts_with(w)) || text.starts_with(|c: char| c.is_ascii_digit()))
}

/// A floating-point constant: `0.125`, `-1e-7`, `inf`, `NaN`, or a NaN with its bits, `NaN(fff8000000000000)`.
pub(super) fn scalar(input: &mut Input<'_>) -> Parsed<Scalar> {
    let bits = preceded("NaN", delimited('(', hex_digit1, ')'));
    let bits = bits.verify_map(|digits: &str| u64::from_str_radix(digits, 16).ok().map(f64::from_bits));
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    let decimal = (opt('-'), digit1, opt(('.', digit1)), opt(exponent)).take();
    let named = alt((("-", "inf").take(), "inf", "NaN"));
    let value = alt((bits, alt((decimal, named)).verify_map(|text: &str| text.parse().ok())));
    token(input, "a number", value).map(Scalar)
}

fn escaped_char(input: &mut Input<'_>) -> Parsed<char> {
    let code = delimited("u{", take_while(1..=6, |c: char| c.is_ascii_hexdigit()), '}');
    let code = code.verify_map(|digits| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32));
    preceded('\\', alt((code, one_of(['"', '\'', '\\'])))).parse_next(input)
}

/// A text in double quotes.
pub(super) fn quoted(input: &mut Input<'_>, what: &'static str) -> Parsed<String> {
    let plain = none_of(['"', '\\', '\n']);
    let text = repeat(0.., alt((plain, escaped_char))).fold(String::new, |mut text, c| {
        text.push(c);
        text
    });
    token(input, what, delimited('"', text, '"'))
}

/// An identifier, or any text in double quotes.
pub(super) fn name(input: &mut Input<'_>, what: &'static str) -> Parsed<String> {
    if next_is(input, "\"")? { quoted(input, what) } else { word(input, what).map(str::to_string) }
}

/// The letter of an axis.
pub(super) fn letter(input: &mut Input<'_>) -> Parsed<char> {
    let any_char = delimited('\'', alt((none_of(['\'', '\\', '\n']), escaped_char)), '\'');
    token(input, "the letter of an axis", alt((any_char, any.verify(|c: &char| c.is_alphabetic()))))
}
