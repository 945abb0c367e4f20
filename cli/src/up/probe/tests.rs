use http::HeaderValue;

use super::*;

fn answer(trailers: &[(&'static str, &'static str)], body: &'static [u8]) -> Answer {
    let trailers = trailers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    Answer { status: StatusCode::OK, headers: HeaderMap::new(), trailers, body: Bytes::from_static(body) }
}

#[test]
fn a_grpc_message_is_framed_with_its_length() {
    let frame = grpc_frame(&ModelReadyRequest { name: "iris".to_owned(), version: String::new() }).unwrap();
    assert_eq!(frame.as_ref(), b"\0\0\0\0\x06\x0a\x04iris");
}

#[test]
fn a_grpc_status_other_than_ok_is_the_error() {
    let refused = answer(&[("grpc-status", "5"), ("grpc-message", "no model x")], b"");
    assert_eq!(refused.grpc_message().unwrap_err().to_string(), "grpc-status 5: no model x");
    let fine = answer(&[("grpc-status", "0")], b"\0\0\0\0\x02\x08\x01");
    assert!(ModelReadyResponse::decode(fine.grpc_message().unwrap()).unwrap().ready);
}

#[test]
fn an_answer_without_the_filters_header_does_not_count() {
    let error = answer(&[], b"{}").expect_filter().unwrap_err().to_string();
    assert!(error.contains("x-modelway-model"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_the_last_failure_is_the_error() {
    let error =
        until_deadline("the cows come home", async || Err::<(), _>(anyhow::anyhow!("not yet"))).await.unwrap_err();
    assert_eq!(format!("{error:#}"), "waited 30 s until the cows come home: not yet");
}
