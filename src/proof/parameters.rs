//! Signature parameters (RFC 9421 §2.3).

use std::borrow::Cow;

use super::Malformed;
use super::component::text;
use crate::limits::Limits;
use crate::structured_field::{self, BareItem};

/// The parameters that RFC 9421 defines. Others are part of what was signed, and have no meaning here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// When the signature was made, in seconds since the epoch.
    pub created: Option<i64>,
    /// When it stops being valid, in seconds since the epoch.
    pub expires: Option<i64>,
    /// A value that the signer uses once.
    pub nonce: Option<Cow<'a, str>>,
    /// The algorithm, as the client says. It never chooses one: the key does.
    pub alg: Option<Cow<'a, str>>,
    /// Which key: looked up, never dereferenced.
    pub keyid: Option<Cow<'a, str>>,
    /// What the signature is for.
    pub tag: Option<Cow<'a, str>>,
}

impl<'a> Parameters<'a> {
    pub(super) fn read(
        parameters: &structured_field::Parameters<'a>,
        limits: &Limits,
    ) -> Result<Self, Malformed> {
        let mut read = Self::default();
        for (name, value) in parameters {
            match name.as_str() {
                "created" => read.created = Some(seconds("created", value)?),
                "expires" => read.expires = Some(seconds("expires", value)?),
                "nonce" => read.nonce = Some(string("nonce", value)?),
                "alg" => read.alg = Some(string("alg", value)?),
                "keyid" => read.keyid = Some(string("keyid", value)?),
                "tag" => read.tag = Some(string("tag", value)?),
                _ => {}
            }
        }
        if let Some(nonce) = &read.nonce
            && (nonce.is_empty() || nonce.len() > limits.nonce_bytes)
        {
            return Err(Malformed(format!(
                "a nonce of {} bytes: expected 1 to {}",
                nonce.len(),
                limits.nonce_bytes
            )));
        }
        if let (Some(created), Some(expires)) = (read.created, read.expires)
            && expires <= created
        {
            return Err(Malformed("expires is not later than created".into()));
        }
        Ok(read)
    }
}

fn seconds(name: &str, value: &BareItem<'_>) -> Result<i64, Malformed> {
    match value {
        BareItem::Integer(seconds) if i64::from(*seconds) >= 0 => Ok(i64::from(*seconds)),
        _ => Err(Malformed(format!("{name}: expected whole seconds since 1970"))),
    }
}

fn string<'a>(name: &str, value: &BareItem<'a>) -> Result<Cow<'a, str>, Malformed> {
    match value {
        BareItem::String(value) => Ok(text(value)),
        _ => Err(Malformed(format!("{name}: expected a string"))),
    }
}
