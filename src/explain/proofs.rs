//! What the proofs of a request say, check by check, against the policy that decided.

use base64ct::{Base64, Encoding as _};

use super::mistakes::{self, Parts};
use super::{
    Check, Digest, DigestStory, ProofStory, Story, counted, difference, named, printable, protected, rfc3339,
    terms,
};
use crate::crypto::{sha256, sha512};
use crate::keys::Key;
use crate::policy::{Facts, Policy};
use crate::proof::ProofFields;
use crate::request::Request;
use crate::rules::Rules;
use crate::structured_field::{self, BareItem, Item, MAX_MEMBERS, Member};
use crate::timestamp::Timestamp;
use crate::verify::examination::{Examination, Examined, examine, examine_body};
use crate::verify::{Message, Requirement, verify};

/// Adds everything about the proofs to the story.
pub(super) fn tell(
    rules: &Rules,
    policy: &Policy,
    facts: &Facts<'_>,
    now: Timestamp,
    client_base: Option<(&[u8], Option<&str>)>,
    story: &mut Story,
) {
    let Some(requirement) = policy.requirement() else { return };
    let request = facts.request();
    let fields = ProofFields::of(&request.fields);
    let message = policy.message(request, &rules.field_types);
    let (keys, limits) = (&rules.keys, &rules.limits);
    let examined = match examine(&fields, &message, requirement, keys, limits, now) {
        Ok(examined) => examined,
        Err(denial) => {
            story.checks.push(Check::failed("proofs", &denial));
            return;
        }
    };
    let verified = verify(&fields, &message, requirement, keys, limits, now);
    let counting = examined.iter().filter(|examination| examination.counts).count();
    let on_it = counted(examined.len(), "proof");
    story.checks.push(match &verified {
        Err(denial) if counting == 0 => Check::failed("proofs", denial),
        _ => {
            Check::passed("proofs", format!("{on_it} on the request, of which the policy counts {counting}"))
        }
    });
    for examination in &examined {
        let mut told = proof(examination, requirement, now);
        if let Ok(examined) = &examination.proof {
            told.mistake = mistake(rules, &message, examined, &told);
        }
        story.proofs.push(told);
    }
    story.digest = Some(digest(&message, requirement));
    let (checks, approvals) = terms::tell(rules, policy, facts, verified.as_ref(), now, &mut story.proofs);
    story.checks.extend(checks);
    story.approvals = approvals;
    // As far as it is known: a field that is not covered by every proof that counts.
    let covers = |name: &str| {
        let counting = examined.iter().filter(|examination| examination.counts);
        let mut proofs = counting.map(|examination| examination.proof.as_ref().ok());
        examined.iter().any(|examination| examination.counts)
            && proofs.all(|known| known.is_some_and(|known| known.covers_field(name)))
    };
    story.checks.push(protected(policy, request, covers));
    if let Some((base, label)) = client_base {
        story.base_difference = difference::tell(rules, &message, &examined, base, label);
    }
    let from_base = story.base_difference.iter().flat_map(|difference| &difference.mistakes);
    let of_proofs =
        story.proofs.iter().filter(|proof| proof.counts).filter_map(|proof| proof.mistake.as_ref());
    story.mistake = of_proofs.chain(from_base).next().cloned();
}

fn proof(examination: &Examination<'_>, requirement: &Requirement, now: Timestamp) -> ProofStory {
    let mut story = ProofStory {
        label: printable(examination.label),
        tag: examination.tag.as_deref().map(printable),
        counts: examination.counts,
        ..ProofStory::default()
    };
    if !examination.counts {
        let tags = requirement.tags.join(" or ");
        let found = story.tag.as_deref().map_or("none".to_owned(), named);
        story.checks.push(Check::skipped(
            "counts",
            format!("no: the policy counts the tag {tags}, and it has {found}"),
        ));
    }
    match &examination.proof {
        Err(denial) => story.checks.push(Check::failed("reading", denial)),
        Ok(examined) => read(examined, requirement, now, &mut story),
    }
    story
}

