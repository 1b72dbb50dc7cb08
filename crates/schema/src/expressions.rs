//! What is said of CEL expressions that cannot be read.

/// Why an expression cannot be read. Marks that only newer parsers know are left to those.
pub fn unreadable(expression: &str) -> Option<String> {
    if ["?.", "[?", "{?", "`"].iter().any(|mark| expression.contains(mark)) {
        return None;
    }
    // The parser may not survive everything people type.
    let compiled = std::panic::catch_unwind(|| kube_cel::cel::Program::compile(expression).map(drop));
    Some(original(&compiled.ok()?.err()?.to_string()))
}

/// The words of a parser as those of the original's: a pointer below the text, and where an expression could end, that it
/// should.
pub fn original(error: &str) -> String {
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
        for (expression, want) in cases {
            assert_eq!(unreadable(expression).as_deref(), want, "{expression}");
        }
    }
}
