//! Likely mistakes of clients, by name.
//!
//! Each makes, of the parts of the right base, the bases that a client with this mistake would sign. Which of them was
//! made shows when the signature verifies over such a base, or when the base that the client printed is one. This is for
//! whoever looks for a mistake; no server ever tries.

mod compared;
mod frame;
mod lines;
mod parts;

pub(super) use compared::of_lines;
pub(super) use parts::Parts;

use super::{Mistake, printable};
use crate::crypto::{Algorithm, ecdsa_from_der};
use crate::keys::{Directory, Key};
use base64ct::{Base64, Encoding as _};

/// With more components than this, not every place in a base is tried.
const FEW: usize = 8;

/// A base that a client may have made.
pub(super) struct Attempt {
    base: Vec<u8>,
    /// What is wrong with it: `ends with a newline`.
    what: String,
}

impl Attempt {
    fn new(base: impl Into<Vec<u8>>, what: String) -> Self {
        Self { base: base.into(), what }
    }
}

/// A mistake that is known.
struct Known {
    /// Stable.
    name: &'static str,
    attempts: fn(&Parts<'_>) -> Vec<Attempt>,
    /// What to do about it.
    advice: &'static str,
}

/// The likely ones first: the first that explains a signature is the one that is named.
const KNOWN: &[Known] = &[
    known("trailing-newline", frame::trailing_newline, "the last line ends without one (RFC 9421 §2.5)"),
    known("crlf", frame::crlf, "lines end with a line feed alone (RFC 9421 §2.5)"),
    known(
        "wrong-scheme",
        lines::scheme,
        "it is the scheme of the URL; where TLS ends in front of Envoy, external.scheme in the policy says so",
    ),
    known(
        "wrong-authority",
        lines::authority,
        "it is the host of the URL in lower case, without the scheme's own port; where clients know another name than Envoy sees, external.authority in the policy says so",
    ),
    known(
        "wrong-scheme-and-authority",
        lines::scheme_and_authority,
        "where TLS and the name end in front of Envoy, external.scheme and external.authority in the policy say so",
    ),
    known(
        "wrong-query",
        lines::query,
        "@target-uri has path and query, @path has no query, @query begins with ? (RFC 9421 §2.2)",
    ),
    known("wrong-path", lines::path, "sign the path exactly as it is sent"),
    known(
        "method-case",
        lines::method_case,
        "the method is signed as it is sent: methods are case-sensitive",
    ),
    known("component-order", lines::order, "the lines stand in the order of Signature-Input"),
    known("params-order", frame::params_order, "the parameters stand in the order of Signature-Input"),
    known("params-dropped", frame::params_dropped, "the last line has every parameter of Signature-Input"),
    known("params-added", frame::params_added, "the last line has only the parameters of Signature-Input"),
    known(
        "params-quoting",
        frame::params_quoting,
        "created and expires are numbers, the others are strings in quotes",
    ),
    known(
        "params-spelling",
        frame::params_spelling,
        "the last line has no spaces but those between components (RFC 9421 §2.3)",
    ),
    known("label-included", frame::label, "the label is no part of what is signed"),
    known(
        "params-line",
        frame::params_line,
        "the last line is \"@signature-params\": and the value (RFC 9421 §2.5)",
    ),
    known(
        "unquoted-identifiers",
        frame::identifiers,
        "the name of a component stands in quotes (RFC 9421 §2.5)",
    ),
    known("identifier-case", frame::identifier_case, "names are signed in lower case (RFC 9421 §2.1)"),
    known(
        "space-after-colon",
        frame::space_after_colon,
        "a colon and one space follow each name (RFC 9421 §2.5)",
    ),
    known(
        "digest-of-other-body",
        lines::digest_body,
        "sign the Content-Digest that is sent, after the body is final",
    ),
    known(
        "digest-encoding",
        lines::digest_encoding,
        "it is sha-256=:…: with base64 between the colons (RFC 9530)",
    ),
    known(
        "value-whitespace",
        lines::whitespace,
        "values are trimmed, and lines of one name are joined with a comma and a space (RFC 9421 §2.1)",
    ),
    known("component-missing", lines::missing, "every component of Signature-Input has its line"),
    known("component-extra", lines::extra, "only the components of Signature-Input have lines"),
    known("line-ends", frame::joined, "lines end with a line feed"),
    known("hashed-first", frame::hashed, "sign the base itself: the algorithm hashes what it has to"),
];

const fn known(name: &'static str, attempts: fn(&Parts<'_>) -> Vec<Attempt>, advice: &'static str) -> Known {
    Known { name, attempts, advice }
}

