//! Bodies in JSON (RFC 8259), read only where everybody reads the same.
//!
//! `serde_json` reads; this refuses what it would let pass and another parser would take for something else: a member
//! that stands twice, a number that a double cannot hold, a byte order mark, text after the value.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::decimal::{Decimal, survives_double};
use super::value::{Object, Twin, Value};
use crate::denial::{Code, Denial, quoted};

/// How deep lists and objects may nest.
const MAX_DEPTH: usize = 64;

/// Reads a body.
///
/// # Errors
/// `body-ambiguous` where two parsers could read it differently, `condition-failed` where it is no JSON.
pub(super) fn parse(body: &[u8], most: usize) -> Result<Value<'_>, Denial> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(ambiguous("it begins with a byte order mark"));
    }
    let text = std::str::from_utf8(body).map_err(|_| ambiguous("it is not UTF-8"))?;
    let reading =
        Reading { numbers: RefCell::new(Numbers(text)), left: Cell::new(most), problem: RefCell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Seed { reading: &reading, depth: 0 }.deserialize(&mut deserializer);
    if let Some(problem) = reading.problem.into_inner() {
        return Err(problem);
    }
    match value {
        Ok(value) => {
            deserializer.end().map_err(|_| ambiguous("there is text after the value"))?;
            Ok(value)
        }
        // The reader gives up at a number that no double can hold, which others may take as it stands.
        Err(_) if Numbers(text).any(|number| number.parse().is_ok_and(f64::is_infinite)) => {
            Err(ambiguous("a number in it is too large for some parsers"))
        }
        Err(error) => {
            let detail = format!("the policy looks into the body, which is not JSON: {error}");
            Err(Denial::new(Code::ConditionFailed, detail))
        }
    }
}

pub(super) fn ambiguous(reason: &str) -> Denial {
    Denial::new(Code::BodyAmbiguous, format!("two parsers could read the body differently: {reason}"))
}

struct Reading<'v> {
    numbers: RefCell<Numbers<'v>>,
    /// How many values may still come. Each takes memory many times its text: a body may come from anybody.
    left: Cell<usize>,
    problem: RefCell<Option<Denial>>,
}

impl<'v> Reading<'v> {
    /// The number that is being read, by its text: the reader itself only knows doubles and whole numbers of 64 bits.
    fn number<E: serde::de::Error>(&self) -> Result<Value<'v>, E> {
        let text = self.numbers.borrow_mut().next().ok_or_else(|| E::custom("a number without digits"))?;
        match Decimal::parse(text) {
            Some(exact) if survives_double(text, exact) => Ok(Value::Number(exact)),
            _ => Err(self.refuse(ambiguous(&format!("the number {} loses digits in some", quoted(text))))),
        }
    }

    fn refuse<E: serde::de::Error>(&self, denial: Denial) -> E {
        *self.problem.borrow_mut() = Some(denial);
        E::custom("refused")
    }
}

/// The texts of the numbers in a JSON text, in order.
struct Numbers<'v>(&'v str);

impl<'v> Iterator for Numbers<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        loop {
            let start = self.0.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            let (_, rest) = self.0.split_at_checked(start)?;
            if let Some(string) = rest.strip_prefix('"') {
                self.0 = after_string(string)?;
                continue;
            }
            let is_part = |c: char| matches!(c, '-' | '+' | '.' | 'e' | 'E') || c.is_ascii_digit();
            let (number, rest) = rest.split_at_checked(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))?;
            self.0 = rest;
            return Some(number);
        }
    }
}

/// What follows a string of which the first quotation mark is gone.
fn after_string(mut text: &str) -> Option<&str> {
    loop {
        let (_, rest) = text.split_at_checked(text.find(['"', '\\'])?)?;
        match rest.strip_prefix('"') {
            Some(rest) => return Some(rest),
            // Whatever is escaped, a quotation mark too, is of one byte.
            None => text = rest.get(2..)?,
        }
    }
}

struct Seed<'r, 'v> {
    reading: &'r Reading<'v>,
    depth: usize,
}

impl<'v> Seed<'_, 'v> {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            let detail = format!("the policy looks into the body, which is nested deeper than {MAX_DEPTH}");
            return Err(self.reading.refuse(Denial::new(Code::ConditionFailed, detail)));
        }
        Ok(Self { reading: self.reading, depth: self.depth + 1 })
    }
}

impl<'v> DeserializeSeed<'v> for Seed<'_, 'v> {
    type Value = Value<'v>;

    fn deserialize<D: serde::Deserializer<'v>>(self, deserializer: D) -> Result<Value<'v>, D::Error> {
        let Some(left) = self.reading.left.get().checked_sub(1) else {
            let detail = "the policy's condition costs too much to evaluate: the body has too many values";
            let denial =
                Denial::new(Code::ConditionFailed, detail).with_particulars("limits.condition_steps");
            return Err(self.reading.refuse(denial));
        };
        self.reading.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'v> Visitor<'v> for Seed<'_, 'v> {
    type Value = Value<'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'v>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'v>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Value<'v>, E> {
        self.reading.number()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Value<'v>, E> {
        self.reading.number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value<'v>, E> {
        self.reading.number()
    }

    fn visit_borrowed_str<E>(self, text: &'v str) -> Result<Value<'v>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'v>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'v>>(self, mut sequence: A) -> Result<Value<'v>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::List(Arc::new(values)))
    }

    fn visit_map<A: MapAccess<'v>>(self, mut members: A) -> Result<Value<'v>, A::Error> {
        let mut read = Vec::new();
        while let Some(Name(name)) = members.next_key_seed(NameSeed)? {
            let value = members.next_value_seed(self.inner()?)?;
            read.push((name, value));
        }
        match Object::new(read) {
            Ok(object) => Ok(Value::Object(Arc::new(object))),
            Err(Twin(name)) => {
                let name = quoted(&name);
                let reason = format!("the member {name} stands twice, or once more in another spelling");
                Err(self.reading.refuse(ambiguous(&reason)))
            }
        }
    }
}

/// A member's name, borrowed where nothing in it is escaped.
struct Name<'v>(Cow<'v, str>);

struct NameSeed;

impl<'v> DeserializeSeed<'v> for NameSeed {
    type Value = Name<'v>;

    fn deserialize<D: serde::Deserializer<'v>>(self, deserializer: D) -> Result<Name<'v>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'v> Visitor<'v> for NameSeed {
    type Value = Name<'v>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'v str) -> Result<Name<'v>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Name<'v>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}
