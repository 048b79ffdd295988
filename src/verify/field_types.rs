//! Which fields are structured fields, and of what type: `;sf` needs to know (RFC 9421 §2.1.1).

use std::collections::BTreeMap;

/// The three types of structured fields (RFC 9651 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    Item,
    List,
    Dictionary,
}

/// The fields that the standards define as structured. Guessing would give one value two canonical forms.
const STANDARD: &[(&str, FieldType)] = &[
    ("accept-ch", FieldType::List),                 // RFC 8942
    ("accept-signature", FieldType::Dictionary),    // RFC 9421
    ("cache-status", FieldType::List),              // RFC 9211
    ("capsule-protocol", FieldType::Item),          // RFC 9297
    ("cdn-cache-control", FieldType::Dictionary),   // RFC 9213
    ("client-cert", FieldType::Item),               // RFC 9440
    ("client-cert-chain", FieldType::List),         // RFC 9440
    ("content-digest", FieldType::Dictionary),      // RFC 9530
    ("idempotency-key", FieldType::Item),           // draft-ietf-httpapi-idempotency-key-header
    ("priority", FieldType::Dictionary),            // RFC 9218
    ("proxy-status", FieldType::List),              // RFC 9209
    ("repr-digest", FieldType::Dictionary),         // RFC 9530
    ("signature", FieldType::Dictionary),           // RFC 9421
    ("signature-agent", FieldType::Dictionary),     // draft-meunier-http-message-signatures-directory
    ("signature-input", FieldType::Dictionary),     // RFC 9421
    ("want-content-digest", FieldType::Dictionary), // RFC 9530
    ("want-repr-digest", FieldType::Dictionary),    // RFC 9530
];

/// The types of fields: the standard ones, and those that an application adds.
#[derive(Debug, Clone)]
pub struct FieldTypes(BTreeMap<Box<str>, FieldType>);

impl FieldTypes {
    /// Adds the application's own fields. A standard field keeps its type.
    #[must_use]
    pub fn with(mut self, fields: impl IntoIterator<Item = (Box<str>, FieldType)>) -> Self {
        for (name, field_type) in fields {
            self.0.entry(name).or_insert(field_type);
        }
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<FieldType> {
        self.0.get(name).copied()
    }
}

impl Default for FieldTypes {
    fn default() -> Self {
        Self(STANDARD.iter().map(|(name, field_type)| ((*name).into(), *field_type)).collect())
    }
}
