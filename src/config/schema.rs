//! The JSON Schema of the configuration file, and the check of a document against it.
//!
//! A general validator would bring some seventy crates into the process for the few keywords that `schemars` writes for
//! our own types, and would say "is not valid under any of the given schemas" where an operator needs to know what was
//! expected.

use serde_json::{Map, Value};

use super::document::{Document, child};
use super::file::ConfigFile;
use super::format;
use super::problem::Problem;
use crate::spelling::unknown;

/// The JSON Schema (2020-12) of the configuration file.
#[must_use]
pub fn json_schema() -> Value {
    schemars::schema_for!(ConfigFile).to_value()
}

/// Every way in which the document is not what the schema expects.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let root = json_schema();
    let mut check = Check { document, root: &root, problems: Vec::new() };
    check.value(&root, &document.value, "");
    check.problems
}

struct Check<'a> {
    document: &'a Document,
    root: &'a Value,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn value(&mut self, schema: &'a Value, value: &Value, pointer: &str) {
        let schema = self.resolved(schema);
        if let Some(alternatives) = alternatives(schema) {
            return self.one_of(schema, alternatives, value, pointer);
        }
        let mismatch = !has_type(schema, value)
            || schema.get("const").is_some_and(|constant| constant != value)
            || schema.get("enum").and_then(Value::as_array).is_some_and(|values| !values.contains(value))
            || schema
                .get("minimum")
                .and_then(Value::as_i64)
                .is_some_and(|least| value.as_i64() < Some(least));
        if mismatch {
            return self.mismatch(&[schema], value, pointer);
        }
        match value {
            Value::Object(members) => self.object(schema, members, pointer),
            Value::String(text) => {
                if let Some(format) = schema.get("format").and_then(Value::as_str)
                    && let Err(message) = format::check(format, text)
                {
                    self.problems.push(self.document.problem(pointer, message));
                }
            }
            Value::Array(items) => {
                if schema.get("minItems").is_some() && items.is_empty() {
                    self.problems.push(self.document.problem(pointer, "expected at least one entry"));
                }
                if let Some(schema) = schema.get("items") {
                    for (position, item) in items.iter().enumerate() {
                        self.value(schema, item, &format!("{pointer}/{position}"));
                    }
                }
            }
            _ => {}
        }
    }

    /// Takes the alternative of the value's own type, so that a mistake inside it is reported where it is.
    fn one_of(&mut self, schema: &'a Value, alternatives: &'a [Value], value: &Value, pointer: &str) {
        let resolved: Vec<&Value> = alternatives.iter().map(|schema| self.resolved(schema)).collect();
        let fits = |schema: &&&Value| alternatives_fit(schema, value);
        match resolved.iter().find(fits) {
            Some(alternative) => self.value(alternative, value, pointer),
            None if alternatives.is_empty() => self.mismatch(&[schema], value, pointer),
            None => self.mismatch(&resolved, value, pointer),
        }
    }

    fn object(&mut self, schema: &'a Value, members: &Map<String, Value>, pointer: &str) {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object);
        let names = schema.pointer("/propertyNames/format").and_then(Value::as_str);
        for (key, value) in members {
            let pointer = child(pointer, key);
            if let Some(Err(message)) = names.map(|names| format::check(names, key)) {
                self.problems.push(self.document.key_problem(&pointer, message));
            }
            match (known.and_then(|known| known.get(key)), schema.get("additionalProperties")) {
                (Some(schema), _) => self.value(schema, value, &pointer),
                (None, Some(Value::Bool(false))) => {
                    let message = unknown("key", key, known.unwrap_or(&none).keys());
                    self.problems.push(self.document.key_problem(&pointer, message));
                }
                (None, Some(schema)) => self.value(schema, value, &pointer),
                (None, None) => {}
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(key) = required.as_str()
                && !members.contains_key(key)
            {
                self.problems.push(self.document.problem(pointer, format!("the key {key:?} is missing")));
            }
        }
    }

    fn mismatch(&mut self, expected: &[&Value], value: &Value, pointer: &str) {
        let mut expectations: Vec<String> = expected.iter().map(|schema| describe(schema)).collect();
        expectations.retain(|expectation| !expectation.is_empty());
        expectations.dedup();
        let message = format!("expected {}, but found {}", expectations.join(" or "), found(value));
        self.problems.push(self.document.problem(pointer, message));
    }

    /// Follows `$ref`: `schemars` writes only references into `$defs`.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.root.pointer(reference.trim_start_matches('#')))
            .unwrap_or(schema)
    }
}

fn alternatives(schema: &Value) -> Option<&[Value]> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array).map(Vec::as_slice)
}

fn alternatives_fit(schema: &Value, value: &Value) -> bool {
    match alternatives(schema) {
        Some(inner) => inner.iter().any(|schema| alternatives_fit(schema, value)),
        None => {
            has_type(schema, value)
                && schema.get("const").is_none_or(|constant| constant == value)
                && schema.get("enum").and_then(Value::as_array).is_none_or(|values| values.contains(value))
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        // What may be left out may not be written empty: `match:` with nothing behind it is a mistake.
        "null" => false,
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match schema.get("type") {
        None => true,
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        Some(_) => false,
    }
}

fn describe(schema: &Value) -> String {
    if let Some(alternatives) = alternatives(schema) {
        let described = alternatives.iter().map(describe).filter(|expectation| !expectation.is_empty());
        return described.collect::<Vec<_>>().join(" or ");
    }
    if let Some(constant) = schema.get("const") {
        return shown(constant);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(shown).collect::<Vec<_>>().join(" or ");
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => name.as_str(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    };
    match name {
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        "string" if schema.get("format").is_some_and(|format| format == "time-span") => {
            "a time such as 60s".to_owned()
        }
        "string" => "a text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "integer" => match schema.get("minimum") {
            Some(least) => format!("a whole number of at least {least}"),
            None => "a whole number".to_owned(),
        },
        // What may be left out has this alternative in the schema; written down, nothing is never what was meant.
        "null" => String::new(),
        other => other.to_owned(),
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        value => shown(value),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        value => value.to_string(),
    }
}
