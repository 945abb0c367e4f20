//! REST calls: the model stands in the path, the body is none of the filter's business.

use anyhow::{Result, ensure};
use serde_json::json;

use super::check::{header_is, pass, routed};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Protocol, ROUTE_MARK, Request, Setup};

const BODY: &str = r#"{"inputs":[{"name":"predict","shape":[1,1],"datatype":"FP32","data":[0.5]}]}"#;

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![standard();
        an_infer_call_is_routed_by_its_path_and_its_body_is_untouched,
        every_call_below_a_model_is_routed,
        an_alias_is_the_model,
        a_version_in_the_path_chooses_the_variant_of_that_version,
        a_version_that_no_variant_has_goes_to_the_variant_that_leaves_it_to_the_upstream,
        the_query_is_kept,
        the_path_is_rewritten_only_if_the_upstream_has_another_name,
        a_pattern_takes_every_name_that_begins_so,
        a_percent_encoded_name_is_the_name,
        a_route_that_matches_our_header_is_taken,
        the_two_protocols_are_routed_alike,
        a_form_content_type_is_routed_like_any_other,
        calls_that_name_no_model_pass_as_they_are,
    ];
    all.extend(cases![Setup::new(&routing_with("rewrite", "Headers")); without_rewriting_only_the_headers_say_where]);
    all.extend(cases![Setup::new(&routing_with("rewrite", "Always")); rewriting_always_brings_paths_into_one_form]);
    all.extend(cases![Setup::new(&doubles()).without_stop_iteration(); numbers_may_arrive_as_doubles]);
    all
}

fn an_infer_call_is_routed_by_its_path_and_its_body_is_untouched(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", BODY))?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v1/infer"))?;
    header_is(&upstream, "content-length", Some(&BODY.len().to_string()))?;
    ensure!(upstream.body == BODY.as_bytes(), "the body has changed: {}", upstream.body.escape_ascii());
    Ok(())
}

fn every_call_below_a_model_is_routed(gateway: &mut dyn Gateway) -> Result<()> {
    for (path, rewritten) in [
        ("/v2/models/iris", "/v2/models/iris-v1"),
        ("/v2/models/iris/ready", "/v2/models/iris-v1/ready"),
        ("/v2/models/iris/config", "/v2/models/iris-v1/config"),
        ("/v2/models/iris/stats", "/v2/models/iris-v1/stats"),
    ] {
        let upstream = pass(gateway, Request::get(path))?;
        header_is(&upstream, ":path", Some(rewritten))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    }
    Ok(())
}

fn an_alias_is_the_model(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/flowers/infer", BODY))?;
    routed(&upstream, [Some("flowers"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v1/infer"))
}

fn a_version_in_the_path_chooses_the_variant_of_that_version(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/versions/2/infer", BODY))?;
    routed(&upstream, [Some("iris"), Some("canary"), Some("iris-v2"), Some("2"), Some("iris-base"), Some("gpu")])?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v2/versions/2/infer"))
}

fn a_version_that_no_variant_has_goes_to_the_variant_that_leaves_it_to_the_upstream(
    gateway: &mut dyn Gateway,
) -> Result<()> {
    let upstream = pass(gateway, Request::get("/v2/models/iris/versions/1/ready"))?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), Some("1"), Some("iris-v1"), None])?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v1/versions/1/ready"))
}

fn the_query_is_kept(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer?trace=1&model=/v2/models/plain", BODY))?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v1/infer?trace=1&model=/v2/models/plain"))
}

fn the_path_is_rewritten_only_if_the_upstream_has_another_name(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v2/models/plain/infer", "/v2/models/plain/versions/3/infer", "/v2/models/plain/infer?a=%20b"] {
        let upstream = pass(gateway, Request::post(path, BODY))?;
        header_is(&upstream, ":path", Some(path))?;
        header_is(&upstream, "x-modelway-target", Some("plain"))?;
    }
    Ok(())
}

fn a_pattern_takes_every_name_that_begins_so(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/tenant-a-fraud/infer", BODY))?;
    let name = Some("tenant-a-fraud");
    routed(&upstream, [name, Some("main"), name, None, name, Some("a")])
}

fn a_percent_encoded_name_is_the_name(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v2/models/%69ris/infer", "/v2/models/i%72i%73/infer", "/v2/%6dodels/iris/infer"] {
        let upstream = pass(gateway, Request::post(path, BODY))?;
        header_is(&upstream, "x-modelway-model", Some("iris"))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    }
    Ok(())
}

fn a_route_that_matches_our_header_is_taken(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", BODY).header("x-beta", "true"))?;
    header_is(&upstream, ROUTE_MARK, Some("canary"))?;
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", BODY))?;
    header_is(&upstream, ROUTE_MARK, Some("default"))
}

fn the_two_protocols_are_routed_alike(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", BODY).over(Protocol::Http2))?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
    ensure!(upstream.body == BODY.as_bytes(), "the body has changed");
    Ok(())
}

fn a_form_content_type_is_routed_like_any_other(gateway: &mut dyn Gateway) -> Result<()> {
    let curl = Request::new(Protocol::Http1, "POST", "/v2/models/iris/infer")
        .header("content-type", "application/x-www-form-urlencoded")
        .whole_body(BODY);
    let upstream = pass(gateway, curl)?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v1/infer"))
}

fn calls_that_name_no_model_pass_as_they_are(gateway: &mut dyn Gateway) -> Result<()> {
    for path in
        ["/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/metrics", "/v1/models", "/v2x/models/iris"]
    {
        let upstream = pass(gateway, Request::get(path))?;
        header_is(&upstream, ":path", Some(path))?;
        routed(&upstream, [None; 6])?;
    }
    Ok(())
}

fn without_rewriting_only_the_headers_say_where(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/versions/2/infer", BODY))?;
    header_is(&upstream, ":path", Some("/v2/models/iris/versions/2/infer"))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v2"))
}

fn rewriting_always_brings_paths_into_one_form(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/%70lain/infer", BODY))?;
    header_is(&upstream, ":path", Some("/v2/models/plain/infer"))
}

/// What a protobuf Struct makes of a configuration on its way through Istio.
fn doubles() -> serde_json::Value {
    json!({ "peekLimit": 8192.0, "models": [{ "name": "iris", "variants": [
        { "name": "stable", "weight": 0.0 }, { "name": "canary", "model": "iris-v2", "version": 2.0, "weight": 10.0 },
    ] }] })
}

fn numbers_may_arrive_as_doubles(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", BODY))?;
    header_is(&upstream, ":path", Some("/v2/models/iris-v2/versions/2/infer"))
}
