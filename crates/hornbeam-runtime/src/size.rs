//! Sizes that depend on those of the inputs, such as `4*batch + 1`.
//!
//! The grammar is that of `SymbolicSize.expression` of the front end:
//!
//! ```text
//! sum    = ["-"] term { (" + " | " - ") term }
//! term   = factor { "*" factor }
//! factor = atom ["**" number]
//! atom   = number | name | "(" sum ["//" sum] ")" | ("min" | "max") "(" sum ", " sum ")"
//! ```

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{damaged, Result};

/// The numbers of symbols.
pub type Symbols = BTreeMap<String, i64>;

/// Maximum depth of parentheses.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Number(i64),
    Symbol(String),
    Add(Vec<Node>),
    Negative(Box<Node>),
    Multiply(Vec<Node>),
    Power(Box<Node>, u32),
    FloorDivide(Box<Node>, Box<Node>),
    Min(Box<Node>, Box<Node>),
    Max(Box<Node>, Box<Node>),
}

/// A size that depends on symbols, with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    text: String,
    node: Node,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Size {
    pub fn parse(text: &str) -> Result<Size> {
        let mut parser = Parser { rest: text, depth: 0 };
        let node = parser.sum()?;
        if !parser.rest.is_empty() {
            return Err(damaged!("the size {text:?} does not end at {:?}", parser.rest));
        }
        Ok(Size { text: text.to_owned(), node })
    }

    /// The symbol that this size is, if it is one alone.
    pub fn symbol(&self) -> Option<&str> {
        match &self.node {
            Node::Symbol(name) => Some(name),
            _ => None,
        }
    }

    /// The number for these values of the symbols.
    pub fn evaluate(&self, symbols: &Symbols) -> Result<i64> {
        evaluate(&self.node, symbols).ok_or_else(|| damaged!("the size {} has no value for {symbols:?}", self.text))
    }
}

/// The value of an expression; None for unknown symbols, division by zero, and numbers that are too large.
fn evaluate(node: &Node, symbols: &Symbols) -> Option<i64> {
    let value = |node: &Node| evaluate(node, symbols);
    match node {
        Node::Number(n) => Some(*n),
        Node::Symbol(name) => symbols.get(name).copied(),
        Node::Add(terms) => terms.iter().try_fold(0i64, |sum, term| sum.checked_add(value(term)?)),
        Node::Negative(inner) => value(inner)?.checked_neg(),
        Node::Multiply(factors) => factors.iter().try_fold(1i64, |product, factor| product.checked_mul(value(factor)?)),
        Node::Power(base, exponent) => value(base)?.checked_pow(*exponent),
        Node::FloorDivide(a, b) => {
            let (a, b) = (value(a)?, value(b)?);
            let quotient = a.checked_div(b)?;
            // Division truncates.
            let is_below = a % b != 0 && (a < 0) != (b < 0);
            Some(quotient - i64::from(is_below))
        }
        Node::Min(a, b) => Some(value(a)?.min(value(b)?)),
        Node::Max(a, b) => Some(value(a)?.max(value(b)?)),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn accept(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.accept(token) {
            return Ok(());
        }
        Err(damaged!("a size has {:?} where {token:?} is expected", self.rest))
    }

    fn sum(&mut self) -> Result<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(damaged!("a size is nested more than {MAX_DEPTH} deep"));
        }
        let mut negative = self.accept("-");
        let mut terms = Vec::new();
        loop {
            let term = self.term()?;
            terms.push(if negative { Node::Negative(Box::new(term)) } else { term });
            negative = if self.accept(" + ") {
                false
            } else if self.accept(" - ") {
                true
            } else {
                break;
            };
        }
        self.depth -= 1;
        Ok(single_or(terms, Node::Add))
    }

    fn term(&mut self) -> Result<Node> {
        let mut factors = vec![self.factor()?];
        while self.accept("*") {
            factors.push(self.factor()?);
        }
        Ok(single_or(factors, Node::Multiply))
    }

    fn factor(&mut self) -> Result<Node> {
        let atom = self.atom()?;
        if !self.accept("**") {
            return Ok(atom);
        }
        let digits = self.take(|c| c.is_ascii_digit());
        let exponent = digits.parse().map_err(|_| damaged!("a size has the exponent {digits:?}"))?;
        Ok(Node::Power(Box::new(atom), exponent))
    }

    fn atom(&mut self) -> Result<Node> {
        if self.accept("(") {
            let first = self.sum()?;
            let node =
                if self.accept("//") { Node::FloorDivide(Box::new(first), Box::new(self.sum()?)) } else { first };
            self.expect(")")?;
            return Ok(node);
        }
        let word = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return word.parse().map(Node::Number).map_err(|_| damaged!("a size has the number {word:?}"));
        }
        match word {
            "" => Err(damaged!("a size has {:?} where a number or a name is expected", self.rest)),
            "min" | "max" if self.accept("(") => {
                let first = Box::new(self.sum()?);
                self.expect(", ")?;
                let second = Box::new(self.sum()?);
                self.expect(")")?;
                Ok(if word == "min" { Node::Min(first, second) } else { Node::Max(first, second) })
            }
            name => Ok(Node::Symbol(name.to_owned())),
        }
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

/// The node of a list with one element, or of all.
fn single_or(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            join(nodes)
        }
        None => Node::Number(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<i64> {
        let symbols = Symbols::from([("batch".to_owned(), 7), ("size_0_1".to_owned(), 3)]);
        Size::parse(text)?.evaluate(&symbols)
    }

    #[test]
    fn expressions_have_the_values_of_python() {
        for (text, expected) in [
            ("batch", 7),
            ("4*batch + 1", 29),
            ("-2*batch + batch**2", 35),
            ("((batch + 1)//2)", 4),
            ("((-batch)//2)", -4),
            ("batch*size_0_1 - 1", 20),
            ("min(batch, size_0_1)", 3),
            ("2*max(batch + 1, 10)", 20),
        ] {
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn bad_expressions_are_errors() {
        for text in ["", "batch +", "batch batch", "(batch", "other", "(batch//0)", "batch**99", "9223372036854775808"]
        {
            assert!(value(text).is_err(), "{text}");
        }
        assert!(Size::parse(&"(".repeat(10_000)).is_err());
    }
}
