//! Faults in words: those of go-jsonnet where it has the same fault, then the places, innermost first.

use std::collections::HashMap;

use rsjsonnet_lang::ast::{BinaryOp, UnaryOp};
use rsjsonnet_lang::lexer::LexError;
use rsjsonnet_lang::parser::{ActualToken, ExpectedToken, ParseError};
use rsjsonnet_lang::program::{
    AnalyzeError, EvalError, EvalErrorKind, EvalErrorValueType, EvalStackTraceItem, LoadError,
};
use rsjsonnet_lang::span::{SourceId, SpanContext, SpanId, SpanManager};
use rsjsonnet_lang::token::STokenKind;

use crate::Error;

/// How many places are named.
const MAX_PLACES: usize = 10;

/// Where lines begin in each source.
#[derive(Default)]
pub struct Sources {
    all: HashMap<SourceId, Lines>,
}

struct Lines {
    path: String,
    begins: Vec<usize>,
}

/// A place in a source, lines and columns from 1.
#[derive(PartialEq, Eq)]
struct Place {
    path: String,
    line: usize,
    column: usize,
}

impl Sources {
    /// Takes a source up.
    pub fn add(&mut self, source: SourceId, path: &str, bytes: &[u8]) {
        let after = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let begins = std::iter::once(0).chain(after).collect();
        self.all.insert(source, Lines { path: path.to_owned(), begins });
    }

    /// The path of a source; nothing for the standard library's.
    pub fn path(&self, source: SourceId) -> &str {
        self.all.get(&source).map_or("", |lines| lines.path.as_str())
    }

    fn place(&self, span: SpanId, spans: &SpanManager) -> Option<Place> {
        let (context, start, _) = spans.get_span(span);
        let SpanContext::Source(source) = *spans.get_context(context);
        let lines = self.all.get(&source)?;
        let line = lines.begins.partition_point(|begin| *begin <= start);
        let begin = lines.begins.get(line.checked_sub(1)?)?;
        Some(Place { path: lines.path.clone(), line, column: start - begin + 1 })
    }
}

/// Why a source cannot be evaluated at all.
pub fn unreadable(error: &LoadError, spans: &SpanManager, sources: &Sources) -> Error {
    let (span, words) = match error {
        LoadError::Lex(error) => of_lexer(error),
        LoadError::Parse(ParseError::Expected { span, expected, instead }) => {
            let expected: Vec<String> = expected.iter().map(expected_token).collect();
            (*span, format!("Expected {} but got {}", expected.join(" or "), actual_token(instead)))
        }
        LoadError::Analyze(error) => of_analysis(error),
    };
    match sources.place(span, spans) {
        Some(Place { path, line, column }) => {
            Error { message: format!("{path}:{line}:{column} {words}"), line: Some(line), file: Some(path) }
        }
        None => Error::new(words),
    }
}

/// Why an evaluation ended; `import` is why its last import did.
pub fn failed(error: &EvalError, import: Option<Error>, spans: &SpanManager, sources: &Sources) -> Error {
    let (span, words) = of_evaluation(&error.kind);
    let traced = error.stack_trace.iter().rev().filter_map(traced);
    let mut places: Vec<Place> = Vec::new();
    for span in span.into_iter().chain(traced) {
        if let Some(place) = sources.place(span, spans)
            && !place.path.starts_with('<')
            && !places.contains(&place)
        {
            places.push(place);
        }
    }
    let of_import = import.filter(|_| matches!(error.kind, EvalErrorKind::ImportFailed { .. }));
    let (mut message, own) = match of_import {
        Some(Error { message, file, line }) => (message, file.zip(line)),
        None => (format!("RUNTIME ERROR: {words}"), None),
    };
    for Place { path, line, column } in places.iter().take(MAX_PLACES) {
        message.push_str(&format!("\n\t{path}:{line}:{column}"));
    }
    if places.len() > MAX_PLACES {
        message.push_str("\n\t...");
    }
    let first = own.or_else(|| places.first().map(|place| (place.path.clone(), place.line)));
    let (file, line) = first.unzip();
    Error { message, file, line }
}

