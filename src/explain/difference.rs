//! How the base that a client printed differs from the one that the relay builds.

use super::mistakes::{self, Parts};
use super::{Difference, FirstDifference, Mistake};
use crate::rules::Rules;
use crate::verify::Message;
use crate::verify::examination::{Examination, Examined};

/// Fields whose values let in whoever knows them.
const SECRET: &[&str] = &["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Compares the client's base with that of the proof of that label; without a label, with the one whose parameters it
/// has, or else the first. Nothing where no proof can be compared.
pub(super) fn tell(
    rules: &Rules,
    message: &Message<'_>,
    examined: &[Examination<'_>],
    client: &[u8],
    label: Option<&str>,
) -> Option<Difference> {
    let readable = || {
        let readable = examined.iter().filter_map(|examination| examination.proof.as_ref().ok());
        readable.filter_map(|examined| Some((examined, examined.base.as_ref().ok()?)))
    };
    let last_line =
        |text: &[u8]| text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    let (examined, base) = match label {
        Some(label) => readable().find(|(examined, _)| examined.proof.label() == label)?,
        None => readable()
            .find(|(_, base)| last_line(base.as_bytes()) == last_line(client))
            .or_else(|| readable().next())?,
    };
    let verifies = |base: &[u8]| {
        let key = examined.key.as_deref()?;
        Some(key.public.verify(base, examined.proof.signature()).is_ok())
    };
    // A printed base ends with a newline that may be none of what was signed. Only the signature can tell.
    let without = client.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let client = match without {
        Some(without) if verifies(client) != Some(true) => without,
        _ => client,
    };
    let parts = Parts::of(&examined.proof, message, base, rules);
    let first = first(base.as_bytes(), client);
    let signature_verifies = verifies(client);
    let mistakes = if first.is_none() {
        unexplained(examined, signature_verifies).into_iter().collect()
    } else {
        match mistakes::of_base(&parts, client) {
            Some(mistake) => vec![mistake],
            None => mistakes::of_lines(&parts, client),
        }
    };
    Some(Difference { label: super::printable(examined.proof.label()), first, signature_verifies, mistakes })
}

/// The bases are equal, and the signature is wrong all the same.
fn unexplained(examined: &Examined<'_>, verifies: Option<bool>) -> Option<Mistake> {
    let bytes = examined.proof.signature().len();
    (verifies == Some(false)).then(|| Mistake {
        name: "other-signature",
        sentence: format!(
            "the base that the client printed is right, but the signature ({bytes} bytes) is not one of it by this key: the client has another private key, or signs something else than it prints"
        ),
    })
}

/// The first byte that differs, with the lines that it stands in.
fn first(relay: &[u8], client: &[u8]) -> Option<FirstDifference> {
    if relay == client {
        return None;
    }
    let byte = relay.iter().zip(client).take_while(|(one, two)| one == two).count();
    let before = relay.get(..byte).unwrap_or_default();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = |text: &[u8]| {
        let rest = text.get(start..).unwrap_or_default();
        // With its end, for that may be what differs.
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        escaped(rest.get(..end).unwrap_or_default())
    };
    Some(FirstDifference {
        byte,
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
        column: byte - start + 1,
        relay: line(relay),
        client: without_secret(line(client), relay),
        caret: escaped(before.get(start..).unwrap_or_default()).chars().count(),
    })
}

/// The line of the client, but for the value of a credential that the relay's base does not cover either.
fn without_secret(line: String, relay: &[u8]) -> String {
    let secret =
        SECRET.iter().find(|name| line.to_ascii_lowercase().trim_start_matches('"').starts_with(*name));
    match secret {
        Some(name) if !escaped(relay).contains(&format!("\"{name}\"")) => format!("\"{name}\": …"),
        _ => line,
    }
}

/// Bytes as text in which every one can be seen.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.extend(std::ascii::escape_default(*other).map(char::from)),
        }
    }
    text
}
