//! Patches, selectors, quantities and paths.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use object::jsonpath::JsonPath;
use object::strategic::{self, FieldMeta, NoMeta, PatchMeta};
use object::{FieldSelector, Key, LabelSelector, Quantity, Value, json_patch, merge_patch};
use serde_json::json;

#[test]
fn json_patches() {
    let mut object = json!({"a": {"b": [1, 2]}, "c/d": 1});
    let patch = json!([
        {"op": "test", "path": "/a/b/0", "value": 1.0},
        {"op": "add", "path": "/a/b/-", "value": 3},
        {"op": "replace", "path": "/c~1d", "value": 2},
        {"op": "move", "from": "/a/b/0", "path": "/x"},
        {"op": "copy", "from": "/x", "path": "/y"},
        {"op": "remove", "path": "/a/b/-1"},
    ]);
    json_patch::apply(&mut object, &patch).unwrap();
    assert_eq!(object, json!({"a": {"b": [2]}, "c/d": 2, "x": 1, "y": 1}));
    let before = object.clone();
    for bad in [
        json!([{"op": "remove", "path": "/none"}]),
        json!([{"op": "add", "path": "/a/b/9", "value": 1}]),
        json!([{"op": "test", "path": "/x", "value": 5}]),
        json!([{"op": "replace", "path": "/none", "value": 5}]),
        json!([{"op": "dance", "path": "/x"}]),
        json!([{"op": "move", "from": "/a", "path": "/a/b/0"}]),
        json!({"op": "add"}),
    ] {
        assert!(json_patch::apply(&mut object, &bad).is_err(), "{bad}");
        assert_eq!(object, before);
    }
}

#[test]
fn merge_patches() {
    let mut object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
    let wanted = json!({"a": {"c": 3}, "d": [2], "e": {}});
    let patch = merge_patch::diff(&object, &wanted);
    merge_patch::apply(&mut object, &patch);
    assert_eq!(object, wanted);
}

/// Lists named `items` merge by `name`, lists named `words` as sets.
struct Meta;

impl PatchMeta for Meta {
    fn field(&self, name: &str) -> Option<FieldMeta<'_>> {
        let merge = matches!(name, "items" | "words");
        let merge_key = (name == "items").then_some("name");
        Some(FieldMeta { merge, merge_key, child: Some(Box::new(Meta)), ..FieldMeta::default() })
    }
}

#[test]
fn strategic_patches() {
    let object = json!({"items": [{"name": "a", "v": 1}, {"name": "b", "v": 2}], "words": ["x", "y"], "m": {"k": 1, "l": 2}});
    let cases = [
        (
            json!({"items": [{"name": "b", "v": 3}, {"name": "c"}]}),
            json!([{"name": "a", "v": 1}, {"name": "b", "v": 3}, {"name": "c"}]),
        ),
        (json!({"items": [{"name": "a", "$patch": "delete"}]}), json!([{"name": "b", "v": 2}])),
        (json!({"items": [{"name": "z"}, {"$patch": "replace"}]}), json!([{"name": "z"}])),
        (
            json!({"$setElementOrder/items": [{"name": "b"}, {"name": "a"}], "items": [{"name": "b", "v": 9}]}),
            json!([{"name": "b", "v": 9}, {"name": "a", "v": 1}]),
        ),
    ];
    for (patch, items) in cases {
        let mut patched = object.clone();
        strategic::apply(&mut patched, &patch, &Meta).unwrap();
        assert_eq!(patched["items"], items, "{patch}");
    }
    let mut patched = object.clone();
    let patch = json!({"words": ["z"], "$deleteFromPrimitiveList/words": ["x"], "m": {"$retainKeys": ["l"], "l": 3}, "n": {"x": null, "y": 1}});
    strategic::apply(&mut patched, &patch, &Meta).unwrap();
    assert_eq!(patched["m"], json!({"l": 3}));
    assert_eq!(patched["n"], json!({"y": 1}));
    assert!(patched["words"].as_array().unwrap().iter().all(|word| word != "x"));
    strategic::apply(&mut patched, &json!({"m": {"$patch": "replace", "q": 1}, "items": [1]}), &NoMeta)
        .unwrap();
    assert_eq!((&patched["m"], &patched["items"]), (&json!({"q": 1}), &json!([1])));
    assert!(strategic::apply(&mut patched.clone(), &json!({"items": [{"v": 1}]}), &Meta).is_err());
}

