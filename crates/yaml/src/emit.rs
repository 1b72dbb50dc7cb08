//! Nodes out, as kyaml prints them: indentation 2, sequences below keys not indented, lines never folded.

use crate::node::{Kind, Node, Style};
use crate::resolve::{long_tag, resolve, short_tag};
use crate::scanner::{Rules, ScalarStyle};
use crate::text::is_word;
use crate::writer::{Analysis, Writer, analyze};

pub(crate) fn emit(node: &Node) -> String {
    emit_with(node, 2, true)
}

/// The same with `step` columns a level; `compact` sequences begin below the first letter of their key.
pub(crate) fn emit_with(node: &Node, step: u8, compact: bool) -> String {
    let mut e = Emitter {
        step: isize::from(step.clamp(2, 9)),
        compact,
        w: Writer::new(Rules::V3),
        flow_level: 0,
        head: "",
        line: "",
        foot: "",
        tail: "",
        key_line: "",
        fields: false,
    };
    match node.kind {
        Kind::Document => {
            if !node.head_comment.is_empty() {
                e.head = &node.head_comment;
                e.process_head();
                e.w.put_break();
            }
            let Some(root) = node.content.first() else { return String::new() };
            e.document(root);
            if !node.foot_comment.is_empty() {
                e.foot = &node.foot_comment;
            }
        }
        _ => e.document(node),
    }
    e.w.foot_indent = 0;
    e.process_foot();
    e.w.foot_indent = -1;
    e.w.write_indent();
    e.w.out
}

/// Where a node stands.
#[derive(Clone, Copy)]
struct Place {
    mapping: bool,
    simple_key: bool,
    /// Directly below a block sequence.
    item: bool,
    /// A mapping's key: its foot comment is handed on.
    key: bool,
}

impl Place {
    const ROOT: Place = Place { mapping: false, simple_key: false, item: false, key: false };
    const ITEM: Place = Place { mapping: false, simple_key: false, item: true, key: false };
    const FLOW_ITEM: Place = Place { mapping: false, simple_key: false, item: false, key: false };
    const FIELD: Place = Place { mapping: true, simple_key: false, item: false, key: false };
    const KEY: Place = Place { mapping: true, simple_key: true, item: false, key: true };
    const LONG_KEY: Place = Place { mapping: true, simple_key: false, item: false, key: true };
}

/// A node's tag as it is to be written, empty for none.
struct Tag {
    handle: &'static str,
    suffix: String,
}

struct Emitter<'n> {
    w: Writer,
    flow_level: usize,
    // Comments that wait for their place.
    head: &'n str,
    line: &'n str,
    foot: &'n str,
    tail: &'n str,
    key_line: &'n str,
    /// The collection begun last stands in a mapping.
    fields: bool,
    /// Columns of one level.
    step: isize,
    /// Sequences below keys start where the key does.
    compact: bool,
}

fn is_flow(node: &Node) -> bool {
    node.style == Style::Flow
}

fn is_empty(node: &Node) -> bool {
    match node.kind {
        Kind::Mapping => node.content.len() < 2,
        _ => node.content.is_empty(),
    }
}

/// The tag to write and whether a plain scalar must be quoted to keep its type.
fn tag_of(node: &Node) -> (Option<Tag>, bool) {
    let short = short_tag(&node.tag);
    if node.tag.is_empty() {
        return (None, false);
    }
    if !node.tagged {
        match node.kind {
            Kind::Scalar => {
                let quoted = !matches!(node.style, Style::Plain | Style::Flow);
                if short == "!!str" && quoted {
                    return (None, false);
                }
                let resolved = resolve(&node.value, Rules::V3).tag();
                if resolved == short {
                    return (None, false);
                }
                if short == "!!str" {
                    return (None, true);
                }
            }
            Kind::Mapping if short == "!!map" => return (None, false),
            Kind::Sequence if short == "!!seq" => return (None, false),
            _ => {}
        }
    }
    let long = long_tag(&node.tag);
    let tag = if let Some(suffix) = long.strip_prefix('!') {
        Tag { handle: "!", suffix: suffix.to_string() }
    } else if let Some(suffix) = long.strip_prefix("tag:yaml.org,2002:") {
        Tag { handle: "!!", suffix: suffix.to_string() }
    } else {
        Tag { handle: "", suffix: long.into_owned() }
    };
    (Some(tag), false)
}

