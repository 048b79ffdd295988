//! The lines of a log: how the relay writes them, and how they are read again, whatever moved them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::borrow::Cow;
use std::fmt;

use base64ct::{Base64, Encoding as _};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::merkle::Hash;

/// The base64 of a hash is so long.
const HASH_TEXT: usize = 44;

/// Appends the line of a record, line feed included. `evidence` is its canonical form, `hash` its leaf hash.
pub fn record_line(out: &mut Vec<u8>, evidence: &[u8], hash: &Hash, index: u64) {
    out.reserve(evidence.len().saturating_add(HASH_TEXT + 64));
    out.extend_from_slice(b"{\"evidence\":");
    out.extend_from_slice(evidence);
    out.extend_from_slice(b",\"hash\":");
    push_hash(out, hash);
    out.extend_from_slice(b",\"index\":");
    // Memory takes every write.
    let _ = serde_json::to_writer(&mut *out, &index);
    out.extend_from_slice(b"}\n");
}

/// Appends the line of a checkpoint, line feed included. Without `range` where a cosignature comes later.
pub fn checkpoint_line(out: &mut Vec<u8>, note: &str, range: Option<&[Hash]>) {
    out.extend_from_slice(b"{\"checkpoint\":");
    // Escapes what JCS escapes, and in the same way (RFC 8785 §3.2.2.2). Memory takes every write.
    let _ = serde_json::to_writer(&mut *out, note);
    if let Some(range) = range {
        out.extend_from_slice(b",\"range\":[");
        for (position, hash) in range.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            push_hash(out, hash);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}\n");
}

fn push_hash(out: &mut Vec<u8>, hash: &Hash) {
    let mut text = [0; HASH_TEXT];
    // 32 bytes fit exactly.
    let text = Base64::encode(hash, &mut text).unwrap_or_default();
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A JSON value of a log.
#[derive(Debug)]
pub enum Line<'a> {
    Record(RecordLine<'a>),
    Checkpoint(CheckpointLine<'a>),
    /// An object of somebody else: it has neither `evidence` nor `checkpoint`.
    Foreign,
}

/// A record with what stands beside it. What was damaged there is absent: the rest may still tell where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLine<'a> {
    /// The text of `evidence`, as it came.
    pub evidence: &'a str,
    pub hash: Option<Hash>,
    pub index: Option<u64>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointLine<'a> {
    /// The signed note.
    pub note: Cow<'a, str>,
    pub range: Range,
}

/// The roots of the full subtrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    Absent,
    Present(Vec<Hash>),
    /// It is no array of hashes.
    Damaged,
}

impl<'a> Line<'a> {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// When it is none, when a member of a line stands in it twice, and when it is a record and a checkpoint at once.
    pub fn read(value: &'a str) -> Result<Self, serde_json::Error> {
        if let Some(line) = RecordLine::read_as_written(value) {
            return Ok(Self::Record(line));
        }
        use serde::de::Error as _;
        let Members { evidence, hash, index, checkpoint, range } = serde_json::from_str(value)?;
        match (evidence, checkpoint) {
            (Some(evidence), None) => Ok(Self::Record(RecordLine {
                evidence: evidence.get(),
                hash: hash.and_then(|raw| read_hash(raw.get())),
                index: index.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            })),
            (None, Some(note)) => Ok(Self::Checkpoint(CheckpointLine {
                note: serde_json::from_str::<Text<'a>>(note.get())?.0,
                range: range.map_or(Range::Absent, |raw| Range::read(raw.get())),
            })),
            (None, None) => Ok(Self::Foreign),
            (Some(_), Some(_)) => Err(serde_json::Error::custom("a record and a checkpoint in one object")),
        }
    }
}

impl<'a> RecordLine<'a> {
    /// Takes a line as [`record_line`] writes it apart, without looking into `evidence`: whether that is one JSON value
    /// is seen when it is read. A member too many would make it none.
    fn read_as_written(value: &'a str) -> Option<Self> {
        let (head, index) = value.strip_suffix('}')?.rsplit_once(",\"index\":")?;
        let (head, hash) = head.split_at_checked(head.len().checked_sub(HASH_TEXT + 2)?)?;
        let evidence = head.strip_suffix(",\"hash\":")?.strip_prefix("{\"evidence\":")?;
        if index.is_empty() || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Two members in a row would look like one here.
        serde_json::from_str::<&RawValue>(evidence).ok()?;
        Some(Self { evidence, hash: Some(read_hash(hash)?), index: Some(serde_json::from_str(index).ok()?) })
    }

    /// What can be saved of a text that is no JSON any more, so that the tree can still say what stood there.
    #[must_use]
    pub fn salvage(text: &'a str) -> Option<Self> {
        const EVIDENCE: &str = "{\"evidence\":";
        let begin = text.find(EVIDENCE)?.checked_add(EVIDENCE.len())?;
        let text = text.get(begin..)?;
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let evidence = match values.next() {
            Some(Ok(value)) => value.get(),
            _ => "",
        };
        let after = |name: &str| text.rsplit_once(name).map(|(_, rest)| rest);
        let hash = after("\"hash\":").and_then(|rest| read_hash(rest.get(..HASH_TEXT + 2)?));
        let index = after("\"index\":").and_then(|rest| {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.get(..digits)?.parse().ok()
        });
        Some(Self { evidence, hash, index })
    }
}

