//! Evaluates conditions, at a cost that is counted.
//!
//! Logic is CEL's own: `&&`, `||`, `all` and `exists` have an answer where one side alone gives it, even if the other
//! cannot be evaluated. All else is stricter: values of different types are not unequal but cannot be compared, since a
//! backend that is less strict might find them equal.

use std::borrow::Cow;
use std::sync::Arc;

use super::decimal::Decimal;
use super::facts::Facts;
use super::node::{Arithmetic, Each, Fact, Kind, Node, Order, Text};
use super::value::{Twin, Value};
use crate::denial::{Denial, quoted};

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// This expression has none. A logical operator may do without it.
    NoValue { at: u32, why: String },
    /// Nothing can be said any more.
    Denied(Denial),
    /// The cost limit is reached.
    TooCostly,
}

type Result<T> = std::result::Result<T, Failure>;

/// An evaluation.
pub(super) struct Evaluation<'e, 'f, 'v> {
    pub(super) facts: &'e Facts<'f>,
    pub(super) signers: Option<Value<'v>>,
    /// What is left to spend: one for each step, and one for each piece of a text that a step goes through.
    pub(super) budget: usize,
    pub(super) variables: Vec<Value<'v>>,
    /// How many values a body may have.
    pub(super) values: usize,
}

/// How much text one step goes through.
const BYTES_A_STEP: usize = 64;