fn traced(item: &EvalStackTraceItem) -> Option<SpanId> {
    match item {
        EvalStackTraceItem::Expr { span }
        | EvalStackTraceItem::Variable { span, .. }
        | EvalStackTraceItem::Import { span } => Some(*span),
        EvalStackTraceItem::Call { span, .. }
        | EvalStackTraceItem::ArrayItem { span, .. }
        | EvalStackTraceItem::ObjectField { span, .. } => *span,
        EvalStackTraceItem::CompareArrayItem { .. }
        | EvalStackTraceItem::CompareObjectField { .. }
        | EvalStackTraceItem::ManifestArrayItem { .. }
        | EvalStackTraceItem::ManifestObjectField { .. } => None,
    }
}

fn of_lexer(error: &LexError) -> (SpanId, String) {
    match error {
        LexError::InvalidChar { span, chr } => (*span, format!("Could not lex the character {chr:?}")),
        LexError::InvalidUtf8 { span, .. } => (*span, "The file is no UTF-8".into()),
        LexError::UnfinishedMultilineComment { span } => {
            (*span, "Multi-line comment has no terminating */".into())
        }
        LexError::LeadingZeroInNumber { span } => (*span, "A number begins with a zero".into()),
        LexError::MissingFracDigits { span } => (*span, "Digits are missing after the point".into()),
        LexError::MissingExpDigits { span } => (*span, "Digits are missing in the exponent".into()),
        LexError::MissingDigitAfterUnderscore { span } => (*span, "A digit is missing after _".into()),
        LexError::ExpOverflow { span } => (*span, "The exponent is too large".into()),
        LexError::InvalidEscapeInString { span, chr } => {
            (*span, format!("Unknown escape sequence in string literal: '\\{chr}'"))
        }
        LexError::IncompleteUnicodeEscape { span } => {
            (*span, "Truncated unicode escape sequence in string literal".into())
        }
        LexError::InvalidUtf16EscapeSequence { span, .. } => {
            (*span, "Malformed unicode escape sequence in string literal".into())
        }
        LexError::UnfinishedString { span } => (*span, "Unterminated String".into()),
        LexError::MissingLineBreakAfterTextBlockStart { span } => {
            (*span, "Text block requires new line after |||.".into())
        }
        LexError::MissingWhitespaceTextBlockStart { span } => {
            (*span, "Text block's first line must start with whitespace".into())
        }
        LexError::InvalidTextBlockTermination { span } => {
            (*span, "Text block not terminated with |||".into())
        }
    }
}

/// A word or sign as it is written.
fn symbol(kind: STokenKind) -> String {
    use STokenKind as S;
    let sign = match kind {
        S::Exclam => "!",
        S::ExclamEq => "!=",
        S::Dollar => "$",
        S::Percent => "%",
        S::Amp => "&",
        S::AmpAmp => "&&",
        S::LeftParen => "(",
        S::RightParen => ")",
        S::Asterisk => "*",
        S::Plus => "+",
        S::PlusColon => "+:",
        S::PlusColonColon => "+::",
        S::PlusColonColonColon => "+:::",
        S::Comma => ",",
        S::Minus => "-",
        S::Dot => ".",
        S::Slash => "/",
        S::Colon => ":",
        S::ColonColon => "::",
        S::ColonColonColon => ":::",
        S::Semicolon => ";",
        S::Lt => "<",
        S::LtLt => "<<",
        S::LtEq => "<=",
        S::Eq => "=",
        S::EqEq => "==",
        S::Gt => ">",
        S::GtEq => ">=",
        S::GtGt => ">>",
        S::LeftBracket => "[",
        S::RightBracket => "]",
        S::Hat => "^",
        S::LeftBrace => "{",
        S::Pipe => "|",
        S::PipePipe => "||",
        S::RightBrace => "}",
        S::Tilde => "~",
        // The others are words, named as they are written.
        word => return format!("{word:?}").trim_end_matches('_').to_lowercase(),
    };
    format!("\"{sign}\"")
}

fn expected_token(token: &ExpectedToken) -> String {
    match token {
        ExpectedToken::EndOfFile => "the end of the file".into(),
        ExpectedToken::Simple(kind) => symbol(*kind),
        ExpectedToken::Ident => "a name".into(),
        ExpectedToken::Number => "a number".into(),
        ExpectedToken::String => "a string".into(),
        ExpectedToken::TextBlock => "a text block".into(),
        ExpectedToken::Expr => "an expression".into(),
        ExpectedToken::BinaryOp => "an operator".into(),
    }
}

