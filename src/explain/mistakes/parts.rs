//! A signature base in parts that mistakes can be made with.

use crate::crypto::Algorithm;
use crate::proof::{Name, Proof};
use crate::request::{Request, trimmed};
use crate::rules::Rules;
use crate::verify::Message;

/// One line of a signature base.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// With its quotes and parameters.
    pub(super) identifier: String,
    pub(super) value: String,
}

/// What a base is made of, and what a client may have made it of instead.
pub(in crate::explain) struct Parts<'a> {
    pub(super) label: &'a str,
    pub(super) request: &'a Request<'a>,
    pub(super) lines: Vec<Line>,
    pub(super) names: Vec<Name<'a>>,
    /// The parameters behind the list of components, each with its name: `created=1`.
    pub(super) params: Vec<String>,
    pub(super) scheme: String,
    pub(super) authority: String,
    /// Names of the resource in the configuration.
    pub(super) authorities: Vec<String>,
    /// What the member of `Signature-Input` looks like, before it is made canonical.
    pub(super) raw_params: Option<String>,
    pub(super) algorithm: Option<Algorithm>,
}

impl<'a> Parts<'a> {
    /// `base` is the one that the relay built of the proof and the message.
    #[must_use]
    pub(in crate::explain) fn of(
        proof: &Proof<'a>,
        message: &Message<'a>,
        base: &str,
        rules: &Rules,
    ) -> Self {
        let names: Vec<Name<'a>> =
            proof.components().iter().map(|component| component.name().clone()).collect();
        let identifiers = proof.components().iter().map(|component| {
            let mut identifier = String::new();
            component.write_identifier(&mut identifier);
            identifier
        });
        let lines: Vec<Line> = identifiers
            .zip(base.split('\n'))
            .map(|(identifier, line)| {
                let value = line.strip_prefix(identifier.as_str()).and_then(|rest| rest.strip_prefix(": "));
                Line { value: value.unwrap_or_default().to_owned(), identifier }
            })
            .collect();
        let mut written = String::new();
        proof.write_signature_params(&mut written);
        let rest = written.strip_prefix(list(&lines).as_str()).unwrap_or_default();
        let request = message.request();
        let external =
            |policy: &crate::policy::Policy| policy.external.authority.as_deref().map(str::to_owned);
        let key = proof.parameters().keyid.as_deref().and_then(|id| rules.keys.find(id));
        Self {
            label: proof.label(),
            request,
            params: pieces(rest),
            scheme: message.scheme().to_owned(),
            authority: message.authority().to_owned(),
            authorities: rules.policies.iter().filter_map(external).collect(),
            raw_params: raw_params(proof.label(), request),
            algorithm: key.map(|entry| entry.key.public.algorithm()),
            lines,
            names,
        }
    }

    /// The base of these lines, with the list of components as it is.
    pub(super) fn with_lines(&self, lines: &[Line]) -> String {
        render(lines, &self.params_of(&self.lines, &self.params))
    }

    /// The base of these lines, with the list of components as they are.
    pub(super) fn with_lines_and_list(&self, lines: &[Line]) -> String {
        render(lines, &self.params_of(lines, &self.params))
    }

    /// The base with other parameters.
    pub(super) fn with_params(&self, params: &[String]) -> String {
        render(&self.lines, &self.params_of(&self.lines, params))
    }

    /// The base as it should be.
    pub(super) fn right(&self) -> String {
        self.with_lines(&self.lines)
    }

    pub(super) fn params_of(&self, lines: &[Line], params: &[String]) -> String {
        let params: String = params.iter().map(|param| format!(";{param}")).collect();
        format!("{}{params}", list(lines))
    }

    /// The lines with another value for every component that `value` knows one for.
    pub(super) fn with_values(&self, value: impl Fn(&Name<'_>) -> Option<String>) -> Vec<Line> {
        let changed = |(line, name): (&Line, &Name<'_>)| Line {
            value: value(name).unwrap_or_else(|| line.value.clone()),
            identifier: line.identifier.clone(),
        };
        self.lines.iter().zip(&self.names).map(changed).collect()
    }

    /// The lines of a request to another place.
    pub(super) fn with_target(&self, scheme: &str, authority: &str, target: &str) -> Vec<Line> {
        self.with_values(|name| target_value(name, scheme, authority, target))
    }

    /// The value of a field as it came, joined so.
    pub(super) fn field(&self, name: &str, separator: &str, keep_space: bool) -> Option<String> {
        let lines = self.request.fields.iter().filter(|field| field.name == name);
        let texts: Vec<String> = lines
            .map(|field| if keep_space { field.value } else { trimmed(field.value) })
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        (!texts.is_empty()).then(|| texts.join(separator))
    }
}

/// The value of a component that says where a request goes.
pub(super) fn target_value(name: &Name<'_>, scheme: &str, authority: &str, target: &str) -> Option<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(match name {
        Name::TargetUri => format!("{scheme}://{authority}{target}"),
        Name::Authority => authority.to_owned(),
        Name::Scheme => scheme.to_owned(),
        Name::Path => path.to_owned(),
        Name::Query => format!("?{query}"),
        Name::RequestTarget => target.to_owned(),
        _ => return None,
    })
}

pub(super) fn render(lines: &[Line], params: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("{}: {}\n", line.identifier, line.value)).collect();
    format!("{lines}\"@signature-params\": {params}")
}

fn list(lines: &[Line]) -> String {
    let identifiers: Vec<&str> = lines.iter().map(|line| line.identifier.as_str()).collect();
    format!("({})", identifiers.join(" "))
}

/// The parameters of `;a=1;b=";"`, each by itself.
fn pieces(params: &str) -> Vec<String> {
    let (mut pieces, mut quoted, mut escaped) = (Vec::<String>::new(), false, false);
    for c in params.chars() {
        if c == ';' && !quoted {
            pieces.push(String::new());
            continue;
        }
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// What stands behind `label=` in `Signature-Input`, as it came.
fn raw_params(label: &str, request: &Request<'_>) -> Option<String> {
    let prefix = format!("{label}=");
    request.fields.lines("signature-input").find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        line.strip_prefix(&prefix).map(str::to_owned)
    })
}
