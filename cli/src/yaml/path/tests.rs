use serde_json::json;

use super::*;

#[test]
fn a_path_is_read_as_it_is_written() {
    for text in ["", "models", "models[2].variants[0].weight", "a[0][1].b"] {
        assert_eq!(Path::parse(text).to_string(), text);
    }
}

#[test]
fn a_key_with_a_dot_is_found_again() {
    let value = json!({"labels": {"app.kubernetes.io/name": {"x": 1}}});
    let path = Path::parse("labels.app.kubernetes.io/name.x").within(&value);
    assert_eq!(path.0.len(), 3);
    assert_eq!(path.find(&value), Some(&json!(1)));
}

#[test]
fn what_is_not_there_ends_the_path_where_it_was_last_there() {
    let value = json!({"models": [{"name": "a"}]});
    assert_eq!(Path::parse("models[0].variants[3].weight").within(&value).to_string(), "models[0]");
    assert_eq!(Path::parse("models[7]").within(&value).to_string(), "models");
}
