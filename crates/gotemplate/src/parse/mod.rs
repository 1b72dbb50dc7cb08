//! From text to trees: Go's template grammar with its error texts.

mod lex;
mod node;
pub(crate) mod number;
mod pipeline;

use bytes::Bytes;
use foldhash::{HashMap, HashSet};
use std::cell::RefCell;
use std::sync::Arc;

use lex::{Item, Lexer, Type};
pub(crate) use node::{
    Branch, Call, Command, Expr, ExprKind, Id, List, Node, Number, Pipe, Source, Span, Tree, Variable,
};
use pipeline::put;

use crate::error::ParseError;
use crate::fmt::quote;
use crate::templates::Options;

/// What a text is read by: the delimiters and the functions there are. Threads share it.
#[derive(Clone)]
pub(crate) struct Grammar {
    pub(crate) options: Options,
    /// The functions' numbers.
    pub(crate) by_name: HashMap<Arc<str>, u32>,
}

/// The names that templates use, each held once.
#[derive(Clone, Default)]
pub(crate) struct Words(RefCell<HashSet<Arc<str>>>);

impl Words {
    /// The name, shared with all others like it.
    fn share(&self, text: &str) -> Arc<str> {
        let mut words = self.0.borrow_mut();
        if let Some(word) = words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = Arc::from(text);
        words.insert(word.clone());
        word
    }
}

/// What one text holds: itself and the templates that it defines.
pub(crate) struct Parsed {
    pub(crate) trees: Vec<(Arc<str>, Arc<Tree>)>,
}

/// Parentheses and blocks within one another: deeper is an error.
const MAX_DEPTH: usize = 1000;

/// Parses `bytes`, which are `text`, as the template `name`.
pub(crate) fn parse(
    name: &str,
    text: &str,
    bytes: Bytes,
    grammar: &Grammar,
    words: &Words,
) -> Result<Parsed, ParseError> {
    if u32::try_from(text.len()).is_err() {
        let message = format!("template: {name}:1: the text is longer than 4 GiB");
        return Err(ParseError { template: name.to_owned(), line: 1, message });
    }
    let variables = vec![Arc::from("$")];
    let source = Source { name: Arc::from(name), text: bytes, variables, ..Source::default() };
    let options = &grammar.options;
    let known = |word: &str| grammar.by_name.contains_key(word);
    let lexer = Lexer::new(text, &options.left, &options.right, !known("break"), !known("continue"));
    let mut parser = Parser {
        grammar,
        words,
        lexer,
        source,
        trees: Vec::new(),
        nodes: Vec::new(),
        commands: Vec::new(),
        args: Vec::new(),
        state: State::default(),
        blocks: 0,
    };
    parser.top(name).map_err(|error| *error)?;
    let source = Arc::new(parser.source);
    let tree = |(name, root): (Arc<str>, List)| {
        let tree = Tree { name: name.clone(), source: source.clone(), root };
        (name, Arc::new(tree))
    };
    Ok(Parsed { trees: parser.trees.into_iter().map(tree).collect() })
}

/// Goes a level deeper with enough stack for it.
fn grown<T>(body: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(128 << 10, 1 << 20, body)
}

/// What each template has of its own while it is parsed.
struct State {
    /// Up to three tokens of look-ahead; the first is the last one read, whose line errors name.
    tokens: [Item; 3],
    peeked: usize,
    variables: Vec<Variable>,
    action: Option<usize>,
    ranges: usize,
    parens: usize,
}

impl Default for State {
    fn default() -> Self {
        State {
            tokens: [Item::NONE; 3],
            peeked: 0,
            variables: vec![Variable(0)],
            action: None,
            ranges: 0,
            parens: 0,
        }
    }
}

struct Parser<'t> {
    grammar: &'t Grammar,
    words: &'t Words,
    lexer: Lexer<'t>,
    source: Source,
    trees: Vec<(Arc<str>, List)>,
    /// What the open lists, pipelines and commands hold so far: each moves its own from the end to the pool
    /// when it closes, so that they are neighbours there.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    args: Vec<Expr>,
    state: State,
    blocks: usize,
}

