//! The expressions of triggers: what `when` and `oncePer` are written in.
//!
//! Values are JSON, moments and durations. An expression runs on a budget of steps, so that none can stop others.

use jiff::Timestamp;
use object::Value;

/// Most steps of one evaluation.
const STEPS: usize = 20_000;
/// Deepest nesting of an expression.
const DEPTH: usize = 64;

/// What an expression comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Data.
    Json(Value),
    /// A moment, in seconds since the epoch.
    Time(f64),
    /// A duration, in seconds.
    Duration(f64),
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Literal(Value),
    Name(String),
    /// `#`, the element that a predicate looks at.
    Element,
    Member(Box<Node>, Box<Node>, bool),
    Call(Box<Node>, Vec<Node>),
    Predicate(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(String, Box<Node>, Box<Node>),
    Either(Box<Node>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    node: Node,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Mark(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const MARKS: [&str; 10] = ["==", "!=", "<=", ">=", "&&", "||", "??", "?.", "**", ".."];
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(&c) = chars.get(at) {
        if c.is_whitespace() {
            at += 1;
        } else if c == '\'' || c == '"' || c == '`' {
            let mut string = String::new();
            at += 1;
            loop {
                match chars.get(at) {
                    None => return Err("a text is not closed".to_owned()),
                    Some('\\') if c != '`' => {
                        at += 1;
                        string.push(match chars.get(at) {
                            Some('n') => '\n',
                            Some('t') => '\t',
                            Some(other) => *other,
                            None => return Err("a text is not closed".to_owned()),
                        });
                    }
                    Some(end) if *end == c => break,
                    Some(other) => string.push(*other),
                }
                at += 1;
            }
            at += 1;
            found.push(Token::Text(string));
        } else if c.is_ascii_digit() {
            let start = at;
            while chars.get(at).is_some_and(|c| c.is_ascii_digit() || *c == '_')
                || (chars.get(at) == Some(&'.') && chars.get(at + 1).is_some_and(char::is_ascii_digit))
            {
                at += 1;
            }
            let digits: String =
                chars.get(start..at).unwrap_or_default().iter().filter(|c| **c != '_').collect();
            found.push(Token::Number(digits.parse().map_err(|_| format!("{digits} is no number"))?));
        } else if c.is_alphabetic() || c == '_' || c == '$' {
            let start = at;
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_' || *c == '$') {
                at += 1;
            }
            found.push(Token::Word(chars.get(start..at).unwrap_or_default().iter().collect()));
        } else {
            let two: String = chars.iter().skip(at).take(2).collect();
            if MARKS.contains(&two.as_str()) {
                at += 2;
                found.push(Token::Mark(two));
            } else if "+-*/%()[]{}<>,.:?!#|;".contains(c) {
                at += 1;
                found.push(Token::Mark(c.to_string()));
            } else {
                return Err(format!("unexpected {c}"));
            }
        }
    }
    Ok(found)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// How tightly an operator binds; two words make one operator (`not in`).
fn binds(operator: &str) -> Option<u8> {
    Some(match operator {
        "||" | "or" => 10,
        "&&" | "and" => 15,
        "==" | "!=" | "<" | ">" | "<=" | ">=" | "in" | "not in" | "matches" | "contains" | "startsWith"
        | "endsWith" => 20,
        "+" | "-" => 30,
        "*" | "/" | "%" => 60,
        "**" => 100,
        "??" => 200,
        _ => return None,
    })
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Some(Token::Mark(found)) if found == mark)
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(format!("expected {mark}")) }
    }

    /// The operator that comes next, and how many tokens it is.
    fn operator(&self) -> Option<(String, usize)> {
        match (self.peek()?, self.tokens.get(self.at + 1)) {
            (Token::Word(first), Some(Token::Word(second))) if first == "not" && second == "in" => {
                Some(("not in".to_owned(), 2))
            }
            (Token::Word(word) | Token::Mark(word), _) => binds(word).map(|_| (word.clone(), 1)),
            _ => None,
        }
    }

    fn whole(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("the expression is nested deeper than {DEPTH} levels"));
        }
        let condition = self.binary(0)?;
        let node = if self.take("?") {
            let yes = self.whole()?;
            self.expect(":")?;
            Node::Either(Box::new(condition), Box::new(yes), Box::new(self.whole()?))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(node)
    }

    fn binary(&mut self, least: u8) -> Result<Node, String> {
        let mut left = self.unary()?;
        while let Some((operator, length)) = self.operator() {
            let Some(strength) = binds(&operator).filter(|strength| *strength >= least) else { break };
            self.at += length;
            let right = self.binary(if operator == "**" { strength } else { strength.saturating_add(1) })?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("the expression is nested deeper than {DEPTH} levels"));
        }
        let node = if self.take("!") || matches!(self.peek(), Some(Token::Word(word)) if word == "not") {
            if matches!(self.peek(), Some(Token::Word(word)) if word == "not") {
                self.at += 1;
            }
            Node::Not(Box::new(self.unary_operand()?))
        } else if self.take("-") {
            Node::Negate(Box::new(self.unary_operand()?))
        } else {
            self.postfix()?
        };
        self.depth -= 1;
        Ok(node)
    }

    /// `not a == b` negates the comparison; `not a and b` only `a`.
    fn unary_operand(&mut self) -> Result<Node, String> {
        self.binary(20)
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.primary()?;
        loop {
            if self.take(".") || self.is("?.") {
                let optional = self.take("?.");
                let key = match self.tokens.get(self.at) {
                    Some(Token::Word(word)) => Node::Literal(Value::String(word.clone())),
                    Some(Token::Text(text)) => Node::Literal(Value::String(text.clone())),
                    _ => return Err("expected a name after .".to_owned()),
                };
                self.at += 1;
                node = Node::Member(Box::new(node), Box::new(key), optional);
            } else if self.take("[") {
                let key = self.whole()?;
                self.expect("]")?;
                node = Node::Member(Box::new(node), Box::new(key), false);
            } else if self.take("(") {
                let arguments = self.list(")")?;
                node = Node::Call(Box::new(node), arguments);
            } else {
                return Ok(node);
            }
        }
    }

    fn list(&mut self, end: &str) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.whole()?);
            if !self.take(",") && !self.is(end) {
                return Err(format!("expected , or {end}"));
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Result<Node, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("the expression ends too early")?;
        self.at += 1;
        Ok(match token {
            Token::Number(number) => Node::Literal(number_json(number)),
            Token::Text(text) => Node::Literal(Value::String(text)),
            Token::Word(word) => match word.as_str() {
                "true" => Node::Literal(Value::Bool(true)),
                "false" => Node::Literal(Value::Bool(false)),
                "nil" => Node::Literal(Value::Null),
                _ => Node::Name(word),
            },
            Token::Mark(mark) => match mark.as_str() {
                "(" => {
                    let node = self.whole()?;
                    self.expect(")")?;
                    node
                }
                "[" => Node::List(self.list("]")?),
                "#" => Node::Element,
                // In a predicate the element's own members need no `#`.
                "." => {
                    self.at -= 1;
                    Node::Element
                }
                "{" => self.braces()?,
                other => return Err(format!("unexpected {other}")),
            },
        })
    }

    /// A map, or a predicate.
    fn braces(&mut self) -> Result<Node, String> {
        let key = match (self.peek(), self.tokens.get(self.at + 1)) {
            (Some(Token::Word(_) | Token::Text(_)), Some(Token::Mark(mark))) => mark == ":",
            (Some(Token::Mark(mark)), _) => mark == "}",
            _ => false,
        };
        if !key {
            let node = self.whole()?;
            self.expect("}")?;
            return Ok(Node::Predicate(Box::new(node)));
        }
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = match self.tokens.get(self.at) {
                Some(Token::Word(word) | Token::Text(word)) => Node::Literal(Value::String(word.clone())),
                _ => return Err("expected a key".to_owned()),
            };
            self.at += 1;
            self.expect(":")?;
            entries.push((key, self.whole()?));
            if !self.take(",") && !self.is("}") {
                return Err("expected , or }".to_owned());
            }
        }
        Ok(Node::Map(entries))
    }
}

