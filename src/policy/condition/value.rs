//! The values that conditions are about.

use std::borrow::Cow;
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

/// The members of an object: by folded name, each with its own, in the order of the folded ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Object<'v>(Box<[Member<'v>]>);

#[derive(Debug, Clone)]
struct Member<'v> {
    folded: Cow<'v, str>,
    name: Cow<'v, str>,
    value: Value<'v>,
}

/// The object has a member whose name is the same, or to some parsers is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Twin<'v>(pub(super) Cow<'v, str>);

impl<'v> Object<'v> {
    /// # Errors
    /// A name that stands twice. Some parsers do not tell upper case from lower case in names, and keep the last of two:
    /// to them `amount` and `Amount` are one member.
    pub(super) fn new(members: Vec<(Cow<'v, str>, Value<'v>)>) -> Result<Self, Twin<'v>> {
        let fold = |(name, value): (Cow<'v, str>, Value<'v>)| {
            let folded = match folded(&name) {
                Cow::Borrowed(_) => name.clone(),
                Cow::Owned(folded) => Cow::Owned(folded),
            };
            Member { folded, name, value }
        };
        let mut members: Box<[Member<'v>]> = members.into_iter().map(fold).collect();
        members.sort_unstable_by(|one, two| one.folded.cmp(&two.folded));
        let is_twin = |pair: &&[Member<'v>]| matches!(pair, [one, two] if one.folded == two.folded);
        match members.windows(2).find(is_twin).and_then(<[_]>::first) {
            Some(twin) => Err(Twin(twin.name.clone())),
            None => Ok(Self(members)),
        }
    }

    /// The member of that name, if there is one.
    ///
    /// # Errors
    /// Where there is one that only some parsers would take for it: whether it is there is then in doubt.
    pub(super) fn get(&self, name: &str) -> Result<Option<&Value<'v>>, Twin<'v>> {
        let folded = folded(name);
        let found = self.0.binary_search_by(|member| (*member.folded).cmp(&*folded));
        match found.ok().and_then(|at| self.0.get(at)) {
            None => Ok(None),
            Some(member) if member.name == name => Ok(Some(&member.value)),
            Some(member) => Err(Twin(member.name.clone())),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The names and values, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'v>)> {
        self.0.iter().map(|member| (&*member.name, &member.value))
    }
}

/// The name as it is to parsers that tell neither cases nor spellings apart. Unicode has letters that fold into ASCII: `ſ`
/// is an `s`, and to Java `İ` is an `i`. Protobuf's JSON reads `transfer_amount` and `transferAmount` as one field.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase() && byte != b'_') {
        return Cow::Borrowed(name);
    }
    let letters = name.chars().filter(|c| *c != '_').map(|c| if c == 'İ' { 'i' } else { c });
    Cow::Owned(letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect())
}
