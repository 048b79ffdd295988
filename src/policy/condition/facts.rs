//! What conditions see of a request.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::decimal::Decimal;
use super::json;
use super::media_type;
use super::value::{Object, Value};
use crate::denial::{Code, Denial, quoted};
use crate::policy::Target;
use crate::policy::path::are_escapes;
use crate::request::{Encoding, Request, is_same_to_backends};
use crate::verify::Verified;

/// A request, and what of it is worked out once for all conditions.
#[derive(Debug)]
pub struct Facts<'a> {
    request: &'a Request<'a>,
    target: Target<'a>,
    body: OnceLock<Result<Value<'a>, Denial>>,
    /// Steps that conditions have taken.
    spent: AtomicUsize,
}

impl<'a> Facts<'a> {
    /// # Errors
    /// `path-ambiguous`, as [`Target::of`].
    pub fn of(request: &'a Request<'a>) -> Result<Self, Denial> {
        Ok(Self { request, target: Target::of(request)?, body: OnceLock::new(), spent: AtomicUsize::new(0) })
    }

    #[must_use]
    pub fn request(&self) -> &'a Request<'a> {
        self.request
    }

    #[must_use]
    pub fn target(&self) -> &Target<'a> {
        &self.target
    }

    /// Steps that the conditions before have taken.
    pub(super) fn spent(&self) -> usize {
        self.spent.load(Ordering::Relaxed)
    }

    pub(super) fn spend(&self, steps: usize) {
        self.spent.fetch_add(steps, Ordering::Relaxed);
    }

    /// The body, read when the first condition asks for it: of so many values at most.
    pub(super) fn body(&self, most: usize) -> Result<Value<'a>, Denial> {
        let read = || {
            let body = self.request.body.bytes()?;
            if body.is_empty() {
                let detail = "the policy looks into the body, and there is none";
                return Err(Denial::new(Code::ConditionFailed, detail));
            }
            media_type::check(&self.request.fields)?;
            json::parse(body, most)
        };
        self.body.get_or_init(read).clone()
    }

    /// The value of a header, if there is one.
    pub(super) fn header(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        let fields = &self.request.fields;
        let is_twin = |other: &&str| *other != name && is_same_to_backends(name, other);
        if let Some(twin) = fields.names().find(is_twin) {
            return Err(format!("some backends take the header {} for {}", quoted(twin), quoted(name)));
        }
        if !fields.contains(name) {
            return Ok(None);
        }
        if !fields.is_one_line(name) {
            return Err(format!("the header {} came in more than one line, or may have", quoted(name)));
        }
        let text = fields.lines(name).next().and_then(|value| std::str::from_utf8(value).ok());
        match text {
            // Envoy puts a `!` in place of each byte that is not UTF-8.
            Some(text) if fields.encoding() == Encoding::Merged && text.contains('!') => {
                Err(format!("a ! in the header {} may stand for a byte that was not UTF-8", quoted(name)))
            }
            Some(text) => Ok(Some(Cow::Borrowed(text))),
            None => Err(format!("the header {} is not UTF-8", quoted(name))),
        }
    }

    /// The value of a query parameter, if there is one.
    ///
    /// Backends differ in what a name is: PHP leaves spaces out in front, ends a name at a NUL, and makes `_` of dots and
    /// spaces; many read brackets as structure; some do not tell cases apart. So every name in the query has to be one
    /// that all of them read alike.
    pub(super) fn query_parameter(&self, name: &str) -> Result<Option<Cow<'a, str>>, String> {
        let query = self.request.query().unwrap_or_default();
        let doubt = |what: &str| Err(format!("two servers could read the query differently: {what}"));
        if query.contains(';') {
            return doubt("it contains ;");
        }
        if !are_escapes(query) {
            return doubt("it contains a % that is no escape");
        }
        let mut found = None;
        for (known, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            if !known.bytes().all(is_plain) {
                return doubt(&format!("it has the name {}", quoted(&known)));
            }
            if !known.eq_ignore_ascii_case(name) && !is_same_to_backends(&known, name) {
                continue;
            }
            if known != name || found.is_some() {
                return doubt(&format!("it has {} more than once, or in another spelling", quoted(name)));
            }
            found = Some(value);
        }
        let Some(value) = found else { return Ok(None) };
        // What is not UTF-8 decodes to this character, and two queries would look alike.
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!("the query parameter {} is not UTF-8", quoted(name)));
        }
        Ok(Some(value))
    }
}

/// Who signed, as conditions see it.
pub(super) fn signers<'v>(verified: &Verified<'_>) -> Value<'v> {
    let string = |text: &str| Value::String(Cow::Owned(text.to_owned()));
    let signer = |proof: &crate::verify::VerifiedProof<'_>| {
        let key = proof.key();
        let mut members = vec![
            ("subject", string(&key.subject)),
            ("key_id", string(&key.id)),
            ("roles", Value::List(Arc::new(key.roles.iter().map(|role| string(role)).collect()))),
            ("created", Value::Number(Decimal::from(i128::from(proof.created())))),
        ];
        members.extend(proof.proof().parameters().tag.as_deref().map(|tag| ("tag", string(tag))));
        let members = members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        // The names differ.
        Value::Object(Arc::new(Object::new(members).unwrap_or_default()))
    };
    Value::List(Arc::new(verified.proofs().iter().map(signer).collect()))
}
