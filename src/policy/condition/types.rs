//! What is known of a value before there is one.

use std::fmt;

/// A type. `Dyn` is whatever a request says: its type shows when the condition is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    Dyn,
    Null,
    Bool,
    Number,
    String,
    List(Box<Type>),
    /// Header fields or query parameters: text by name.
    Texts,
    Signer,
}

/// What a signer has to say.
pub(super) const SIGNER: &[(&str, Type)] = &[
    ("subject", Type::String),
    ("key_id", Type::String),
    ("roles", Type::Dyn),
    ("tag", Type::String),
    ("created", Type::Number),
];

impl Type {
    pub(super) fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    /// Whether a value of one type may turn out to be of the other.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(one), Self::List(two)) => one.may_be(two),
            _ => self == other,
        }
    }

    /// The type of both, where they have one.
    pub(super) fn joined(self, other: Self) -> Self {
        if self == other { self } else { Self::Dyn }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "any value",
            Self::Null => "null",
            Self::Bool => "a bool",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List(_) => "a list",
            Self::Texts => "the headers or the query",
            Self::Signer => "a signer",
        })
    }
}
