//! Fields that the backend trusts, and that therefore must have been signed (RFC 9421 §7.2.1).

use crate::denial::{Code, Denial, quoted};
use crate::request::{Encoding, Fields, is_same_to_backends};

/// Fields that tell some frameworks to take another method or path than the request line has. The policy was chosen by
/// the request line, so they never reach a backend, unless the policy protects them by name.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// What becomes of a protected field that no proof covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProtectBy {
    /// The request is denied.
    #[default]
    Denying,
    /// The field is removed on the way to the backend.
    Removing,
}

/// The protected fields of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protect {
    pub fields: Vec<Box<str>>,
    pub by: ProtectBy,
}

impl Protect {
    /// The names of fields to remove: those that are protected, present and not proven.
    ///
    /// A proven field is covered by every proof, and came in one line.
    ///
    /// # Errors
    /// `field-uncovered`, where such fields are denied.
    pub(super) fn check(
        &self,
        fields: &Fields<'_>,
        covered: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Denial> {
        // Whoever signs a request can sign such a field too: only the policy can know that it means what it says.
        let is_named = |name: &str| self.fields.iter().any(|field| is_same_to_backends(field, name));
        let overrides = |name: &&str| OVERRIDES.iter().any(|field| is_same_to_backends(field, name));
        let mut remove: Vec<String> = fields
            .names()
            .filter(|name| name.starts_with('x'))
            .filter(overrides)
            .filter(|name| !is_named(name))
            .map(Into::into)
            .collect();
        if self.fields.is_empty() {
            return Ok(remove);
        }
        for name in fields.names().filter(|name| is_named(name)) {
            let problem = if !covered(name) {
                "is not covered by every proof"
            } else if fields.is_one_line(name) {
                continue;
            } else if fields.encoding() == Encoding::Merged {
                "may have come in more than one line: set encode_raw_headers in Envoy's ext_authz filter"
            } else {
                "came in more than one line"
            };
            match self.by {
                ProtectBy::Denying => {
                    let detail = format!("the header {} is protected, and {problem}", quoted(name));
                    return Err(Denial::new(Code::FieldUncovered, detail));
                }
                ProtectBy::Removing if remove.iter().any(|known| known == name) => {}
                ProtectBy::Removing => remove.push(name.to_owned()),
            }
        }
        Ok(remove)
    }
}
