//! Where the fuzzers begin: a few inputs of each kind, good and odd.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::json;

use crate::grpc::{Choice, InferInputTensor, InferParameter, ModelInferRequest};

/// The inputs of every target, by its name.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("configuration", configuration()),
        ("grpc", grpc()),
        ("headers", headers()),
        ("json", json()),
        ("openai", openai()),
        ("path", path()),
        ("pattern", pattern()),
        ("request", request()),
    ]
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Behind so many bytes for choices, none of which is made.
fn without_choices(choices: usize, texts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    texts.into_iter().map(|text| [vec![0; choices], text].concat()).collect()
}

fn configuration() -> Vec<Vec<u8>> {
    let mut all = texts(&[
        "{}",
        r#"{"models":[{"name":"iris"}]}"#,
        r#"{"models":[{"name":"iris","variants":[{"name":"a","weight":90},{"name":"b","model":"c","version":2,"weight":10.5}]}],"peekLimit":"64KiB"}"#,
        r#"{"admin":"Allow","rewrite":"Always","unknownModels":"Reject","onPeekLimit":"Reject","peekLimit":4096}"#,
    ]);
    all.push(crate::request::routing().to_string().into_bytes());
    all.push(format!("{:#}", crate::request::routing()).into_bytes());
    all
}

fn grpc() -> Vec<Vec<u8>> {
    let parameter = |choice| InferParameter { choice: Some(choice) };
    let parameters = BTreeMap::from([
        ("user_id".to_owned(), parameter(Choice::String("u7".to_owned()))),
        ("other".to_owned(), parameter(Choice::Double(0.5))),
    ]);
    let message = ModelInferRequest {
        model_name: "tuned".to_owned(),
        model_version: "2".to_owned(),
        id: "id".to_owned(),
        parameters,
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, 4],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![vec![0; 16]],
    };
    let number = |choice| ModelInferRequest {
        model_version: String::new(),
        parameters: BTreeMap::from([("user_id".to_owned(), parameter(choice))]),
        ..message.clone()
    };
    let messages = [
        message.clone(),
        number(Choice::Int64(-7)),
        number(Choice::Uint64(u64::MAX)),
        number(Choice::Bool(true)),
        number(Choice::Double(-0.0)),
    ];
    let mut all: Vec<Vec<u8>> = messages.iter().map(Message::encode_to_vec).collect();
    all.extend(texts(&["\n\u{1}a\n\u{1}b\u{12}\u{1}3", "\u{1a}\u{2}id\n\u{4}last", ""]));
    let mut all = without_choices(2, all);
    // Behind a second frame, cut in two, and as a whole body of its own.
    let encoded = message.encode_to_vec();
    all.push([&[2, 2, 0, 3, 0, 9], encoded.as_slice()].concat());
    all.push([&[1, 0], crate::grpc::frame(&encoded).as_slice()].concat());
    all.push([&[1, 0][..], b"\x01\0\0\0\x01x"].concat());
    // Behind a transcoder.
    all.push([&[4, 2, 0, 3, 0, 9], encoded.as_slice()].concat());
    all.push([&[5, 0], crate::grpc::frame(&encoded).as_slice()].concat());
    all
}

fn headers() -> Vec<Vec<u8>> {
    without_choices(
        1,
        texts(&[
            "cookie: ring=inner; mw-user=\"u7\"\ncookie: debug=1",
            "cookie: ring=outer\nx-tier: gold-1\n:path: q=a+b&debug=&x=%41",
            ":authority: a.beta.example:80\nx-user-id: u7",
            ":authority: [::1]:80\n:path: q=abcd#x",
            "cookie: a;=;ring = dog ;; mw-user=u=7\nx-tier: ab@1x",
        ]),
    )
}

