//! A condition's text to its tree.

use tributary_core::{Error, Result};

/// Longest text, and deepest nesting of parentheses and `not`.
const MOST_BYTES: usize = 64 << 10;
const MOST_DEPTH: usize = 64;

/// A condition. Positions count characters from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Or(Box<Tree>, Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Not(Box<Tree>),
    Compare(Column, Comparison, Value),
    In(Column, Vec<Value>),
    IsNull(Column),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub at: usize,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub at: usize,
    pub literal: Literal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// As written.
    Number(String),
    Text(String),
    Bool(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, or a word of the grammar.
    Word(String),
    /// A name in double quotes.
    Name(String),
    Literal(Literal),
    Compare(Comparison),
    Open,
    Close,
    Comma,
    End,
}

pub(super) fn wrong(at: usize, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("condition, position {at}: {what}"))
}

pub(super) fn parse(text: &str) -> Result<Tree> {
    if text.len() > MOST_BYTES {
        return Err(Error::invalid(format!(
            "a condition of {} bytes, at most {MOST_BYTES} are read",
            text.len()
        )));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let tree = parser.any(0)?;
    match parser.take() {
        (_, Token::End) => Ok(tree),
        (at, token) => Err(wrong(at, format!("expected and, or, or the end, got {}", token.shown()))),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>> {
    let letters: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(letter) = letters.get(at).copied() {
        if letter.is_whitespace() {
            at += 1;
            continue;
        }
        let (token, length) = token(&letters[at..], at + 1)?;
        tokens.push((at + 1, token));
        at += length;
    }
    tokens.push((letters.len() + 1, Token::End));
    Ok(tokens)
}

fn token(rest: &[char], at: usize) -> Result<(Token, usize)> {
    use Comparison as C;
    let second = rest.get(1).copied().unwrap_or(' ');
    let compare = |comparison, length| Ok((Token::Compare(comparison), length));
    match (rest[0], second) {
        ('(', _) => Ok((Token::Open, 1)),
        (')', _) => Ok((Token::Close, 1)),
        (',', _) => Ok((Token::Comma, 1)),
        ('=', '=') => compare(C::Equal, 2),
        ('=', _) => compare(C::Equal, 1),
        ('!', '=') | ('<', '>') => compare(C::NotEqual, 2),
        ('<', '=') => compare(C::LessOrEqual, 2),
        ('<', _) => compare(C::Less, 1),
        ('>', '=') => compare(C::GreaterOrEqual, 2),
        ('>', _) => compare(C::Greater, 1),
        ('\'', _) => quoted(rest, at).map(|(text, length)| (Token::Literal(Literal::Text(text)), length)),
        ('"', _) => quoted(rest, at).map(|(text, length)| (Token::Name(text), length)),
        (letter, next)
            if letter.is_ascii_digit()
                || matches!(letter, '+' | '-' | '.') && (next.is_ascii_digit() || next == '.') =>
        {
            Ok(number(rest))
        }
        (letter, _) if letter.is_alphabetic() || letter == '_' => Ok(word(rest)),
        (letter, _) => Err(wrong(
            at,
            format!(
                "unexpected {letter:?}; texts are in single quotes, and such names of columns in double quotes"
            ),
        )),
    }
}

/// What is between two of the same quotes, and how many letters it takes with them.
fn quoted(rest: &[char], at: usize) -> Result<(String, usize)> {
    let (quote, mut text, mut next) = (rest[0], String::new(), 1);
    loop {
        match (rest.get(next), rest.get(next + 1)) {
            (Some(letter), Some(after)) if *letter == quote && *after == quote => {
                text.push(quote);
                next += 2;
            }
            (Some(letter), _) if *letter == quote => return Ok((text, next + 1)),
            (Some(letter), _) => {
                text.push(*letter);
                next += 1;
            }
            (None, _) => return Err(wrong(at, format!("a {quote} that is never closed"))),
        }
    }
}

fn number(rest: &[char]) -> (Token, usize) {
    let mut before = ' ';
    let is_part = |letter: &&char| {
        let is_sign = matches!(letter, '+' | '-') && matches!(before, ' ' | 'e' | 'E');
        let is_part = is_sign || letter.is_ascii_alphanumeric() || **letter == '.';
        before = **letter;
        is_part
    };
    let text: String = rest.iter().take_while(is_part).collect();
    let length = text.chars().count();
    (Token::Literal(Literal::Number(text)), length)
}

fn word(rest: &[char]) -> (Token, usize) {
    let is_part = |letter: &&char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let text: String = rest.iter().take_while(is_part).collect();
    let length = text.chars().count();
    let token = match text.to_ascii_lowercase().as_str() {
        "true" => Token::Literal(Literal::Bool(true)),
        "false" => Token::Literal(Literal::Bool(false)),
        _ => Token::Word(text),
    };
    (token, length)
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(text) if text.eq_ignore_ascii_case(word))
    }

    /// As messages show it: no value, which may be private.
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Name(text) => format!("{text:?}"),
            Self::Literal(_) => "a value".into(),
            Self::Compare(_) => "a comparison".into(),
            Self::Open => "\"(\"".into(),
            Self::Close => "\")\"".into(),
            Self::Comma => "\",\"".into(),
            Self::End => "the end".into(),
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    /// The next token; the end again and again.
    fn take(&mut self) -> (usize, Token) {
        let token = self.tokens[self.next.min(self.tokens.len() - 1)].clone();
        self.next += 1;
        token
    }

    /// Goes past a word, if it is the next one.
    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.peek().is(word);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, expected: &Token, what: &str) -> Result<()> {
        match self.take() {
            (_, token) if token == *expected => Ok(()),
            (at, token) => Err(wrong(at, format!("expected {what}, got {}", token.shown()))),
        }
    }

    fn any(&mut self, depth: usize) -> Result<Tree> {
        let mut tree = self.all(depth)?;
        while self.skip("or") {
            tree = Tree::Or(Box::new(tree), Box::new(self.all(depth)?));
        }
        Ok(tree)
    }

    fn all(&mut self, depth: usize) -> Result<Tree> {
        let mut tree = self.one(depth)?;
        while self.skip("and") {
            tree = Tree::And(Box::new(tree), Box::new(self.one(depth)?));
        }
        Ok(tree)
    }

    fn one(&mut self, depth: usize) -> Result<Tree> {
        if depth > MOST_DEPTH {
            return Err(Error::invalid(format!("a condition that is nested more than {MOST_DEPTH} deep")));
        }
        if self.skip("not") {
            return Ok(Tree::Not(Box::new(self.one(depth + 1)?)));
        }
        match self.take() {
            (_, Token::Open) => {
                let tree = self.any(depth + 1)?;
                self.expect(&Token::Close, "\")\"")?;
                Ok(tree)
            }
            (at, Token::Word(name) | Token::Name(name)) => self.comparison(Column { at, name }),
            (at, token) => {
                Err(wrong(at, format!("expected the name of a column, not or \"(\", got {}", token.shown())))
            }
        }
    }

    fn comparison(&mut self, column: Column) -> Result<Tree> {
        let not = |tree: Tree, is_not: bool| if is_not { Tree::Not(Box::new(tree)) } else { tree };
        if self.skip("is") {
            let is_not = self.skip("not");
            return match self.take() {
                (_, token) if token.is("null") => Ok(not(Tree::IsNull(column), is_not)),
                (at, token) => Err(wrong(at, format!("expected null, got {}", token.shown()))),
            };
        }
        let is_not = self.skip("not");
        if self.skip("in") {
            return Ok(not(Tree::In(column, self.list()?), is_not));
        }
        match self.take() {
            (_, Token::Compare(comparison)) if !is_not => {
                Ok(Tree::Compare(column, comparison, self.value()?))
            }
            (at, token) => {
                let expected = if is_not { "in" } else { "a comparison, in or is" };
                let (name, token) = (&column.name, token.shown());
                Err(wrong(at, format!("expected {expected} after column {name:?}, got {token}")))
            }
        }
    }

    fn list(&mut self) -> Result<Vec<Value>> {
        self.expect(&Token::Open, "\"(\"")?;
        let mut values = vec![self.value()?];
        loop {
            match self.take() {
                (_, Token::Comma) => values.push(self.value()?),
                (_, Token::Close) => return Ok(values),
                (at, token) => {
                    return Err(wrong(at, format!("expected \",\" or \")\", got {}", token.shown())));
                }
            }
        }
    }

    fn value(&mut self) -> Result<Value> {
        match self.take() {
            (at, Token::Literal(literal)) => Ok(Value { at, literal }),
            (at, token) if token.is("null") => {
                Err(wrong(at, "a missing value equals nothing; write \"is null\""))
            }
            (at, token) => {
                let token = token.shown();
                Err(wrong(
                    at,
                    format!("expected a number, true, false or a text in single quotes, got {token}"),
                ))
            }
        }
    }
}
