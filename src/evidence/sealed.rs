//! What a record seals: `evidence` in its canonical form, whatever moved the log.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::merkle::{Hash, leaf_hash};
use super::record::Record;

/// The largest number that every JSON parser reads exactly.
const MAX_NUMBER: u64 = 1 << 53;

/// The content of a record.
#[derive(Debug)]
pub struct Sealed<'a> {
    /// The canonical form.
    pub text: &'a str,
    /// Whether it came in that form.
    pub as_written: bool,
    /// Absent where a later version has written it.
    pub record: Option<Record<'a>>,
    /// The origin of the log that it was written to.
    pub log: Cow<'a, str>,
}

/// Why the content of a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("it does not say to which log it belongs")]
    NoLog,
}

impl<'a> Sealed<'a> {
    /// Reads the text of `evidence`. `buffer` takes the canonical form where the text is not.
    ///
    /// # Errors
    /// Where two parsers could read it differently, or where it says nothing of its log.
    pub fn read(text: &'a str, buffer: &'a mut String) -> Result<Self, NotSealed> {
        // The other kinds are rare, and have numbers that want a closer look.
        if let Ok(record @ Record::Decision(_)) = Record::parse(text)
            && record.canonical()? == text.as_bytes()
        {
            let log = log(&record);
            return Ok(Self { text, as_written: true, record: Some(record), log });
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Strict.deserialize(&mut deserializer)?;
        deserializer.end()?;
        *buffer = serde_json_canonicalizer::to_string(&value)?;
        let as_written = buffer == text;
        let record = Record::parse(buffer).ok();
        let log = match (&record, value) {
            (Some(record), _) => log(record),
            (None, Value::Object(mut members)) => match members.swap_remove("log") {
                Some(Value::String(log)) => Cow::Owned(log),
                _ => return Err(NotSealed::NoLog),
            },
            (None, _) => return Err(NotSealed::NoLog),
        };
        Ok(Self { text: buffer, as_written, record, log })
    }

    /// The leaf hash.
    #[must_use]
    pub fn hash(&self) -> Hash {
        leaf_hash(self.text.as_bytes())
    }
}

fn log<'a>(record: &Record<'a>) -> Cow<'a, str> {
    match record {
        Record::Decision(decision) => decision.log.clone(),
        Record::Start(start) => start.log.clone(),
        Record::Lost(lost) => lost.log.clone(),
    }
}

/// JSON that has one meaning: no member stands twice, and numbers are whole and fit.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number up to 2^53, true, false, an array or an object")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        if value > MAX_NUMBER {
            return Err(E::custom(format_args!("the number {value} is larger than 2^53")));
        }
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_NUMBER {
            return Err(E::custom(format_args!("the number {value} is smaller than -2^53")));
        }
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Strict)?;
            if read.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the member {name:?} stands twice")));
            }
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::Sealed;

    #[test]
    fn the_canonical_form_is_found_again() {
        let canonical = r#"{"a":{"b":[1,true,"é\n"]},"log":"bank.example/relay","type":"later"}"#;
        for (text, as_written) in [
            (canonical, true),
            (
                "{ \"type\": \"later\",\n \"log\": \"bank\\u002eexample\\/relay\", \"a\": {\"b\": [1, true, \"\\u00e9\\u000a\"]}}",
                false,
            ),
        ] {
            let mut buffer = String::new();
            let sealed = Sealed::read(text, &mut buffer).unwrap();
            assert_eq!((sealed.text, sealed.as_written), (canonical, as_written));
            assert!(sealed.record.is_none());
            assert_eq!(sealed.log, "bank.example/relay");
        }
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_not_read() {
        for text in [
            r#"{"log":"a","log":"a"}"#,
            r#"{"log":"a","x":{"b":1,"\u0062":1}}"#,
            r#"{"log":"a","x":1.0}"#,
            r#"{"log":"a","x":1e3}"#,
            r#"{"log":"a","x":-0}"#,
            r#"{"log":"a","x":9007199254740993}"#,
            r#"{"log":"a","x":-9007199254740993}"#,
            r#"{"log":"a","x":null}"#,
            r#"{"log":"a","x":"\ud800"}"#,
            r#"{"log":"a"} {}"#,
            r#"{"log":1}"#,
            r#"{}"#,
            "[]",
            "",
        ] {
            assert!(Sealed::read(text, &mut String::new()).is_err(), "{text}");
        }
        for text in [r#"{"log":"a","x":9007199254740992}"#, r#"{"log":"a","x":"\ud83d\ude00"}"#] {
            assert!(Sealed::read(text, &mut String::new()).is_ok(), "{text}");
        }
    }
}
