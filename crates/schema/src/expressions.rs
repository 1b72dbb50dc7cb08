//! Reading CEL expressions, and what is said of those that cannot be read.

use kube_cel::cel::Program;

/// Why an expression cannot be read. Marks that only newer parsers know are left to those.
pub fn unreadable(expression: &str) -> Option<String> {
    if [".?", "[?", "{?", "`"].iter().any(|mark| expression.contains(mark)) {
        return None;
    }
    parsed(expression).err()
}

/// Reads an expression.
///
/// # Errors
/// What is wrong with it, in the original's words.
pub fn parsed(expression: &str) -> Result<Program, String> {
    // The parser may not survive everything people type, nor telling where it went wrong in a very long line.
    let parsed = std::panic::catch_unwind(|| {
        Program::compile(expression).map_err(|error| original(&error.to_string()))
    });
    parsed.unwrap_or_else(|_| Err("the expression cannot be parsed".to_owned()))
}

/// The words of a parser as those of the original's: a pointer below the text, and where an expression could end, that it
/// should.
fn original(error: &str) -> String {
    const END: &str = "expecting {<EOF>, ";
    let line = |line: &str| {
        let line = match (line.find(END), line.ends_with('}')) {
            (Some(at), true) => format!("{}expecting <EOF>", line.get(..at).unwrap_or_default()),
            _ => line.to_owned(),
        };
        if line.starts_with("| ") { format!(" {line}") } else { line }
    };
    error.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::unreadable;

    #[test]
    fn words_are_the_original_ones() {
        let cases = [
            ("self.a < 1", None),
            ("self.?a.orValue(1) < 1", None),
            (
                "Bad Value!",
                Some(
                    "ERROR: <input>:1:5: Syntax error: mismatched input 'Value' expecting <EOF>\n | Bad Value!\n | ....^",
                ),
            ),
        ];
        let long = format!("{}Bad Value!", " ".repeat(100_000));
        assert_eq!(unreadable(&long).as_deref(), Some("the expression cannot be parsed"));
        for (expression, want) in cases {
            assert_eq!(unreadable(expression).as_deref(), want, "{expression}");
        }
    }
}
