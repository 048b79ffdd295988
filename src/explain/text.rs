//! The story as people read it.

use std::fmt;

use super::{
    Check, Difference, FirstDifference, Mistake, Outcome, ProofStory, Story, Tried, TriedOutcome, counted,
};

/// Policies that do not match and are told of one by one.
const LISTED: usize = 8;

/// Sentences are wrapped there; what must be seen exactly as it is, such as a signature base, never is.
const WIDTH: usize = 110;

/// Writes a story. What failed begins with `✗`.
pub struct Text<'s>(pub &'s Story);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let story = self.0;
        writeln!(f, "request")?;
        let request = &story.request;
        if !request.method.is_empty() {
            writeln!(f, "  {} {}", request.method, request.target_uri)?;
            writeln!(f, "  {}; {}", counted(request.header_lines, "header line"), request.body)?;
        }
        writeln!(f, "  from {}", request.source)?;
        for note in &request.notes {
            sentence(f, "  note: ", note)?;
        }
        let time = &story.time;
        writeln!(f, "  decided as of {} ({}): {}", time.rfc3339, time.unix, time.why)?;
        policies(story, f)?;
        if !story.asks.is_empty() {
            writeln!(f, "\nthe policy asks for")?;
            for ask in &story.asks {
                sentence(f, "  - ", ask)?;
            }
        }
        if !story.checks.is_empty() {
            writeln!(f, "\nthe request as a whole")?;
            checks(&story.checks, f)?;
        }
        for told in &story.proofs {
            proof(told, f)?;
        }
        if let Some(digest) = &story.digest {
            let body = digest.body_bytes.map_or("not known".to_owned(), |bytes| counted(bytes, "byte"));
            writeln!(f, "\nbody: {body}")?;
            check(&digest.check, f)?;
            for stated in &digest.digests {
                let (algorithm, bytes) = (&stated.algorithm, stated.stated_bytes);
                writeln!(f, "      {algorithm} stated    {} ({})", stated.stated, counted(bytes, "byte"))?;
                match &stated.computed {
                    Some(computed) => {
                        let bytes = counted(stated.computed_bytes, "byte");
                        writeln!(f, "      {algorithm} computed  {computed} ({bytes})")?;
                    }
                    None => {
                        writeln!(f, "      {algorithm} does not count, or there is no body to compute it of")?
                    }
                }
            }
        }
        approvals(story, f)?;
        if let Some(difference) = &story.base_difference {
            base_difference(difference, f)?;
        }
        decision(story, f)
    }
}

/// Writes a sentence behind its beginning, and wraps it under itself.
fn sentence(f: &mut fmt::Formatter<'_>, begin: &str, text: &str) -> fmt::Result {
    let indent = begin.chars().count() - begin.trim_start().chars().count() + 4;
    let mut column = begin.chars().count();
    f.write_str(begin)?;
    for (position, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if position > 0 && column + 1 + width > WIDTH {
            write!(f, "\n{:indent$}", "")?;
            column = indent;
        } else if position > 0 {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += width;
    }
    writeln!(f)
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✓",
        Outcome::Failed => "✗",
        Outcome::Skipped => "·",
    }
}

fn check(check: &Check, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let code = check.code.filter(|_| check.outcome == Outcome::Failed);
    let code = code.map_or(String::new(), |code| format!(" [{code}]"));
    sentence(f, &format!("  {} {}: ", mark(check.outcome), check.name), &format!("{}{code}", check.text))
}

fn checks(all: &[Check], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    all.iter().try_for_each(|one| check(one, f))
}

fn policies(story: &Story, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "\npolicies, in order")?;
    if let Some(route) = &story.route_policy {
        writeln!(f, "  the route names \"{route}\": no other policy is tried")?;
    }
    // Those that almost match are what somebody looks for.
    let almost = |tried: &&Tried| tried.mismatches.len() <= 1;
    let is_listed = |tried: &&Tried| tried.outcome == TriedOutcome::NotMatching;
    let mut shown: Vec<&Tried> =
        story.policies.iter().filter(is_listed).filter(almost).take(LISTED).collect();
    let others = story.policies.iter().filter(is_listed).filter(|tried| !almost(tried));
    shown.extend(others.take(LISTED.saturating_sub(shown.len())));
    let mut left = 0;
    for tried in &story.policies {
        if tried.outcome == TriedOutcome::NotMatching
            && !shown.iter().any(|shown| std::ptr::eq(*shown, tried))
        {
            left += 1;
        } else {
            policy(tried, f)?;
        }
    }
    if left > 0 {
        writeln!(f, "  · and {} that do not match", counted_policies(left))?;
    }
    if story.policies.is_empty() {
        writeln!(f, "  · none was tried")?;
    }
    Ok(())
}

fn counted_policies(count: usize) -> String {
    if count == 1 { "1 policy more".to_owned() } else { format!("{count} policies more") }
}

