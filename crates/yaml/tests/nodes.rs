//! The helpers on nodes, and where errors point.

#![allow(clippy::disallowed_methods)]

use yaml::{Kind, Node, Style};

fn root(text: &str) -> Node {
    yaml::parse_nodes(text).expect("reads").remove(0)
}

#[test]
fn fields_are_set_in_place_or_appended() {
    let mut node = root("# head\na: 1 # line\nb: # kept\n  c: x\n");
    assert!(node.set("a", Node::scalar("2")));
    assert!(node.set("z", Node::string("yes")));
    assert!(node.set_first("kind", Node::string("K")));
    assert!(node.get_mut("b").is_some_and(|b| b.set("d", Node::string("1"))));
    assert_eq!(yaml::emit(&node), "kind: K\n# head\na: 2\nb: # kept\n  c: x\n  d: \"1\"\nz: yes\n");
    assert_eq!(node.remove("b").and_then(|b| b.get_str("c").map(str::to_owned)).as_deref(), Some("x"));
    assert!(node.get("b").is_none());
    assert!(!Node::string("text").set("a", Node::null()));
}

#[test]
fn a_null_becomes_a_mapping_when_set() {
    let mut node = root("metadata:\n");
    let metadata = node.get_or_insert_mapping("metadata").expect("a mapping");
    assert!(metadata.set("name", Node::string("x")));
    assert_eq!(yaml::emit(&node), "metadata:\n  name: x\n");
}

#[test]
fn paths_lead_through_sequences() {
    let node = root("spec:\n  containers:\n  - name: a\n  - name: b\n    args: [x]\n");
    let found = node.at(&["spec", "containers", "1", "name"]).expect("found");
    assert_eq!((found.as_str(), found.line, found.column), (Some("b"), 4, 11));
    assert!(node.at(&["spec", "containers", "9"]).is_none());
    assert!(node.at(&["spec", "missing", "x"]).is_none());
}

#[test]
fn a_cleared_style_keeps_types() {
    let mut node = root("a: '1'\nb: \"x\"\nc: [1, {d: e}]\n");
    node.clear_style();
    assert_eq!(yaml::emit(&node), "a: \"1\"\nb: x\nc:\n- 1\n- d: e\n");
}

#[test]
fn values_become_nodes_and_back() {
    let value = serde_json::json!({"a": [1, 2.5, null, true], "b": "no", "c": "x\ny\n", "d": {}, "e": "12"});
    let node = Node::from_value(&value);
    assert_eq!(
        yaml::emit(&node),
        "a:\n- 1\n- 2.5\n- null\n- true\nb: \"no\"\nc: |\n  x\n  y\nd: {}\ne: \"12\"\n"
    );
    assert_eq!(node.to_value(), Ok(value));
}

#[test]
fn kinds_and_tags_are_told() {
    let node = root("a: &x 1\nb: *x\nc: !t {}\nd: ~\n");
    assert_eq!(node.kind, Kind::Document);
    assert_eq!(node.get("a").map(|a| (a.resolved_tag(), a.anchor.as_str())), Some(("!!int", "x")));
    assert_eq!(node.get("b").map(|b| (b.kind, b.value.as_str())), Some((Kind::Alias, "x")));
    assert_eq!(node.get("c").map(|c| (c.resolved_tag(), c.style)), Some(("!t", Style::Flow)));
    assert!(node.get("d").is_some_and(Node::is_null));
    assert_eq!(node.to_value(), Ok(serde_json::json!({"a": 1, "b": 1, "c": {}, "d": null})));
}

#[test]
fn pieces_know_their_lines() {
    let text = "# only a comment\n---\na: 1\n---\n\n--- # next\nb: [\n---\n--- |\n text\n";
    let pieces = yaml::split_documents(text);
    let shown: Vec<(&str, usize)> = pieces.iter().map(|piece| (piece.text, piece.line)).collect();
    assert_eq!(shown, [("a: 1\n", 3), ("b: [\n", 7), ("--- |\n text\n", 9)]);
}

#[test]
fn errors_point_at_their_place() {
    let text = "a: 1\nb:\n  c: d: e\n";
    let error = yaml::from_str(text).expect_err("refused");
    assert_eq!(error.to_string(), "yaml: line 3: mapping values are not allowed in this context");
    assert_eq!((error.line, error.column), (3, 7));
    assert_eq!(error.excerpt(text), "1 | a: 1\n2 | b:\n3 |   c: d: e\n  |       ^\n");
    let error = yaml::from_str_strict("a: 1\na: 2\n").expect_err("refused");
    assert_eq!(error.to_string(), "yaml: unmarshal errors:\n  line 2: key \"a\" already set in map");
    assert_eq!(error.line, 2);
}
