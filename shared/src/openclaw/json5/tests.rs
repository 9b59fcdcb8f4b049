mod anything;

use serde_json::{Value, json};

use super::{
    edit::{EditError, Patch},
    *,
};

fn patch(values: Value, removed: &[&[&'static str]]) -> Patch {
    let Value::Object(values) = values else { panic!("no object") };
    Patch { values, removed: removed.iter().map(|path| path.to_vec()).collect() }
}

fn set(text: &str, values: Value) -> String {
    patch(values, &[]).apply(text).unwrap().unwrap_or_else(|| text.to_owned())
}

fn removed(text: &str, path: &[&'static str]) -> String {
    patch(json!({}), &[path]).apply(text).unwrap().unwrap_or_else(|| text.to_owned())
}

/// What an owner may write, with every feature that JSON5 adds to JSON.
const OWNERS: &str = "\u{feff}// mine
{
\t// Do not touch: \"token\": \"wrong\" }
\tgateway: { /* who */ 'auth': { \"token\" : 'old\\'\"\\
one', mode:\"token\", }, port: 0x4965, },
\tnumbers: [+1, .5, 5., -Infinity, NaN, 1e3,], // all of them
\tstill: 'http://example.com/*no comment*/',
\t$odd_n\\u00e4me: null,
\t__proto__: { a: 1 },
}
// end";

#[test]
fn only_what_differs_is_replaced() {
    let after = set(OWNERS, json!({ "gateway": { "auth": { "token": "new", "mode": "token" }, "port": 18789 } }));
    assert_eq!(after, OWNERS.replace("'old\\'\"\\\none'", "\"new\""));
    assert_eq!(patch(json!({ "gateway": { "port": 18789 } }), &[]).apply(OWNERS), Ok(None), "0x4965 is 18789");
}

#[test]
fn what_is_missing_is_added_in_the_style_of_its_neighbours() {
    for (before, wanted, after) in [
        ("{}", json!({ "a": 1 }), "{\"a\": 1}"),
        ("{\n}", json!({ "a": [1] }), "{\n  \"a\": [\n    1\n  ]\n}"),
        ("{ b: 2 }", json!({ "a": { "c": 1 } }), "{ b: 2, a: {\"c\":1} }"),
        ("{b:2,}", json!({ "a": 1 }), "{b:2, a: 1,}"),
        ("{\n    \"b\": 2 // two\n}\n", json!({ "a": 1 }), "{\n    \"b\": 2, // two\n    \"a\": 1\n}\n"),
        ("{\r\n\tb: 2, // two\r\n}", json!({ "a": 1 }), "{\r\n\tb: 2, // two\r\n\ta: 1,\r\n}"),
        ("{\n  b: {}\n}", json!({ "b": { "a": 1 } }), "{\n  b: {\n    \"a\": 1\n  }\n}"),
        ("{\n  b: [] }", json!({ "a": { "c": {} } }), "{\n  b: [],\n  a: {\n    \"c\": {}\n  } }"),
        ("{b: 2 /* }, */ }", json!({ "a": 1 }), "{b: 2, /* }, */ a: 1 }"),
        ("{b: 2 // }\u{2028}}", json!({ "a": 1 }), "{b: 2, // }\n  a: 1\u{2028}}"),
        ("{\n  b: 5,\n}", json!({ "b": { "c": "d" } }), "{\n  b: {\n    \"c\": \"d\"\n  },\n}"),
    ] {
        assert_eq!(set(before, wanted), after, "{before:?}");
    }
}

#[test]
fn the_last_of_two_equal_keys_is_the_one_that_counts() {
    let before = "{ g: { t: 1 }, 'g': { t: 2, \"t\": 3 }, \\u0067: { t: 4 } }";
    assert_eq!(set(before, json!({ "g": { "t": 5 } })), before.replace('4', "5"));
    // All occurrences of a removed key are removed, because the value may be a secret.
    assert_eq!(removed(before, &["g", "t"]), "{ g: {  }, 'g': {   }, \\u0067: {  } }");
}

#[test]
fn what_is_removed_leaves_comments_and_legal_text() {
    for (before, after) in [
        ("{\"c\":{\"t\":1}}", "{\"c\":{}}"),
        ("{\"c\":{\"a\":0,\"t\":1}}", "{\"c\":{\"a\":0}}"),
        ("{\"c\":{\"t\":1,\"a\":0}}", "{\"c\":{\"a\":0}}"),
        ("{c: {\n  a: 0, // zero\n  t: 1\n}}", "{c: {\n  a: 0 // zero\n}}"),
        ("{c: {\n  a: 0,\n  t: 1, // mine\n  b: 2 }}", "{c: {\n  a: 0,\n   // mine\n  b: 2 }}"),
        ("{c: 5}", "{c: 5}"),
        ("{c: {a: 0}}", "{c: {a: 0}}"),
    ] {
        assert_eq!(removed(before, &["c", "t"]), after, "{before:?}");
    }
}

#[test]
fn values_are_written_verbatim() {
    for token in ["pa$$w\"d", "\\", "🦞", "// no /* comment", "'\n\u{2028}\0", "${HOME}", "__proto__"] {
        for before in ["{}", "{ t: 'old' }", "{\n  // c\n  \"t\": \"\"\n}"] {
            let after = set(before, json!({ "t": token }));
            let read: Value = ::json5::from_str(&after).unwrap();
            assert_eq!(read, json!({ "t": token }), "{after:?}");
        }
    }
}

#[test]
fn what_is_broken_says_where() {
    for (text, line, column) in [
        ("", 1, 1),
        ("{\n  a: 1\n  b: 2\n}", 3, 3),
        ("{ a: 'x\n' }", 1, 8),
        ("{ a: 1 } {", 1, 10),
        // An unclosed bracket is reported at the innermost open one.
        ("{\n  a: { b: 1, /* ", 2, 6),
        ("{\n  \"é\": tru\n}", 2, 11),
        ("{ a: 01 }", 1, 6),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{text:?}: {error}");
        assert!(!error.what.contains(" at line"), "{error}");
        assert_eq!(Patch::default().apply(text), Err(EditError::Unreadable(error)));
    }
    for text in ["[]", "null", "'{}'", "5"] {
        assert_eq!(Patch::default().apply(text), Err(EditError::NoObject), "{text}");
    }
}

/// A tenant chooses how deep a file is nested, and parsing recurses.
#[test]
fn what_is_too_deep_is_refused() {
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        let deep = |levels: usize| format!("{{b:{}0{}}}", open.repeat(levels), close.repeat(levels));
        assert!(parse(&deep(127)).is_ok());
        let error = parse(&deep(100_000)).unwrap_err();
        assert_eq!(error.what, "nested deeper than 128 levels");
        // Brackets in strings and comments do not count.
        assert!(parse(&format!("{{ a: '{0}' /* {0} */ }}", open.repeat(1000))).is_ok());
    }
}

#[test]
fn blanks_are_nothing() {
    assert!(is_blank("") && is_blank("\u{feff} \r\n\t") && !is_blank(" // mine"));
}