fn number_json(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        // Whole and small enough: the cast is exact.
        #[allow(clippy::cast_possible_truncation)]
        return Value::from(number as i64);
    }
    Value::from(number)
}

/// What an expression sees.
pub struct Scope<'a> {
    /// Its variables (`app`).
    pub variables: &'a Value,
    /// Seconds since the epoch.
    pub now: i64,
    /// Functions of other names: `repo.GetCommitMetadata` and its like.
    pub call: &'a dyn Fn(&str, &[Value]) -> Result<Value, String>,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
        let node = parser.whole()?;
        if parser.at < parser.tokens.len() {
            return Err("there is more after the end of the expression".to_owned());
        }
        Ok(Expression { node })
    }

    /// Its value.
    ///
    /// # Errors
    /// When it fails, for example on a member of nothing.
    pub fn value(&self, scope: &Scope<'_>) -> Result<Item, String> {
        Run { scope, steps: STEPS, elements: Vec::new() }.item(&self.node)
    }

    /// Its value as a yes or no.
    ///
    /// # Errors
    /// When it fails or is neither.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.value(scope)? {
            Item::Json(Value::Bool(value)) => Ok(value),
            other => Err(format!("the expression gives {other:?}, not true or false")),
        }
    }
}

struct Run<'a, 'b> {
    scope: &'a Scope<'b>,
    steps: usize,
    elements: Vec<Value>,
}

