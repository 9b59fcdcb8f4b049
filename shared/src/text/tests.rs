use super::*;

fn refused(text: &str) -> String {
    match name(text) {
        Err(NameError::Character(bad)) => bad.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_that_look_the_same_are_the_same() {
    for (text, want) in [
        ("first", "first"),
        ("  my gateway \n", "my gateway"),
        ("my\u{a0} \t\u{3000}gateway", "my gateway"),
        ("cafe\u{301}", "café"),
        ("\u{212b}ngström", "Ångström"),
        ("Test", "Test"),
        ("한\u{3000}글", "한 글"),
    ] {
        assert_eq!(name(text).as_deref(), Ok(want), "{text:?}");
    }
}

#[test]
fn what_cannot_be_seen_is_in_no_name() {
    for (text, want) in [
        ("\u{200b}", "U+200B (zero width space) at position 1"),
        ("a\u{202e}b", "U+202E (text direction) at position 2"),
        ("ab\u{feff}", "U+FEFF (byte order mark) at position 3"),
        ("a\0b", "U+0000 (NUL) at position 2"),
        ("a\nb", "U+000A (line break) at position 2"),
        ("a\u{2028}b", "U+2028 (line separator) at position 2"),
        ("a\u{7f}b", "U+007F (control character) at position 2"),
        ("\u{3164}", "U+3164 (Hangul filler) at position 1"),
        ("\u{2800}", "U+2800 (blank braille cell) at position 1"),
        ("a\u{34f}b", "U+034F (invisible) at position 2"),
        ("a\u{e000}b", "U+E000 (invisible) at position 2"),
        ("a\u{e0041}b", "U+E0041 (invisible) at position 2"),
        ("a\u{200d}b", "U+200D (zero width joiner) at position 2"),
        ("a\u{200c}b", "U+200C (zero width non-joiner) at position 2"),
        ("a\u{fe0f}", "U+FE0F (variation selector) at position 2"),
        ("1\u{fe0f}", "U+FE0F (variation selector) at position 2"),
        ("🦞\u{200d}", "U+200D (zero width joiner) at position 2"),
        ("", "Err(Empty)"),
        (" \u{3000}\t", "Err(Empty)"),
        ("\u{301}", "Err(Empty)"),
    ] {
        assert_eq!(refused(text), want, "{text:?}");
    }
}

#[test]
fn emoji_and_scripts_that_need_joiners_are_names() {
    for text in [
        "👩🏽\u{200d}🚀",
        "❤\u{fe0f}",
        "🏳\u{fe0f}\u{200d}🌈",
        "1\u{fe0f}\u{20e3}",
        "👨\u{200d}👩\u{200d}👧",
        "می\u{200c}خواهم",
        "क्\u{200d}ष",
    ] {
        assert_eq!(name(text).as_deref(), Ok(text), "{text:?}");
    }
    let wales = "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}";
    assert_eq!(name(wales).as_deref(), Ok(wales));
    assert!(name(wales.trim_end_matches('\u{e007f}')).is_err());
}

#[test]
fn blanks_around_a_secret_mean_nothing() {
    for text in ["key", " key\n", "\u{feff}key\r\n", "\u{200b}\u{a0}key\u{2060}\t"] {
        assert_eq!(trim(text), "key", "{text:?}");
    }
    assert_eq!(trim("k \u{200b}ey"), "k \u{200b}ey");
    let bad = BadCharacter::find("pa\u{e9}ss", |c| c.is_ascii());
    assert_eq!(bad.unwrap().to_string(), "U+00E9 at position 3");
}

#[test]
fn addresses_that_are_the_same() {
    for (text, want) in [
        (" Ann@Example.COM\n", "ann@example.com"),
        ("\u{feff}ann@b", "ann@b"),
        ("A\u{308}NN@example.com", "änn@example.com"),
        ("ΟΔΟΣ@example.com", "οδοσ@example.com"),
        ("οδος@example.com", "οδοσ@example.com"),
        ("STRAẞE@example.com", "straße@example.com"),
        ("ann@MÜNCHEN.example", "ann@xn--mnchen-3ya.example"),
        ("ann@xn--MNCHEN-3ya.example", "ann@xn--mnchen-3ya.example"),
        ("ann@[127.0.0.1]", "ann@[127.0.0.1]"),
        ("I@example.com", "i@example.com"),
    ] {
        let normal = email(text).unwrap();
        assert_eq!(normal, want, "{text:?}");
        assert_eq!(email(&normal).as_deref(), Ok(want), "once more");
    }
}

#[test]
fn addresses_that_are_not_the_same_stay_apart() {
    assert_ne!(email("straße@example.com"), email("strasse@example.com"));
    assert_ne!(email("ı@example.com"), email("i@example.com"));
    for text in ["İ@example.com", "ann\u{212a}@example.com"] {
        assert!(matches!(email(text), Err(EmailError::Character(_))), "{text:?}");
        assert_ne!(email_key(text), "i@example.com");
        assert_ne!(email_key(text), "annk@example.com");
    }
}

#[test]
fn no_addresses() {
    for text in ["", "ann", "@b", "a@", "@"] {
        assert_eq!(email(text), Err(EmailError::Form), "{text:?}");
    }
    assert_eq!(email(&format!("{}@b", "a".repeat(253))), Err(EmailError::Form));
    for (text, position) in [("a b@c", 2), ("a\u{200b}@c", 2), ("a@b\u{202e}c", 4), ("a\n@b", 2)] {
        let Err(EmailError::Character(bad)) = email(text) else { panic!("{text:?}") };
        assert_eq!(bad.position, position, "{text:?}");
    }
    assert_eq!(email_key(" Not An Address "), "not an address");
}