fn json() -> Vec<Vec<u8>> {
    let mut all = texts(&[
        r#"{"parameters":{"user_id":"u7"}}"#,
        r#" { "id" : "x", "inputs":[{"name":"a","shape":[1,2],"datatype":"FP32","data":[1,2.5e3]}], "parameters" : { "region" : null, "user_id" : -0.5 } }"#,
        r#"{"parameters":{"user_id":{"stringParam":"u7"}},"inputs":[]}"#,
        r#"{"parameters":{"user_id":{"int64_param":"42"},"x":{"boolParam":true}}}"#,
        r#"{"p\u0061rameters":{"user\u005fid":"\ud83d\ude00\u00e9\n\"\\"}}"#,
        r#"{"parameters":{"user_id":"a"},"parameters":{"user_id":"b"}}"#,
        r#"{"parameters":["user_id"],"x":{"parameters":{"user_id":true}}}"#,
        r#"[{"parameters":{"user_id":18446744073709551615}}]"#,
    ]);
    all.push(
        json!({ "inputs": [{ "data": vec![0.25; 200] }], "parameters": { "user_id": true } }).to_string().into_bytes(),
    );
    without_choices(1, all)
}

fn openai() -> Vec<Vec<u8>> {
    without_choices(
        2,
        texts(&[
            r#"{"model":"gpt","messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"user":"u7"}"#,
            r#"{"messages":[],"stream":true,"mod\u0065l" : "a\/b" }"#,
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":null,"input":["x"]}"#,
        ]),
    )
}

fn path() -> Vec<Vec<u8>> {
    texts(&[
        "v2/models/iris/infer",
        "v2/models/iris/versions/2/infer?x=1",
        "v2/models/a%2Fb/ready",
        "v2/models/iris/../../repository/index",
        "v2/%2e%2e/v2/models/x;a=b/infer",
        "v2//models/iris/",
        "v2\\models\\iris",
        "v2/models/stats",
        "v2/models/iris/trace/setting",
        "v2/repository/models/iris/load",
        "v1/models/iris:predict",
        "v1/models/iris/versions/2:explain",
        "openai/v1/models/x",
        "openai/v1/chat/completions",
        "inference.GRPCInferenceService/RepositoryIndex",
        "mmesh.ModelMesh/registerModel",
        "v2/%256dodels/x/infer#f",
        "v2/x/../x/../x/../x/../x/../x/../x/../models/y",
    ])
}

fn pattern() -> Vec<Vec<u8>> {
    texts(&[
        "(a|b)*c\nababc\nabd",
        "^[a-c_-]+$\na_-c",
        "(?:ab){2,3}|\\d+\\.\\w?\nababab\n1.x",
        "[^\\s]+@\\S{1,}\na@b",
        "(a*)*b\naaaaaaaaaaaaaaaaaac",
        "\\$\\[\\]\\.\n$[].",
    ])
}

fn request() -> Vec<Vec<u8>> {
    let mut all = texts(&[
        ":method: GET\n:path: /v2/models/iris\nx-user-id: u7",
        ":method: POST\n:path: /v2/models/iris/infer\ncontent-type: application/json\n\n{\"parameters\":{\"tier\":\"beta\",\"user_id\":7}}",
        ":method: POST\n:path: /v2/models/t-1/versions/2/infer?debug\ncookie: mw-user=x; ring=y\n\n{}",
        ":method: POST\n:path: /v2/repository/index\n\n",
        ":method: POST\n:path: /serving/team-a/v2/models/scoped/infer\n:source: 10.1.2.3\n:claim-sub: u7\n\n{}",
        ":path: /v2/models/t-2\nx-modelway-secret: 0123456789abcdef\nx-modelway-force: a\nx-modelway-explain: 1",
    ]);
    let head = b":method: POST\n:path: /inference.GRPCInferenceService/ModelInfer\ncontent-type: application/grpc\n\n";
    let message =
        ModelInferRequest { model_name: "flowers".to_owned(), id: "7".to_owned(), ..ModelInferRequest::default() };
    all.push([&head[..], &crate::grpc::frame(&message.encode_to_vec())].concat());
    without_choices(1, all)
}
