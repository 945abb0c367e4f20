use proptest::prelude::*;

use super::*;

static NONE: [(&[u8], &[u8]); 0] = [];
static GRPC: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];

fn rest(path: &str) -> Call<'_> {
    Call::of(path.as_bytes(), &NONE, &[])
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
        "/V2/models/x/infer",
    ] {
        assert_eq!(rest(path), Call::Other, "{path}");
    }
    assert_eq!(rest(&"/a".repeat(500)), Call::Other);
    assert_eq!(Call::of(b"/inference.GRPCInferenceService/ServerLive", &GRPC, &[]), Call::Other);
    assert_eq!(Call::of(b"/grpc.health.v1.Health/Check", &GRPC, &[]), Call::Other);
    // Not gRPC: nobody can say what its body is.
    assert_eq!(rest("/inference.GRPCInferenceService/ModelInfer"), Call::Other);
}

#[test]
fn grpc_model_calls_are_told_by_path_and_content_type() {
    for method in ["ModelInfer", "ModelStreamInfer", "ModelMetadata", "ModelReady", "ModelConfig", "ModelStatistics"] {
        let path = format!("/inference.GRPCInferenceService/{method}");
        assert_eq!(Call::of(path.as_bytes(), &GRPC, &[]), Call::Grpc, "{path}");
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
        assert_eq!(Call::of(path.as_bytes(), &GRPC, &[]), Call::Admin, "{path}");
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
    assert_eq!(rest(&format!("/v2/models/x/infer{}", "/..".repeat(50))), Call::Ambiguous);
    assert_eq!(rest(&format!("/v2/repository{}", "/..".repeat(50))), Call::Admin);
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
        "/v2/models/a%20/infer",
        "/v2/models/%20a",
        "/../v2/models/x/infer",
        "/v2/x%2Fy/../models/iris/infer",
        "/v2/a//../../models/iris/infer",
        "/V2/./models/iris/infer",
        "/v2/x/%252e%252e/models/iris/infer",
        "/v2/;a\\b/models/iris/infer",
        "/v2//models/;iris/infer",
        "/v2/a%5Cb/../models/iris/infer",
        "/v2/models/y/..;/x/infer",
        "/v2/models/y/..;a=b/x/infer",
        "/v2/models/y/%2e%2e%3b/x/infer",
        "/v2/models/y/%252e%252e/x/infer",
        "/v2/models/y/z%252f..%252f..%252fx/infer",
        "/v2/models/y/z%255c..%255c..%255cx/infer",
        "/v2/models/;a=b/x/infer",
        "/v2/models/.;/x/infer",
        "/v2/models/x/..;",
        "/v2/models/x;a=b/infer",
        "/v2/models/x/versions;a=b/2/infer",
        "/v2/models/x/versions/2;a=b/infer",
    ] {
        assert_eq!(rest(path), Call::Ambiguous, "{path}");
    }
}

#[test]
fn v1_calls_are_read_with_and_without_a_verb() {
    for (path, model, version, span) in [
        ("/v1/models/iris:predict", "iris", None, "iris"),
        ("/v1/models/iris:explain?x=1", "iris", None, "iris"),
        ("/v1/models/iris", "iris", None, "iris"),
        ("/v1/models/llama3:8b", "llama3:8b", None, "llama3:8b"),
        ("/v1/models/llama3:8b:predict", "llama3:8b", None, "llama3:8b"),
        ("/v1/models/tenant%2Firis:predict", "tenant/iris", None, "tenant%2Firis"),
        ("/v1/models/iris/versions/3:predict", "iris", Some("3"), "iris/versions/3"),
        ("/v1/models/iris/versions/3", "iris", Some("3"), "iris/versions/3"),
        ("/v1/models/iris/metadata", "iris", None, "iris"),
    ] {
        let Call::Rest(call) = rest(path) else { panic!("{path}: {:?}", rest(path)) };
        assert_eq!(call.protocol, Protocol::V1, "{path}");
        assert_eq!((&*call.model, call.version.as_deref()), (model.as_bytes(), version.map(str::as_bytes)), "{path}");
        assert_eq!(&path[call.span], span, "{path}");
    }
    assert_eq!(rest("/v1/models"), Call::Other);
}

#[test]
fn openai_calls_are_told_by_their_path() {
    for operation in ["chat/completions", "completions", "embeddings", "responses", "rerank", "score", "audio/speech"] {
        for start in ["/v1", "/openai/v1"] {
            assert_eq!(rest(&format!("{start}/{operation}")), Call::OpenAi, "{start}/{operation}");
            assert_eq!(rest(&format!("{start}/{operation}/?x=1")), Call::OpenAi, "{start}/{operation}");
        }
    }
    for path in ["/v1/files", "/v1/responses/id-7", "/openai/v1/models", "/v1", "/chat/completions", "/v2/completions"]
    {
        assert_eq!(rest(path), Call::Other, "{path}");
    }
    let Call::Rest(call) = rest("/openai/v1/models/gpt") else { panic!("no model") };
    assert_eq!((call.protocol, &*call.model), (Protocol::OpenAi, &b"gpt"[..]));
}

