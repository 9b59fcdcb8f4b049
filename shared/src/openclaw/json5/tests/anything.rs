//! Random edits of random documents: the wanted values can be read back, and everything else stays the same.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

const NAMES: [&str; 5] = ["a", "bc", "gateway", "token", "$x"];

fn one_of<'a>(rng: &mut StdRng, items: &[&'a str]) -> &'a str {
    items[rng.random_range(0..items.len())]
}

/// Blanks and comments. All comments differ, so that each can be found again.
fn trivia(rng: &mut StdRng, comments: &mut Vec<String>) -> String {
    match rng.random_range(0..9_u8) {
        0 => one_of(rng, &["\n", "\r\n", "\u{2028}", "\t", "\u{a0}", "\u{feff}"]).to_owned(),
        1 | 2 => {
            let (from, to) = if rng.random() { ("/* } ' ", "\" { */") } else { ("// ] \" ", "\n") };
            comments.push(format!("{from}{}{}", comments.len(), to.trim_end()));
            format!("{from}{}{to}", comments.len() - 1)
        }
        3 | 4 => " ".to_owned(),
        _ => String::new(),
    }
}

fn key(rng: &mut StdRng) -> String {
    let name = one_of(rng, &NAMES);
    match rng.random_range(0..4_u8) {
        0 => format!("'{name}'"),
        1 => format!("\"{name}\""),
        2 if name == "a" => "\\u0061".to_owned(),
        _ => name.to_owned(),
    }
}

fn value(rng: &mut StdRng, depth: u8, comments: &mut Vec<String>) -> String {
    const PLAIN: [&str; 14] = [
        "null",
        "true",
        "0x1F",
        "+1",
        ".5",
        "5.",
        "-Infinity",
        "NaN",
        "'a\\\nb'",
        "\"\\\"}\"",
        "'//'",
        "'\u{2028}'",
        "'é🦞'",
        "\"\\u0041\\x41\\v\"",
    ];
    if depth == 0 || rng.random_range(0..3_u8) == 0 {
        return one_of(rng, &PLAIN).to_owned();
    }
    let object = rng.random_range(0..4_u8) > 0;
    let mut text = String::from(if object { "{" } else { "[" });
    let count = rng.random_range(0..5_u8);
    for n in 0..count {
        text += &trivia(rng, comments);
        if object {
            text += &key(rng);
            text += &trivia(rng, comments);
            text.push(':');
            text += &trivia(rng, comments);
        }
        text += &value(rng, depth - 1, comments);
        text += &trivia(rng, comments);
        if n + 1 < count || rng.random() {
            text.push(',');
        }
    }
    text += &trivia(rng, comments);
    text.push(if object { '}' } else { ']' });
    text
}

fn wanted(rng: &mut StdRng, depth: u8) -> Value {
    match rng.random_range(0..if depth == 0 { 4_u8 } else { 8 }) {
        0 => json!(31),
        1 => json!(["x", { "y": "\n" }]),
        2 => json!("pa$$w\"d // 🦞"),
        3 => Value::Null,
        _ => Value::Object((0..3).map(|_| (one_of(rng, &NAMES).to_owned(), wanted(rng, depth - 1))).collect()),
    }
}

#[test]
fn any_edit_of_any_document() {
    let first = rand::random::<u64>() >> 1;
    for seed in (first..).take(4000) {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut comments = Vec::new();
        let text = loop {
            comments.clear();
            let text = trivia(rng, &mut comments) + &value(rng, 4, &mut comments) + &trivia(rng, &mut comments);
            if parse(&text).unwrap_or_else(|error| panic!("seed {seed}: {error} in {text:?}")).is_object() {
                break text;
            }
        };
        // `apply` itself verifies that the result has the wanted values and no other changes.
        let add = loop {
            if let Value::Object(values) = wanted(rng, 3) {
                break Patch { values, removed: Vec::new() };
            }
        };
        let added = add.apply(&text).unwrap_or_else(|error| panic!("seed {seed}: {error} in {text:?}"));
        let added = added.unwrap_or_else(|| text.clone());
        assert_eq!(add.apply(&added), Ok(None), "seed {seed}: once is not as twice");
        let cut = patch(json!({}), &[&["gateway", "token"], &["a"]]);
        let left = cut.apply(&added).unwrap_or_else(|error| panic!("seed {seed}: {error} in {added:?}"));
        assert_eq!(cut.apply(left.as_deref().unwrap_or(&added)), Ok(None), "seed {seed}: once is not as twice");

        // Adding scalars at the top level keeps all comments.
        let scalar = patch(json!({ "new": 1, "$x2": "y" }), &[]);
        let with = scalar.apply(&text).unwrap().unwrap();
        for comment in &comments {
            assert!(with.contains(comment.as_str()), "seed {seed}: {comment:?} is gone from {with:?}");
        }
    }
}
