//! The operators and functions of conditions, with the types that they take.

use cel::common::ast::operators;
use regex::RegexBuilder;

use super::compile::{Compiler, Typed};
use super::node::{Arithmetic, Fact, Kind, Node, Order, Text};
use super::types::Type;
use crate::spelling::unknown;

/// The functions, as a message lists them.
const FUNCTIONS: [&str; 13] = [
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "int",
    "double",
    "has",
    "all",
    "exists",
    "exists_one",
    "filter",
    "map",
];

/// How large a compiled pattern of `matches` may be, in bytes.
const LARGEST_PATTERN: usize = 1024 * 1024;

/// A call of something that is no macro. The first operand is the target, where there is one.
pub(super) fn call(
    compiler: &mut Compiler<'_>,
    at: u32,
    name: &str,
    has_target: bool,
    operands: Vec<Typed>,
) -> Typed {
    let mut operands = operands.into_iter();
    let call = (name, operands.next(), operands.next(), operands.next());
    let boxed = |(node, _): Typed| Box::new(node);
    let (kind, of) = match call {
        (operators::LOGICAL_NOT, Some(of), None, None) => {
            (Kind::Not(Box::new(compiler.expect_type(of, &Type::Bool))), Type::Bool)
        }
        (operators::LOGICAL_AND | operators::LOGICAL_OR, Some(one), Some(two), None) => {
            let one = Box::new(compiler.expect_type(one, &Type::Bool));
            let two = Box::new(compiler.expect_type(two, &Type::Bool));
            (
                if name == operators::LOGICAL_AND { Kind::And(one, two) } else { Kind::Or(one, two) },
                Type::Bool,
            )
        }
        (operators::EQUALS | operators::NOT_EQUALS, Some(one), Some(two), None) => {
            let kind = match equal(compiler, at, one, two) {
                Ok(kind) => kind,
                Err(mistake) => return mistake,
            };
            let negated = name == operators::NOT_EQUALS;
            let equal = Node { at, kind };
            (if negated { Kind::Not(Box::new(equal)) } else { equal.kind }, Type::Bool)
        }
        (operators::LESS, Some(one), Some(two), None) => return order(compiler, at, Order::Less, one, two),
        (operators::LESS_EQUALS, Some(one), Some(two), None) => {
            return order(compiler, at, Order::LessOrEqual, one, two);
        }
        (operators::GREATER, Some(one), Some(two), None) => {
            return order(compiler, at, Order::Greater, one, two);
        }
        (operators::GREATER_EQUALS, Some(one), Some(two), None) => {
            return order(compiler, at, Order::GreaterOrEqual, one, two);
        }
        (operators::ADD, Some(one), Some(two), None) => {
            let of = match (&one.1, &two.1) {
                (Type::Dyn, known) | (known, Type::Dyn) => known.clone(),
                (one, two) if one.may_be(two) => one.clone(),
                (one, two) => return compiler.mistake(at, format!("cannot add {two} to {one}")),
            };
            if !matches!(of, Type::Dyn | Type::Number | Type::String | Type::List(_)) {
                return compiler.mistake(at, format!("cannot add {of}"));
            }
            (Kind::Arithmetic(Arithmetic::Add, boxed(one), boxed(two)), of)
        }
        (operators::SUBSTRACT | operators::MULTIPLY, Some(one), Some(two), None) => {
            let one = Box::new(compiler.expect_type(one, &Type::Number));
            let two = Box::new(compiler.expect_type(two, &Type::Number));
            let subtracts = name == operators::SUBSTRACT;
            let what = if subtracts { Arithmetic::Subtract } else { Arithmetic::Multiply };
            (Kind::Arithmetic(what, one, two), Type::Number)
        }
        (operators::NEGATE, Some(of), None, None) => {
            (Kind::Negate(Box::new(compiler.expect_type(of, &Type::Number))), Type::Number)
        }
        (operators::DIVIDE | operators::MODULO, ..) => {
            return compiler.mistake(at, "division is not exact: multiply the other side instead");
        }
        (operators::INDEX, Some(of), Some(index), None) => return index_of(compiler, at, of, index),
        (operators::IN, Some(element), Some(container), None) => {
            return contained(compiler, at, element, container);
        }
        ("size", Some(of), None, None) => {
            if !matches!(of.1, Type::Dyn | Type::String | Type::List(_)) {
                return compiler
                    .mistake(at, format!("expected a string, a list or an object, but found {}", of.1));
            }
            (Kind::Size(boxed(of)), Type::Number)
        }
        ("startsWith" | "endsWith" | "contains", Some(of), Some(piece), None) if has_target => {
            let of = Box::new(compiler.expect_type(of, &Type::String));
            let piece = Box::new(compiler.expect_type(piece, &Type::String));
            let what = match name {
                "startsWith" => Text::StartsWith,
                "endsWith" => Text::EndsWith,
                _ => Text::Contains,
            };
            (Kind::Text(what, of, piece), Type::Bool)
        }
        ("matches", Some(of), Some((pattern, _)), None) => {
            let of = Box::new(compiler.expect_type(of, &Type::String));
            let Kind::String(text) = &pattern.kind else {
                return compiler.mistake(pattern.at, "expected a pattern that stands here as a string");
            };
            match RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build() {
                Ok(pattern) => (Kind::Matches(of, Box::new(pattern)), Type::Bool),
                Err(error) => {
                    // Its last line says what is wrong; those before draw the pattern.
                    let error = error.to_string();
                    let error = error.lines().next_back().unwrap_or_default().trim_start_matches("error: ");
                    return compiler.mistake(pattern.at, format!("expected a pattern: {error}"));
                }
            }
        }
        ("int" | "double", Some(of), None, None) if !has_target => {
            if !matches!(of.1, Type::Dyn | Type::String | Type::Number) {
                let message = format!("expected a number or a string that holds one, but found {}", of.1);
                return compiler.mistake(at, message);
            }
            (Kind::ToNumber { of: boxed(of), whole: name == "int" }, Type::Number)
        }
        (name, ..) if FUNCTIONS.contains(&name) => {
            return compiler.mistake(at, format!("{name} does not take these arguments"));
        }
        (name, ..) => return compiler.mistake(at, unknown("function", name, FUNCTIONS)),
    };
    (Node { at, kind }, of)
}