impl<'n> Emitter<'n> {
    fn document(&mut self, root: &'n Node) {
        self.note(root, "", false);
        self.process_head();
        self.begin(root, Place::ROOT);
        self.process_line();
        self.process_foot();
        self.rest(root, Place::ROOT);
    }

    // ---- Comments.

    /// Takes over the comments a node starts with. A key's foot comment is handed on as `tail`.
    fn note(&mut self, node: &'n Node, tail: &'n str, key: bool) {
        let set = |slot: &mut &'n str, text: &'n str| {
            if !text.is_empty() {
                *slot = text;
            }
        };
        set(&mut self.head, &node.head_comment);
        if matches!(node.kind, Kind::Scalar | Kind::Alias) {
            set(&mut self.line, &node.line_comment);
            if !key {
                set(&mut self.foot, &node.foot_comment);
            }
        }
        if matches!(node.kind, Kind::Scalar | Kind::Mapping) {
            set(&mut self.tail, tail);
        }
    }

    /// Takes over the comments a collection ends with.
    fn note_end(&mut self, node: &'n Node, tail: &'n str, key: bool) {
        if !node.line_comment.is_empty() {
            self.line = &node.line_comment;
        }
        if !node.foot_comment.is_empty() && !key {
            self.foot = &node.foot_comment;
        }
        if !tail.is_empty() {
            self.tail = tail;
        }
    }

    fn process_head(&mut self) {
        if !self.tail.is_empty() {
            self.w.write_indent();
            self.w.comment(std::mem::take(&mut self.tail));
            self.w.foot_indent = self.w.indent.max(0);
        }
        if !self.head.is_empty() {
            self.w.write_indent();
            self.w.comment(std::mem::take(&mut self.head));
        }
    }

    fn process_line(&mut self) {
        if self.line.is_empty() {
            return;
        }
        if !self.w.whitespace {
            self.w.put(' ');
        }
        self.w.comment(std::mem::take(&mut self.line));
    }

    fn process_foot(&mut self) {
        if self.foot.is_empty() {
            return;
        }
        self.w.write_indent();
        self.w.comment(std::mem::take(&mut self.foot));
        self.w.foot_indent = self.w.indent.max(0);
    }

    fn comments_wait(&self) -> bool {
        !(self.line.is_empty() && self.foot.is_empty() && self.tail.is_empty())
    }

    // ---- Nodes.

    fn increase_indent(&mut self, flow: bool, item: bool, compact: bool) -> isize {
        let before = self.w.indent;
        self.w.indent = match before {
            _ if before < 0 => self.step * isize::from(flow),
            _ if item => before + 2,
            _ => self.step * ((before + self.step) / self.step) - 2 * isize::from(compact && self.compact),
        };
        before
    }

    fn properties(&mut self, node: &Node, tag: Option<&Tag>) {
        if !node.anchor.is_empty() {
            self.w.indicator("&", true, false, false);
            self.w.word(&node.anchor);
        }
        let Some(tag) = tag else { return };
        if tag.handle.is_empty() {
            self.w.indicator("!<", true, false, false);
            self.w.word(&escape_tag(&tag.suffix));
            self.w.indicator(">", false, false, false);
            return;
        }
        if !self.w.whitespace {
            self.w.put(' ');
        }
        self.w.word(tag.handle);
        if !tag.suffix.is_empty() {
            self.w.word(&escape_tag(&tag.suffix));
        }
    }

    /// What is written of a node at once: all of a scalar, the properties of a collection.
    fn begin(&mut self, node: &'n Node, place: Place) {
        match node.kind {
            Kind::Alias => {
                self.w.indicator("*", true, false, false);
                self.w.word(&node.value);
            }
            Kind::Scalar => self.scalar(node, place),
            Kind::Document => self.begin(node.root(), place),
            Kind::Mapping | Kind::Sequence => {
                self.fields = place.mapping;
                let (tag, _) = tag_of(node);
                self.properties(node, tag.as_ref());
            }
        }
    }

