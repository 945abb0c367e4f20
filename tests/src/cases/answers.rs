//! Answers that bear the model's public name instead of the upstream's.

use anyhow::{Result, ensure};
use serde_json::json;

use super::check::{answered, header_is, send};
use super::{Case, cases};
use crate::answer::Answer;
use crate::gateway::{Gateway, Message, Protocol, Request, Setup};
use crate::inference::{field, frame, frame_bytes, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

pub(super) fn cases() -> Vec<Case> {
    let models = json!([
        { "name": "iris", "variants": [{ "name": "stable", "model": "the-upstreams-iris-v1" }] },
        { "name": "plain" },
    ]);
    let mut all = cases![Setup::new(&json!({ "restoreModelName": true, "models": models }));
        a_json_answer_bears_the_public_name,
        an_answer_in_pieces_bears_the_public_name,
        what_names_another_model_stays,
        a_compressed_answer_is_untouched,
        a_large_answer_goes_on_as_it_comes,
        an_answer_with_binary_tensors_is_untouched,
        an_answer_without_a_body_keeps_its_headers,
        a_grpc_answer_bears_the_public_name,
        every_answer_of_a_grpc_stream_bears_the_public_name,
        an_openai_answer_bears_the_public_name,
        every_event_of_an_openai_stream_bears_the_public_name,
    ];
    let off = Setup::new(&json!({ "models": models })).labelled("names not restored");
    all.extend(cases![off; without_asking_for_it_answers_stay_as_they_are]);
    all
}

fn post() -> Request {
    Request::post("/v2/models/iris/infer", "{}")
}

fn document(name: &str) -> String {
    format!(r#"{{"id":"7","model_name":"{name}","outputs":[{{"name":"y","data":[1,2,3]}}]}}"#)
}

fn got(gateway: &mut dyn Gateway, request: Request, answer: &Answer) -> Result<Message> {
    answered(&send(gateway, request.answered_by(answer))?).cloned()
}

fn body_is(message: &Message, expected: &[u8]) -> Result<()> {
    ensure!(message.body == expected, "got {}, expected {}", message.body.escape_ascii(), expected.escape_ascii());
    Ok(())
}

fn with_length(answer: Answer) -> Answer {
    let length: usize = answer.body.iter().flatten().map(Vec::len).sum();
    answer.header("content-length", &length.to_string())
}

fn a_json_answer_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let answer = with_length(Answer::body([document("the-upstreams-iris-v1")]));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let seen = got(gateway, post().over(protocol), &answer)?;
        body_is(&seen, document("iris").as_bytes())?;
        let length = seen.headers.text("content-length");
        ensure!(length.is_none_or(|length| length == seen.body.len().to_string()), "{:?}", seen.headers);
    }
    Ok(())
}

fn an_answer_in_pieces_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let whole = document("the-upstreams-iris-v1");
    for size in [1, 7, 20] {
        let seen = got(gateway, post(), &Answer::body(whole.as_bytes().chunks(size)))?;
        body_is(&seen, document("iris").as_bytes())?;
    }
    Ok(())
}

fn what_names_another_model_stays(gateway: &mut dyn Gateway) -> Result<()> {
    for body in [document("another"), "{}".to_owned(), "[]".to_owned(), String::new(), "no JSON".to_owned()] {
        let seen = got(gateway, post(), &Answer::body([body.clone()]))?;
        body_is(&seen, body.as_bytes())?;
    }
    let error = document("the-upstreams-iris-v1");
    let seen = got(gateway, post(), &Answer { status: 500, ..Answer::body([error.clone()]) })?;
    body_is(&seen, error.as_bytes())?;
    let plain =
        got(gateway, Request::post("/v2/models/plain/infer", "{}"), &with_length(Answer::body([document("plain")])))?;
    body_is(&plain, document("plain").as_bytes())?;
    header_is(&plain, "content-length", Some(&document("plain").len().to_string()))
}

fn a_compressed_answer_is_untouched(gateway: &mut dyn Gateway) -> Result<()> {
    let body = document("the-upstreams-iris-v1");
    let answer = with_length(Answer::body([body.clone()]).header("content-encoding", "gzip"));
    let seen = got(gateway, post(), &answer)?;
    body_is(&seen, body.as_bytes())?;
    header_is(&seen, "content-length", Some(&body.len().to_string()))
}

