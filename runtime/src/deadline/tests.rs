use super::*;
use futures_util::FutureExt;

fn headers(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), value.parse().unwrap())])
}

#[test]
fn every_unit_is_read() {
    let cases = [("2H", 7_200_000_000_000), ("3M", 180_000_000_000), ("4S", 4_000_000_000), ("5m", 5_000_000)];
    for (text, nanoseconds) in cases.into_iter().chain([("6u", 6_000), ("7n", 7)]) {
        assert_eq!(parse(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
    }
}

#[test]
fn what_is_no_timeout_is_none() {
    for text in ["", "S", "5", "5x", "-5S", "123456789S", "+5S", "5ß"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[tokio::test]
async fn work_that_takes_too_long_is_dropped_with_the_right_code() {
    let never = std::future::pending::<Result<(), Status>>();
    let error = Deadline::from_headers(&headers("1m")).limit(never).await.unwrap_err();
    assert_eq!(error.code(), tonic::Code::DeadlineExceeded);
    let quick = async { Ok(5) };
    assert_eq!(Deadline::from_headers(&headers("1H")).limit(quick).await.unwrap(), 5);
}

#[tokio::test]
async fn a_stream_gives_what_came_in_time_and_then_the_error() {
    let items = stream::iter([Ok(1), Ok(2)]).chain(stream::pending::<Result<i32, Status>>());
    let mut limited = Deadline::from_headers(&headers("20m")).limit_stream(Box::pin(items));
    assert_eq!(limited.next().await.unwrap().unwrap(), 1);
    assert_eq!(limited.next().await.unwrap().unwrap(), 2);
    assert_eq!(limited.next().await.unwrap().unwrap_err().code(), tonic::Code::DeadlineExceeded);
    assert!(limited.next().now_or_never().unwrap().is_none());
}