fn equal(compiler: &mut Compiler<'_>, at: u32, one: Typed, two: Typed) -> Result<Kind, Typed> {
    match (one, two) {
        ((Node { kind: Kind::Null, .. }, Type::Null), (other, of))
        | ((other, of), (Node { kind: Kind::Null, .. }, Type::Null)) => match of {
            Type::Dyn | Type::Null => Ok(Kind::IsNull(Box::new(other))),
            of => Err(compiler.mistake(at, format!("{of} is never null"))),
        },
        ((one, first), (two, second)) if first.may_be(&second) => {
            Ok(Kind::Equal(Box::new(one), Box::new(two)))
        }
        ((_, first), (_, second)) => {
            Err(compiler.mistake(at, format!("cannot compare {first} with {second}")))
        }
    }
}

fn order(compiler: &mut Compiler<'_>, at: u32, order: Order, one: Typed, two: Typed) -> Typed {
    if one.1 == Type::String && two.1.may_be(&one.1) || two.1 == Type::String && one.1 == Type::Dyn {
        return compiler.mistake(at, "strings have no order: double(…) makes a number of one");
    }
    let comparable = |of: &Type| matches!(of, Type::Dyn | Type::Number);
    if !comparable(&one.1) || !comparable(&two.1) || !one.1.may_be(&two.1) {
        return compiler.mistake(at, format!("cannot compare {} with {}", one.1, two.1));
    }
    (Node { at, kind: Kind::Compare(order, Box::new(one.0), Box::new(two.0)) }, Type::Bool)
}

fn index_of(compiler: &mut Compiler<'_>, at: u32, of: Typed, index: Typed) -> Typed {
    let (operand, of) = of;
    let position = Box::new(index.0);
    let of = match (&of, &index.1) {
        (Type::List(element), Type::Number | Type::Dyn) => (**element).clone(),
        (Type::Texts, Type::String | Type::Dyn) => {
            note_header(compiler, &operand, &position);
            Type::String
        }
        (Type::Signer, Type::String) => match &position.kind {
            Kind::String(name) => {
                let name = name.clone();
                compiler.member(position.at, &operand, &of, &name)
            }
            _ => Type::Dyn,
        },
        (Type::Dyn, Type::Dyn | Type::Number | Type::String) => Type::Dyn,
        (of, index) => return compiler.mistake(at, format!("{of} has no position that is {index}")),
    };
    (Node { at, kind: Kind::Index(Box::new(operand), position) }, of)
}

fn contained(compiler: &mut Compiler<'_>, at: u32, element: Typed, container: Typed) -> Typed {
    let fits = match &container.1 {
        Type::Dyn => true,
        Type::List(of) => element.1.may_be(of),
        Type::Texts | Type::Signer => element.1.may_be(&Type::String),
        _ => false,
    };
    if !fits {
        return compiler.mistake(at, format!("{} cannot be in {}", element.1, container.1));
    }
    note_header(compiler, &container.0, &element.0);
    (Node { at, kind: Kind::In(Box::new(element.0), Box::new(container.0)) }, Type::Bool)
}

/// Notes which header is read, where its name stands in the text.
fn note_header(compiler: &mut Compiler<'_>, operand: &Node, name: &Node) {
    if operand.kind_is(Fact::Headers)
        && let Kind::String(text) = &name.kind
    {
        compiler.header(name.at, text);
    }
}
