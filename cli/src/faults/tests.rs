use serde_json::json;

use super::*;

fn faults(routing: &Value) -> Vec<String> {
    let faults = of_routing(routing).map(|_| ()).expect_err("a routing with faults");
    faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
}

#[track_caller]
fn assert_begins(found: &[String], expected: &[&str]) {
    let matches =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(matches, "expected {expected:#?}, found {found:#?}");
}

#[test]
fn every_fault_is_told_with_its_path_in_the_file() {
    let found = faults(&json!({
        "models": [
            {"name": "a", "variants": [{"name": "x", "wieght": 1}, {"weight": "much", "name": "y"}, {"name": "y"}]},
            {"variants": []},
            {"name": "c", "rules": [{"name": "r", "match": {"headers": []}, "variant": "z"}], "sticky": {"by": [{"heder": "h"}]}},
            {"name": "d", "variants": [{"name": "e", "weight": 0}]},
        ],
        "unknownModels": "Refuse",
        "peekLimit": 12,
    }));
    assert_begins(
        &found,
        &[
            "models[0].variants[0].wieght: unknown field `wieght`",
            "models[0].variants[1].weight: expected a number",
            "models[1]: expected `name`",
            "models[2].sticky.by[0].heder: unknown field `heder`",
            "unknownModels: expected one of `Pass`, `Reject`, got `Refuse`",
            "models[0].variants[2].name: the variant 'y' already exists",
            "models[3].variants: expected a weight above 0",
            "peekLimit: expected at least 512 bytes",
        ],
    );
}

#[test]
fn a_required_field_of_the_wrong_type_is_one_fault() {
    let found = faults(&json!({"models": [{"name": {"a": 1}}, {"name": []}]}));
    assert_begins(&found, &["models[0].name: expected a text", "models[1].name: expected a text"]);
}

#[test]
fn unknown_fields_of_the_whole_are_all_told() {
    let found = faults(&json!({"modles": [], "models": [], "ruels": []}));
    assert_begins(&found, &["modles: unknown field `modles`", "ruels: unknown field `ruels`"]);
    assert!(found.iter().all(|fault| fault.contains("did you mean")), "{found:#?}");
}

#[test]
fn what_is_no_object_is_one_fault() {
    assert_begins(&faults(&json!([1])), &[": expected an object"]);
    assert_begins(
        &faults(&json!({"models": [{"name": "a", "aliases": [["b"]]}]})),
        &["models[0].aliases[0]: expected a text"],
    );
}

#[test]
fn a_section_tells_all_its_faults_with_the_nearest_names() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        #[allow(dead_code)]
        port: u16,
        #[allow(dead_code)]
        host: Option<String>,
    }
    let faults = of_section::<Section>(&json!({"prot": 1, "port": 70000, "host": 3})).expect_err("faults");
    let found: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect();
    assert_begins(&found, &["prot: unknown field `prot`", "port: invalid value", "host: invalid type"]);
    assert!(found[0].ends_with("did you mean `port`?"), "{}", found[0]);
}
