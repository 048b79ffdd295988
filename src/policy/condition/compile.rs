//! From the text of a condition to what the evaluator walks through, with every mistake that shows without a request.
//!
//! The crate `cel` reads the text. Its evaluator is not used: its numbers are doubles and whole numbers of 64 bits, it
//! calls values of different types unequal, and nothing bounds what an evaluation may cost.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators};

use super::decimal::Decimal;
use super::functions;
use super::node::{Each, Fact, Kind, Node};
use super::types::{SIGNER, Type};
use super::{Mistake, Reads};
use crate::policy::PathPattern;
use crate::spelling::unknown;

/// How long a condition may be, in bytes. The parser goes down one level for each operator of a chain, and nothing but the
/// length of the text keeps it from the end of the stack.
const LONGEST: usize = 4096;

/// How deep brackets may nest.
const MAX_DEPTH: u16 = 48;

/// How deep expressions may nest: a chain of operators is as deep as it is long, except one of `&&` or `||`.
const MAX_LEVELS: usize = 128;

/// What a condition may be about, and the members that each has.
const ROOTS: [&str; 5] = ["request", "path", "body", "source", "signers"];
const REQUEST: &[(&str, Fact, Type)] = &[
    ("method", Fact::Method, Type::String),
    ("host", Fact::Host, Type::String),
    ("path", Fact::Path, Type::String),
    ("query", Fact::Query, Type::Texts),
    ("headers", Fact::Headers, Type::Texts),
];
const SOURCE: &[(&str, Fact, Type)] =
    &[("address", Fact::SourceAddress, Type::String), ("principal", Fact::SourcePrincipal, Type::String)];

/// Reads a condition. `path` is the pattern whose parameters it may use.
pub(super) fn compile(source: &str, path: Option<&PathPattern>) -> Result<(Node, Reads), Vec<Mistake>> {
    if source.len() > LONGEST {
        let message = format!("expected at most {LONGEST} bytes, but found {}", source.len());
        return Err(vec![Mistake { at: 0, message }]);
    }
    // Without macros, so that they are still to be seen as what they are.
    let parser = cel::Env::default().with_optional_support(false).parser();
    let (expression, info) =
        parser.max_recursion_depth(MAX_DEPTH).parse_with_source_info(source).map_err(|errors| {
            let mistake = |error: cel::ParseError| Mistake {
                at: offset_of(source, error.pos),
                message: plain(&error.msg),
            };
            // After the first, the parser is no longer where the writer was.
            errors.errors.into_iter().take(1).map(mistake).collect::<Vec<_>>()
        })?;
    let mut compiler = Compiler {
        source,
        info,
        path,
        variables: Vec::new(),
        level: 0,
        reads: Reads::default(),
        mistakes: Vec::new(),
    };
    let (root, result) = compiler.node(&expression);
    if !result.may_be(&Type::Bool) {
        compiler.mistake(root.at, format!("expected a condition that is true or false, but found {result}"));
    }
    if compiler.mistakes.is_empty() { Ok((root, compiler.reads)) } else { Err(compiler.mistakes) }
}

/// What the parser says, without the list of all tokens that might have stood there.
fn plain(message: &str) -> String {
    if message.contains("ecursion") {
        return format!("expected brackets in at most {MAX_DEPTH} levels");
    }
    let message = message.trim_start_matches("Syntax error: ");
    let message = message.split(" expecting ").next().unwrap_or(message);
    let meant = [("'='", "=="), ("'= '", "=="), ("'and'", "&&"), ("'or'", "||"), ("'not'", "!")];
    let meant = meant.into_iter().find(|(found, _)| message.contains(found));
    let hint = meant.map_or(String::new(), |(_, meant)| format!(": did you mean {meant}?"));
    let message =
        message.replace("'<EOF>'", "end of the condition").replace("mismatched input", "unexpected");
    message.replace("token recognition error at:", "unexpected") + &hint
}

