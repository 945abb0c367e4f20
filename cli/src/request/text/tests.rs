use modelway_decision::header::Headers;

use super::*;

#[test]
fn a_request_is_read_with_either_line_end_and_its_body_is_left_alone() {
    for end in ["\r\n", "\n"] {
        let text =
            ["POST /v2/models/a/infer HTTP/1.1", "Host: gateway", "X-User-Id: u7", "", "{\"a\":\n1}\n"].join(end);
        let request = read(text.as_bytes()).expect("a request");
        assert_eq!(request.line(), "POST /v2/models/a/infer");
        assert_eq!(request.head.first(b":authority"), Some(&b"gateway"[..]));
        assert_eq!(request.head.first(b"x-user-id"), Some(&b"u7"[..]));
        assert_eq!(request.body, b"{\"a\":\n1}\n");
    }
}

#[test]
fn what_curl_shows_of_a_request_is_read() {
    let shown = b"*   Trying 127.0.0.1:8008...\n* Connected\n> GET /v2/models/a HTTP/1.1\r\n> Host: 127.0.0.1:8008\r\n> Accept: */*\r\n> \r\n< HTTP/1.1 200 OK\r\n< x-modelway-model: a\r\n";
    let request = read(shown).expect("a request");
    assert_eq!(request.line(), "GET /v2/models/a");
    assert_eq!(request.head.first(b"accept"), Some(&b"*/*"[..]));
    assert_eq!(request.head.first(b"x-modelway-model"), None);
}

#[test]
fn a_text_that_is_no_request_says_what_was_expected() {
    assert!(read(b"hello\n").expect_err("no request").to_string().contains("POST /v2/models/iris/infer"));
    assert!(read(b"GET / HTTP/1.1\nno colon\n").expect_err("no header").to_string().contains("`name: value`"));
}