fn read(examined: &Examined<'_>, requirement: &Requirement, now: Timestamp, story: &mut ProofStory) {
    let proof = &examined.proof;
    let parameters = proof.parameters();
    story.key_id = parameters.keyid.as_deref().map(printable);
    story.components = proof
        .components()
        .iter()
        .map(|component| {
            let mut identifier = String::new();
            component.write_identifier(&mut identifier);
            identifier
        })
        .collect();
    let mut written = String::new();
    proof.write_signature_params(&mut written);
    story.parameters = Some(written);
    (story.created, story.expires) = (parameters.created, parameters.expires);
    story.signature_bytes = proof.signature().len();
    if let Some(key) = &examined.key {
        story.subject = Some(printable(&key.subject));
        story.roles = key.roles.iter().map(|role| printable(role)).collect();
    }
    let key = examined.key.as_deref().map_or(String::new(), described);
    let mut checks = vec![
        Check::of("key", &examined.key_usable, key.clone()),
        Check::passed("components", story.components.join(" ")),
    ];
    if examined.key_usable.is_err()
        && let Some(failed) = checks.first_mut()
        && !key.is_empty()
    {
        failed.text = format!("{}; {key}", failed.text);
    }
    if !examined.gaps.is_empty() {
        checks.pop();
        checks.extend(examined.gaps.iter().map(|gap| {
            let mut check = Check::failed("components", gap);
            check.text = format!("{}: it covers {}", check.text, story.components.join(" "));
            check
        }));
    }
    match examined.lacking.as_slice() {
        [] => checks.push(Check::passed("parameters", "all that are asked for")),
        lacking => checks.extend(lacking.iter().map(|denial| Check::failed("parameters", denial))),
    }
    let mut freshness = Check::of("freshness", &examined.freshness, "");
    let ages = ages(examined, requirement, now);
    freshness.text = if freshness.text.is_empty() { ages } else { format!("{} ({ages})", freshness.text) };
    checks.push(freshness);
    if let Err(denial) = &examined.no_copy {
        checks.push(Check::failed("distinct", denial));
    }
    match &examined.base {
        Err(denial) => checks.push(Check::failed("base", denial)),
        Ok(base) => {
            let lines = counted(base.split('\n').count(), "line");
            checks.push(Check::passed("base", format!("{lines}, {}", counted(base.len(), "byte"))));
        }
    }
    let bytes = counted(proof.signature().len(), "byte");
    checks.push(match &examined.signature {
        None => Check::skipped("signature", format!("{bytes}: not checked, for want of a key or a base")),
        Some(result) => {
            let key = examined.key.as_deref().map_or("", |key| &*key.id);
            Check::of(
                "signature",
                result,
                format!("{bytes}: verifies over this base with the key {}", printable(key)),
            )
        }
    });
    story.verifies = examined.signature.as_ref().map(Result::is_ok);
    story.base = examined.base.as_ref().ok().cloned();
    story.checks.extend(checks);
}

/// A key as the trust store has it.
fn described(key: &Key) -> String {
    let mut text =
        format!("{} of {}, {}", printable(&key.id), printable(&key.subject), key.public.algorithm().name());
    if key.roles.is_empty() {
        text.push_str(", without roles");
    } else {
        text.push_str(&format!(
            ", roles {}",
            key.roles.iter().map(|role| printable(role)).collect::<Vec<_>>().join(", ")
        ));
    }
    let times =
        [("valid from", key.not_before), ("valid until", key.expires), ("revoked from", key.revoked_at)];
    for (what, time) in times {
        if let Some(time) = time {
            text.push_str(&format!(", {what} {}", rfc3339(time)));
        }
    }
    text
}

fn ages(examined: &Examined<'_>, requirement: &Requirement, now: Timestamp) -> String {
    let parameters = examined.proof.parameters();
    let now = now.unix_seconds();
    let mut text = match parameters.created {
        None => "no created".to_owned(),
        Some(created) if created > now => format!("created {} s from now", created.saturating_sub(now)),
        Some(created) => format!("created {} s ago", now.saturating_sub(created)),
    };
    text.push_str(&format!(", max_age {} s, clock_skew {} s", requirement.max_age, requirement.clock_skew));
    match parameters.expires {
        None => {}
        Some(expires) if expires < now => {
            text.push_str(&format!(", expired {} s ago", now.saturating_sub(expires)))
        }
        Some(expires) => text.push_str(&format!(", expires in {} s", expires.saturating_sub(now))),
    }
    text
}

fn mistake(
    rules: &Rules,
    message: &Message<'_>,
    examined: &Examined<'_>,
    story: &ProofStory,
) -> Option<super::Mistake> {
    let base = examined.base.as_ref().ok()?;
    // A signature that verifies is one of this request; nothing is to be explained.
    if story.verifies == Some(true) {
        return None;
    }
    let parts = Parts::of(&examined.proof, message, base, rules);
    mistakes::of_signature(&parts, examined.key.as_deref(), &rules.keys, examined.proof.signature())
}

fn digest(message: &Message<'_>, requirement: &Requirement) -> Digest {
    let request = message.request();
    let result = examine_body(message, requirement);
    let body = request.body.bytes().ok();
    let text = match &result {
        Ok(Some(())) => "it is that of the body",
        _ => "none has to hold",
    };
    Digest {
        check: Check::of("digest", &result, text),
        body_bytes: body.map(<[u8]>::len),
        digests: stated(request, body),
    }
}

/// What `Content-Digest` says, beside what the body has.
fn stated(request: &Request<'_>, body: Option<&[u8]>) -> Vec<DigestStory> {
    let Some(field) = request.fields.combined("content-digest") else { return Vec::new() };
    let members = structured_field::dictionary(&field, MAX_MEMBERS).unwrap_or_default();
    let story = |(algorithm, member): (String, Member<'_>)| {
        let computed = body.and_then(|body| match algorithm.as_str() {
            "sha-256" => Some(sha256(body).to_vec()),
            "sha-512" => Some(sha512(body).to_vec()),
            _ => None,
        });
        let (stated, stated_bytes) = match member {
            Member::Item(Item { value: BareItem::ByteSequence(bytes), .. }) => {
                (Base64::encode_string(&bytes), bytes.len())
            }
            _ => ("no byte sequence".to_owned(), 0),
        };
        DigestStory {
            algorithm,
            stated,
            stated_bytes,
            computed_bytes: computed.as_ref().map_or(0, Vec::len),
            computed: computed.map(|bytes| Base64::encode_string(&bytes)),
        }
    };
    members.into_iter().map(|(algorithm, member)| story((algorithm.as_str().to_owned(), member))).collect()
}