fn policy(tried: &Tried, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = &tried.name;
    match tried.outcome {
        TriedOutcome::NotMatching => {
            let reasons: Vec<String> = tried
                .mismatches
                .iter()
                .map(|mismatch| {
                    format!("{} is {}, not {}", mismatch.property, mismatch.found, mismatch.expected)
                })
                .collect();
            sentence(f, &format!("  · {name}: does not match: "), &reasons.join("; "))
        }
        TriedOutcome::ConditionFalse => {
            let condition = tried.condition.as_deref().unwrap_or_default().replace('\n', " ");
            sentence(f, &format!("  · {name}: its condition is false: "), &condition)
        }
        TriedOutcome::ConditionFailed => {
            sentence(f, &format!("  ✗ {name}: "), tried.problem.as_deref().unwrap_or_default())?;
            let condition = tried.condition.as_deref().unwrap_or_default();
            condition.lines().try_for_each(|line| writeln!(f, "      | {line}"))
        }
        TriedOutcome::Observes => {
            let problem = tried.problem.as_deref().unwrap_or_default();
            sentence(f, &format!("  · {name}: only observes: "), problem)
        }
        TriedOutcome::Decides => writeln!(f, "  ✓ {name}: matches, and decides"),
    }
}

fn proof(proof: &ProofStory, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let counts = if proof.counts { "" } else { ", which does not count" };
    let serves = if proof.serves_as.is_empty() {
        String::new()
    } else {
        format!(", {}", proof.serves_as.join(" and "))
    };
    let label = &proof.label;
    writeln!(f, "\nproof {label}{serves}{counts}")?;
    checks(&proof.checks, f)?;
    if let Some(base) = &proof.base {
        writeln!(f, "    the signature base, each line behind the bar:")?;
        for line in base.split('\n') {
            writeln!(f, "    | {line}")?;
        }
    }
    if let Some(found) = &proof.mistake {
        mistake(found, f)?;
    } else if proof.verifies == Some(false) {
        writeln!(
            f,
            "    no likely mistake explains it: compare with what the client signs, with --base FILE"
        )?;
    }
    Ok(())
}

fn mistake(mistake: &Mistake, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    sentence(f, "  ✗ ", &format!("{} [{}]", mistake.sentence, mistake.name))
}

fn approvals(story: &Story, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(approvals) = &story.approvals else { return Ok(()) };
    let missing = approvals.missing;
    writeln!(f, "\napprovals: {} needed, {missing} missing", approvals.needed)?;
    check(&approvals.check, f)?;
    for place in &approvals.places {
        let role = place.role.as_deref().unwrap_or("any role");
        match (&place.label, &place.subject) {
            (Some(label), Some(subject)) => writeln!(f, "  ✓ {role}: {subject}, by the proof {label}")?,
            _ => writeln!(f, "  ✗ {role}: nobody")?,
        }
    }
    if !approvals.submitter_may_approve {
        writeln!(f, "    whoever submits the request may not approve it")?;
    }
    Ok(())
}

fn base_difference(difference: &Difference, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "\nthe base of the client, against that of the proof {}", difference.label)?;
    match &difference.first {
        None => writeln!(f, "  ✓ they are equal")?,
        Some(FirstDifference { byte, line, column, relay, client, caret }) => {
            writeln!(
                f,
                "  ✗ they differ from byte {byte} on, counted from 0 (line {line}, column {column}):"
            )?;
            writeln!(f, "    relay   {relay}")?;
            writeln!(f, "    client  {client}")?;
            writeln!(f, "            {:caret$}^", "")?;
        }
    }
    match difference.signature_verifies {
        Some(true) => writeln!(f, "  ✓ the signature is one over the client's base")?,
        Some(false) => writeln!(f, "  ✗ the signature is not one over the client's base either")?,
        None => writeln!(f, "  · whether the signature is one over it is not known, for want of a key")?,
    }
    difference.mistakes.iter().try_for_each(|found| mistake(found, f))
}

fn decision(story: &Story, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let decision = &story.decision;
    let mark = if decision.decision == "allowed" { "✓" } else { "✗" };
    writeln!(f, "\ndecision")?;
    write!(f, "  {mark} {}", decision.decision)?;
    if let Some(code) = decision.code {
        write!(f, ": {code}")?;
    }
    match &decision.policy {
        Some(policy) => write!(f, ", by the policy {policy}")?,
        None => write!(f, ", by no policy")?,
    }
    writeln!(f, ", status {}", decision.status)?;
    let told = [
        ("the client is told", &decision.detail),
        ("the log also says", &decision.particulars),
        ("accept-signature", &decision.accept_signature),
    ];
    for (what, text) in told {
        if let Some(text) = text {
            sentence(f, &format!("    {what}: "), text)?;
        }
    }
    if decision.decision == "observed" {
        writeln!(f, "    it reaches the backend all the same: the policy only observes")?;
    }
    match (decision.code, &story.mistake) {
        (Some("signature-invalid"), Some(found)) => sentence(f, "    why: ", &found.sentence)?,
        (Some("proof-too-old" | "proof-expired"), _) if !story.time.is_signed => {
            writeln!(f, "    as of the time when it was signed: ask with --at signed")?;
        }
        _ => {}
    }
    if let Some(code) = story.time.code_now.filter(|code| decision.code != Some(code)) {
        writeln!(f, "    ✗ now it would be denied: {code}")?;
    }
    writeln!(f, "    replays: {}", decision.replay)
}
