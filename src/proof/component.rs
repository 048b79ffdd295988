//! Covered components (RFC 9421 §2): a name and what its parameters ask for.

use std::borrow::Cow;
use std::fmt;

use super::Malformed;
use crate::denial::quoted;
use crate::request::is_field_name;
use crate::structured_field::{self, BareItem, Item, string};

/// A component, with the identifier that the client wrote.
#[derive(Debug, Clone)]
pub struct Component<'a> {
    name: Name<'a>,
    of_request: bool,
    item: Item<'a>,
}

/// What a component names. Two components are the same when their names are equal: the order of parameters in the
/// identifier does not make another one (RFC 9421 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name<'a> {
    /// `@method` (RFC 9421 §2.2.1)
    Method,
    /// `@target-uri` (§2.2.2)
    TargetUri,
    /// `@authority` (§2.2.3)
    Authority,
    /// `@scheme` (§2.2.4)
    Scheme,
    /// `@request-target` (§2.2.5)
    RequestTarget,
    /// `@path` (§2.2.6)
    Path,
    /// `@query` (§2.2.7)
    Query,
    /// `@status`, of a response only (§2.2.9)
    Status,
    /// `@query-param` with its `name` (§2.2.8)
    QueryParam(Cow<'a, str>),
    /// A field (§2.1)
    Field(Cow<'a, str>, FieldForm<'a>),
}

/// How a field's value enters the signature base (RFC 9421 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldForm<'a> {
    /// Every line, joined.
    Combined,
    /// `;sf`: the canonical form of a structured field (§2.1.1).
    Structured,
    /// `;key`: one member of a dictionary (§2.1.2).
    Member(Cow<'a, str>),
    /// `;bs`: every line as a byte sequence (§2.1.3).
    Binary,
}

impl<'a> Component<'a> {
    #[must_use]
    pub fn name(&self) -> &Name<'a> {
        &self.name
    }

    /// `;req`: the component is one of the request that a response answers (RFC 9421 §2.4).
    #[must_use]
    pub fn is_of_request(&self) -> bool {
        self.of_request
    }

    /// Appends the component identifier as it came, in canonical form.
    pub fn write_identifier(&self, out: &mut String) {
        self.item.serialize(out);
    }
}

impl fmt::Display for Component<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut identifier = String::new();
        self.write_identifier(&mut identifier);
        f.write_str(&quoted(&identifier))
    }
}

impl<'a> TryFrom<&Item<'a>> for Component<'a> {
    type Error = Malformed;

    fn try_from(item: &Item<'a>) -> Result<Self, Malformed> {
        let BareItem::String(name) = &item.value else {
            return Err(Malformed("a covered component is not a string".into()));
        };
        let name = text(name);
        let flags = Flags::read(item)?;
        let of_request = flags.request;
        let name = if name.starts_with('@') { derived(&name, flags)? } else { field(name, flags)? };
        Ok(Self { name, of_request, item: item.clone() })
    }
}

/// The parameters that RFC 9421 defines for component identifiers, without trailers.
#[derive(Default)]
struct Flags<'a> {
    structured: bool,
    binary: bool,
    request: bool,
    key: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
}

impl<'a> Flags<'a> {
    fn read(item: &Item<'a>) -> Result<Self, Malformed> {
        let mut flags = Self::default();
        for (parameter, value) in &item.parameters {
            match (parameter.as_str(), value) {
                ("sf", BareItem::Boolean(true)) => flags.structured = true,
                ("bs", BareItem::Boolean(true)) => flags.binary = true,
                ("key", BareItem::String(key)) => flags.key = Some(text(key)),
                ("name", BareItem::String(name)) => flags.name = Some(text(name)),
                ("req", BareItem::Boolean(true)) => flags.request = true,
                // RFC 9421 §2.1.4: the proxy asks before trailers exist.
                ("tr", _) => {
                    return Err(Malformed("trailers cannot be verified before the body is sent".into()));
                }
                (other, _) => {
                    let other = quoted(other);
                    return Err(Malformed(format!("the component parameter {other} is unknown or mistyped")));
                }
            }
        }
        Ok(flags)
    }

    fn none(&self) -> bool {
        !self.structured && !self.binary && self.key.is_none() && self.name.is_none()
    }
}