/// What ends a list of nodes.
enum End {
    End,
    Else(u32),
}

impl End {
    fn text(&self) -> &'static str {
        match self {
            End::End => "{{end}}",
            End::Else(_) => "{{else}}",
        }
    }
}

/// A node, or the end of the list it would be in.
enum Item2 {
    Node(Node),
    End(End),
}

/// The error is large and rare.
type Result2<T> = Result<T, Box<ParseError>>;

impl Parser<'_> {
    // Tokens.

    fn next(&mut self) -> Item {
        if self.state.peeked > 0 {
            self.state.peeked -= 1;
        } else {
            self.state.tokens[0] = self.lexer.next_item();
        }
        self.state.tokens.get(self.state.peeked).copied().unwrap_or(Item::NONE)
    }

    fn backup(&mut self) {
        self.state.peeked += 1;
    }

    fn peek(&mut self) -> Item {
        if self.state.peeked == 0 {
            self.state.tokens[0] = self.lexer.next_item();
            self.state.peeked = 1;
        }
        self.state.tokens.get(self.state.peeked - 1).copied().unwrap_or(Item::NONE)
    }

    fn next_non_space(&mut self) -> Item {
        loop {
            let item = self.next();
            if item.kind != Type::Space {
                return item;
            }
        }
    }

    fn peek_non_space(&mut self) -> Item {
        let item = self.next_non_space();
        self.backup();
        item
    }

    fn text(&self, item: Item) -> &str {
        self.lexer.text.get(item.start..item.end).unwrap_or("")
    }

    // Errors.

    fn line(&self, pos: usize) -> usize {
        1 + self.lexer.text.as_bytes().iter().take(pos).filter(|byte| **byte == b'\n').count()
    }

    fn fail<T>(&self, message: impl AsRef<str>) -> Result2<T> {
        let line = self.line(self.state.tokens[0].start);
        let template = self.source.name.to_string();
        let message = format!("template: {template}:{line}: {}", message.as_ref());
        Err(Box::new(ParseError { template, line, message }))
    }

    fn unexpected<T>(&self, item: Item, context: &str) -> Result2<T> {
        if item.kind == Type::Error {
            let message = self.lexer.error.clone().unwrap_or_default();
            let mut extra = String::new();
            if let Some(action) = self.state.action {
                let line = self.line(action);
                if line != self.line(item.start) {
                    extra = format!(" in action started at {}:{line}", self.source.name);
                    if message.ends_with(" action") {
                        extra = extra.replacen(" in action", "", 1);
                    }
                }
            }
            return self.fail(format!("{message}{extra}"));
        }
        self.fail(format!("unexpected {} in {context}", self.shown(item)))
    }

    fn shown(&self, item: Item) -> String {
        let text = self.text(item);
        match item.kind {
            Type::Eof => "EOF".to_owned(),
            kind if kind.is_keyword() => format!("<{text}>"),
            _ if text.len() > 10 => format!("{}...", quote(&text.chars().take(10).collect::<String>())),
            _ => quote(text),
        }
    }

    fn expect(&mut self, kind: Type, context: &str) -> Result2<Item> {
        let item = self.next_non_space();
        if item.kind == kind { Ok(item) } else { self.unexpected(item, context) }
    }

    // Templates.

    fn top(&mut self, name: &str) -> Result2<()> {
        let (pos, base) = (self.peek().start as u32, self.nodes.len());
        while self.peek().kind != Type::Eof {
            if self.peek().kind == Type::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Type::Define {
                    self.definition()?;
                    continue;
                }
                // Put the delimiter back behind the token after it.
                self.state.tokens[1] = delim;
                self.state.peeked = 2;
            }
            match self.text_or_action()? {
                Item2::Node(node) => self.nodes.push(node),
                Item2::End(end) => return self.fail(format!("unexpected {}", end.text())),
            }
        }
        let nodes = self.close(base);
        self.add(Arc::from(name), List { pos, nodes })
    }

    /// Runs `body` as another template: with look-ahead and variables of its own.
    fn nested(&mut self, body: impl FnOnce(&mut Self) -> Result2<()>) -> Result2<()> {
        let outer = std::mem::take(&mut self.state);
        self.deeper()?;
        grown(|| body(self))?;
        self.blocks -= 1;
        self.state = outer;
        Ok(())
    }

    fn deeper(&mut self) -> Result2<()> {
        self.blocks += 1;
        if self.blocks > MAX_DEPTH {
            return self.fail(format!("blocks are nested deeper than {MAX_DEPTH}"));
        }
        Ok(())
    }

    fn definition(&mut self) -> Result2<()> {
        const CONTEXT: &str = "define clause";
        self.nested(|parser| {
            let item = parser.next_non_space();
            let name = parser.template_name(item, CONTEXT)?;
            parser.expect(Type::RightDelim, CONTEXT)?;
            parser.body(name, CONTEXT)
        })
    }

    /// The nodes up to the end, as the template `name`.
    fn body(&mut self, name: Arc<str>, context: &str) -> Result2<()> {
        let (list, end) = self.item_list()?;
        if let End::Else(_) = end {
            return self.fail(format!("unexpected {} in {context}", end.text()));
        }
        self.add(name, list)
    }

    fn add(&mut self, name: Arc<str>, root: List) -> Result2<()> {
        match self.trees.iter().position(|(other, _)| *other == name) {
            None => self.trees.push((name, root)),
            Some(index) => {
                if let Some((_, old)) = self.trees.get_mut(index) {
                    if old.is_empty(&self.source) {
                        *old = root;
                    } else if !root.is_empty(&self.source) {
                        return self
                            .fail(format!("template: multiple definition of template {}", quote(&name)));
                    }
                }
            }
        }
        Ok(())
    }

    fn template_name(&mut self, item: Item, context: &str) -> Result2<Arc<str>> {
        if !matches!(item.kind, Type::String | Type::RawString) {
            return self.unexpected(item, context);
        }
        match number::unquote(self.text(item)) {
            Some(name) => Ok(Arc::from(String::from_utf8_lossy(&name))),
            None => self.fail("invalid syntax"),
        }
    }

    fn item_list(&mut self) -> Result2<(List, End)> {
        let (pos, base) = (self.peek_non_space().start as u32, self.nodes.len());
        while self.peek_non_space().kind != Type::Eof {
            match self.text_or_action()? {
                Item2::Node(node) => self.nodes.push(node),
                Item2::End(end) => {
                    return Ok((List { pos, nodes: self.close(base) }, end));
                }
            }
        }
        self.fail("unexpected EOF")
    }

    /// The nodes since `base`, in the pool.
    fn close(&mut self, base: usize) -> Span<Node> {
        let start = self.source.nodes.len();
        self.source.nodes.extend(self.nodes.drain(base..));
        Span::new(start, self.source.nodes.len())
    }

    fn text_or_action(&mut self) -> Result2<Item2> {
        let item = self.next_non_space();
        match item.kind {
            Type::Text => Ok(Item2::Node(Node::Text(item.start as u32, item.end as u32))),
            Type::LeftDelim => {
                self.state.action = Some(item.start);
                let result = self.action();
                if result.is_ok() {
                    self.state.action = None;
                }
                result
            }
            _ => self.unexpected(item, "input"),
        }
    }

    fn action(&mut self) -> Result2<Item2> {
        let item = self.next_non_space();
        let pos = item.start as u32;
        Ok(Item2::Node(match item.kind {
            Type::Block => self.block()?,
            Type::Break | Type::Continue => self.jump(item)?,
            Type::Else => return self.else_(),
            Type::End => {
                self.expect(Type::RightDelim, "end")?;
                return Ok(Item2::End(End::End));
            }
            Type::If => Node::If(self.control("if")?),
            Type::Range => Node::Range(self.control("range")?),
            Type::With => Node::With(self.control("with")?),
            Type::Template => self.template()?,
            _ => {
                self.backup();
                let pos = if item.kind == Type::Eof { pos } else { self.peek().start as u32 };
                Node::Action(pos, self.pipeline("command", Type::RightDelim)?)
            }
        }))
    }

    fn jump(&mut self, item: Item) -> Result2<Node> {
        let word = if item.kind == Type::Break { "{{break}}" } else { "{{continue}}" };
        let next = self.next_non_space();
        if next.kind != Type::RightDelim {
            return self.unexpected(next, word);
        }
        if self.state.ranges == 0 {
            return self.fail(format!("{word} outside {{{{range}}}}"));
        }
        let pos = item.start as u32;
        Ok(if item.kind == Type::Break { Node::Break(pos) } else { Node::Continue(pos) })
    }

    fn else_(&mut self) -> Result2<Item2> {
        let peek = self.peek_non_space();
        if matches!(peek.kind, Type::If | Type::With) {
            return Ok(Item2::End(End::Else(peek.start as u32)));
        }
        let item = self.expect(Type::RightDelim, "else")?;
        Ok(Item2::End(End::Else(item.start as u32)))
    }

    fn control(&mut self, context: &'static str) -> Result2<Id<Branch>> {
        let branch = grown(|| self.branch(context))?;
        Ok(Id::new(put(&mut self.source.branches, branch)))
    }

    fn branch(&mut self, context: &'static str) -> Result2<Branch> {
        self.deeper()?;
        let variables = self.state.variables.len();
        let pipe = self.pipeline(context, Type::RightDelim)?;
        let range = usize::from(context == "range");
        self.state.ranges += range;
        let (list, end) = self.item_list()?;
        self.state.ranges -= range;
        let other = match end {
            End::End => None,
            End::Else(pos) => Some(self.other(context, pos)?),
        };
        self.state.variables.truncate(variables);
        self.blocks -= 1;
        Ok(Branch { pos: pipe.pos, pipe, list, other })
    }

    /// What follows `else`: a list, or a branch of the same kind whose end serves for both.
    fn other(&mut self, context: &'static str, pos: u32) -> Result2<List> {
        let kind = self.peek().kind;
        if context == "if" && kind == Type::If {
            self.next();
            let inner = Node::If(self.control("if")?);
            return Ok(self.only(pos, inner));
        }
        if context == "with" && kind == Type::With {
            self.next();
            let inner = Node::With(self.control("with")?);
            return Ok(self.only(pos, inner));
        }
        let (list, end) = self.item_list()?;
        if let End::Else(_) = end {
            return self.fail(format!("expected end; found {}", end.text()));
        }
        Ok(list)
    }

    /// A list of one node.
    fn only(&mut self, pos: u32, node: Node) -> List {
        let at = put(&mut self.source.nodes, node);
        List { pos, nodes: Span::new(at, at + 1) }
    }

    fn block(&mut self) -> Result2<Node> {
        const CONTEXT: &str = "block clause";
        let item = self.next_non_space();
        let name = self.template_name(item, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Type::RightDelim)?;
        let body = name.clone();
        self.nested(|parser| parser.body(body, CONTEXT))?;
        Ok(self.call(item.start as u32, name, Some(pipe)))
    }

    fn template(&mut self) -> Result2<Node> {
        const CONTEXT: &str = "template clause";
        let item = self.next_non_space();
        let name = self.template_name(item, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Type::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, Type::RightDelim)?);
        }
        Ok(self.call(item.start as u32, name, pipe))
    }

    fn call(&mut self, pos: u32, name: Arc<str>, pipe: Option<Pipe>) -> Node {
        Node::Template(Id::new(put(&mut self.source.calls, Call { pos, name, pipe })))
    }
}