    /// The contents of a collection.
    fn rest(&mut self, node: &'n Node, place: Place) {
        let flow = self.flow_level > 0 || is_flow(node) || is_empty(node);
        match (node.kind, flow) {
            (Kind::Mapping, true) => self.flow_mapping(node, place),
            (Kind::Mapping, false) => self.block_mapping(node, place),
            (Kind::Sequence, true) => self.flow_sequence(node, place),
            (Kind::Sequence, false) => self.block_sequence(node, place),
            _ => {}
        }
    }

    fn scalar(&mut self, node: &'n Node, place: Place) {
        let text = node.value.as_str();
        let analysis = analyze(text, Rules::V3);
        let (tag, force_quoting) = tag_of(node);
        let wanted = match node.style {
            Style::DoubleQuoted => ScalarStyle::Double,
            Style::SingleQuoted => ScalarStyle::Single,
            Style::Literal => ScalarStyle::Literal,
            Style::Folded => ScalarStyle::Folded,
            _ if text.contains('\n') => ScalarStyle::Literal,
            _ if force_quoting => ScalarStyle::Double,
            _ => ScalarStyle::Plain,
        };
        let style = self.select_style(wanted, text, analysis, place);
        self.properties(node, tag.as_ref());
        let before = self.increase_indent(true, place.item, false);
        let comment = match style {
            ScalarStyle::Literal | ScalarStyle::Folded => Some(std::mem::take(&mut self.line)),
            _ => None,
        };
        self.w.scalar(text, style, !place.simple_key, comment);
        self.w.indent = before;
    }

    fn select_style(&self, wanted: ScalarStyle, text: &str, a: Analysis, place: Place) -> ScalarStyle {
        let flow = self.flow_level > 0;
        let mut style = wanted;
        if place.simple_key && a.multiline {
            style = ScalarStyle::Double;
        }
        if style == ScalarStyle::Plain {
            let allowed = if flow { a.flow_plain } else { a.block_plain };
            if !allowed || (text.is_empty() && (flow || place.simple_key)) {
                style = ScalarStyle::Single;
            }
        }
        if style == ScalarStyle::Single && !a.single {
            style = ScalarStyle::Double;
        }
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if block && (!a.block || flow || place.simple_key) {
            style = ScalarStyle::Double;
        }
        style
    }

    /// May `key` be written without a `?`?
    fn is_simple_key(&self, key: &Node) -> bool {
        let (tag, _) = tag_of(key);
        let mut length = key.anchor.len() + tag.map_or(0, |tag| tag.handle.len() + tag.suffix.len());
        match key.kind {
            Kind::Alias => length = key.value.len(),
            Kind::Scalar => {
                if analyze(&key.value, Rules::V3).multiline {
                    return false;
                }
                length += key.value.len();
            }
            _ if !is_empty(key) => return false,
            _ => {}
        }
        length <= 128
    }

    fn block_sequence(&mut self, node: &'n Node, place: Place) {
        let compact = self.fields && (self.w.column == 0 || !self.w.indention);
        let before = self.increase_indent(false, place.item, compact);
        for item in &node.content {
            self.note(item, "", false);
            self.process_head();
            self.w.write_indent();
            self.w.indicator("-", true, false, true);
            self.begin(item, Place::ITEM);
            self.process_line();
            self.process_foot();
            self.rest(item, Place::ITEM);
        }
        self.note_end(node, "", place.key);
        self.w.indent = before;
    }