fn derived<'a>(name: &str, flags: Flags<'a>) -> Result<Name<'a>, Malformed> {
    if name == "@query-param" {
        return match flags {
            Flags { structured: false, binary: false, key: None, name: Some(name), .. } => {
                Ok(Name::QueryParam(name))
            }
            _ => Err(Malformed("@query-param takes the parameter name, and no other".into())),
        };
    }
    let derived = match name {
        "@method" => Name::Method,
        "@target-uri" => Name::TargetUri,
        "@authority" => Name::Authority,
        "@scheme" => Name::Scheme,
        "@request-target" => Name::RequestTarget,
        "@path" => Name::Path,
        "@query" => Name::Query,
        "@status" if flags.request => return Err(Malformed("a request has no @status".into())),
        "@status" => Name::Status,
        "@signature-params" => {
            return Err(Malformed("@signature-params cannot be listed (RFC 9421 §2.3)".into()));
        }
        other => return Err(Malformed(format!("the derived component {} is unknown", quoted(other)))),
    };
    if flags.none() { Ok(derived) } else { Err(Malformed(format!("{name} takes no parameters"))) }
}

fn field<'a>(name: Cow<'a, str>, flags: Flags<'a>) -> Result<Name<'a>, Malformed> {
    if !is_field_name(&name) {
        return Err(Malformed(format!("{:?} is not a field name in lower case", quoted(&name))));
    }
    let form = match flags {
        Flags { name: Some(_), .. } => {
            return Err(Malformed("the parameter name belongs to @query-param only".into()));
        }
        Flags { binary: true, structured: true, .. } | Flags { binary: true, key: Some(_), .. } => {
            return Err(Malformed("the parameter bs goes with neither sf nor key (RFC 9421 §2.1)".into()));
        }
        Flags { binary: true, .. } => FieldForm::Binary,
        // A member is serialised as a structured field with `;sf` and without.
        Flags { key: Some(key), .. } => FieldForm::Member(key),
        Flags { structured: true, .. } => FieldForm::Structured,
        _ => FieldForm::Combined,
    };
    Ok(Name::Field(name, form))
}

/// The text of an sf-string, borrowed where it was borrowed.
pub(super) fn text<'a>(string: &Cow<'a, sfv::StringRef>) -> Cow<'a, str> {
    match string {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_str()),
        Cow::Owned(text) => Cow::Owned(text.as_str().to_owned()),
    }
}

impl Name<'_> {
    /// Reads a component identifier as an operator writes it: `@method`, `content-digest`, `x-parts;key="a"`.
    ///
    /// # Errors
    /// When it is not a component that a request can cover.
    pub fn parse(identifier: &str) -> Result<Name<'static>, Malformed> {
        let (name, parameters) = identifier.split_at(identifier.find(';').unwrap_or(identifier.len()));
        let item = format!("\"{}\"{parameters}", name.trim_matches('"'));
        let item = structured_field::item(item.as_bytes()).map_err(|error| Malformed(error.to_string()))?;
        let component = Component::try_from(&item)?;
        if component.of_request || component.name == Name::Status {
            return Err(Malformed("@status and req belong to responses".into()));
        }
        Ok(component.name.into_owned())
    }

    fn into_owned(self) -> Name<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Name::Method => Name::Method,
            Name::TargetUri => Name::TargetUri,
            Name::Authority => Name::Authority,
            Name::Scheme => Name::Scheme,
            Name::RequestTarget => Name::RequestTarget,
            Name::Path => Name::Path,
            Name::Query => Name::Query,
            Name::Status => Name::Status,
            Name::QueryParam(name) => Name::QueryParam(owned(name)),
            Name::Field(name, form) => Name::Field(
                owned(name),
                match form {
                    FieldForm::Combined => FieldForm::Combined,
                    FieldForm::Structured => FieldForm::Structured,
                    FieldForm::Member(key) => FieldForm::Member(owned(key)),
                    FieldForm::Binary => FieldForm::Binary,
                },
            ),
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Method => f.write_str("\"@method\""),
            Name::TargetUri => f.write_str("\"@target-uri\""),
            Name::Authority => f.write_str("\"@authority\""),
            Name::Scheme => f.write_str("\"@scheme\""),
            Name::RequestTarget => f.write_str("\"@request-target\""),
            Name::Path => f.write_str("\"@path\""),
            Name::Query => f.write_str("\"@query\""),
            Name::Status => f.write_str("\"@status\""),
            Name::QueryParam(name) => write!(f, "\"@query-param\";name={}", string(name)),
            Name::Field(name, FieldForm::Combined) => write!(f, "\"{name}\""),
            Name::Field(name, FieldForm::Structured) => write!(f, "\"{name}\";sf"),
            Name::Field(name, FieldForm::Member(key)) => write!(f, "\"{name}\";key={}", string(key)),
            Name::Field(name, FieldForm::Binary) => write!(f, "\"{name}\";bs"),
        }
    }
}
