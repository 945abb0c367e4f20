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