/// The offset of a line and a column, both counted from one.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let before = usize::try_from(line - 1).unwrap_or_default();
    let lines: usize = source.split_inclusive('\n').take(before).map(str::len).sum();
    (lines + usize::try_from(column - 1).unwrap_or_default()).min(source.len())
}

pub(super) struct Compiler<'s> {
    source: &'s str,
    info: SourceInfo,
    path: Option<&'s PathPattern>,
    variables: Vec<(String, Type)>,
    /// How many expressions the current one stands in.
    level: usize,
    reads: Reads,
    mistakes: Vec<Mistake>,
}

/// An expression with its type. One with a mistake is `null`, and may be anything.
pub(super) type Typed = (Node, Type);

impl Compiler<'_> {
    pub(super) fn mistake(&mut self, at: u32, message: impl Into<String>) -> Typed {
        self.mistakes.push(Mistake { at: at as usize, message: message.into() });
        (Node { at, kind: Kind::Null }, Type::Dyn)
    }

    pub(super) fn at(&self, expression: &IdedExpr) -> u32 {
        self.info.offset_for(expression.id).map_or(0, |(start, _)| start)
    }

    pub(super) fn node(&mut self, expression: &IdedExpr) -> Typed {
        let at = self.at(expression);
        if self.level == MAX_LEVELS {
            return self.mistake(at, format!("expected expressions in at most {MAX_LEVELS} levels"));
        }
        self.level += 1;
        let typed = self.expression(at, expression);
        self.level -= 1;
        typed
    }

    fn expression(&mut self, at: u32, expression: &IdedExpr) -> Typed {
        match &expression.expr {
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::Ident(name) => self.name(at, name),
            Expr::Select(select) => self.select(at, select),
            Expr::List(list) => {
                let (nodes, types): (Vec<Node>, Vec<Type>) =
                    list.elements.iter().map(|element| self.node(element)).unzip();
                let element = types.into_iter().reduce(Type::joined).unwrap_or(Type::Dyn);
                (Node { at, kind: Kind::List(nodes) }, Type::list(element))
            }
            Expr::Call(call) => self.call(at, call),
            Expr::Map(_) | Expr::Struct(_) => {
                self.mistake(at, "expected no object here: a condition only looks at those of the request")
            }
            Expr::Comprehension(_) | Expr::Unspecified => self.mistake(at, "expected an expression"),
        }
    }

    fn literal(&mut self, expression: &IdedExpr, literal: &LiteralValue) -> Typed {
        let at = self.at(expression);
        let (kind, of) = match literal {
            LiteralValue::Null => (Kind::Null, Type::Null),
            LiteralValue::Boolean(truth) => (Kind::Bool(*truth.inner()), Type::Bool),
            LiteralValue::String(text) => (Kind::String(text.inner().into()), Type::String),
            LiteralValue::Int(number) => {
                (Kind::Number(Decimal::from(i128::from(*number.inner()))), Type::Number)
            }
            LiteralValue::UInt(number) => {
                (Kind::Number(Decimal::from(i128::from(*number.inner()))), Type::Number)
            }
            // The parser made a double of it; the text says which number was meant.
            LiteralValue::Double(double) => match self.decimal(expression) {
                Some(number) if double.inner().is_sign_negative() => {
                    (Kind::Number(number.negate().unwrap_or(number)), Type::Number)
                }
                Some(number) => (Kind::Number(number), Type::Number),
                None => return self.mistake(at, "expected a number with at most 38 digits"),
            },
            LiteralValue::Bytes(_) => return self.mistake(at, "expected a string: nothing here has bytes"),
        };
        (Node { at, kind }, of)
    }

    /// The number whose digits stand in the text, without its sign.
    fn decimal(&self, expression: &IdedExpr) -> Option<Decimal> {
        let (start, end) = self.info.offset_for(expression.id)?;
        let digits = self.source.get(start as usize..=end as usize)?.trim_start_matches('-');
        if digits.starts_with('.') { Decimal::parse(&format!("0{digits}")) } else { Decimal::parse(digits) }
    }

    fn name(&mut self, at: u32, name: &str) -> Typed {
        let bound = self.variables.iter().rposition(|(known, _)| known == name);
        if let Some((position, (_, of))) = bound.and_then(|at| Some((at, self.variables.get(at)?))) {
            return (Node { at, kind: Kind::Variable(position) }, of.clone());
        }
        let (fact, of) = match name {
            "body" => {
                self.reads.body = true;
                (Fact::Body, Type::Dyn)
            }
            "signers" => {
                self.reads.signers = true;
                (Fact::Signers, Type::list(Type::Signer))
            }
            "request" => return self.mistake(at, members_of("request", names(REQUEST))),
            "source" => return self.mistake(at, members_of("source", names(SOURCE))),
            "path" => return self.mistake(at, members_of("path", self.parameters())),
            _ => return self.mistake(at, unknown("name", name, ROOTS)),
        };
        (Node { at, kind: Kind::Fact(fact) }, of)
    }

    fn select(&mut self, at: u32, select: &SelectExpr) -> Typed {
        let field = &select.field;
        let fact = |node, of| (Node { at, kind: Kind::Fact(node) }, of);
        if let Expr::Ident(root) = &select.operand.expr
            && !self.variables.iter().any(|(known, _)| known == root)
        {
            let members = match root.as_str() {
                "request" => REQUEST,
                "source" => SOURCE,
                "path" => return self.parameter(at, field),
                _ => &[],
            };
            match members.iter().find(|(name, ..)| name == field) {
                Some((_, known, of)) => return fact(*known, of.clone()),
                None if !members.is_empty() => {
                    return self
                        .mistake(at + 1, unknown(&format!("member of {root}"), field, names(members)));
                }
                None => {}
            }
        }
        let (operand, of) = self.node(&select.operand);
        let of = self.member(at + 1, &operand, &of, field);
        (Node { at, kind: Kind::Member(Box::new(operand), field.as_str().into()) }, of)
    }

    /// The type of a member, which is read.
    pub(super) fn member(&mut self, at: u32, operand: &Node, of: &Type, field: &str) -> Type {
        match of {
            Type::Dyn => Type::Dyn,
            Type::Texts => {
                if operand.kind_is(Fact::Headers) {
                    self.header(at, field);
                }
                Type::String
            }
            Type::Signer => match SIGNER.iter().find(|(name, _)| *name == field) {
                Some((_, of)) => of.clone(),
                None => {
                    let known = SIGNER.iter().map(|(name, _)| (*name).to_owned());
                    self.mistake(at, unknown("member of a signer", field, known)).1
                }
            },
            other => self.mistake(at, format!("expected an object with {field}, but found {other}")).1,
        }
    }

    /// Notes that a header is read.
    pub(super) fn header(&mut self, at: u32, name: &str) {
        if !crate::request::is_field_name(name) {
            self.mistake(at, format!("expected a header name in lower case, but found {name:?}"));
        } else if !self.reads.headers.iter().any(|known| **known == *name) {
            self.reads.headers.push(name.into());
        }
    }

    fn parameter(&mut self, at: u32, name: &str) -> Typed {
        let pattern = self.path;
        let found = pattern.and_then(|path| {
            let position = path.parameters().find(|(known, _)| *known == name)?.1;
            Some(Fact::PathParameter { position, rest: position == path.segments() })
        });
        match found {
            Some(fact) => (Node { at, kind: Kind::Fact(fact) }, Type::String),
            None => self.mistake(at + 1, unknown("parameter of the path", name, self.parameters())),
        }
    }

    fn parameters(&self) -> Vec<String> {
        self.path.iter().flat_map(|path| path.parameters()).map(|(name, _)| name.to_owned()).collect()
    }

    fn call(&mut self, at: u32, call: &CallExpr) -> Typed {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            ("has", None, [argument]) => self.has(at, argument),
            ("has", ..) => self.mistake(at, "expected one member in has(…), such as has(body.amount)"),
            (name @ ("all" | "exists" | "exists_one" | "filter" | "map"), Some(range), arguments) => {
                self.each(at, name, range, arguments)
            }
            (operators::CONDITIONAL, None, [condition, one, two]) => {
                let condition = self.expect(condition, &Type::Bool);
                let ((one, first), (two, second)) = (self.node(one), self.node(two));
                let kind = Kind::Conditional(Box::new(condition), Box::new(one), Box::new(two));
                (Node { at, kind }, first.joined(second))
            }
            (name, target, arguments) => {
                let operands: Vec<Typed> =
                    target.into_iter().chain(arguments).map(|operand| self.node(operand)).collect();
                functions::call(self, at, name, target.is_some(), operands)
            }
        }
    }

    /// The expression, which is to have that type.
    fn expect(&mut self, expression: &IdedExpr, expected: &Type) -> Node {
        let typed = self.node(expression);
        self.expect_type(typed, expected)
    }

    pub(super) fn expect_type(&mut self, (node, of): Typed, expected: &Type) -> Node {
        if of.may_be(expected) {
            node
        } else {
            self.mistake(node.at, format!("expected {expected}, but found {of}")).0
        }
    }

    fn has(&mut self, at: u32, argument: &IdedExpr) -> Typed {
        let (node, _) = self.node(argument);
        match node.kind {
            Kind::Member(of, name) => (Node { at, kind: Kind::Has(of, name) }, Type::Bool),
            Kind::Fact(fact @ (Fact::SourceAddress | Fact::SourcePrincipal)) => {
                (Node { at, kind: Kind::HasFact(fact) }, Type::Bool)
            }
            Kind::Null => (node, Type::Bool),
            _ => self.mistake(node.at, "expected a member that may be missing, such as has(body.amount)"),
        }
    }

    fn each(&mut self, at: u32, name: &str, range: &IdedExpr, arguments: &[IdedExpr]) -> Typed {
        let (variable, predicate, result) = match arguments {
            [variable, result] if name == "map" => (variable, None, Some(result)),
            [variable, predicate, result] if name == "map" => (variable, Some(predicate), Some(result)),
            [variable, predicate] => (variable, Some(predicate), None),
            _ => return self.mistake(at, format!("expected {name}(variable, expression)")),
        };
        let (range, of) = self.node(range);
        let element = match of {
            Type::List(element) => *element,
            Type::Dyn => Type::Dyn,
            other => return self.mistake(range.at, format!("expected a list, but found {other}")),
        };
        let Expr::Ident(variable) = &variable.expr else {
            return self.mistake(self.at(variable), format!("expected the name of a variable in {name}(…)"));
        };
        self.variables.push((variable.clone(), element.clone()));
        let predicate = match predicate {
            Some(predicate) => self.expect(predicate, &Type::Bool),
            None => Node { at, kind: Kind::Bool(true) },
        };
        let result = result.map(|result| self.node(result));
        self.variables.pop();
        let (what, of) = match (name, &result) {
            ("all", _) => (Each::All, Type::Bool),
            ("exists", _) => (Each::Exists, Type::Bool),
            ("exists_one", _) => (Each::ExistsOne, Type::Bool),
            (_, Some((_, made))) => (Each::Map, Type::list(made.clone())),
            (_, None) => (Each::Filter, Type::list(element)),
        };
        let result = result.map(|(node, _)| Box::new(node));
        let kind = Kind::Each { what, range: Box::new(range), predicate: Box::new(predicate), result };
        (Node { at, kind }, of)
    }
}

impl Node {
    pub(super) fn kind_is(&self, fact: Fact) -> bool {
        matches!(self.kind, Kind::Fact(known) if known == fact)
    }
}

fn names<T>(members: &[(&str, Fact, T)]) -> Vec<String> {
    members.iter().map(|(name, ..)| (*name).to_owned()).collect()
}

fn members_of(root: &str, known: Vec<String>) -> String {
    if known.is_empty() {
        return format!("{root} has no members here: the policy's match names no parameters of the path");
    }
    format!("expected a member of {root}: {root}.{}", known.join(&format!(", {root}.")))
}