    fn block_mapping(&mut self, node: &'n Node, place: Place) {
        let before = self.increase_indent(false, place.item, false);
        let mut tail = "";
        for pair in node.content.chunks_exact(2) {
            let [key, value] = pair else { continue };
            self.note(key, tail, true);
            self.process_head();
            self.w.write_indent();
            if !self.line.is_empty() {
                self.key_line = std::mem::take(&mut self.line);
            }
            let simple = self.is_simple_key(key);
            if simple {
                self.begin(key, Place::KEY);
                self.rest(key, Place::KEY);
            } else {
                self.w.indicator("?", true, false, true);
                self.begin(key, Place::LONG_KEY);
                self.rest(key, Place::LONG_KEY);
            }
            self.note(value, "", false);
            if simple {
                self.w.indicator(":", false, false, false);
            } else {
                self.w.write_indent();
                self.w.indicator(":", true, false, true);
            }
            self.place_key_comment(value);
            self.begin(value, Place::FIELD);
            self.process_line();
            self.process_foot();
            self.rest(value, Place::FIELD);
            tail = &key.foot_comment;
        }
        self.note_end(node, tail, place.key);
        self.process_head();
        self.w.indent = before;
    }

    /// A comment behind a key moves behind its scalar, or stands before its block.
    fn place_key_comment(&mut self, value: &Node) {
        if self.key_line.is_empty() {
            return;
        }
        match value.kind {
            Kind::Scalar if self.line.is_empty() => self.line = std::mem::take(&mut self.key_line),
            Kind::Mapping | Kind::Sequence if !is_flow(value) => {
                std::mem::swap(&mut self.line, &mut self.key_line);
                self.process_line();
                std::mem::swap(&mut self.line, &mut self.key_line);
            }
            _ => {}
        }
    }

    fn flow_sequence(&mut self, node: &'n Node, place: Place) {
        self.w.indicator("[", true, true, false);
        let before = self.increase_indent(true, place.item, false);
        self.flow_level += 1;
        let mut comma = false;
        for item in &node.content {
            self.note(item, "", false);
            if comma {
                self.w.indicator(",", false, false, false);
            }
            self.process_head();
            if self.w.column == 0 {
                self.w.write_indent();
            }
            comma = !self.comments_wait();
            self.begin(item, Place::FLOW_ITEM);
            if self.comments_wait() {
                self.w.indicator(",", false, false, false);
            }
            self.process_line();
            self.process_foot();
            self.rest(item, Place::FLOW_ITEM);
        }
        self.note_end(node, "", place.key);
        self.flow_level -= 1;
        self.w.indent = before;
        if self.w.column == 0 {
            self.w.write_indent();
        }
        self.w.indicator("]", false, false, false);
        self.process_line();
        self.process_foot();
    }

    fn flow_mapping(&mut self, node: &'n Node, place: Place) {
        self.w.indicator("{", true, true, false);
        let before = self.increase_indent(true, place.item, false);
        self.flow_level += 1;
        let (mut comma, mut tail) = (false, "");
        for pair in node.content.chunks_exact(2) {
            let [key, value] = pair else { continue };
            self.note(key, tail, true);
            if comma {
                self.w.indicator(",", false, false, false);
            }
            self.process_head();
            if self.w.column == 0 {
                self.w.write_indent();
            }
            let simple = self.is_simple_key(key);
            if simple {
                self.begin(key, Place::KEY);
                self.rest(key, Place::KEY);
            } else {
                self.w.indicator("?", true, false, false);
                self.begin(key, Place::LONG_KEY);
                self.rest(key, Place::LONG_KEY);
            }
            self.note(value, "", false);
            self.w.indicator(":", !simple, false, false);
            comma = !self.comments_wait();
            self.begin(value, Place::FIELD);
            if self.comments_wait() {
                self.w.indicator(",", false, false, false);
            }
            self.process_line();
            self.process_foot();
            self.rest(value, Place::FIELD);
            tail = &key.foot_comment;
        }
        self.note_end(node, tail, place.key);
        let wait = !(self.head.is_empty() && self.foot.is_empty() && self.tail.is_empty());
        if wait && comma {
            self.w.indicator(",", false, false, false);
        }
        self.process_head();
        self.flow_level -= 1;
        self.w.indent = before;
        self.w.indicator("}", false, false, false);
        self.process_line();
        self.process_foot();
    }
}

/// A tag's text with everything a tag may not hold as `%XX`.
fn escape_tag(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && (is_word(c as u8) || ";/?:@&=+$,_.~*'()[]".contains(c)) {
            out.push(c);
        } else {
            let mut buffer = [0; 4];
            c.encode_utf8(&mut buffer).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
    }
    out
}
