//! Structured fields (RFC 9651), read strictly and kept exactly.
//!
//! The crate `sfv` does the parsing and the serialisation. This module decides what becomes of the result:
//! members and parameters stay in the order in which they came, none is dropped, and a name that stands twice is
//! refused. RFC 9651 keeps the last of two, and a parser that keeps the first would read another message.

use base64ct::{Base64, Encoding as _};
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, DictSerializer, KeyRef, ListSerializer, Parser};

use crate::denial::quoted;

/// How many parameters one item may have. Looking for duplicates compares each with each, so this bounds it.
const MAX_PARAMETERS: usize = 32;
/// How many members a dictionary may have, for the same reason. No field that HTTP defines comes near it.
pub const MAX_MEMBERS: usize = 128;

/// Why a field value is not the structured field that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<sfv::Error> for Invalid {
    fn from(error: sfv::Error) -> Self {
        Self(error.to_string())
    }
}

/// An item's value (RFC 9651 §3.3).
pub type BareItem<'a> = BareItemFromInput<'a>;

/// Parameters in the order received, each name once (RFC 9651 §3.1.2).
pub type Parameters<'a> = Vec<(&'a KeyRef, BareItem<'a>)>;

/// An item with its parameters (RFC 9651 §3.3).
#[derive(Debug, Clone, PartialEq)]
pub struct Item<'a> {
    pub value: BareItem<'a>,
    pub parameters: Parameters<'a>,
}

impl Item<'_> {
    /// Appends the canonical form.
    pub fn serialize(&self, out: &mut String) {
        sfv::ItemSerializer::with_buffer(out).bare_item(&self.value).parameters(pairs(&self.parameters));
    }
}

/// An inner list with its parameters (RFC 9651 §3.1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct InnerList<'a> {
    pub items: Vec<Item<'a>>,
    pub parameters: Parameters<'a>,
}

impl InnerList<'_> {
    /// Appends the canonical form. `sfv` offers it only for members, so this is RFC 9651 §4.1.1.1 by hand.
    pub fn serialize(&self, out: &mut String) {
        out.push('(');
        for (position, item) in self.items.iter().enumerate() {
            if position > 0 {
                out.push(' ');
            }
            item.serialize(out);
        }
        out.push(')');
        for (name, value) in &self.parameters {
            out.push(';');
            out.push_str(name.as_str());
            if !matches!(value, BareItem::Boolean(true)) {
                out.push('=');
                sfv::ItemSerializer::with_buffer(out).bare_item(value);
            }
        }
    }
}

/// A member of a list or a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub enum Member<'a> {
    Item(Item<'a>),
    InnerList(InnerList<'a>),
}

impl Member<'_> {
    /// Appends the canonical form.
    pub fn serialize(&self, out: &mut String) {
        match self {
            Self::Item(item) => item.serialize(out),
            Self::InnerList(list) => list.serialize(out),
        }
    }
}

/// Members in the order received, each key once (RFC 9651 §3.2).
pub type Dictionary<'a> = Vec<(&'a KeyRef, Member<'a>)>;

/// Parses a dictionary of at most `limit` members.
///
/// # Errors
/// When the value is not a dictionary, when a key or a parameter stands twice, and when there are too many.
pub fn dictionary(value: &[u8], limit: usize) -> Result<Dictionary<'_>, Invalid> {
    Ok(Parser::new(value).parse_dictionary_with_visitor(Members { members: Vec::new(), limit })?)
}

/// Parses a list.
///
/// # Errors
/// When the value is not a list, and when a parameter stands twice.
pub fn list(value: &[u8]) -> Result<Vec<Member<'_>>, Invalid> {
    let members: Vec<_> = Parser::new(value).parse_list_with_visitor(Entries(Vec::new()))?;
    Ok(members)
}

/// Parses a single item.
///
/// # Errors
/// When the value is not an item, and when a parameter stands twice.
pub fn item(value: &[u8]) -> Result<Item<'_>, Invalid> {
    let mut slot = None;
    Parser::new(value).parse_item_with_visitor(ItemReader(|item| slot = Some(item)))?;
    slot.ok_or_else(|| Invalid::new("expected an item, but found nothing"))
}

/// The canonical form of a dictionary: empty where there is no member.
#[must_use]
pub fn serialize_dictionary(dictionary: &Dictionary<'_>) -> String {
    let mut serializer = DictSerializer::new();
    for (key, member) in dictionary {
        match member {
            Member::Item(item) => {
                serializer.bare_item(key, &item.value).parameters(pairs(&item.parameters));
            }
            Member::InnerList(list) => {
                let mut inner = serializer.inner_list(key);
                for item in &list.items {
                    inner.bare_item(&item.value).parameters(pairs(&item.parameters));
                }
                inner.finish().parameters(pairs(&list.parameters));
            }
        }
    }
    serializer.finish().unwrap_or_default()
}

