//! From the text of an expression to its parts.

use object::Value;

use super::Node;

/// Deepest nesting of an expression.
const DEPTH: usize = 64;

/// The functions that there are, with how many arguments they take.
const FUNCTIONS: [(&str, &[usize]); 36] = [
    ("all", &[0, 1]),
    ("any", &[0, 1]),
    ("arrays", &[0]),
    ("ascii_downcase", &[0]),
    ("ascii_upcase", &[0]),
    ("booleans", &[0]),
    ("contains", &[1]),
    ("empty", &[0]),
    ("endswith", &[1]),
    ("first", &[0, 1]),
    ("flatten", &[0]),
    ("fromjson", &[0]),
    ("getpath", &[1]),
    ("has", &[1]),
    ("index", &[1]),
    ("inside", &[1]),
    ("join", &[1]),
    ("keys", &[0]),
    ("last", &[0, 1]),
    ("length", &[0]),
    ("ltrimstr", &[1]),
    ("map", &[1]),
    ("not", &[0]),
    ("nulls", &[0]),
    ("numbers", &[0]),
    ("objects", &[0]),
    ("recurse", &[0]),
    ("rtrimstr", &[1]),
    ("select", &[1]),
    ("split", &[1]),
    ("startswith", &[1]),
    ("strings", &[0]),
    ("test", &[1, 2]),
    ("to_entries", &[0]),
    ("tostring", &[0]),
    ("type", &[0]),
];

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    /// `.name`
    Field(String),
    Mark(&'static str),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const MARKS: [&str; 20] = [
        "..", "==", "!=", "<=", ">=", "//", "|", ",", "<", ">", "+", "-", "(", ")", "[", "]", "?", ":", ";",
        ".",
    ];
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    let word = |start: usize| {
        let rest = chars.get(start..).unwrap_or_default();
        rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect::<String>()
    };
    while let Some(&c) = chars.get(at) {
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        if c == '"' {
            let end = closing(&chars, at)?;
            let quoted: String = chars.get(at..=end).unwrap_or_default().iter().collect();
            if quoted.contains("\\(") {
                return Err("string interpolation is not offered here".to_owned());
            }
            found.push(Token::Text(serde_json::from_str(&quoted).map_err(|error| error.to_string())?));
            at = end + 1;
            continue;
        }
        if c.is_ascii_digit() {
            let digits: String = chars
                .get(at..)
                .unwrap_or_default()
                .iter()
                .take_while(|c| c.is_ascii_digit() || **c == '.')
                .collect();
            at += digits.chars().count();
            found.push(Token::Number(digits.parse().map_err(|_| format!("{digits} is no number"))?));
            continue;
        }
        if c.is_alphabetic() || c == '_' {
            let name = word(at);
            at += name.chars().count();
            found.push(Token::Word(name));
            continue;
        }
        if c == '.' && chars.get(at + 1).is_some_and(|next| next.is_alphabetic() || *next == '_') {
            let name = word(at + 1);
            at += 1 + name.chars().count();
            found.push(Token::Field(name));
            continue;
        }
        let pair: String = chars.iter().skip(at).take(2).collect();
        let mark = MARKS.iter().find(|mark| pair.starts_with(**mark));
        let Some(mark) = mark else { return Err(format!("the operator {c} is not offered here")) };
        at += mark.len();
        found.push(Token::Mark(mark));
    }
    Ok(found)
}

/// Where the text that begins at `start` ends.
fn closing(chars: &[char], start: usize) -> Result<usize, String> {
    let mut at = start + 1;
    loop {
        match chars.get(at) {
            None => return Err("a text is not closed".to_owned()),
            Some('\\') => at += 2,
            Some('"') => return Ok(at),
            Some(_) => at += 1,
        }
    }
}

