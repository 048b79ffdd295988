//! A condition that was read: what the evaluator walks through.

use regex::Regex;

use super::decimal::Decimal;

/// An expression, and where in the text it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The offset of its operator, name or first character, in bytes.
    pub(super) at: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Decimal),
    String(Box<str>),
    List(Vec<Node>),

    /// Something that the request says of itself.
    Fact(Fact),
    /// What a macro has bound, counted from the outermost.
    Variable(usize),
    Member(Box<Node>, Box<str>),
    Has(Box<Node>, Box<str>),
    /// Whether the proxy says something.
    HasFact(Fact),
    Index(Box<Node>, Box<Node>),

    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Conditional(Box<Node>, Box<Node>, Box<Node>),
    Compare(Order, Box<Node>, Box<Node>),
    Equal(Box<Node>, Box<Node>),
    /// A comparison with `null` as it stands in the text: the only one that values of other types may take part in.
    IsNull(Box<Node>),
    In(Box<Node>, Box<Node>),

    Negate(Box<Node>),
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),

    Size(Box<Node>),
    Text(Text, Box<Node>, Box<Node>),
    Matches(Box<Node>, Box<Regex>),
    /// A number, of a number or of a string that holds one; a whole one where that is asked for.
    ToNumber {
        of: Box<Node>,
        whole: bool,
    },
    /// A macro over the elements of a list. The predicate is about the variable, and so is what `map` makes of it.
    Each {
        what: Each,
        range: Box<Node>,
        predicate: Box<Node>,
        result: Option<Box<Node>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Method,
    Host,
    Path,
    Query,
    Headers,
    /// A parameter of the path, by the position of its segment; with the rest of the path or without.
    PathParameter {
        position: usize,
        rest: bool,
    },
    Body,
    SourceAddress,
    SourcePrincipal,
    Signers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}