#[test]
fn selectors() {
    let labels = json!({"app": "web", "tier": "front", "n": "5"});
    let labels = labels.as_object();
    for (text, wanted) in [
        ("app=web,tier!=back", true),
        ("app in (web, api),!gone", true),
        ("app notin (web)", false),
        ("gone notin (x)", true),
        ("tier,n>4", true),
        ("n<4", false),
        ("", true),
    ] {
        assert_eq!(LabelSelector::parse(text).unwrap().matches(labels), wanted, "{text}");
    }
    for bad in ["a=b=c d", "a in (b", "!", ",", "a in b", "a b"] {
        assert!(LabelSelector::parse(bad).is_err(), "{bad}");
    }
    assert!(!LabelSelector::from_object(&Value::Null).unwrap().matches(labels));
    let fields = FieldSelector::parse(r"metadata.name=a\,b,status.phase!=Running").unwrap();
    assert!(fields.matches(&json!({"metadata": {"name": "a,b"}})));
}

#[test]
fn quantities() {
    for (text, canonical) in [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1m", "100u"),
        ("12e6", "12e6"),
        ("1000k", "1M"),
        ("1023", "1023"),
        ("512Ki", "512Ki"),
        ("-2", "-2"),
        ("0", "0"),
        ("0.0001Ki", "102400u"),
        ("1E", "1E"),
    ] {
        assert_eq!(text.parse::<Quantity>().unwrap().to_string(), canonical, "{text}");
    }
    for bad in ["", "1x", "a", "1.2.3", "Mi", "1KiB", "--1"] {
        assert!(bad.parse::<Quantity>().is_err(), "{bad}");
    }
    assert!("100m".parse::<Quantity>().unwrap() < "1".parse().unwrap());
    assert_eq!("1500m".parse::<Quantity>().unwrap().value(), 2);
}

#[test]
fn json_paths() {
    let object = json!({"items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "m": {"x.y": 1}});
    for (text, wanted) in [
        ("{.items[*].name}", "a b"),
        ("{.items[?(@.n>1)].name}", "b"),
        ("{range .items[*]}{.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\n"),
        ("{.items[-1:].name}", "b"),
        ("{.items[0,1].n}", "1 2"),
        (r"{.m.x\.y}", "1"),
        ("{..name}", "a b"),
        ("{.items[0]}", r#"{"n":1,"name":"a"}"#),
    ] {
        assert_eq!(JsonPath::template(text).unwrap().render(&object).unwrap(), wanted, "{text}");
    }
    assert!(JsonPath::template("{.none}").unwrap().render(&object).is_err());
    let path = JsonPath::path(".items[?(@.name==\"b\")].n").unwrap();
    assert_eq!(path.find(&object).unwrap().len(), 1);
    assert!(JsonPath::path(".none.there").unwrap().find(&object).unwrap().is_empty());
    for bad in ["{.a", "{range .a}", "{end}", "{.a[}", "{.a[x]}"] {
        assert!(JsonPath::template(bad).is_err(), "{bad}");
    }
}

#[test]
fn keys() {
    let key = Key::of(
        &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}}),
    )
    .unwrap();
    assert_eq!(key.to_string(), "Deployment/b/a");
    assert!(Key::of(&json!({"apiVersion": "v1", "kind": "Pod"})).is_err());
    assert!(Key::of(&json!([])).is_err());
}