fn json(item: Item) -> Value {
    match item {
        Item::Json(value) => value,
        Item::Time(seconds) | Item::Duration(seconds) => Value::from(seconds),
    }
}

impl Run<'_, '_> {
    fn item(&mut self, node: &Node) -> Result<Item, String> {
        self.steps = self.steps.checked_sub(1).ok_or("the expression does too much")?;
        Ok(match node {
            Node::Literal(value) => Item::Json(value.clone()),
            Node::Name(name) => Item::Json(self.scope.variables.get(name).cloned().unwrap_or_default()),
            Node::Element => {
                Item::Json(self.elements.last().cloned().ok_or("# is only known in a predicate")?)
            }
            Node::Predicate(inner) => self.item(inner)?,
            Node::Member(of, key, optional) => {
                let of = self.item(of)?;
                let key = self.item(key)?;
                member(&json(of), &json(key), *optional)?
            }
            Node::Not(inner) => match self.item(inner)? {
                Item::Json(Value::Bool(value)) => Item::Json(Value::Bool(!value)),
                _ => return Err("not wants true or false".to_owned()),
            },
            Node::Negate(inner) => Item::Json(number_json(-number(&self.item(inner)?)?)),
            Node::Binary(operator, left, right) => self.binary(operator, left, right)?,
            Node::Either(condition, yes, no) => match self.item(condition)? {
                Item::Json(Value::Bool(true)) => self.item(yes)?,
                Item::Json(Value::Bool(false)) => self.item(no)?,
                _ => return Err("the condition before ? is neither true nor false".to_owned()),
            },
            Node::List(items) => {
                let items = items.iter().map(|item| self.item(item).map(json));
                Item::Json(Value::Array(items.collect::<Result<_, _>>()?))
            }
            Node::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    let key = json(self.item(key)?);
                    map.insert(key.as_str().unwrap_or_default().to_owned(), json(self.item(value)?));
                }
                Item::Json(Value::Object(map))
            }
            Node::Call(function, arguments) => self.call(function, arguments)?,
        })
    }

    fn binary(&mut self, operator: &str, left: &Node, right: &Node) -> Result<Item, String> {
        let truth = |item: Item| match item {
            Item::Json(Value::Bool(value)) => Ok(value),
            _ => Err(format!("{operator} wants true or false on both sides")),
        };
        let first = self.item(left);
        match operator {
            "&&" | "and" => return Ok(Item::Json(Value::Bool(truth(first?)? && truth(self.item(right)?)?))),
            "||" | "or" => return Ok(Item::Json(Value::Bool(truth(first?)? || truth(self.item(right)?)?))),
            "??" => {
                return match first {
                    Ok(Item::Json(Value::Null)) | Err(_) => self.item(right),
                    known => known,
                };
            }
            _ => {}
        }
        let (left, right) = (first?, self.item(right)?);
        let text = |item: &Item| match item {
            Item::Json(Value::String(text)) => Ok(text.clone()),
            other => Err(format!("{operator} wants texts, not {other:?}")),
        };
        let truth = |value: bool| Ok(Item::Json(Value::Bool(value)));
        match operator {
            "==" => truth(same(&left, &right)),
            "!=" => truth(!same(&left, &right)),
            "in" => truth(is_in(&left, &right)?),
            "not in" => truth(!is_in(&left, &right)?),
            "contains" => truth(text(&left)?.contains(&text(&right)?)),
            "startsWith" => truth(text(&left)?.starts_with(&text(&right)?)),
            "endsWith" => truth(text(&left)?.ends_with(&text(&right)?)),
            "matches" => {
                let pattern = text(&right)?;
                let expression = regex::Regex::new(&pattern).map_err(|error| error.to_string())?;
                truth(expression.is_match(&text(&left)?))
            }
            "<" | ">" | "<=" | ">=" => truth(compare(operator, &left, &right)?),
            "+" if matches!(
                (&left, &right),
                (Item::Json(Value::String(_)), Item::Json(Value::String(_)))
            ) =>
            {
                Ok(Item::Json(Value::String(text(&left)? + &text(&right)?)))
            }
            "-" if matches!((&left, &right), (Item::Time(_), Item::Time(_))) => {
                Ok(Item::Duration(number(&left)? - number(&right)?))
            }
            _ => {
                let (a, b) = (number(&left)?, number(&right)?);
                Ok(Item::Json(number_json(match operator {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "**" => a.powf(b),
                    "%" => a % b,
                    _ => a / b,
                })))
            }
        }
    }

    fn call(&mut self, function: &Node, arguments: &[Node]) -> Result<Item, String> {
        let (of, name) = match function {
            Node::Name(name) => (None, name.clone()),
            Node::Member(of, key, _) => match &**key {
                Node::Literal(Value::String(name)) => (Some(&**of), name.clone()),
                _ => return Err("only names can be called".to_owned()),
            },
            _ => return Err("only names can be called".to_owned()),
        };
        let Some(of) = of else { return self.builtin(&name, arguments) };
        if let Node::Name(module) = of
            && self.scope.variables.get(module).is_none()
        {
            return self.module(module, &name, arguments);
        }
        let receiver = self.item(of)?;
        let given: Vec<Item> = arguments.iter().map(|node| self.item(node)).collect::<Result<_, _>>()?;
        method(&receiver, &name, &given)
    }

    fn module(&mut self, module: &str, name: &str, arguments: &[Node]) -> Result<Item, String> {
        let given: Vec<Item> = arguments.iter().map(|node| self.item(node)).collect::<Result<_, _>>()?;
        let text = |at: usize| match given.get(at) {
            Some(Item::Json(Value::String(text))) => Ok(text.clone()),
            _ => Err(format!("{module}.{name} wants a text")),
        };
        // Whole seconds are exact as floats for any date that there is.
        #[allow(clippy::cast_precision_loss)]
        let now = self.scope.now as f64;
        Ok(match (module, name) {
            ("time", "Now") => Item::Time(now),
            ("time", "Parse") => {
                let text = text(0)?;
                let stamp: Timestamp = text.parse().map_err(|_| format!("'{text}' is no time"))?;
                #[allow(clippy::cast_precision_loss)]
                let seconds = stamp.as_second() as f64;
                Item::Time(seconds)
            }
            ("strings", "ToUpper") => Item::Json(text(0)?.to_uppercase().into()),
            ("strings", "ToLower") => Item::Json(text(0)?.to_lowercase().into()),
            ("strings", "ReplaceAll") => Item::Json(text(0)?.replace(&text(1)?, &text(2)?).into()),
            _ => {
                let given: Vec<Value> = given.into_iter().map(json).collect();
                Item::Json((self.scope.call)(&format!("{module}.{name}"), &given)?)
            }
        })
    }

    fn builtin(&mut self, name: &str, arguments: &[Node]) -> Result<Item, String> {
        let first = arguments.first().ok_or_else(|| format!("{name} wants an argument"))?;
        let value = json(self.item(first)?);
        if name == "len" {
            let length = match &value {
                Value::String(text) => text.chars().count(),
                Value::Array(list) => list.len(),
                Value::Object(map) => map.len(),
                other => return Err(format!("invalid argument for len: {other}")),
            };
            return Ok(Item::Json(length.into()));
        }
        if let ("string", value) | ("trim" | "lower" | "upper", value @ Value::String(_)) = (name, &value) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Ok(Item::Json(Value::String(match name {
                "trim" => text.trim().to_owned(),
                "lower" => text.to_lowercase(),
                "upper" => text.to_uppercase(),
                _ => text,
            })));
        }
        let predicate = arguments.get(1).ok_or_else(|| format!("unknown name {name}"))?;
        let Value::Array(list) = value else { return Err(format!("{name} wants a list")) };
        let mut found = Vec::with_capacity(list.len());
        for element in list {
            self.elements.push(element.clone());
            let outcome = self.item(predicate);
            self.elements.pop();
            found.push((element, json(outcome?)));
        }
        let held = |(_, value): &&(Value, Value)| *value == Value::Bool(true);
        Ok(Item::Json(match name {
            "any" => found.iter().any(|entry| held(&entry)).into(),
            "all" => found.iter().all(|entry| held(&entry)).into(),
            "none" => (!found.iter().any(|entry| held(&entry))).into(),
            "one" => (found.iter().filter(held).count() == 1).into(),
            "count" => found.iter().filter(held).count().into(),
            "filter" => Value::Array(found.iter().filter(held).map(|(element, _)| element.clone()).collect()),
            "map" => Value::Array(found.into_iter().map(|(_, value)| value).collect()),
            "find" => found.iter().find(held).map(|(element, _)| element.clone()).unwrap_or_default(),
            other => return Err(format!("unknown name {other}")),
        }))
    }
}

