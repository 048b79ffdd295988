//! A YAML text as a tree that remembers where everything stood.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{Spanned, Tagged};

use super::problem::{Location, Problem};
use super::scalar;

/// A parsed text: its value, and the place of each member by JSON pointer (RFC 6901).
#[derive(Debug)]
pub(crate) struct Document {
    text: Arc<str>,
    pub(crate) value: Value,
    keys: HashMap<String, Location>,
    values: HashMap<String, Location>,
}

impl Document {
    /// # Errors
    /// The first error of syntax: after one, nothing that follows means anything. A key that stands twice is one.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let root: Option<Node> =
            serde_saphyr::from_str_with_options(text, options()).map_err(|error| refused(&error))?;
        let text = text.into();
        Ok(match root {
            Some(root) => Self::of(text, root),
            // An empty file, or one that is all comments, changes nothing of the built-in settings.
            None => Self { value: Value::Object(Map::new()), ..Self::empty(text) },
        })
    }

    /// Every document of a text, with places in the whole text. Empty ones are left out.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, Problem> {
        let roots: Vec<Node> =
            serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| refused(&error))?;
        let text: Arc<str> = text.into();
        Ok(roots.into_iter().map(|root| Self::of(Arc::clone(&text), root)).collect())
    }

    fn empty(text: Arc<str>) -> Self {
        Self { text, value: Value::Null, keys: HashMap::new(), values: HashMap::new() }
    }

    fn of(text: Arc<str>, root: Node) -> Self {
        let mut document = Self::empty(text);
        document.value = document.take(root, String::new());
        document
    }

    /// The value as the types of the configuration file. It must have passed the schema.
    pub(super) fn typed<T: serde::de::DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(&self.value).map_err(|error| Problem::everywhere(error.to_string()))
    }

    /// A problem with the value at that pointer.
    pub(super) fn problem(&self, pointer: &str, message: impl Into<String>) -> Problem {
        Problem { location: self.values.get(pointer).copied(), message: message.into() }
    }

    /// A problem inside the text at that pointer: `offset` bytes into `content`, which is what the text says.
    pub(super) fn problem_within(
        &self,
        pointer: &str,
        content: &str,
        offset: usize,
        message: impl Into<String>,
    ) -> Problem {
        let start = self.values.get(pointer).copied();
        let location = start.map(|start| scalar::place(&self.text, start, content, offset));
        Problem { location, message: message.into() }
    }

    /// A problem with the key at that pointer.
    pub(super) fn key_problem(&self, pointer: &str, message: impl Into<String>) -> Problem {
        Problem { location: self.keys.get(pointer).copied(), message: message.into() }
    }

    /// Where the key at that pointer stands.
    pub(crate) fn key_location(&self, pointer: &str) -> Option<Location> {
        self.keys.get(pointer).copied()
    }

    /// Where the value at that pointer begins.
    pub(crate) fn value_location(&self, pointer: &str) -> Option<Location> {
        self.values.get(pointer).copied()
    }

    fn take(&mut self, node: Node, pointer: String) -> Value {
        let Node(Spanned { value, referenced, .. }) = node;
        let value = match value {
            Tree::Leaf(value) => value,
            Tree::Sequence(nodes) => {
                let take = |(at, node)| self.take(node, format!("{pointer}/{at}"));
                Value::Array(nodes.into_iter().enumerate().map(take).collect())
            }
            Tree::Mapping(entries) => {
                let mut members = Map::new();
                for (key, node) in entries {
                    let pointer = child(&pointer, &key.value);
                    self.keys.insert(pointer.clone(), location(&key.referenced));
                    let value = self.take(node, pointer);
                    members.insert(key.value, value);
                }
                Value::Object(members)
            }
        };
        self.values.insert(pointer, location(&referenced));
        value
    }
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true, with_snippet: false }
}

fn refused(error: &serde_saphyr::Error) -> Problem {
    Problem {
        location: error
            .location()
            .map(|location| Location { line: location.line(), column: location.column() }),
        message: without_location(&error.to_string()),
    }
}

/// The parser says where as well, in its own words, and how its caller could allow what it refused.
fn without_location(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let message = message.split_once(", set DuplicateKeyPolicy").map_or(message, |(message, _)| message);
    // YAML keeps it for itself, and components begin with it.
    let hint = if message.contains("`@'") { ": put quotes around what begins with @" } else { "" };
    format!("{message}{hint}")
}

/// Envoy skips a key with that tag, with all below it, so that what is read here would not be what it does.
pub(crate) const IGNORED: &str =
    "expected no tag !ignore, but found one: Envoy leaves out what it stands before";

/// The pointer of a member.
pub(crate) fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn location(location: &serde_saphyr::Location) -> Location {
    Location { line: location.line(), column: location.column() }
}

struct Node(Spanned<Tree>);

enum Tree {
    Leaf(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Tree, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = sequence.next_element()? {
            nodes.push(node);
        }
        Ok(Tree::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = mapping.next_key::<Spanned<Tagged<String>>>()? {
            let Spanned { value: Tagged(name, tag), referenced, defined } = key;
            if tag.is_some_and(|tag| tag.trim_matches(['!', '<', '>']) == "ignore") {
                return Err(serde::de::Error::custom(IGNORED));
            }
            entries.push((Spanned { value: name, referenced, defined }, mapping.next_value()?));
        }
        Ok(Tree::Mapping(entries))
    }
}
