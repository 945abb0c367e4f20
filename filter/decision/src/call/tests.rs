use super::*;

const NONE: [(&[u8], &[u8]); 0] = [];
const GRPC: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];

fn rest(path: &str) -> Call<'_> {
    Call::of(path.as_bytes(), &NONE)
}

fn model_and_version(path: &str) -> (String, Option<String>, String) {
    match rest(path) {
        Call::Rest(call) => (
            String::from_utf8(call.model.into_owned()).unwrap(),
            call.version.map(|version| String::from_utf8(version.into_owned()).unwrap()),
            path[call.span].to_owned(),
        ),
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_model_is_read_from_every_v2_path() {
    for operation in ["", "/infer", "/ready", "/config", "/stats", "/generate", "/generate_stream", "/infer?x=/v2", "/"]
    {
        let path = format!("/v2/models/iris{operation}");
        assert_eq!(model_and_version(&path), ("iris".into(), None, "iris".into()), "{path}");
        let path = format!("/v2/models/iris/versions/3{operation}");
        assert_eq!(model_and_version(&path), ("iris".into(), Some("3".into()), "iris/versions/3".into()), "{path}");
    }
    let (model, _, span) = model_and_version("/v2/models/tenant-a%2Firis%20v/infer");
    assert_eq!((model.as_str(), span.as_str()), ("tenant-a/iris v", "tenant-a%2Firis%20v"));
    assert_eq!(model_and_version("/v2/models/stats/infer").0, "stats");
    assert_eq!(model_and_version("/v2/models/a%zz").0, "a%zz");
}

#[test]
fn calls_about_no_model_are_other() {
    for path in [
        "/",
        "*",
        "",
        "/v2",
        "/v2/",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/",
        "/v2/models/stats",
        "/v1/models/x:predict",
        "/V2/models/x/infer",
    ] {
        assert_eq!(rest(path), Call::Other, "{path}");
    }
    assert_eq!(rest(&"/a".repeat(500)), Call::Other);
    assert_eq!(Call::of(b"/inference.GRPCInferenceService/ServerLive", &GRPC), Call::Other);
    assert_eq!(Call::of(b"/grpc.health.v1.Health/Check", &GRPC), Call::Other);
    // Not gRPC: nobody can say what its body is.
    assert_eq!(rest("/inference.GRPCInferenceService/ModelInfer"), Call::Other);
}

#[test]
fn grpc_model_calls_are_told_by_path_and_content_type() {
    for method in ["ModelInfer", "ModelStreamInfer", "ModelMetadata", "ModelReady", "ModelConfig", "ModelStatistics"] {
        let path = format!("/inference.GRPCInferenceService/{method}");
        assert_eq!(Call::of(path.as_bytes(), &GRPC), Call::Grpc, "{path}");
    }
    for (content_type, expected) in [
        ("application/grpc+proto", true),
        ("application/grpc;x", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        assert_eq!(is_grpc(&[("content-type", content_type)]), expected, "{content_type}");
    }
}

#[test]
fn administrative_calls_are_found_in_every_spelling() {
    for path in [
        "/v2/repository/index",
        "/v2/repository/models/x/load",
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/models/x/trace/setting",
        "/v2/models/x/versions/1/trace/setting",
        "/v2/systemsharedmemory/status",
        "/v2/cudasharedmemory/region/r/register",
        "/v2/%72epository/index",
        "/v2/%2572epository/index",
        "//v2//repository//index",
        "/v2/./repository/index",
        "/v2/models/../repository/index",
        "/v2/models/x%2F..%2F..%2Frepository/index",
        "/x/%2e%2e/v2/repository/index",
        "/v2\\repository\\index",
        "/V2/Repository/index",
        "/v2/repository/index?x=1",
        "/v2;x=1/repository;a=b/index",
        "/v2/;a=b/../repository/index",
        "/v2/a%2Fb/../repository/index",
        "/v2/a%2Fb/%2e%2e/repository/index",
        "/v2/a%5Cb/../repository/index",
        "/x/y//../../../v2/repository/index",
        "/mmesh.ModelMesh/registerModel",
        "/mmesh.ModelRuntime/loadModel",
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        "/inference.GRPCInferenceService/TraceSetting",
        "/inference.GRPCInferenceService/LogSettings",
        "/inference.GRPCInferenceService/SystemSharedMemoryRegister",
        "/inference.GRPCInferenceService/%52epositoryIndex",
    ] {
        assert_eq!(rest(path), Call::Admin, "{path}");
        assert_eq!(Call::of(path.as_bytes(), &GRPC), Call::Admin, "{path}");
    }
}

#[test]
fn many_segments_do_not_hide_a_call() {
    let detour = "/x/..".repeat(50);
    assert_eq!(rest(&format!("{detour}/v2/repository/index")), Call::Admin);
    assert_eq!(rest(&format!("/v2{detour}/repository/index")), Call::Admin);
    assert_eq!(rest(&format!("/v2/repository{}", "/x".repeat(50))), Call::Admin);
    assert_eq!(rest(&format!("{detour}/mmesh.ModelMesh/registerModel")), Call::Admin);
    assert_eq!(rest(&format!("{detour}/v2/models/x/infer")), Call::Ambiguous);
    assert_eq!(rest(&"/x".repeat(50)), Call::Other);
}

#[test]
fn a_model_path_that_has_a_second_reading_is_ambiguous() {
    for path in [
        "/v2//models/x/infer",
        "/v2/models/./x/infer",
        "/v2/models/y/../x/infer",
        "/v2/models/y/%2e%2e/x/infer",
        "/v2/models/y%2F..%2Fx/infer",
        "/v2/models/x/infer/..",
        "/v2/models/a%5Cb/infer",
        "/v2/models/a%00b/infer",
        "/v2/models/a%0d%0ax-injected:%201/infer",
        "/v2/models/a/versions/1%0a2/infer",
        "/v2/models/a%7f",
        "/../v2/models/x/infer",
        "/v2/x%2Fy/../models/iris/infer",
        "/v2/a//../../models/iris/infer",
        "/V2/./models/iris/infer",
        "/v2/x/%252e%252e/models/iris/infer",
        "/v2/;a\\b/models/iris/infer",
        "/v2/a%5Cb/../models/iris/infer",
    ] {
        assert_eq!(rest(path), Call::Ambiguous, "{path}");
    }
}
