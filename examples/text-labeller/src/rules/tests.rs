// What helps a test may fail it.
#![allow(clippy::unwrap_used)]

use super::*;

const RULES: &str = "# of a test\nbilling: invoice Refund=3 pay*  # money\n\nshipping: parcel refund\nother:\n";

fn label(text: &str) -> (String, f32) {
    let Verdict { label, score } = Rules::parse(RULES).unwrap().label(text);
    (String::from_utf8(label.to_vec()).unwrap(), score)
}

fn error(text: &str) -> String {
    Rules::parse(text).unwrap_err().to_string()
}

#[test]
fn the_label_with_most_weight_wins_and_the_score_is_its_part() {
    assert_eq!(label("My INVOICE?"), ("billing".to_owned(), 1.0));
    assert_eq!(label("a refund for the parcel"), ("billing".to_owned(), 0.6));
    assert_eq!(label("parcel, parcel; paying"), ("shipping".to_owned(), 2.0 / 3.0));
}

#[test]
fn of_equal_labels_the_first_of_the_file_wins() {
    assert_eq!(label("parcel invoice"), ("billing".to_owned(), 0.5));
}

#[test]
fn a_text_in_which_nothing_is_found_gets_the_label_without_words() {
    for text in ["", "invoices repaid", "…", "請求書"] {
        assert_eq!(label(text), ("other".to_owned(), 0.0), "{text}");
    }
}

#[test]
fn a_beginning_is_found_in_words_of_any_length_and_script() {
    for text in ["pay", "payment", "PAYÉ", &format!("pay{}", "ä".repeat(10_000))] {
        assert_eq!(label(text).0, "billing", "{text}");
    }
    let rules = Rules::parse("money: 請*\nother:\n").unwrap();
    assert_eq!(rules.label("請求書").label, "money");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    assert_eq!(error("a: b\nc d\n"), "line 2: expected `label: words`, got 'c d'");
    assert_eq!(error(": b\n"), "line 1: expected a label before the colon");
    assert_eq!(error("a: b\n\n# c\na: d\n"), "line 4: the label 'a' stands in line 1 already");
    assert_eq!(error("a:\nb:\n"), "line 2: one label may have no words, 'a' has none already");
    assert_eq!(error("a: b-c\n"), "line 1: expected a word of letters and digits, got 'b-c'");
    assert_eq!(error("a: *\n"), "line 1: expected a word of letters and digits, got '*'");
    for weight in ["0", "-1", "x", "", "inf", "NaN"] {
        let expected = format!("line 1: expected a weight above 0 behind the `=`, got 'b={weight}'");
        assert_eq!(error(&format!("a: b={weight}\n")), expected);
    }
    assert!(error("a: b\n").starts_with("expected a label without words, such as `other:`"));
    assert!(error("").starts_with("expected a label without words"));
}
