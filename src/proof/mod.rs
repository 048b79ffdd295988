//! What the client claims: the proofs of a request, read but not yet believed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod component;
mod parameters;

use std::borrow::Cow;

pub use component::{Component, FieldForm, Name};
pub use parameters::Parameters;

use crate::denial::{Code, Denial, quoted};
use crate::limits::Limits;
use crate::request::Fields;
use crate::structured_field::{self, BareItem, InnerList, Member};

/// What of a proof cannot be read, or is not allowed in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);

/// One labelled HTTP message signature (RFC 9421 §4): a member of `Signature-Input` and its `Signature`.
#[derive(Debug, Clone)]
pub struct Proof<'a> {
    label: &'a str,
    components: Vec<Component<'a>>,
    parameters: Parameters<'a>,
    input: InnerList<'a>,
    signature: Vec<u8>,
}

impl<'a> Proof<'a> {
    /// The label: a name within this message, never an identity or a role.
    #[must_use]
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// The covered components, in order.
    #[must_use]
    pub fn components(&self) -> &[Component<'a>] {
        &self.components
    }

    /// The signature parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters<'a> {
        &self.parameters
    }

    /// The bytes of the signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Appends the value of `@signature-params` (RFC 9421 §2.3): the member as it came, in canonical form, nothing
    /// reordered and nothing dropped.
    pub fn write_signature_params(&self, out: &mut String) {
        self.input.serialize(out);
    }

    /// Reads one member that stands by itself, as a client does with what it is about to sign.
    ///
    /// # Errors
    /// As [`Claim::proof`].
    pub fn unsigned(label: &'a str, input: InnerList<'a>, limits: &Limits) -> Result<Self, Malformed> {
        Self::new(label, input, Vec::new(), limits)
    }

    fn new(
        label: &'a str,
        input: InnerList<'a>,
        signature: Vec<u8>,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        if input.items.len() > limits.components {
            return Err(Malformed(format!(
                "{} covered components, more than {}",
                input.items.len(),
                limits.components
            )));
        }
        let mut components: Vec<Component<'a>> = Vec::with_capacity(input.items.len());
        for item in &input.items {
            let component = Component::try_from(item)?;
            // RFC 9421 §2.5: each component identifier occurs once.
            let is_same = |known: &Component<'_>| {
                (known.name(), known.is_of_request()) == (component.name(), component.is_of_request())
            };
            if components.iter().any(is_same) {
                return Err(Malformed(format!("the component {component} stands twice")));
            }
            components.push(component);
        }
        let parameters = Parameters::read(&input.parameters, limits)?;
        Ok(Self { label, components, parameters, input, signature })
    }
}

/// What stands under one label of `Signature-Input`, whether it can be read or not.
///
/// A claim that cannot be read only matters where a policy counts it: anybody may add a label to a message.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    label: &'a str,
    tag: Option<Cow<'a, str>>,
    proof: Result<Proof<'a>, Malformed>,
}

impl<'a> Claim<'a> {
    #[must_use]
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// The `tag` parameter: what the proof says it is for.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The proof under this label.
    ///
    /// # Errors
    /// `proof-malformed`.
    pub fn proof(self) -> Result<Proof<'a>, Denial> {
        let label = self.label;
        self.proof.map_err(|problem| {
            Denial::new(
                Code::ProofMalformed,
                format!("the proof {} cannot be used: {problem}", quoted(label)),
            )
        })
    }

    fn read(label: &'a str, input: Member<'a>, signature: Option<Vec<u8>>, limits: &Limits) -> Self {
        let parameters = match &input {
            Member::Item(item) => &item.parameters,
            Member::InnerList(list) => &list.parameters,
        };
        let tag = parameters.iter().find_map(|(name, value)| match value {
            BareItem::String(tag) if name.as_str() == "tag" => Some(match tag {
                Cow::Borrowed(tag) => Cow::Borrowed(tag.as_str()),
                Cow::Owned(tag) => Cow::Owned(tag.as_str().to_owned()),
            }),
            _ => None,
        });
        let proof = match (input, signature) {
            (Member::Item(_), _) => {
                Err(Malformed("in Signature-Input: expected a list of components, but found an item".into()))
            }
            (_, None) => Err(Malformed("Signature holds no byte sequence of that label".into())),
            (Member::InnerList(list), Some(signature)) => Proof::new(label, list, signature, limits),
        };
        Self { label, tag, proof }
    }
}

/// The fields that carry proofs, in one piece each, so that claims can borrow from them.
#[derive(Debug, Clone)]
pub struct ProofFields<'a> {
    input: Option<Cow<'a, [u8]>>,
    signature: Option<Cow<'a, [u8]>>,
}

impl<'a> ProofFields<'a> {
    /// Takes all lines of `Signature-Input` and of `Signature`, each as one dictionary (RFC 9421 §4.1, §4.2).
    #[must_use]
    pub fn of(fields: &Fields<'a>) -> Self {
        Self { input: fields.combined("signature-input"), signature: fields.combined("signature") }
    }

    /// Every claim, in the order of `Signature-Input`; none where there is no such field.
    ///
    /// # Errors
    /// `proof-malformed` when a field cannot be read at all, when a label stands twice, and when there are more
    /// labels than the limit.
    pub fn claims(&self, limits: &Limits) -> Result<Vec<Claim<'_>>, Denial> {
        let Some(input_field) = self.input.as_deref() else {
            return match self.signature {
                None => Ok(Vec::new()),
                Some(_) => Err(malformed("there is a Signature, but no Signature-Input")),
            };
        };
        let signature_field = self.signature.as_deref().unwrap_or_default();
        let inputs = read_field("Signature-Input", input_field, limits)?;
        let mut signatures = read_field("Signature", signature_field, limits)?;
        let claims = inputs.into_iter().map(|(label, input)| {
            let signature = signatures.iter_mut().find(|(known, _)| *known == label).and_then(
                |(key, member)| match member {
                    Member::Item(item) => match &mut item.value {
                        BareItem::ByteSequence(bytes)
                            if structured_field::is_canonical_base64(signature_field, key, bytes) =>
                        {
                            Some(std::mem::take(bytes))
                        }
                        _ => None,
                    },
                    Member::InnerList(_) => None,
                },
            );
            Claim::read(label.as_str(), input, signature, limits)
        });
        Ok(claims.collect())
    }
}

fn read_field<'f>(
    name: &str,
    value: &'f [u8],
    limits: &Limits,
) -> Result<structured_field::Dictionary<'f>, Denial> {
    structured_field::dictionary(value, limits.labels)
        .map_err(|problem| malformed(format!("{name} cannot be read: {problem}")))
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Code::ProofMalformed, detail)
}
