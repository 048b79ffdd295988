//! What to say of a name that is none.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// A message about an unknown name: the nearest of those that are known, where one is near, or else all of them.
pub(crate) fn unknown(what: &str, name: &str, known: impl IntoIterator<Item = impl Into<String>>) -> String {
    let known: Vec<String> = known.into_iter().map(Into::into).collect();
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 3 => {
            format!("the {what} {name:?} is unknown: did you mean {nearest}?")
        }
        Some(_) => format!("the {what} {name:?} is unknown: expected one of {}", known.join(", ")),
        None => format!("the {what} {name:?} is unknown: there is none"),
    }
}
