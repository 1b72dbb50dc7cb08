//! What must hold for any text: no panic, and what is printed reads back as the same value.

#![allow(clippy::disallowed_methods)]

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Texts made of what YAML is made of, so that most of them get past the first character.
fn yamlish() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "\n\n",
        "# c",
        " # c\n",
        "'",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&x ",
        "*x",
        "!!str ",
        "!t ",
        "|",
        ">",
        "|-\n",
        ">+2\n",
        "\\",
        "\\u00e9",
        "\t",
        "\r\n",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "~",
        "1",
        "-0x1f",
        "1e3",
        ".inf",
        "2001-01-01",
        "\u{85}",
        "\u{2028}",
        "é",
        "😀",
        "\u{feff}",
        "\u{7}",
        "yes",
        "\u{0}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Strings as values hold them, without what JSON text cannot carry into YAML.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\n\té\u{a0}\u{2028}😀]{0,40}",
        "[a-z:#{}\\[\\],&*!|>'\"%@` -]{0,12}",
        "[0-9+.eExob_:-]{0,8}",
        "[ \n]{0,6}[a-z \n]{0,90}"
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((string(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn exercise(text: &str) {
    let _ = yaml::from_str(text).map(|value| yaml::to_string(&value));
    let _ = yaml::from_str_strict(text);
    let _ = yaml::documents(text);
    if let Err(error) = yaml::parse_nodes(text) {
        let _ = error.excerpt(text);
    }
    for node in yaml::parse_nodes(text).unwrap_or_default() {
        let _ = node.to_value();
        let _ = yaml::emit(&node);
    }
    let _ = yaml::split_documents(text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        exercise(&text);
    }

    #[test]
    fn any_yamlish_text_is_survived(text in yamlish()) {
        exercise(&text);
    }

    #[test]
    fn a_printed_value_reads_back(value in value()) {
        let printed = yaml::to_string(&value);
        // A plain `<<` key is printed as it is and read as a merge: both are the library's ways.
        prop_assume!(!printed.contains("<<"));
        prop_assert_eq!(yaml::from_str(&printed), Ok(value), "{}", printed);
    }

    #[test]
    fn a_printed_tree_reads_back(value in value()) {
        let printed = yaml::emit(&yaml::Node::from_value(&value));
        // yaml.v3 prints a literal that starts with a tab so that nothing can read it.
        prop_assume!(!printed.contains('\t'));
        let nodes = yaml::parse_nodes(&printed);
        let read = nodes.and_then(|nodes| nodes.first().map_or(Ok(Value::Null), yaml::Node::to_value));
        prop_assert_eq!(read, Ok(value), "{}", printed);
    }
}

#[test]
fn the_deepest_allowed_nesting_fits_the_stack() {
    let flow = format!("{}{}", "[".repeat(299), "]".repeat(299));
    let pairs = format!("{}1{}", "{a: ".repeat(299), "}".repeat(299));
    let blocks: String = (0..299).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in [flow, pairs, blocks] {
        assert!(yaml::from_str(&text).is_ok());
        assert!(yaml::parse_nodes(&text).expect("nodes").remove(0).to_value().is_ok());
        exercise(&text);
    }
}

#[test]
fn bombs_are_refused() {
    let nested = "[".repeat(200_000);
    assert!(yaml::from_str(&nested).is_err());
    assert!(yaml::parse_nodes(&nested).is_err());
    let blocks: String = (0..3_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(yaml::from_str(&blocks).is_err());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let uses = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("a{i}: &a{i} [{uses}]\n"));
    }
    let refused = "yaml: document contains excessive aliasing";
    assert_eq!(yaml::from_str(&bomb).map_err(|e| e.to_string()), Err(refused.to_string()));
    let node = yaml::parse_nodes(&bomb).expect("nodes").remove(0);
    assert_eq!(node.to_value().map_err(|e| e.to_string()), Err(refused.to_string()));
}

#[test]
fn large_inputs_take_linear_time() {
    // Things that are easily quadratic: many keys, many comments, long lines, deep simple keys.
    let keys: String = (0..20_000).map(|i| format!("key{i}: value # c\n# head\n")).collect();
    let flow = format!("[{}]", "{a: [b, c]}, ".repeat(20_000));
    let long = format!("a: \"{}\"\nb: {}\n", "x \\u00e9".repeat(50_000), "word ".repeat(50_000));
    for text in [keys, flow, long] {
        exercise(&text);
    }
}
