//! A value of a configuration with the place where it stands, read as the proxies read it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;

use crate::config::Location;
use crate::config::document::{Document, child};

/// One YAML document: of a file, or of a text inside one (a ConfigMap holds files).
pub(super) struct Part {
    /// The position of the file among those that are linted.
    pub(super) file: usize,
    pub(super) document: Document,
    /// What to add to a place in the text for its place in the file.
    pub(super) lines: u64,
    pub(super) columns: u64,
}

impl Part {
    pub(super) fn root(&self) -> Node<'_> {
        Node { part: self, value: &self.document.value, pointer: String::new() }
    }
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Node<'a> {
    part: &'a Part,
    pub(super) value: &'a Value,
    pointer: String,
}

impl<'a> Node<'a> {
    pub(super) fn file(&self) -> usize {
        self.part.file
    }

    /// Where the key stands, or the value where there is none, as in a list.
    pub(super) fn location(&self) -> Option<Location> {
        let document = &self.part.document;
        let Location { line, column } =
            document.key_location(&self.pointer).or_else(|| document.value_location(&self.pointer))?;
        Some(Location { line: line + self.part.lines, column: column + self.part.columns })
    }

    /// Where the value stands.
    pub(super) fn value_location(&self) -> Option<Location> {
        self.part.document.value_location(&self.pointer)
    }

    /// A member by its name. protobuf's JSON takes it in snake case and in camel case. null is as good as absent.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let members = self.value.as_object()?;
        let (key, value) = members
            .get_key_value(name)
            .or_else(|| members.get_key_value(&camel_case(name)))
            .or_else(|| members.get_key_value(&snake_case(name)))?;
        (!value.is_null()).then(|| self.member(key, value))
    }

    /// A member of a member, and so on.
    pub(super) fn path(&self, names: &[&str]) -> Option<Self> {
        names.iter().try_fold(self.clone(), |node, name| node.get(name))
    }

    /// The entries of a list; none of anything else.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, value)| Node { value, pointer: format!("{}/{at}", self.pointer), ..*self }).collect()
    }

    /// The entries of a list that is a member.
    pub(super) fn list(&self, name: &str) -> Vec<Self> {
        self.get(name).map(|list| list.items()).unwrap_or_default()
    }

    /// The key under which it stands, as it is spelt there.
    pub(super) fn key(&self) -> &str {
        self.pointer.rsplit_once('/').map_or("", |(_, key)| key)
    }

    /// The members of a mapping; none of anything else.
    pub(super) fn members(&self) -> Vec<(&'a str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        members.map(|(key, value)| (key.as_str(), self.member(key, value))).collect()
    }

    /// Members that are one field under its two names: the name that stands first, and the member that stands behind.
    pub(super) fn twice_named(&self) -> Vec<(&'a str, Self)> {
        let mut members = self.members();
        members.sort_by_key(|(_, member)| member.location());
        let mut seen: HashMap<String, &'a str> = HashMap::new();
        let mut twice = Vec::new();
        for (key, member) in members {
            match seen.entry(camel_case(key)) {
                Entry::Occupied(first) => twice.push((*first.get(), member)),
                Entry::Vacant(entry) => {
                    entry.insert(key);
                }
            }
        }
        twice
    }

    fn member(&self, key: &str, value: &'a Value) -> Self {
        Node { value, pointer: child(&self.pointer, key), ..*self }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A member's text.
    pub(super) fn text_of(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.text()
    }

    /// A boolean. Envoy and Kubernetes read YAML 1.1, where `yes` and `on` are true; protobuf takes `"true"` as well.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "y" | "on" => Some(true),
                "false" | "no" | "n" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether a switch may be on: it is not plainly off. Protobuf takes more spellings for true (`"1"`, `"t"`) than are
    /// worth a list, so this is the question where being on undoes the protection.
    pub(super) fn may_be_on(&self) -> bool {
        self.flag() != Some(false)
    }

    /// Whether a member is there and plainly true: the question where being on is the protection.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).and_then(|node| node.flag()) == Some(true)
    }

    /// A number. protobuf takes one in quotes, or with a fraction of nothing.
    pub(super) fn number(&self) -> Option<f64> {
        match self.value {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        }
    }

    /// A value of an enumeration: its name, or its number by the names in their order.
    pub(super) fn word<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let found = match (self.text(), self.number()) {
            (Some(text), None) => names.iter().find(|name| **name == text),
            (_, Some(number)) => {
                names.iter().enumerate().find(|(at, _)| *at as f64 == number).map(|(_, name)| name)
            }
            (None, None) => None,
        };
        found.copied()
    }

    /// The value in a message, cut where it is long.
    pub(super) fn shown(&self) -> String {
        let text = match self.value {
            Value::String(text) => format!("{text:?}"),
            value => value.to_string(),
        };
        match text.char_indices().nth(60) {
            Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
            None => text,
        }
    }
}

pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                camel.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

/// The message in a `google.protobuf.Any`, out of what it may be wrapped in.
pub(super) struct Message<'a> {
    /// Its full name, such as `envoy.extensions.filters.http.lua.v3.Lua`.
    pub(super) name: &'a str,
    pub(super) fields: Node<'a>,
    /// Whether a matcher decides if it applies.
    pub(super) conditional: bool,
}

impl<'a> Message<'a> {
    pub(super) fn of(any: &Node<'a>) -> Option<Self> {
        let name = message_name(any.text_of("@type")?);
        match name {
            // Sent by control planes that do not know the type: the fields stand one level lower.
            "udpa.type.v1.TypedStruct" | "xds.type.v3.TypedStruct" => Some(Self {
                name: message_name(any.text_of("type_url")?),
                fields: any.get("value").unwrap_or_else(|| any.clone()),
                conditional: false,
            }),
            "envoy.extensions.common.matching.v3.ExtensionWithMatcher" => {
                let inner = Self::of(&any.path(&["extension_config", "typed_config"])?)?;
                Some(Self { conditional: true, ..inner })
            }
            _ => Some(Self { name, fields: any.clone(), conditional: false }),
        }
    }

    /// The message of an HTTP filter in its place: what stands there, or what holds until another one is discovered.
    pub(super) fn of_filter(filter: &Node<'a>) -> Option<Self> {
        let config =
            filter.get("typed_config").or_else(|| filter.path(&["config_discovery", "default_config"]))?;
        Self::of(&config)
    }

    /// The HTTP filter that it configures, such as `lua`. Empty where it configures none.
    pub(super) fn http_filter(&self) -> &'a str {
        let rest = [".filters.http.", ".filter.http."].iter().find_map(|mark| self.name.split_once(mark));
        rest.and_then(|(_, rest)| rest.split('.').next()).unwrap_or_default()
    }

    /// Whether it configures ext_authz for HTTP, in whatever version.
    pub(super) fn is_ext_authz(&self) -> bool {
        self.http_filter() == "ext_authz" && self.name.ends_with(".ExtAuthz")
    }
}

fn message_name(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}