fn actual_token(token: &ActualToken) -> String {
    match token {
        ActualToken::EndOfFile => "the end of the file".into(),
        ActualToken::Simple(kind) => symbol(*kind),
        ActualToken::OtherOp(op) => format!("{op:?}"),
        ActualToken::Ident(name) => format!("{name:?}"),
        ActualToken::Number => "a number".into(),
        ActualToken::String => "a string".into(),
        ActualToken::TextBlock => "a text block".into(),
    }
}

fn of_analysis(error: &AnalyzeError) -> (SpanId, String) {
    match error {
        AnalyzeError::UnknownVariable { span, name } => (*span, format!("Unknown variable: {name}")),
        AnalyzeError::SelfOutsideObject { self_span } => {
            (*self_span, "Can't use self outside of an object.".into())
        }
        AnalyzeError::SuperOutsideObject { super_span } => {
            (*super_span, "Can't use super outside of an object.".into())
        }
        AnalyzeError::DollarOutsideObject { dollar_span } => {
            (*dollar_span, "No top-level object found.".into())
        }
        AnalyzeError::RepeatedLocalName { repeated_span, name, .. } => {
            (*repeated_span, format!("Duplicate local var: {name}"))
        }
        AnalyzeError::RepeatedFieldName { repeated_span, name, .. } => {
            (*repeated_span, format!("Duplicate field: {name}"))
        }
        AnalyzeError::RepeatedParamName { repeated_span, name, .. } => {
            (*repeated_span, format!("Duplicate function parameter: {name}"))
        }
        AnalyzeError::PositionalArgAfterNamed { arg_span } => {
            (*arg_span, "Positional argument after a named argument is not allowed".into())
        }
        AnalyzeError::TextBlockAsImportPath { span } => {
            (*span, "Block string literals not allowed in imports".into())
        }
        AnalyzeError::ComputedImportPath { span } => (*span, "Computed imports are not allowed".into()),
    }
}

