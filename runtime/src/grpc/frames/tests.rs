use super::*;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use std::convert::Infallible;
use tonic::Code;

const LIMIT: usize = 100;

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

async fn pass(chunks: Vec<Vec<u8>>, needs_message: bool) -> Result<Bytes, Status> {
    let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::from(chunk))));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    RequestFrames::new(body, LIMIT, needs_message).collect().await.map(http_body_util::Collected::to_bytes)
}

proptest! {
    #[test]
    fn whole_messages_pass_unchanged_however_they_are_cut(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
        size in 1_usize..12,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        let chunks = bytes.chunks(size).map(<[u8]>::to_vec).collect();
        let passed = futures_util::FutureExt::now_or_never(pass(chunks, true)).unwrap();
        prop_assert_eq!(passed.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_message_cut_short_is_the_clients_mistake() {
    let whole = frame(b"abcdef");
    let missing = pass(vec![whole[..9].to_vec()], true).await.unwrap_err();
    assert_eq!(missing.code(), Code::InvalidArgument);
    assert_eq!(missing.message(), "the request ends 2 bytes before its message does");
    let in_header = pass(vec![whole[..3].to_vec()], true).await.unwrap_err();
    assert_eq!(in_header.message(), "the request ends inside the header of a message");
}

#[tokio::test]
async fn a_unary_call_needs_a_message_and_a_stream_does_not() {
    let none = pass(vec![], true).await.unwrap_err();
    assert_eq!((none.code(), none.message()), (Code::InvalidArgument, "the request has no message, expected one"));
    assert!(pass(vec![], false).await.is_ok());
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_at_its_header() {
    let error = pass(vec![frame(&[0; LIMIT + 1])[..5].to_vec()], true).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(error.message(), "the message has 101 bytes, the limit is 100");
    assert!(pass(vec![frame(&[0; LIMIT])], true).await.is_ok());
}

#[tokio::test]
async fn what_is_no_grpc_framing_is_refused() {
    let error = pass(vec![b"{\"inputs\": []}".to_vec()], true).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("begins with byte 123, expected 0 or 1"), "{error}");
}