#[test]
fn paths_of_v1_and_openai_that_have_a_second_reading_are_ambiguous() {
    for path in [
        "/v1/models/x/..",
        "/v1/models/y/../x:predict",
        "/v1//models/x:predict",
        "/v1/models/x%3Apredict",
        "/v1/models/x:%70redict",
        "/v1/models/x%2F..%2Fy:predict",
        "/v1/models/a%0ab:predict",
        "/v1/chat//completions",
        "/v1/chat%2Fcompletions",
        "/v1/./chat/completions",
        "/openai/v1/x/../embeddings",
        "/v1;a=b/embeddings",
        "/v1/models/x;a=b:predict",
        "/openai/v1/models/x;a=b",
        "/x/../openai/v1/embeddings",
    ] {
        assert_eq!(rest(path), Call::Ambiguous, "{path}");
    }
}

#[test]
fn a_prefix_is_passed_over_and_hides_nothing() {
    let prefixes = [b"/serving/team-a".to_vec(), b"/serving".to_vec()];
    let of = |path: &'static str| Call::of(path.as_bytes(), &NONE, &prefixes);
    for path in ["/serving/team-a/v2/models/iris/infer", "/serving/v2/models/iris/infer", "/v2/models/iris/infer"] {
        let Call::Rest(call) = of(path) else { panic!("{path}") };
        assert_eq!((&*call.model, &path[call.span]), (&b"iris"[..], "iris"), "{path}");
    }
    assert_eq!(of("/serving/team-a/v1/chat/completions"), Call::OpenAi);
    assert_eq!(of("/serving/team-b/v2/models/iris/infer"), Call::Other);
    assert_eq!(of("/serving/team-ab/v2/models/iris/infer"), Call::Other);
    for path in [
        "/serving/team-a/v2/repository/index",
        "/serving/team%2Da/v2/repository/index",
        "//serving//team-a/v2/repository/index",
        "/serving/x/../team-a/v2/repository/index",
    ] {
        assert_eq!(of(path), Call::Admin, "{path}");
    }
    for path in [
        "/serving/team%2Da/v2/models/iris/infer",
        "/serving//team-a/v2/models/iris/infer",
        "/serving/x/../team-a/v2/models/iris/infer",
        "/serving/./team-a/v1/chat/completions",
        "/serving%2Fteam-a/v2/models/iris/infer",
    ] {
        assert_eq!(of(path), Call::Ambiguous, "{path}");
    }
    let path = b"/serving/team-a/inference.GRPCInferenceService/ModelInfer";
    assert_eq!(Call::of(path, &GRPC, &prefixes), Call::Grpc);
}

#[test]
fn behind_a_transcoder_the_original_path_names_the_model() {
    let path = b"/inference.GRPCInferenceService/ModelInfer";
    let head = |original: &'static str| [("content-type", "application/grpc"), ("x-envoy-original-path", original)];
    let transcoded = head("/v2/models/iris/versions/3/infer?x=1");
    let Call::Transcoded(call) = Call::of(path, &transcoded, &[]) else { panic!("not transcoded") };
    assert_eq!((&*call.model, call.version.as_deref()), (&b"iris"[..], Some(&b"3"[..])));
    assert_eq!(Call::of(path, &head("/v2/models/x/../iris/infer"), &[]), Call::Ambiguous);
    for other in ["/inference.GRPCInferenceService/ModelInfer", "/x", "/v1/models/iris:predict", "/v2/repository/index"]
    {
        assert_eq!(Call::of(path, &head(other), &[]), Call::Grpc, "{other}");
    }
    let rest = head("/v2/models/iris/infer");
    assert_eq!(Call::of(b"/inference.GRPCInferenceService/RepositoryIndex", &rest, &[]), Call::Admin);
    assert_eq!(Call::of(b"/inference.GRPCInferenceService/ServerLive", &rest, &[]), Call::Other);
}

proptest! {
    #[test]
    fn a_plain_path_is_what_the_reading_of_any_path_finds(
        pieces in prop::collection::vec(
            prop::sample::select(&[
                "/", "/", "/", "/v2", "/v1", "/openai", "/models", "/m", "/stats", "/versions", "/2", "/infer", "/chat/completions",
                "/m:predict", "/mmesh.x", "/repository", "/trace", "/TRACE", "/serving/team-a", "/inference.GRPCInferenceService",
                "/Inference.grpcinferenceservice", "/ModelInfer", "/RepositoryIndex", "/.", "/..", "/%76", "/%2f", "/a;b", "/a b", "/ ",
                "\\", "\u{7f}", "\u{e4}", "x", "?", "#", "?/..;%",
            ][..]),
            0..20,
        ),
        is_grpc in any::<bool>(),
    ) {
        let path = pieces.concat().into_bytes();
        let prefixes = [b"/serving/team-a".to_vec()];
        let expected = Call::of_odd_path(before_query(&path), &|| is_grpc, &prefixes);
        prop_assert_eq!(Call::of_path(&path, &|| is_grpc, &prefixes), expected);
    }
}