impl<'f: 'v, 'v> Evaluation<'_, 'f, 'v> {
    /// The value of a bool.
    pub(super) fn truth(&mut self, node: &'v Node) -> Result<bool> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(expected(node, "a bool", &other)),
        }
    }

    fn value(&mut self, node: &'v Node) -> Result<Value<'v>> {
        self.spend(1)?;
        let value = self.step(node)?;
        if let Value::String(text) = &value {
            self.spend_text(text)?;
        }
        Ok(value)
    }

    fn step(&mut self, node: &'v Node) -> Result<Value<'v>> {
        match &node.kind {
            Kind::Null => Ok(Value::Null),
            Kind::Bool(truth) => Ok(Value::Bool(*truth)),
            Kind::Number(number) => Ok(Value::Number(*number)),
            Kind::String(text) => Ok(Value::String(Cow::Borrowed(text))),
            Kind::List(elements) => {
                let values = elements.iter().map(|element| self.value(element)).collect::<Result<_>>()?;
                Ok(Value::List(Arc::new(values)))
            }
            Kind::Fact(fact) => self.fact(node, *fact),
            Kind::Variable(position) => {
                let bound = self.variables.get(*position).cloned();
                bound.ok_or_else(|| no_value(node, "the variable is not bound"))
            }
            Kind::Member(of, name) => {
                let of = self.value(of)?;
                self.member(node, &of, name)?.ok_or_else(|| no_value(node, format!("there is no {name}")))
            }
            Kind::Has(of, name) => {
                let of = self.value(of)?;
                Ok(Value::Bool(self.member(node, &of, name)?.is_some()))
            }
            Kind::HasFact(fact) => match self.fact(node, *fact) {
                Ok(_) => Ok(Value::Bool(true)),
                Err(Failure::NoValue { .. }) => Ok(Value::Bool(false)),
                Err(failure) => Err(failure),
            },
            Kind::Index(of, index) => self.index(node, of, index),
            Kind::Not(of) => Ok(Value::Bool(!self.truth(of)?)),
            Kind::And(one, two) => self.either(one, two, false),
            Kind::Or(one, two) => self.either(one, two, true),
            Kind::Conditional(condition, one, two) => {
                let chosen = if self.truth(condition)? { one } else { two };
                self.value(chosen)
            }
            Kind::Compare(order, one, two) => {
                let (one, two) = (self.value(one)?, self.value(two)?);
                compare(node, *order, &one, &two).map(Value::Bool)
            }
            Kind::Equal(one, two) => {
                let (one, two) = (self.value(one)?, self.value(two)?);
                self.equal(node, &one, &two).map(Value::Bool)
            }
            Kind::IsNull(of) => Ok(Value::Bool(matches!(self.value(of)?, Value::Null))),
            Kind::In(element, container) => self.contains(node, element, container).map(Value::Bool),
            Kind::Negate(of) => {
                let number = self.number(of)?;
                number.negate().map(Value::Number).ok_or_else(|| no_value(node, "the number does not fit"))
            }
            Kind::Arithmetic(what, one, two) => self.arithmetic(node, *what, one, two),
            Kind::Size(of) => {
                let size = match self.value(of)? {
                    Value::String(text) => text.chars().count(),
                    Value::List(values) => values.len(),
                    Value::Object(object) => object.len(),
                    other => return Err(expected(of, "a string, a list or an object", &other)),
                };
                Ok(Value::Number(Decimal::from(i128::try_from(size).unwrap_or(i128::MAX))))
            }
            Kind::Text(what, of, piece) => {
                let (of, piece) = (self.text(of)?, self.text(piece)?);
                Ok(Value::Bool(match what {
                    Text::StartsWith => of.starts_with(&*piece),
                    Text::EndsWith => of.ends_with(&*piece),
                    Text::Contains => of.contains(&*piece),
                }))
            }
            Kind::Matches(of, pattern) => {
                let of = self.text(of)?;
                Ok(Value::Bool(pattern.is_match(&of)))
            }
            Kind::ToNumber { of, whole } => self.converted(node, of, *whole),
            Kind::Each { what, range, predicate, result } => {
                self.each(*what, range, predicate, result.as_deref())
            }
        }
    }

    fn fact(&self, node: &Node, fact: Fact) -> Result<Value<'v>> {
        let request = self.facts.request();
        let target = self.facts.target();
        let text = |text: Option<Cow<'_, str>>, what: &str| {
            let text = text.ok_or_else(|| no_value(node, format!("the proxy did not say {what}")))?;
            Ok(Value::String(Cow::Owned(text.into_owned())))
        };
        match fact {
            Fact::Method => Ok(Value::String(Cow::Borrowed(request.method))),
            Fact::Host => text(Some(target.host().into()), "the host"),
            Fact::Path => text(target.path().text(0, true).map(|path| format!("/{path}").into()), "the path"),
            Fact::PathParameter { position, rest } => text(target.path().text(position, rest), "the path"),
            Fact::Query => Ok(Value::Query),
            Fact::Headers => Ok(Value::Headers),
            Fact::Body => self.facts.body(self.values).map_err(Failure::Denied),
            Fact::SourceAddress => {
                text(request.source.address.map(Cow::Borrowed), "the address of the client")
            }
            Fact::SourcePrincipal => {
                text(request.source.principal.map(Cow::Borrowed), "the principal of the client")
            }
            Fact::Signers => self.signers.clone().ok_or_else(|| no_value(node, "nothing is verified yet")),
        }
    }

    fn member(&mut self, node: &Node, of: &Value<'v>, name: &str) -> Result<Option<Value<'v>>> {
        let text = |found: std::result::Result<Option<Cow<'v, str>>, String>| match found {
            Ok(text) => Ok(text.map(Value::String)),
            Err(why) => Err(no_value(node, why)),
        };
        match of {
            Value::Headers => text(self.facts.header(name)),
            Value::Query => {
                // It is read from its beginning each time.
                self.spend_text(self.facts.request().query().unwrap_or_default())?;
                text(self.facts.query_parameter(name))
            }
            Value::Object(object) => match object.get(name) {
                Ok(member) => Ok(member.cloned()),
                Err(Twin(twin)) => {
                    let why = format!("some parsers take the member {} for {}", quoted(&twin), quoted(name));
                    Err(no_value(node, why))
                }
            },
            other => Err(expected(node, &format!("an object with {}", quoted(name)), other)),
        }
    }

    fn index(&mut self, node: &'v Node, of: &'v Node, index: &'v Node) -> Result<Value<'v>> {
        match (self.value(of)?, self.value(index)?) {
            (Value::List(values), Value::Number(position)) => {
                let found = position.as_position().and_then(|position| values.get(position));
                found.cloned().ok_or_else(|| no_value(node, "the list has no such position"))
            }
            (of @ (Value::Object(_) | Value::Headers | Value::Query), Value::String(name)) => {
                let member = self.member(node, &of, &name)?;
                member.ok_or_else(|| no_value(node, format!("there is no {}", quoted(&name))))
            }
            (of, index) => {
                Err(no_value(node, format!("{} has no position that is {}", of.kind(), index.kind())))
            }
        }
    }

    /// `||` where `decisive` is true, `&&` where it is false.
    fn either(&mut self, one: &'v Node, two: &'v Node, decisive: bool) -> Result<Value<'v>> {
        let one = self.truth(one);
        match one {
            Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
            Ok(_) | Err(Failure::NoValue { .. }) => {}
            Err(failure) => return Err(failure),
        }
        match (one, self.truth(two)) {
            (_, Ok(truth)) if truth == decisive => Ok(Value::Bool(decisive)),
            // Where neither has a value, the first reason is the one that a reader comes to first.
            (Err(failure), Ok(_) | Err(Failure::NoValue { .. })) | (_, Err(failure)) => Err(failure),
            (Ok(_), Ok(two)) => Ok(Value::Bool(two)),
        }
    }

    fn equal(&mut self, node: &Node, one: &Value<'v>, two: &Value<'v>) -> Result<bool> {
        self.spend(1)?;
        match (one, two) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Bool(one), Value::Bool(two)) => Ok(one == two),
            (Value::Number(one), Value::Number(two)) => Ok(one == two),
            (Value::String(one), Value::String(two)) => {
                self.spend_text(one)?;
                Ok(one == two)
            }
            (Value::List(one), Value::List(two)) => {
                let mut equal = one.len() == two.len();
                for (one, two) in one.iter().zip(two.iter()) {
                    equal &= self.equal(node, one, two)?;
                }
                Ok(equal)
            }
            (Value::Object(one), Value::Object(two)) => {
                let mut equal = one.len() == two.len();
                for (name, value) in one.iter() {
                    equal &= match two.get(name) {
                        Ok(Some(other)) => self.equal(node, value, other)?,
                        Ok(None) | Err(Twin(_)) => false,
                    };
                }
                Ok(equal)
            }
            (one, two) => Err(incomparable(node, one, two)),
        }
    }

    fn contains(&mut self, node: &'v Node, element: &'v Node, container: &'v Node) -> Result<bool> {
        let element = self.value(element)?;
        match self.value(container)? {
            Value::List(values) => {
                let mut doubt = None;
                for value in values.iter() {
                    match self.equal(node, &element, value) {
                        Ok(true) => return Ok(true),
                        Ok(false) => {}
                        Err(failure @ Failure::NoValue { .. }) => doubt = Some(failure),
                        Err(failure) => return Err(failure),
                    }
                }
                doubt.map_or(Ok(false), Err)
            }
            container @ (Value::Object(_) | Value::Headers | Value::Query) => match &element {
                Value::String(name) => Ok(self.member(node, &container, name)?.is_some()),
                other => Err(expected(node, "a string before in", other)),
            },
            other => Err(expected(node, "a list or an object behind in", &other)),
        }
    }

    fn arithmetic(
        &mut self,
        node: &Node,
        what: Arithmetic,
        one: &'v Node,
        two: &'v Node,
    ) -> Result<Value<'v>> {
        let result = match (what, self.value(one)?, self.value(two)?) {
            (Arithmetic::Add, Value::Number(one), Value::Number(two)) => one.add(two),
            (Arithmetic::Subtract, Value::Number(one), Value::Number(two)) => one.subtract(two),
            (Arithmetic::Multiply, Value::Number(one), Value::Number(two)) => one.multiply(two),
            (Arithmetic::Add, Value::String(one), Value::String(two)) => {
                return Ok(Value::String(Cow::Owned(one.into_owned() + &two)));
            }
            (Arithmetic::Add, Value::List(one), Value::List(two)) => {
                self.spend(one.len() + two.len())?;
                return Ok(Value::List(Arc::new(one.iter().chain(two.iter()).cloned().collect())));
            }
            (_, one, two) => {
                return Err(no_value(
                    node,
                    format!("cannot calculate with {} and {}", one.kind(), two.kind()),
                ));
            }
        };
        result.map(Value::Number).ok_or_else(|| no_value(node, "the exact result has too many digits"))
    }

    fn converted(&mut self, node: &Node, of: &'v Node, whole: bool) -> Result<Value<'v>> {
        let number = match self.value(of)? {
            Value::Number(number) => Some(number),
            Value::String(text) => Decimal::parse(&text),
            other => return Err(expected(of, "a number or a string that holds one", &other)),
        };
        let expectation = if whole { "a whole number" } else { "a number" };
        number
            .filter(|number| !whole || number.is_whole())
            .map(Value::Number)
            .ok_or_else(|| no_value(node, format!("expected {expectation}, in digits as JSON has them")))
    }

    fn each(
        &mut self,
        what: Each,
        range: &'v Node,
        predicate: &'v Node,
        result: Option<&'v Node>,
    ) -> Result<Value<'v>> {
        let values = match self.value(range)? {
            Value::List(values) => values,
            other => return Err(expected(range, "a list", &other)),
        };
        let mut doubt = None;
        let mut count = 0_usize;
        let mut taken = Vec::new();
        for value in values.iter() {
            if let Value::String(text) = value {
                self.spend_text(text)?;
            }
            self.variables.push(value.clone());
            let holds = self.truth(predicate);
            let made = match (&holds, result) {
                (Ok(true), Some(result)) => Some(self.value(result)),
                _ => None,
            };
            self.variables.pop();
            match (what, holds) {
                (Each::All, Ok(false)) => return Ok(Value::Bool(false)),
                (Each::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (Each::All | Each::Exists, Err(failure @ Failure::NoValue { .. })) => doubt = Some(failure),
                (_, Err(failure)) => return Err(failure),
                (_, Ok(true)) => {
                    count += 1;
                    taken.push(made.transpose()?.unwrap_or_else(|| value.clone()));
                }
                (_, Ok(false)) => {}
            }
        }
        if let Some(doubt) = doubt {
            return Err(doubt);
        }
        Ok(match what {
            Each::All => Value::Bool(true),
            Each::Exists => Value::Bool(false),
            Each::ExistsOne => Value::Bool(count == 1),
            Each::Filter | Each::Map => Value::List(Arc::new(taken)),
        })
    }

    fn number(&mut self, node: &'v Node) -> Result<Decimal> {
        match self.value(node)? {
            Value::Number(number) => Ok(number),
            other => Err(expected(node, "a number", &other)),
        }
    }

    fn text(&mut self, node: &'v Node) -> Result<Cow<'v, str>> {
        match self.value(node)? {
            Value::String(text) => Ok(text),
            other => Err(expected(node, "a string", &other)),
        }
    }

    fn spend(&mut self, cost: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(cost).ok_or(Failure::TooCostly)?;
        Ok(())
    }

    fn spend_text(&mut self, text: &str) -> Result<()> {
        self.spend(text.len() / BYTES_A_STEP)
    }
}

fn compare(node: &Node, order: Order, one: &Value<'_>, two: &Value<'_>) -> Result<bool> {
    let ordering = match (one, two) {
        (Value::Number(one), Value::Number(two)) => one.cmp(two),
        // "9" is more than "10000" to whoever compares texts.
        (Value::String(_), Value::String(_)) => {
            return Err(no_value(node, "strings have no order: double(…) makes a number of one"));
        }
        (one, two) => return Err(incomparable(node, one, two)),
    };
    Ok(match order {
        Order::Less => ordering.is_lt(),
        Order::LessOrEqual => ordering.is_le(),
        Order::Greater => ordering.is_gt(),
        Order::GreaterOrEqual => ordering.is_ge(),
    })
}

fn no_value(node: &Node, why: impl Into<String>) -> Failure {
    Failure::NoValue { at: node.at, why: why.into() }
}

fn expected(node: &Node, expected: &str, found: &Value<'_>) -> Failure {
    no_value(node, format!("expected {expected}, but found {}", found.kind()))
}

fn incomparable(node: &Node, one: &Value<'_>, two: &Value<'_>) -> Failure {
    no_value(node, format!("cannot compare {} with {}", one.kind(), two.kind()))
}
