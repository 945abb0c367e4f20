use super::*;

fn read(text: &str) -> Source {
    Source::parse(FilePath::new("mesh.yaml"), text.to_owned()).expect("YAML")
}

#[test]
fn a_bare_routing_a_mesh_file_and_both_manifests_hold_the_same_routing() {
    let routing = r#"{"models": [{"name": "a"}]}"#;
    let wasm = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
    let texts = [
        (Form::Routing, routing.to_owned()),
        (Form::MeshFile, format!("apiVersion: modelway/v1alpha1\nrouting: {routing}\n")),
        (Form::WasmPlugin, format!("kind: WasmPlugin\nspec:\n  pluginConfig: {routing}\n")),
        (
            Form::EnvoyFilter,
            format!(
                "kind: EnvoyFilter\nspec:\n  configPatches:\n  - patch: {{value: {{name: other}}}}\n  - patch:\n      value:\n        \
                 typed_config:\n          '@type': {wasm}\n          config: {{configuration: {{value: '{routing}'}}}}\n"
            ),
        ),
    ];
    for (form, text) in texts {
        let source = read(&text);
        let section = source.only_section().expect("one routing");
        assert_eq!((section.form, &section.routing), (form, &serde_json::json!({"models": [{"name": "a"}]})));
    }
}

#[test]
fn manifests_without_a_routing_are_passed_over() {
    let source = read("kind: Service\n---\nkind: EnvoyFilter\nspec: {configPatches: []}\n---\nmodels: []\n");
    assert_eq!(source.only_section().expect("one routing").form, Form::Routing);
}

#[test]
fn a_mesh_file_without_a_routing_routes_nothing_in_particular() {
    let source = read("apiVersion: modelway/v1alpha1\n");
    assert_eq!(source.only_section().expect("one routing").routing, serde_json::json!({}));
}

#[test]
fn ten_thousand_models_are_read() {
    let model = |index| {
        format!(
            "- {{name: m{index}, variants: [{{name: a, weight: 9}}, {{name: b, weight: 1}}], rules: [{{name: r, match: {{headers: [{{name: h, value: v}}]}}, variant: b}}]}}\n"
        )
    };
    let text: String = (0..10_000).map(model).collect();
    let source = read(&format!("models:\n{text}"));
    assert_eq!(source.only_section().expect("one routing").routing["models"].as_array().map(Vec::len), Some(10_000));
}

#[test]
fn aliases_that_repeat_aliases_are_refused() {
    let levels: String = (1..12)
        .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")))
        .collect();
    let text = format!("a0: &a0 [x]\n{levels}");
    assert!(Source::parse(FilePath::new("mesh.yaml"), text).is_err());
}
