//! From the texts of files to documents, those inside of ConfigMaps among them.

use super::node::{Node, Part};
use crate::config::document::{Document, IGNORED};
use crate::config::{Location, Problem};

/// Every document of a file.
pub(super) fn parts(file: usize, text: &str) -> Result<Vec<Part>, Problem> {
    let documents = Document::parse_all(text)?;
    let mut parts: Vec<Part> =
        documents.into_iter().map(|document| Part { file, document, lines: 0, columns: 0 }).collect();
    let mut inner = Vec::new();
    for root in parts.iter().flat_map(roots).filter(|root| root.text_of("kind") == Some("ConfigMap")) {
        for (_, value) in root.get("data").map(|data| data.members()).unwrap_or_default() {
            inner.extend(embedded(file, text, &value)?);
        }
    }
    parts.extend(inner);
    Ok(parts)
}

/// The objects of a document: itself, or the items of a Kubernetes list.
pub(super) fn roots(part: &Part) -> Vec<Node<'_>> {
    let root = part.root();
    match root.text_of("kind") {
        Some("List") if root.get("apiVersion").is_some() => root.list("items"),
        _ => vec![root],
    }
}

/// The documents in a value of a ConfigMap. Most hold something else than YAML, which is no mistake.
fn embedded(file: usize, text: &str, value: &Node<'_>) -> Result<Vec<Part>, Problem> {
    let (Some(inner), Some(location)) = (value.text(), value.value_location()) else { return Ok(Vec::new()) };
    let documents = match Document::parse_all(inner) {
        // What a proxy would take, and read differently.
        Err(problem) if problem.message.contains(IGNORED) => {
            return Err(Problem { location: value.location(), ..problem });
        }
        parsed => parsed.unwrap_or_default(),
    };
    let (lines, columns) = shift(text, inner, location);
    let objects = documents.into_iter().filter(|document| document.value.is_object());
    Ok(objects.map(|document| Part { file, document, lines, columns }).collect())
}

/// By how much places in a block scalar (`|`) differ from those in the file around it. For other scalars, whose lines
/// are folded, the place is that of the scalar.
fn shift(text: &str, inner: &str, Location { line, .. }: Location) -> (u64, u64) {
    let Some(first) = inner.lines().find(|line| !line.trim().is_empty()) else { return (line, 0) };
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let indented = text.lines().enumerate().skip(before).find_map(|(at, line)| {
        let indent = line.strip_suffix(first)?;
        indent.chars().all(|letter| letter == ' ').then_some((at, indent.len()))
    });
    let blank = inner.lines().take_while(|line| line.trim().is_empty()).count();
    match indented {
        Some((at, indent)) => (at.saturating_sub(blank) as u64, indent as u64),
        None => (line.saturating_sub(1), 0),
    }
}
