//! The values that conditions are about.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::decimal::Decimal;

/// A value. Lists and objects are shared, so that looking at one copies nothing.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Number(Decimal),
    String(Cow<'v, str>),
    List(Arc<Vec<Value<'v>>>),
    Object(Arc<Object<'v>>),
    /// The header fields of the request.
    Headers,
    /// The query parameters of the request.
    Query,
}

impl Value<'_> {
    /// What it is, as a message says it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Headers => "the headers",
            Self::Query => "the query",
        }
    }
}

/// The members of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<'v> {
    /// By folded name, each with its own.
    members: HashMap<Cow<'v, str>, (Cow<'v, str>, Value<'v>)>,
}

/// The object has a member whose name differs in the case of letters only.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twin;

impl<'v> Object<'v> {
    /// # Errors
    /// Where there is a member of that name already. Some parsers do not tell upper case from lower case in names, and
    /// keep the last of two: to them `amount` and `Amount` are one member.
    pub(super) fn insert(&mut self, name: Cow<'v, str>, value: Value<'v>) -> Result<(), Twin> {
        let folded = match folded(&name) {
            Cow::Borrowed(_) => name.clone(),
            Cow::Owned(folded) => Cow::Owned(folded),
        };
        match self.members.insert(folded, (name, value)) {
            None => Ok(()),
            Some(_) => Err(Twin),
        }
    }

    /// The member of that name, if there is one.
    ///
    /// # Errors
    /// Where there is one that only some parsers would take for it: whether it is there is then in doubt.
    pub(super) fn get(&self, name: &str) -> Result<Option<&Value<'v>>, Twin> {
        match self.members.get(&*folded(name)) {
            None => Ok(None),
            Some((known, value)) if known == name => Ok(Some(value)),
            Some(_) => Err(Twin),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The names and values, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'v>)> {
        self.members.values().map(|(name, value)| (&**name, value))
    }
}

/// The name as it is to parsers that do not tell cases apart. Unicode has letters that fold into ASCII: `ſ` is an `s`.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Cow::Borrowed(name)
    } else {
        let upper = name.chars().flat_map(char::to_uppercase);
        Cow::Owned(upper.flat_map(char::to_lowercase).collect())
    }
}