fn a_large_answer_goes_on_as_it_comes(gateway: &mut dyn Gateway) -> Result<()> {
    let with = |name: &str| format!(r#"{{"model_name":"{name}","outputs":[{}0]}}"#, "1,".repeat(1_500_000));
    let sent = with("the-upstreams-iris-v1");
    let seen = got(gateway, post(), &with_length(Answer::body([sent])))?;
    body_is(&seen, with("iris").as_bytes())
}

fn an_answer_with_binary_tensors_is_untouched(gateway: &mut dyn Gateway) -> Result<()> {
    let json = document("the-upstreams-iris-v1");
    let body = [json.as_bytes(), &[0, 255, 7]].concat();
    let length = json.len().to_string();
    let answer = with_length(Answer::body([body.clone()]).header("inference-header-content-length", &length));
    let seen = got(gateway, post(), &answer)?;
    body_is(&seen, &body)?;
    header_is(&seen, "inference-header-content-length", Some(&length))
}

fn an_answer_without_a_body_keeps_its_headers(gateway: &mut dyn Gateway) -> Result<()> {
    let request = Request::new(Protocol::Http1, "HEAD", "/v2/models/iris");
    let seen = got(gateway, request, &Answer::default().header("content-length", "77"))?;
    header_is(&seen, "content-length", Some("77"))
}

/// An answer of `ModelInfer` by this model, and one that does not fit into a frame of HTTP/2.
fn grpc_answers(name: &str) -> [Vec<u8>; 2] {
    let answer = |size| [field(1, name.as_bytes()), field(3, b"id"), field(6, &vec![7; size])].concat();
    [answer(300), answer(40_000)]
}

fn a_grpc_answer_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let request = || Request::grpc(INFER, frame(&infer("iris", 10)));
    for (sent, expected) in grpc_answers("the-upstreams-iris-v1").iter().zip(grpc_answers("iris")) {
        let sent = frame_bytes(sent);
        let (start, rest) = sent.split_at(9);
        for pieces in [vec![sent.clone()], vec![start.to_vec(), rest.to_vec()]] {
            let seen = got(gateway, request(), &Answer::body(pieces))?;
            body_is(&seen, &frame_bytes(&expected))?;
            ensure!(seen.trailers.is_some_and(|trailers| trailers.text("grpc-status").as_deref() == Some("0")));
        }
    }
    let mut compressed = frame_bytes(&grpc_answers("the-upstreams-iris-v1")[0]);
    compressed[0] = 1;
    body_is(&got(gateway, request(), &Answer::body([compressed.clone()]))?, &compressed)
}

fn every_answer_of_a_grpc_stream_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let stream = |name: &str| {
        let answers = grpc_answers(name).map(|answer| frame_bytes(&field(2, &answer)));
        [answers.concat(), frame_bytes(&field(1, b"an error")), answers.concat()].concat()
    };
    let request = Request::grpc(STREAM, frame(&infer("iris", 10)));
    let sent = stream("the-upstreams-iris-v1");
    let seen = got(gateway, request, &Answer::body(sent.chunks(1_000)))?;
    body_is(&seen, &stream("iris"))
}

fn openai() -> Request {
    Request::post("/v1/chat/completions", r#"{"model":"iris","messages":[]}"#)
}

fn an_openai_answer_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let document = |name: &str| format!(r#"{{"id":"c","object":"chat.completion","model":"{name}","choices":[]}}"#);
    let seen = got(gateway, openai(), &with_length(Answer::body([document("the-upstreams-iris-v1")])))?;
    header_is(&seen, "x-modelway-model", Some("iris"))?;
    body_is(&seen, document("iris").as_bytes())
}

fn every_event_of_an_openai_stream_bears_the_public_name(gateway: &mut dyn Gateway) -> Result<()> {
    let stream = |name: &str| {
        let event = |text: &str| {
            format!("data: {{\"id\":\"c\",\"model\":\"{name}\",\"choices\":[{{\"delta\":\"{text}\"}}]}}\n\n")
        };
        format!("{}{}{}data: [DONE]\n\n", event("a"), event("b"), event("c"))
    };
    let sent = stream("the-upstreams-iris-v1");
    for size in [sent.len(), 60, 9] {
        let answer = Answer::body(sent.as_bytes().chunks(size)).header("content-type", "text/event-stream");
        body_is(&got(gateway, openai(), &answer)?, stream("iris").as_bytes())?;
    }
    Ok(())
}

fn without_asking_for_it_answers_stay_as_they_are(gateway: &mut dyn Gateway) -> Result<()> {
    let body = document("the-upstreams-iris-v1");
    let seen = got(gateway, post(), &with_length(Answer::body([body.clone()])))?;
    body_is(&seen, body.as_bytes())?;
    header_is(&seen, "content-length", Some(&body.len().to_string()))
}