fn member(of: &Value, key: &Value, optional: bool) -> Result<Item, String> {
    let found = match (of, key) {
        (Value::Object(map), Value::String(key)) => map.get(key).cloned().unwrap_or_default(),
        (Value::Array(list), Value::Number(at)) => {
            let at = at.as_i64().unwrap_or(-1);
            let at = if at < 0 { i64::try_from(list.len()).unwrap_or(0) + at } else { at };
            let found = usize::try_from(at).ok().and_then(|at| list.get(at));
            found.cloned().ok_or_else(|| format!("index out of range: {at}"))?
        }
        (Value::Null, _) if optional => Value::Null,
        (Value::Null, key) => return Err(format!("cannot fetch {key} from <nil>")),
        (_, key) => return Err(format!("cannot fetch {key}")),
    };
    Ok(Item::Json(found))
}

fn number(item: &Item) -> Result<f64, String> {
    match item {
        Item::Json(Value::Number(number)) => number.as_f64().ok_or_else(|| "no number".to_owned()),
        Item::Time(seconds) | Item::Duration(seconds) => Ok(*seconds),
        other => Err(format!("expected a number, not {other:?}")),
    }
}

fn same(left: &Item, right: &Item) -> bool {
    match (left, right) {
        (Item::Json(Value::Number(a)), Item::Json(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (left, right) => left == right,
    }
}

fn is_in(left: &Item, right: &Item) -> Result<bool, String> {
    match (left, right) {
        (left, Item::Json(Value::Array(list))) => {
            Ok(list.iter().any(|item| same(left, &Item::Json(item.clone()))))
        }
        (Item::Json(Value::String(key)), Item::Json(Value::Object(map))) => Ok(map.contains_key(key)),
        (_, Item::Json(Value::Null)) => Ok(false),
        _ => Err("in wants a list or a map".to_owned()),
    }
}

fn compare(operator: &str, left: &Item, right: &Item) -> Result<bool, String> {
    let order = match (left, right) {
        (Item::Json(Value::String(a)), Item::Json(Value::String(b))) => Some(a.cmp(b)),
        _ => number(left)?.partial_cmp(&number(right)?),
    };
    let order = order.ok_or("the values cannot be compared")?;
    Ok(match operator {
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        _ => order.is_ge(),
    })
}

/// What moments and durations can do.
fn method(receiver: &Item, name: &str, given: &[Item]) -> Result<Item, String> {
    let seconds = || given.first().ok_or_else(|| format!("{name} wants an argument")).and_then(number);
    Ok(match (receiver, name) {
        (Item::Time(at), "Sub") => Item::Duration(at - seconds()?),
        (Item::Time(at), "Add") => Item::Time(at + seconds()?),
        (Item::Time(at), "After") => Item::Json((*at > seconds()?).into()),
        (Item::Time(at), "Before") => Item::Json((*at < seconds()?).into()),
        (Item::Time(at), "Unix") => Item::Json(number_json(at.floor())),
        (Item::Duration(length), "Seconds") => Item::Json(number_json(*length)),
        (Item::Duration(length), "Minutes") => Item::Json(number_json(length / 60.0)),
        (Item::Duration(length), "Hours") => Item::Json(number_json(length / 3600.0)),
        _ => return Err(format!("there is no {name} of that")),
    })
}
