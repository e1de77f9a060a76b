use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn leaves(document: &str) -> Vec<(String, String)> {
    let mut leaves = Leaves::default();
    leaves.parse(document.as_bytes()).unwrap();
    leaves
        .iter()
        .map(|(path, leaf)| (path.to_owned(), leaf.shown().into_owned()))
        .collect()
}

#[test]
fn nested_documents_become_flat() {
    let document = r#" {"a": 1, "b": {"c": [true, {"d": "x"}], "e": null}, "f": {}, "g": []} "#;
    let expected = [
        ("a", "1"),
        ("b.c[0]", "true"),
        ("b.c[1].d", "x"),
        ("b.e", "null"),
    ];
    let expected: Vec<_> = expected.map(|(p, v)| (p.to_owned(), v.to_owned())).into();
    assert_eq!(leaves(document), expected);
    assert_eq!(leaves("3.5"), [(String::new(), "3.5".to_owned())]);
}

#[test]
fn of_equal_keys_the_last_counts() {
    let mut leaves = Leaves::default();
    leaves.parse(br#"{"a": 1, "a": 2}"#).unwrap();
    assert_eq!(leaves.get("a"), Some(Leaf::Number(2.0)));
    assert_eq!(leaves.get("b"), None);
}

#[test]
fn leaves_are_read_as_sensors_report_them() {
    let mut leaves = Leaves::default();
    leaves
        .parse(br#"{"n":-2.5e1,"t":true,"z":null,"s":"3.2","on":"ON","off":"offline","u":"unavailable"}"#)
        .unwrap();
    for (path, reading) in [
        ("n", Reading::Value(-25.0)),
        ("t", Reading::Value(1.0)),
        ("z", Reading::Missing),
        ("s", Reading::Value(3.2)),
        ("on", Reading::Value(1.0)),
        ("off", Reading::Text),
        ("u", Reading::Missing),
    ] {
        assert_eq!(leaves.get(path).unwrap().reading(), reading, "{path}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_null() {
    for token in [
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e999",
        "-2.5E+400",
    ] {
        let document =
            format!(r#"{{"a": {token},"b":[{token}], "c": "{token}, \"{token}\" \\", "e": 1}}"#);
        let text = format!("{token}, \"{token}\" \\");
        let expected = [("a", "null"), ("b[0]", "null"), ("c", &text), ("e", "1")];
        let expected = expected.map(|(path, value)| (path.to_owned(), value.to_owned()));
        assert_eq!(leaves(&document), expected, "{token}");
    }
}

#[test]
fn broken_documents_are_errors_and_leave_nothing_behind() {
    let mut leaves = Leaves::default();
    for document in [
        &b""[..],
        b"{",
        b"{\"a\": 1",
        b"{\"a\": 1} {\"b\": 2}",
        b"{\"a\": nanometre}",
        b"{\"a\": \"\xff\"}",
        b"{\"a\": 1, NaN",
        b"offline",
    ] {
        assert!(leaves.parse(document).is_err(), "{document:?}");
        assert!(leaves.is_empty());
    }
}

#[test]
fn what_one_document_can_use_is_bounded() {
    let mut leaves = Leaves::default();
    let many = format!("[{}0]", "0,".repeat(LEAVES));
    let error = leaves.parse(many.as_bytes()).unwrap_err();
    assert!(
        error.to_string().starts_with("more than 16384 values"),
        "{error}"
    );
    let long = format!(r#"{{"{}": 1}}"#, "k".repeat(PATH_BYTES + 1));
    assert!(leaves.parse(long.as_bytes()).is_err());
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    assert!(leaves.parse(deep.as_bytes()).is_err());
}

/// The leaves of a value, the slow way.
fn naive(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let dot = if path.is_empty() { "" } else { "." };
                naive(member, &format!("{path}{dot}{key}"), out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                naive(item, &format!("{path}[{index}]"), out);
            }
        }
        leaf => out.push((path.to_owned(), leaf.clone())),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec(("[a-zA-Z0-9:_ -]{1,6}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn flattening_finds_every_leaf_where_a_path_finds_it(document in any_json()) {
        let mut leaves = Leaves::default();
        leaves.parse(document.to_string().as_bytes()).unwrap();
        let mut expected = Vec::new();
        naive(&document, "", &mut expected);
        prop_assert_eq!(leaves.len(), expected.len());
        for ((path, leaf), (expected_path, value)) in leaves.iter().zip(&expected) {
            prop_assert_eq!(path, expected_path);
            let same = match leaf {
                Leaf::Number(number) => value.as_f64() == Some(number),
                Leaf::Bool(on) => value == &json!(on),
                Leaf::Null => value.is_null(),
                Leaf::Text(text) => value == &json!(text),
            };
            prop_assert!(same, "{path}: {leaf:?} is not {value}");
            if !path.is_empty() {
                let written: JsonPath = path.parse().unwrap();
                prop_assert!(leaves.get(written.as_str()).is_some());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Leaves::default().parse(&bytes);
    }

    #[test]
    fn almost_json_is_read_without_panic(text in "[\\[\\]{}:,\"\\\\aNe0-9.Infinity -]{0,60}") {
        let _ = Leaves::default().parse(text.as_bytes());
    }
}
