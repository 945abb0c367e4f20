use proptest::prelude::*;
use regex_lite::Regex;

use super::*;

#[test]
fn whole_values_are_matched() {
    for (pattern, value, expected) in [
        ("", "", true),
        ("", "a", false),
        ("abc", "abc", true),
        ("abc", "abcd", false),
        ("^a.c$", "abc", true),
        ("a|bc|", "bc", true),
        ("a|bc|", "", true),
        ("(a|b)*c", "ababc", true),
        ("(?:ab)+", "aba", false),
        ("a{2,3}", "aa", true),
        ("a{2,3}", "aaaa", false),
        ("a{2,}", "aaaaa", true),
        ("[a-c_-]+", "a_-c", true),
        ("[^a-c]", "d", true),
        (r"\d+\.\d+", "1.23", true),
        (r"\d+\.\d+", "1x23", false),
        (r"[\w.]+@\S+", "a.b@c", true),
        ("é+", "éé", true),
        (r"cost\$", "cost$", true),
        ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
    ] {
        assert_eq!(Pattern::new(pattern).unwrap().matches(value.as_bytes()), expected, "{pattern} {value}");
    }
}

#[test]
fn what_is_not_supported_is_refused_with_its_place() {
    for pattern in [
        "(",
        ")",
        "a)",
        "*",
        "a**",
        "a{3,2}",
        "a{",
        "a{1000}",
        "[",
        "[a",
        "[z-a]",
        "[é]",
        "(?i)a",
        "(?=a)",
        r"\b",
        r"\<a",
        r"\",
        "a^b",
        "]",
        "((a{200}){200})",
    ] {
        assert!(Pattern::new(pattern).is_err(), "{pattern}");
    }
    assert_eq!(Pattern::new("ab(c").unwrap_err(), "expected `)` (at byte 4 of the pattern)");
    assert!(Pattern::new(&"(".repeat(10_000)).is_err());
    assert!(Pattern::new(&"|".repeat(100_000)).is_err());
    let users: Vec<String> = (0..100).map(|user| format!("u{user}")).collect();
    assert!(Pattern::new(&users.join("|")).unwrap().matches(b"u99"));
    assert!(Pattern::new(&format!("{}{}", "(".repeat(40), "){200}".repeat(40))).is_ok());
}

/// Patterns of both engines' syntax.
fn pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        "[ab]".prop_map(|text| text),
        Just(".".to_owned()),
        Just("[^a]".to_owned()),
        Just("[a-b]".to_owned()),
        Just(r"\d".to_owned()),
        Just(String::new()),
    ];
    atom.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left}{right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("(?:{left}|{right})")),
            (inner.clone(), prop::sample::select(&["*", "+", "?", "{0,2}", "{2}", "{1,}"][..]))
                .prop_map(|(node, times)| format!("(?:{node}){times}")),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_another_engine(pattern in pattern(), values in prop::collection::vec("[ab1]{0,6}", 8)) {
        let other = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        let ours = Pattern::new(&pattern).unwrap();
        for value in values {
            prop_assert_eq!(ours.matches(value.as_bytes()), other.is_match(&value), "{} {}", pattern, value);
        }
    }

    #[test]
    fn no_pattern_does_harm(pattern in r"[ab(){}\[\]|*+?.^$\\0-9,-]{0,20}", value in "[ab01]{0,20}") {
        if let Ok(pattern) = Pattern::new(&pattern) {
            pattern.matches(value.as_bytes());
        }
    }
}
