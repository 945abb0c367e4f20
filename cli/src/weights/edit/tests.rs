use std::path::Path as FilePath;

use proptest::prelude::*;

use super::*;

fn edited(text: &str, weights: &[(usize, f64)]) -> anyhow::Result<String> {
    let source = Source::parse(FilePath::new("mesh.yaml"), text.to_owned())?;
    with_weights(&source, source.only_section()?, 0, weights)
}

#[test]
fn flow_style_keeps_its_comments_and_spaces() {
    let text = "# ünder way\nrouting:   # the filter's\n  models:\n  - name: a\n    variants:\n    - {name: stable,  weight: 90 }   # nine of ten\n    - { name: canary, model: b }\n";
    let expected = text.replace("weight: 90 ", "weight: 12.5 ").replace("model: b }", "model: b, weight: 3 }");
    assert_eq!(edited(text, &[(0, 12.5), (1, 3.0)]).expect("edited"), expected);
}

#[test]
fn block_style_gets_the_weight_below_the_name() {
    let text = "models:\n- variants:\n  -   model: b\n      name: stable # the old one\n      pool: gpu\n  - name: canary\n    weight: 1 # one\n  name: a\n";
    let expected = text
        .replace("# the old one\n", "# the old one\n      weight: 7\n")
        .replace("weight: 1 # one", "weight: 0 # one");
    assert_eq!(edited(text, &[(0, 7.0), (1, 0.0)]).expect("edited"), expected);
}

#[test]
fn windows_line_ends_stay() {
    let text = "models:\r\n- name: a\r\n  variants:\r\n  - name: x\r\n  - name: z\r\n    weight: 2\r\n";
    let expected = text.replace("- name: x\r\n", "- name: x\r\n    weight: 5\r\n");
    assert_eq!(edited(text, &[(0, 5.0)]).expect("edited"), expected);
}

#[test]
fn json_stays_json() {
    let text =
        "{\"models\": [{\"name\": \"a\", \"variants\": [{\"name\": \"x\"}, {\"weight\": 1.0, \"name\": \"z\"}]}]}";
    let expected = "{\"models\": [{\"name\": \"a\", \"variants\": [{\"name\": \"x\", \"weight\": 4}, {\"weight\": 2, \"name\": \"z\"}]}]}";
    assert_eq!(edited(text, &[(0, 4.0), (1, 2.0)]).expect("edited"), expected);
}

#[test]
fn an_anchor_that_others_use_is_refused_rather_than_changed_for_all() {
    let shared = "models:\n- name: a\n  variants: [{name: x, weight: &w 1}, {name: z, weight: *w}]\n";
    let message = edited(shared, &[(0, 5.0)]).expect_err("refused").to_string();
    assert!(message.contains("without changing something else"), "{message}");
    let message = edited(shared, &[(1, 5.0)]).expect_err("refused").to_string();
    assert!(message.contains("models[0].variants[1] is written as an alias"), "{message}");
    let merged = "models:\n- &m\n  name: a\n  variants: &v [{name: x}, {name: z}]\n- name: b\n  variants: *v\n";
    assert!(edited(merged, &[(0, 5.0)]).is_err());
}

proptest! {
    /// Any mixture of styles, indentation, comments and members in any order.
    #[test]
    fn only_the_weights_change(
        variants in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0usize..4, 0u32..200), 1..5),
        new in prop::collection::vec(0u32..1000, 5),
        comment in "( # [a-z:{}\"' -]{0,12})?",
    ) {
        let mut text = String::from("models:\n- name: 'm'\n  variants:\n");
        for (index, (is_flow, has_weight, weight_first, indent, weight)) in variants.iter().enumerate() {
            let mut members = vec![format!("name: v{index}"), "pool: \"p, q\"".to_owned()];
            if *has_weight {
                members.insert(if *weight_first { 0 } else { 2 }, format!("weight: {weight}"));
            }
            if *is_flow {
                text.push_str(&format!("  - {{ {} }}{comment}\n", members.join(" ,")));
            } else {
                let separator = format!("{comment}\n{}", " ".repeat(4 + indent));
                text.push_str(&format!("  -{}{}{comment}\n", " ".repeat(1 + indent), members.join(&separator)));
            }
        }
        let weights: Vec<(usize, f64)> = (0..variants.len()).map(|index| (index, f64::from(new[index]))).collect();
        let edited = edited(&text, &weights).map_err(|error| TestCaseError::fail(format!("{error:#}\n{text}")))?;
        // Without its weights the text is the same.
        let without = |text: &str| -> Vec<String> {
            let is_kept = |word: &&str| !word.starts_with("weight") && word.trim_end_matches(',').parse::<f64>().is_err() && **word != *",";
            text.split_whitespace().filter(is_kept).map(|word| word.trim_matches(',').to_owned()).collect()
        };
        prop_assert_eq!(without(&edited), without(&text), "{}\n{}", text, edited);
    }
}
