use super::*;

const TEXT: &str =
    "# ü\nrouting:\n  models:\n  - name: a   # first\n    variants:\n    - {name: \"b\", weight: 90}\n---\nmore: 1\n";

#[test]
fn every_value_is_found_with_its_line_and_its_bytes() {
    let documents = documents(TEXT).expect("YAML");
    assert_eq!(documents.len(), 2);
    let weight = documents[0].find(&Path::parse("routing.models[0].variants[0].weight")).expect("the weight");
    assert_eq!((weight.line, weight.column), (6, 27));
    assert_eq!(TEXT.get(weight.bytes.clone()), Some("90"));
    let variant = documents[0].find(&Path::parse("routing.models[0].variants[0]")).expect("the variant");
    assert_eq!(TEXT.get(variant.bytes.clone()), Some("{name: \"b\", weight: 90}"));
}

#[test]
fn the_nearest_node_stands_for_one_that_is_missing() {
    let documents = documents(TEXT).expect("YAML");
    assert_eq!(documents[0].nearest(&Path::parse("routing.models[0].rules[2]")).line, 4);
    assert_eq!(documents[0].nearest(&Path::parse("routing.models[0].variants")).line, 5);
}

#[test]
fn a_text_that_is_no_yaml_is_refused_with_its_place() {
    let message = documents("a: [1, 2\nb: 3\n").expect_err("no YAML").to_string();
    assert!(message.contains("line"), "{message}");
}