impl Range {
    fn read(raw: &str) -> Self {
        let texts: Option<Vec<Text<'_>>> = serde_json::from_str(raw).ok();
        let hashes = texts.and_then(|texts| texts.iter().map(|text| decode_hash(&text.0)).collect());
        hashes.map_or(Self::Damaged, Self::Present)
    }
}

fn read_hash(raw: &str) -> Option<Hash> {
    decode_hash(&serde_json::from_str::<Text<'_>>(raw).ok()?.0)
}

fn decode_hash(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    (Base64::decode(text, &mut hash).ok()?.len() == 32).then_some(hash)
}

/// A string, borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members that the lines of a log have, of either kind.
#[derive(Default)]
struct Members<'a> {
    evidence: Option<&'a RawValue>,
    hash: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
    checkpoint: Option<&'a RawValue>,
    range: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        use serde::de::Error as _;
        let mut members = Members::default();
        while let Some(Text(name)) = map.next_key()? {
            let slot = match name.as_ref() {
                "evidence" => &mut members.evidence,
                "hash" => &mut members.hash,
                "index" => &mut members.index,
                "checkpoint" => &mut members.checkpoint,
                "range" => &mut members.range,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("the member \"{name}\" stands twice")));
            }
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckpointLine, Line, Range, RecordLine, checkpoint_line, record_line};

    const HASH: [u8; 32] = [0xab; 32];
    const TEXT: &str = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=";

    fn record(text: &str) -> Option<RecordLine<'_>> {
        match Line::read(text).ok()? {
            Line::Record(line) => Some(line),
            _ => None,
        }
    }

    #[test]
    fn lines_are_written_as_the_canonical_form_has_them_and_read_again() {
        let mut out = Vec::new();
        record_line(&mut out, br#"{"a":"}"}"#, &HASH, 17);
        let line = format!("{{\"evidence\":{{\"a\":\"}}\"}},\"hash\":\"{TEXT}\",\"index\":17}}\n");
        assert_eq!(String::from_utf8(out).unwrap(), line);
        let expected = RecordLine { evidence: r#"{"a":"}"}"#, hash: Some(HASH), index: Some(17) };
        assert_eq!(record(line.trim_end()), Some(expected));

        let note = "log\n1\nroot\n\n— log AAAA\n\u{1}\"";
        for range in [None, Some(&[][..]), Some(&[HASH][..]), Some(&[HASH, [0; 32]][..])] {
            let mut out = Vec::new();
            checkpoint_line(&mut out, note, range);
            let text = String::from_utf8(out).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json_canonicalizer::to_string(&value).unwrap() + "\n", text);
            let Ok(Line::Checkpoint(read)) = Line::read(text.trim_end()) else { panic!("{text}") };
            let range = range.map_or(Range::Absent, |range| Range::Present(range.to_vec()));
            assert_eq!(read, CheckpointLine { note: note.into(), range });
        }
    }

    #[test]
    fn members_may_stand_in_any_order_among_others_but_not_twice() {
        let text = format!(r#" {{"index": 3, "x": [1e9], "h\u0061sh": "{TEXT}", "evidence" : {{ }} }} "#);
        let expected = RecordLine { evidence: "{ }", hash: Some(HASH), index: Some(3) };
        assert_eq!(record(&text), Some(expected));
        for text in [
            r#"{"evidence":{},"evidence":{}}"#,
            r#"{"evidence":{},"checkpoint":""}"#,
            r#"{"checkpoint":1}"#,
            "[]",
            "{} {}",
        ] {
            assert!(Line::read(text).is_err(), "{text}");
        }
        let twice =
            format!(r#"{{"evidence":{{}},"hash":"{TEXT}","evidence":{{}},"hash":"{TEXT}","index":1}}"#);
        assert!(Line::read(&twice).is_err());
        assert!(matches!(Line::read(r#"{"message":"serving","hash":1}"#), Ok(Line::Foreign)));
    }

    #[test]
    fn what_is_damaged_beside_a_record_is_absent() {
        for beside in [
            r#""hash":"q6s=","index":-1"#,
            r#""hash":7,"index":"1""#,
            r#""hash":null,"index":1.5"#,
            // Other bits behind the end would be a second spelling.
            r#""hash":"q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6t=","index":18446744073709551616"#,
        ] {
            let text = format!("{{\"evidence\":{{}},{beside}}}");
            assert_eq!(record(&text), Some(RecordLine { evidence: "{}", hash: None, index: None }), "{text}");
        }
    }

    #[test]
    fn what_is_left_of_a_broken_line_is_saved() {
        let line = format!(r#"{{"evidence":{{"a":1}},"hash":"{TEXT}","index":17}}"#);
        let expected = RecordLine { evidence: r#"{"a":1}"#, hash: Some(HASH), index: Some(17) };
        assert_eq!(RecordLine::salvage(&line.replace(r#","hash"#, r#"."hash"#)), Some(expected));
        let damaged = line.replace(r#""a""#, r#""a!"#);
        assert_eq!(RecordLine::salvage(&damaged), Some(RecordLine { evidence: "", ..expected }));
        let damaged = line.replace(r#""hash""#, r#""hash!"#);
        assert_eq!(RecordLine::salvage(&damaged), Some(RecordLine { hash: None, ..expected }));
        assert_eq!(RecordLine::salvage("{\"message"), None);
    }
}