/// The canonical form of a list: empty where there is no member.
#[must_use]
pub fn serialize_list(members: &[Member<'_>]) -> String {
    let mut serializer = ListSerializer::new();
    for member in members {
        match member {
            Member::Item(item) => {
                serializer.bare_item(&item.value).parameters(pairs(&item.parameters));
            }
            Member::InnerList(list) => {
                let mut inner = serializer.inner_list();
                for item in &list.items {
                    inner.bare_item(&item.value).parameters(pairs(&item.parameters));
                }
                inner.finish().parameters(pairs(&list.parameters));
            }
        }
    }
    serializer.finish().unwrap_or_default()
}

/// The string with that text (RFC 9651 §4.1.6), which must be printable ASCII.
#[must_use]
pub(crate) fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether `bytes` stand in `field` as canonical base64.
///
/// RFC 9651 lets a parser accept missing padding and stray trailing bits, and `sfv` does. A signature that has many
/// spellings is a gift to whoever looks for two parsers that disagree, so the fields of a proof take only one.
#[must_use]
pub fn is_canonical_base64(field: &[u8], bytes: &[u8]) -> bool {
    let spelled = Base64::encode_string(bytes);
    field.split(|byte| *byte == b':').any(|text| text == spelled.as_bytes())
}

fn pairs<'p, 'a>(parameters: &'p Parameters<'a>) -> impl Iterator<Item = (&'a KeyRef, &'p BareItem<'a>)> {
    parameters.iter().map(|(name, value)| (*name, value))
}

struct Members<'a> {
    members: Dictionary<'a>,
    limit: usize,
}

impl<'a> DictionaryVisitor<'a> for Members<'a> {
    type Out = Dictionary<'a>;
    type Error = Invalid;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Invalid> {
        if self.members.iter().any(|(known, _)| *known == key) {
            return Err(Invalid::new(format!("the member {} stands twice", quoted(key.as_str()))));
        }
        if self.members.len() == self.limit {
            return Err(Invalid::new(format!("more than {} members", self.limit)));
        }
        let members = &mut self.members;
        Ok(EntryReader(move |member| members.push((key, member))))
    }

    fn finish(self) -> Result<Self::Out, Invalid> {
        Ok(self.members)
    }
}

struct Entries<'a>(Vec<Member<'a>>);

impl<'a> ListVisitor<'a> for Entries<'a> {
    type Out = Vec<Member<'a>>;
    type Error = Invalid;

    fn entry(&mut self) -> Result<impl EntryVisitor<'a>, Invalid> {
        Ok(EntryReader(|member| self.0.push(member)))
    }

    fn finish(self) -> Result<Self::Out, Invalid> {
        Ok(self.0)
    }
}

/// Reads one member and hands it to the closure.
struct EntryReader<F>(F);

impl<'a, F: FnOnce(Member<'a>)> EntryVisitor<'a> for EntryReader<F> {
    type Error = Invalid;

    fn item(self) -> Result<impl ItemVisitor<'a>, Invalid> {
        Ok(ItemReader(move |item| (self.0)(Member::Item(item))))
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Invalid> {
        Ok(InnerListReader { items: Vec::new(), sink: self.0 })
    }
}

struct InnerListReader<'a, F> {
    items: Vec<Item<'a>>,
    sink: F,
}

impl<'a, F: FnOnce(Member<'a>)> InnerListVisitor<'a> for InnerListReader<'a, F> {
    type Error = Invalid;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Invalid> {
        Ok(ItemReader(|item| self.items.push(item)))
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Invalid> {
        Ok(ParameterReader::new(move |parameters| {
            (self.sink)(Member::InnerList(InnerList { items: self.items, parameters }));
        }))
    }
}

struct ItemReader<F>(F);

impl<'a, F: FnOnce(Item<'a>)> ItemVisitor<'a> for ItemReader<F> {
    type Out = ();
    type Error = Invalid;

    fn bare_item(self, value: BareItem<'a>) -> Result<impl ParameterVisitor<'a, Out = ()>, Invalid> {
        Ok(ParameterReader::new(move |parameters| (self.0)(Item { value, parameters })))
    }
}

struct ParameterReader<'a, F> {
    parameters: Parameters<'a>,
    sink: F,
}

impl<'a, F: FnOnce(Parameters<'a>)> ParameterReader<'a, F> {
    fn new(sink: F) -> Self {
        Self { parameters: Vec::new(), sink }
    }
}

impl<'a, F: FnOnce(Parameters<'a>)> ParameterVisitor<'a> for ParameterReader<'a, F> {
    type Out = ();
    type Error = Invalid;

    fn parameter(&mut self, name: &'a KeyRef, value: BareItem<'a>) -> Result<(), Invalid> {
        if self.parameters.iter().any(|(known, _)| *known == name) {
            return Err(Invalid::new(format!("the parameter {} stands twice", quoted(name.as_str()))));
        }
        if self.parameters.len() == MAX_PARAMETERS {
            return Err(Invalid::new(format!("more than {MAX_PARAMETERS} parameters")));
        }
        self.parameters.push((name, value));
        Ok(())
    }

    fn finish(self) -> Result<(), Invalid> {
        (self.sink)(self.parameters);
        Ok(())
    }
}
