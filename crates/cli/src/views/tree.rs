//! A tree of objects with box-drawing branches.

/// A node: its line, and what is below it.
pub struct Node {
    /// What is printed.
    pub line: String,
    /// Children, in order.
    pub children: Vec<Node>,
}

/// The lines of a tree.
pub fn lines(roots: &[Node]) -> String {
    let mut text = String::new();
    for root in roots {
        text.push_str(&root.line);
        text.push('\n');
        below(&root.children, "", &mut text);
    }
    text
}

fn below(children: &[Node], indent: &str, text: &mut String) {
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        text.push_str(indent);
        text.push_str(if last { "└─ " } else { "├─ " });
        text.push_str(&child.line);
        text.push('\n');
        below(&child.children, &format!("{indent}{}", if last { "   " } else { "│  " }), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_drawn() {
        let leaf = |line: &str| Node { line: line.into(), children: Vec::new() };
        let root = Node {
            line: "a".into(),
            children: vec![Node { line: "b".into(), children: vec![leaf("c")] }, leaf("d")],
        };
        assert_eq!(lines(&[root]), "a\n├─ b\n│  └─ c\n└─ d\n");
    }
}