/// Parses an expression.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let node = parser.pipe()?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(format!("unexpected {token:?}")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Mark(other)) if *other == mark);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(other)) if other == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(format!("expected {mark}")) }
    }

    fn pipe(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("nested deeper than {DEPTH} levels"));
        }
        let mut node = self.comma()?;
        while self.take("|") {
            node = Node::Pipe(Box::new(node), Box::new(self.comma()?));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn comma(&mut self) -> Result<Node, String> {
        let mut node = self.binary(0)?;
        while self.take(",") {
            node = Node::Both(Box::new(node), Box::new(self.binary(0)?));
        }
        Ok(node)
    }

    /// The operator that comes next, with how tightly it binds.
    fn operator(&self) -> Option<(&'static str, u8)> {
        Some(match self.peek()? {
            Token::Mark("//") => ("//", 1),
            Token::Word(word) if word == "or" => ("or", 2),
            Token::Word(word) if word == "and" => ("and", 3),
            Token::Mark(mark @ ("==" | "!=" | "<" | ">" | "<=" | ">=")) => (mark, 4),
            Token::Mark(mark @ ("+" | "-")) => (mark, 5),
            _ => return None,
        })
    }

    fn binary(&mut self, least: u8) -> Result<Node, String> {
        let mut left = self.postfix()?;
        while let Some((operator, strength)) = self.operator().filter(|(_, strength)| *strength >= least) {
            self.at += 1;
            let right = self.binary(if operator == "//" { strength } else { strength + 1 })?;
            left = Node::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn postfix(&mut self) -> Result<Node, String> {
        let mut node = self.term()?;
        loop {
            match self.peek().cloned() {
                Some(Token::Field(name)) => {
                    self.at += 1;
                    node = Node::Index(Box::new(node), Box::new(Node::Literal(Value::String(name))));
                }
                Some(Token::Mark(".")) => {
                    self.at += 1;
                    if let Some(Token::Text(name)) = self.peek().cloned() {
                        self.at += 1;
                        node = Node::Index(Box::new(node), Box::new(Node::Literal(Value::String(name))));
                    }
                }
                Some(Token::Mark("[")) => {
                    self.at += 1;
                    node = self.brackets(node)?;
                }
                Some(Token::Mark("?")) => {
                    self.at += 1;
                    node = Node::Try(Box::new(node));
                }
                _ => return Ok(node),
            }
        }
    }

    fn brackets(&mut self, of: Node) -> Result<Node, String> {
        if self.take("]") {
            return Ok(Node::Each(Box::new(of)));
        }
        let from = if self.take(":") { None } else { Some(self.pipe()?) };
        if let Some(key) = &from
            && self.take("]")
        {
            return Ok(Node::Index(Box::new(of), Box::new(key.clone())));
        }
        if from.is_some() {
            self.expect(":")?;
        }
        let to = if self.take("]") {
            None
        } else {
            let to = self.pipe()?;
            self.expect("]")?;
            Some(Box::new(to))
        };
        Ok(Node::Slice(Box::new(of), from.map(Box::new), to))
    }

    fn term(&mut self) -> Result<Node, String> {
        let token = self.peek().cloned().ok_or("it ends too early")?;
        self.at += 1;
        Ok(match token {
            Token::Number(number) => Node::Literal(serde_json::json!(number)),
            Token::Text(text) => Node::Literal(Value::String(text)),
            Token::Field(name) => {
                Node::Index(Box::new(Node::This), Box::new(Node::Literal(Value::String(name))))
            }
            Token::Mark(".") => match self.peek().cloned() {
                Some(Token::Text(name)) => {
                    self.at += 1;
                    Node::Index(Box::new(Node::This), Box::new(Node::Literal(Value::String(name))))
                }
                _ => Node::This,
            },
            Token::Mark("..") => Node::All,
            Token::Mark("(") => {
                let node = self.pipe()?;
                self.expect(")")?;
                node
            }
            Token::Mark("[") => {
                if self.take("]") {
                    return Ok(Node::List(None));
                }
                let node = self.pipe()?;
                self.expect("]")?;
                Node::List(Some(Box::new(node)))
            }
            Token::Mark("-") => match self.peek().cloned() {
                Some(Token::Number(number)) => {
                    self.at += 1;
                    Node::Literal(serde_json::json!(-number))
                }
                _ => return Err("expected a number after -".to_owned()),
            },
            Token::Mark(mark) => return Err(format!("unexpected {mark}")),
            Token::Word(word) => self.word(word)?,
        })
    }

    fn word(&mut self, word: String) -> Result<Node, String> {
        match word.as_str() {
            "true" => return Ok(Node::Literal(Value::Bool(true))),
            "false" => return Ok(Node::Literal(Value::Bool(false))),
            "null" => return Ok(Node::Literal(Value::Null)),
            "if" => return self.condition(),
            "try" => return Ok(Node::Try(Box::new(self.postfix()?))),
            _ => {}
        }
        let Some((_, counts)) = FUNCTIONS.iter().find(|(name, _)| *name == word) else {
            return Err(format!("{word} is not offered here"));
        };
        let mut arguments = Vec::new();
        if self.take("(") {
            loop {
                arguments.push(self.pipe()?);
                if !self.take(";") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if !counts.contains(&arguments.len()) {
            return Err(format!("{word}/{} is not defined", arguments.len()));
        }
        Ok(Node::Call(word, arguments))
    }

    fn condition(&mut self) -> Result<Node, String> {
        let condition = self.pipe()?;
        if !self.take_word("then") {
            return Err("expected then".to_owned());
        }
        let yes = self.pipe()?;
        let no = if self.take_word("elif") {
            return Ok(Node::If(Box::new(condition), Box::new(yes), Some(Box::new(self.condition()?))));
        } else if self.take_word("else") {
            Some(Box::new(self.pipe()?))
        } else {
            None
        };
        if !self.take_word("end") {
            return Err("expected end".to_owned());
        }
        Ok(Node::If(Box::new(condition), Box::new(yes), no))
    }
}
