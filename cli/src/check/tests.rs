use super::*;

fn check(text: &str) -> Checked {
    check_source(&Source::parse(FilePath::new("mesh.yaml"), text.to_owned()).expect("YAML"))
}

#[test]
fn a_fault_is_told_with_line_and_column() {
    let checked = check(
        "apiVersion: modelway/v1alpha1\nrouting:\n  models:\n  - name: a\n    variants:\n    - {name: b, weight: -1}\n",
    );
    let fault = checked.faults.first().expect("a fault");
    assert_eq!(fault.path, "routing.models[0].variants[0].weight");
    assert_eq!((fault.line, fault.column), (Some(6), Some(17)));
    assert!(fault.message.starts_with("expected a number not below 0"), "{}", fault.message);
}

#[test]
fn a_version_that_yaml_shortens_is_told() {
    let checked = check(
        "models:\n- name: a\n  variants: [{name: b, version: 2.10}, {name: c, version: '2.20'}, {name: d, version: 1.5}]\n",
    );
    let warnings: Vec<&str> = checked.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warnings, ["YAML reads 2.10 as the number 2.1; write \"2.10\" if that is the version"]);
}

#[test]
fn a_file_without_a_routing_is_at_fault() {
    let checked = check("kind: Service\n");
    assert!(checked.faults.iter().any(|fault| fault.message.starts_with("no routing here")));
}