impl Known {
    fn mistake(&self, whose: &str, what: &str) -> Mistake {
        Mistake { name: self.name, sentence: format!("{whose} {}: {}", printable(what), self.advice) }
    }
}

/// The first mistake whose base is the one that is looked for.
fn find(parts: &Parts<'_>, whose: &str, is_it: impl Fn(&[u8]) -> bool) -> Option<Mistake> {
    let right = parts.right();
    KNOWN.iter().find_map(|known| {
        let attempts = (known.attempts)(parts);
        let mut wrong = attempts.iter().filter(|attempt| attempt.base != right.as_bytes());
        wrong.find(|attempt| is_it(&attempt.base)).map(|attempt| known.mistake(whose, &attempt.what))
    })
}

/// The mistake that made this base of the client.
pub(super) fn of_base(parts: &Parts<'_>, base: &[u8]) -> Option<Mistake> {
    find(parts, "the base that the client printed", |attempt| attempt == base)
}

/// Why a signature does not verify, if a likely mistake shows it.
pub(super) fn of_signature(
    parts: &Parts<'_>,
    key: Option<&Key>,
    keys: &Directory,
    signature: &[u8],
) -> Option<Mistake> {
    let right = parts.right();
    if let Some(key) = key {
        let verifies = |base: &[u8]| key.public.verify(base, signature).is_ok();
        if let Some(mistake) = other_form(key, &right, signature) {
            return Some(mistake);
        }
        if let Some(mistake) = find(parts, "the signature is one over a base that", verifies) {
            return Some(mistake);
        }
    }
    other_key(key, keys, &right, signature)
}

/// A signature that is right in another form.
fn other_form(key: &Key, base: &str, signature: &[u8]) -> Option<Mistake> {
    let verifies = |signature: &[u8]| key.public.verify(base.as_bytes(), signature).is_ok();
    let mistake = |name, sentence: &str| Some(Mistake { name, sentence: sentence.to_owned() });
    if key.public.algorithm() == Algorithm::EcdsaP256Sha256
        && ecdsa_from_der(signature).is_some_and(|fixed| verifies(&fixed))
    {
        return mistake(
            "signature-der",
            "the signature is right, but in DER: RFC 9421 §3.3.4 has r and s of 32 bytes each, one after the other (IEEE P1363)",
        );
    }
    let text = std::str::from_utf8(signature).ok()?;
    let hex: Option<Vec<u8>> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    if hex.is_some_and(|bytes| verifies(&bytes)) {
        return mistake(
            "signature-encoding",
            "the signature is right, but in hex within its base64: encode its bytes once",
        );
    }
    if Base64::decode_vec(text).is_ok_and(|bytes| verifies(&bytes)) {
        return mistake(
            "signature-encoding",
            "the signature is right, but in base64 twice: encode its bytes once",
        );
    }
    None
}

/// A signature of another key.
fn other_key(key: Option<&Key>, keys: &Directory, base: &str, signature: &[u8]) -> Option<Mistake> {
    let mut others: Vec<&Key> =
        keys.iter().filter(|other| key.is_none_or(|key| key.id != other.id)).collect();
    others.sort_by(|one, two| one.id.cmp(&two.id));
    let other = others.into_iter().find(|other| other.public.verify(base.as_bytes(), signature).is_ok())?;
    let (id, subject) = (printable(&other.id), printable(&other.subject));
    let sentence = format!(
        "the signature is right, but it is one of the key {id} of {subject}, which keyid does not name: the client has the wrong key or says the wrong id"
    );
    Some(Mistake { name: "other-key", sentence })
}

/// Orders of so many things, but for the one that they have. All of them where they are few, else the reverse and those
/// that come of moving one; to the front, to the end and by one place where they are many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let identity: Vec<usize> = (0..count).collect();
    let mut orders = Vec::new();
    if count <= 5 {
        permute(&mut Vec::new(), &identity, &mut orders);
    } else {
        orders.push(identity.iter().rev().copied().collect());
        for from in 0..count {
            for to in (0..count).filter(|to| count <= FEW || [0, count - 1, from + 1].contains(to)) {
                let mut order = identity.clone();
                let moved = order.remove(from);
                order.insert(to, moved);
                orders.push(order);
            }
        }
    }
    orders.retain(|order| *order != identity);
    orders.dedup();
    orders
}

fn permute(taken: &mut Vec<usize>, left: &[usize], orders: &mut Vec<Vec<usize>>) {
    if left.is_empty() {
        orders.push(taken.clone());
    }
    for at in left {
        taken.push(*at);
        let rest: Vec<usize> = left.iter().copied().filter(|other| other != at).collect();
        permute(taken, &rest, orders);
        taken.pop();
    }
}