/// The words for a fault, and where it is when it says so itself.
fn of_evaluation(kind: &EvalErrorKind) -> (Option<SpanId>, String) {
    use EvalErrorKind as E;
    let here = |span: &SpanId, words: String| (Some(*span), words);
    let wanted = |got: &EvalErrorValueType, what: &str| {
        format!("Unexpected type {}, expected {what}", type_name(*got))
    };
    match kind {
        E::StackOverflow => (None, "max stack frames exceeded.".into()),
        E::InfiniteRecursion => (None, "infinite recursion: a value needs itself".into()),
        E::InvalidIndexedType { span, got_type } => {
            here(span, format!("Value non indexable: {}", type_name(*got_type)))
        }
        E::InvalidSlicedType { span, got_type } => {
            here(span, format!("Value cannot be sliced: {}", type_name(*got_type)))
        }
        E::SliceIndexOrStepIsNotNumber { span, got_type }
        | E::StringIndexIsNotNumber { span, got_type }
        | E::ArrayIndexIsNotNumber { span, got_type } => here(span, wanted(got_type, "number")),
        E::NumericIndexIsNotValid { span, index } => here(span, format!("Index {index} is no whole number")),
        E::NumericIndexOutOfRange { span, index, length } => {
            here(span, format!("Index {index} out of bounds, not within [0, {length})"))
        }
        E::ObjectIndexIsNotString { span, got_type } => here(span, wanted(got_type, "string")),
        E::RepeatedFieldName { span, name } => here(span, format!("Duplicate field name: {name:?}")),
        E::FieldNameIsNotString { span, got_type } => {
            here(span, format!("Field name must be string, got {}", type_name(*got_type)))
        }
        E::UnknownObjectField { span, field_name } => {
            here(span, format!("Field does not exist: {field_name}"))
        }
        E::FieldOfNonObject { span } => here(span, "A field of what is no object".into()),
        E::SuperWithoutSuperObject { span } => {
            here(span, "Attempt to use super when there is no super class.".into())
        }
        E::ForSpecValueIsNotArray { span, got_type } => here(span, wanted(got_type, "array")),
        E::CondIsNotBool { span, got_type } => here(span, wanted(got_type, "boolean")),
        E::CalleeIsNotFunction { span, got_type } => (*span, wanted(got_type, "function")),
        E::TooManyCallArgs { span, num_params } => {
            (*span, format!("Too many args, has {num_params} parameter(s)"))
        }
        E::UnknownCallParam { span, param_name } => {
            (*span, format!("function has no parameter {param_name}"))
        }
        E::RepeatedCallParam { span, param_name } => {
            (*span, format!("Argument {param_name} already provided"))
        }
        E::CallParamNotBound { span, param_name } => (*span, format!("Missing argument: {param_name}")),
        E::NativeCallFailed => (None, "a native function failed".into()),
        E::InvalidUnaryOpType { span, op, rhs_type } => {
            here(span, format!("{} cannot be used on a {}", unary(*op), type_name(*rhs_type)))
        }
        E::InvalidBinaryOpTypes { span, op, lhs_type, rhs_type } => (
            *span,
            format!(
                "{} cannot be used on {} and {}",
                binary(*op),
                type_name(*lhs_type),
                type_name(*rhs_type)
            ),
        ),
        E::NumberNotBitwiseSafe { span } => {
            (*span, "a number is outside of the safe range of whole numbers".into())
        }
        E::NumberOverflow { span } => (*span, "Overflow".into()),
        E::NumberNan { span } => (*span, "Not a number".into()),
        E::DivByZero { span } => (*span, "Division by zero.".into()),
        E::ShiftByNegative { span } => (*span, "Shift by negative exponent.".into()),
        E::InvalidStdFuncArgType { func_name, arg_index, expected_types, got_type } => {
            let expected: Vec<&str> = expected_types.iter().map(|kind| type_name(*kind)).collect();
            let words = wanted(got_type, &expected.join(" or "));
            (None, format!("std.{func_name}, argument {}: {words}", arg_index + 1))
        }
        E::AssertFailed { span, message } => {
            here(span, message.clone().unwrap_or_else(|| "Assertion failed".into()))
        }
        E::AssertEqualFailed { lhs, rhs } => (None, format!("Assertion failed. {lhs} != {rhs}")),
        E::ExplicitError { span, message } => here(span, message.clone()),
        E::ImportFailed { span, path } => here(span, format!("couldn't open import {path:?}")),
        E::UnknownExtVar { name } => (None, format!("Undefined external variable: {name}")),
        E::ManifestFunction => (None, "Couldn't manifest function as JSON".into()),
        E::CompareNullInequality
        | E::CompareBooleanInequality
        | E::CompareObjectInequality
        | E::CompareFunctions => (None, "values of this type cannot be compared".into()),
        E::CompareDifferentTypesInequality { lhs_type, rhs_type } => {
            (None, format!("{} and {} cannot be compared", type_name(*lhs_type), type_name(*rhs_type)))
        }
        E::PrimitiveEqualsNonPrimitive { got_type } => {
            (None, format!("std.primitiveEquals cannot compare values of type {}", type_name(*got_type)))
        }
        E::Other { span, message } => (*span, message.clone()),
    }
}

fn type_name(kind: EvalErrorValueType) -> &'static str {
    match kind {
        EvalErrorValueType::Null => "null",
        EvalErrorValueType::Bool => "boolean",
        EvalErrorValueType::Number => "number",
        EvalErrorValueType::String => "string",
        EvalErrorValueType::Array => "array",
        EvalErrorValueType::Object => "object",
        EvalErrorValueType::Function => "function",
    }
}

fn unary(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Minus => "-",
        UnaryOp::Plus => "+",
        UnaryOp::BitwiseNot => "~",
        UnaryOp::LogicNot => "!",
    }
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Shl => "<<",
        BinaryOp::Shr => ">>",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::In => "in",
        BinaryOp::BitwiseAnd => "&",
        BinaryOp::BitwiseOr => "|",
        BinaryOp::BitwiseXor => "^",
        BinaryOp::LogicAnd => "&&",
        BinaryOp::LogicOr => "||",
    }
}
