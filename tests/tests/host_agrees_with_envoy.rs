//! The host is only worth something if it does what Envoy does. Each probe here is a small guest, written out in
//! WebAssembly text, that notes every callback and the answer to every host call; it runs in both with the same
//! requests, and everything seen must be the same: notes, what the upstream got, what the client got.

#![allow(clippy::expect_used, reason = "what goes wrong in a test's own helpers is to stop the test")]

use std::time::Duration;

use modelway_tests::gateway::{EnvoyGateway, Exchange, Gateway, HostGateway, Part, Protocol, Request, Setup};
use modelway_tests::host::Guest;
use serde_json::json;

/// A guest of which only the request callbacks differ. `$note` logs a tag and a number.
fn probe(on_headers: &str, on_body: &str, on_tick: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $replace_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $get_headers (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_buffer_bytes" (func $set_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue_stream (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $act_for (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick_every (param i32) (result i32)))
  (import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 256)
  (global $free (mut i32) (i32.const 65536))
  (global $held (mut i32) (i32.const 0))
  (global $calls (mut i32) (i32.const 0))
  (data (i32.const 0) "T 00000000")
  (data (i32.const 16) "0123456789abcdef")
  (data (i32.const 64) "x-probe")
  (data (i32.const 80) "yes")
  (data (i32.const 96) "REPLACED")
  (data (i32.const 112) "clear_route_cache")
  (data (i32.const 144) "no_such_function")
  (data (i32.const 176) "\01\00\00\00\07\00\00\00\03\00\00\00x-probe\00yes\00")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (local.get $at))
  (func $note (param $tag i32) (param $number i32)
    (local $digit i32)
    (i32.store8 (i32.const 0) (local.get $tag))
    (loop $next
      (i32.store8
        (i32.sub (i32.const 9) (local.get $digit))
        (i32.load8_u (i32.add (i32.const 16) (i32.and (local.get $number) (i32.const 15)))))
      (local.set $number (i32.shr_u (local.get $number) (i32.const 4)))
      (local.set $digit (i32.add (local.get $digit) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $digit) (i32.const 8))))
    (drop (call $log (i32.const 2) (i32.const 0) (i32.const 10))))
  (func $edit_header (param $tag i32)
    (call $note (local.get $tag)
      (call $replace_header (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 80) (i32.const 3))))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_delete") (param i32))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_tick") (param $root i32)
    (drop (call $tick_every (i32.const 0)))
    {on_tick})
  (func (export "proxy_on_request_headers") (param $context i32) (param $count i32) (param $end i32) (result i32)
    (global.set $held (local.get $context))
    (global.set $calls (i32.const 0))
    (call $note (i32.const 72) (local.get $end))
    {on_headers})
  (func (export "proxy_on_request_body") (param $context i32) (param $size i32) (param $end i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (call $note (i32.const 66) (local.get $size))
    (call $note (i32.const 69) (local.get $end))
    {on_body})
  (func (export "proxy_on_request_trailers") (param i32) (param i32) (result i32)
    (call $note (i32.const 84) (i32.const 0))
    (i32.const 0))
  (func (export "proxy_on_response_headers") (param $context i32) (param $count i32) (param $end i32) (result i32)
    (call $note (i32.const 82) (local.get $end))
    (call $note (i32.const 114)
      (call $replace_header (i32.const 2) (i32.const 64) (i32.const 7) (i32.const 80) (i32.const 3)))
    (i32.const 0)))"#
    );
    wat::parse_str(text).expect("the probe is WebAssembly text")
}

fn setup(stop_iteration: bool, buffer_limit: u32) -> Setup {
    let setup = Setup::new(&json!({})).with_buffer_limit(buffer_limit);
    if stop_iteration { setup } else { setup.without_stop_iteration() }
}

/// A gRPC-shaped body in these pieces, far enough apart that Envoy sees each for itself.
fn pieces(sizes: &[usize]) -> Request {
    let mut request = Request::new(Protocol::Http2, "POST", "/probe");
    for (index, size) in sizes.iter().enumerate() {
        let byte = b'a' + u8::try_from(index).expect("few pieces");
        request.body.push(Part { after: Duration::from_millis(60), bytes: vec![byte; *size] });
    }
    request
}

struct Seen {
    notes: Vec<String>,
    exchanges: Vec<Exchange>,
}

fn run(gateway: &mut dyn Gateway, requests: &[Request]) -> Seen {
    let mut exchanges = Vec::new();
    for request in requests {
        exchanges.extend(gateway.exchange(vec![request.clone()]).expect("the gateway runs"));
    }
    Seen { notes: gateway.log().expect("the log can be read"), exchanges }
}

/// Runs the probe in both and compares; the answer is what was seen, for a probe that wants to say more.
fn agree(wasm: &[u8], setup: &Setup, requests: &[Request]) -> Seen {
    let guest = Guest::compile(wasm).expect("the probe compiles");
    let mut host = HostGateway::start(setup, &guest).expect("the host starts").expect("the probe accepts");
    let in_host = run(&mut host, requests);

    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("probe.wasm");
    std::fs::write(&path, wasm).expect("the probe is written");
    let mut envoy = EnvoyGateway::start(setup, &path).expect("envoy starts");
    let in_envoy = run(&mut envoy, requests);

    assert_eq!(in_host.notes, in_envoy.notes, "host (left) and envoy (right) made different callbacks");
    for (index, (host, envoy)) in in_host.exchanges.iter().zip(&in_envoy.exchanges).enumerate() {
        assert_eq!(summary(host), summary(envoy), "host (left) and envoy (right) differ on request {index}");
    }
    in_envoy
}

/// What must be the same: whether and what the upstream got, and how the client was answered.
fn summary(exchange: &Exchange) -> String {
    let upstream = exchange.upstream.as_ref().map_or("nothing".to_owned(), |message| {
        let probe = message.headers.text("x-probe");
        let trailers = message.trailers.as_ref().and_then(|trailers| trailers.text("x-trailer"));
        format!("{probe:?} {} bytes {:?} {trailers:?}", message.body.len(), runs(&message.body))
    });
    let answer = exchange.answer.as_ref().map_or("nothing".to_owned(), |message| {
        let named: Vec<_> = [":status", "content-type", "content-length", "grpc-status", "grpc-message", "x-probe"]
            .into_iter()
            .map(|name| (name, message.headers.text(name)))
            // A response with a length and one without are the same to these probes, except for local replies.
            .filter(|(name, _)| *name != "content-length" || exchange.upstream.is_none())
            .collect();
        format!("{named:?} {}", message.body.escape_ascii())
    });
    format!("upstream: {upstream}; answer: {answer}")
}

/// `aaabb` as `3a 2b`.
fn runs(body: &[u8]) -> String {
    let runs = body.chunk_by(|left, right| left == right);
    runs.map(|run| format!("{}{}", run.len(), run[0].escape_ascii())).collect::<Vec<_>>().join(" ")
}

const CONTINUE: &str = "(i32.const 0)";
const PAUSE: &str = "(i32.const 1)";

#[test]
fn headers_that_have_gone_on_are_out_of_reach() {
    let body = "(call $edit_header (i32.const 101))
        (call $note (i32.const 103) (call $get_header (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 200) (i32.const 204)))
        (call $note (i32.const 112) (call $get_headers (i32.const 0) (i32.const 200) (i32.const 204)))
        (call $note (i32.const 115) (i32.load (i32.const 204)))
        (i32.const 0)";
    for flag in [true, false] {
        agree(&probe(CONTINUE, body, ""), &setup(flag, 1 << 20), &[pieces(&[10, 20])]);
    }
}

#[test]
fn held_headers_can_be_edited_in_the_body_callback_and_go_on_with_the_body() {
    let body = "(call $edit_header (i32.const 101)) (i32.const 0)";
    agree(&probe(PAUSE, body, ""), &setup(true, 1 << 20), &[pieces(&[10, 20, 30])]);
}

#[test]
fn a_held_body_comes_again_as_a_whole() {
    let body = "(if (result i32) (i32.lt_u (global.get $calls) (i32.const 3))
        (then (i32.const 1))
        (else (call $edit_header (i32.const 101)) (i32.const 0)))";
    agree(&probe(PAUSE, body, ""), &setup(true, 1 << 20), &[pieces(&[10, 20, 30, 40])]);
    agree(&probe(CONTINUE, body, ""), &setup(true, 1 << 20), &[pieces(&[10, 20, 30, 40])]);
}

#[test]
fn without_the_flag_a_held_request_gets_no_body_callback_until_a_tick_lets_it_go() {
    let headers = "(drop (call $tick_every (i32.const 200))) (i32.const 1)";
    let body = "(call $edit_header (i32.const 101)) (i32.const 0)";
    let tick = "(call $note (i32.const 97) (call $act_for (global.get $held)))
        (call $edit_header (i32.const 101))
        (call $note (i32.const 99) (call $continue_stream (i32.const 0)))
        (call $edit_header (i32.const 101))";
    let mut with_trailers = pieces(&[10, 20]);
    with_trailers.trailers = Some(modelway_tests::headers::Headers::new().with("x-trailer", "last"));
    agree(&probe(headers, body, tick), &setup(false, 1 << 20), &[pieces(&[10, 20]), with_trailers]);
    agree(&probe(headers, body, tick), &setup(false, 1 << 20), &[Request::new(Protocol::Http2, "GET", "/probe")]);
}

#[test]
fn with_the_flag_a_tick_lets_a_held_request_go_too() {
    let headers = "(drop (call $tick_every (i32.const 200))) (i32.const 1)";
    let tick = "(drop (call $act_for (global.get $held)))
        (call $edit_header (i32.const 101))
        (drop (call $continue_stream (i32.const 0)))";
    let mut late = pieces(&[10, 20]);
    late.body[0].after = Duration::from_millis(400);
    agree(&probe(headers, PAUSE, tick), &setup(true, 1 << 20), &[pieces(&[10, 20])]);
    agree(&probe(headers, CONTINUE, tick), &setup(true, 1 << 20), &[late]);
}

#[test]
fn a_buffer_is_edited_at_its_start_and_behind_its_end_only() {
    let edits = |start: u32, length: u32| {
        format!(
            "(call $note (i32.const 115) (call $set_buffer
               (i32.const 0) (i32.const {start}) (i32.const {length}) (i32.const 96) (i32.const 8)))
             (i32.const 0)"
        )
    };
    for (start, length) in [(0, 0), (0, 4), (0, 10), (0, 99), (10, 0), (50, 3), (3, 2)] {
        for headers in [CONTINUE, PAUSE] {
            agree(&probe(headers, &edits(start, length), ""), &setup(true, 1 << 20), &[pieces(&[10])]);
        }
    }
}

#[test]
fn a_held_body_is_edited_as_a_whole() {
    let body = "(if (result i32) (i32.lt_u (global.get $calls) (i32.const 2))
        (then (i32.const 1))
        (else
          (call $note (i32.const 115)
            (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 15) (i32.const 96) (i32.const 8)))
          (call $note (i32.const 103)
            (call $get_buffer (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 200) (i32.const 204)))
          (call $note (i32.const 108) (i32.load (i32.const 204)))
          (i32.const 0)))";
    agree(&probe(PAUSE, body, ""), &setup(true, 1 << 20), &[pieces(&[10, 20, 30])]);
}

#[test]
fn a_buffer_past_its_limit_is_answered_413() {
    let sizes = [16_000; 5];
    let http1 = pieces(&sizes[..3]).over(Protocol::Http1);
    agree(&probe(PAUSE, PAUSE, ""), &setup(true, 32 * 1024), &[http1]);
    let grpc = pieces(&sizes).header("content-type", "application/grpc");
    agree(&probe(PAUSE, PAUSE, ""), &setup(true, 32 * 1024), &[pieces(&sizes), grpc]);
}

#[test]
fn a_body_that_was_held_and_passes_the_limit_when_it_is_let_go_is_treated_alike() {
    let body = "(i32.lt_u (global.get $calls) (i32.const 3))";
    let http1 = pieces(&[16_000, 16_000, 16_000]).over(Protocol::Http1);
    agree(&probe(PAUSE, body, ""), &setup(true, 32 * 1024), &[http1]);
}

#[test]
fn local_replies_pass_the_response_callback_and_take_the_shape_of_the_protocol() {
    for grpc_status in [-1, 5, 0] {
        let reply = format!(
            "(drop (call $reply (i32.const 404) (i32.const 0) (i32.const 0) (i32.const 96) (i32.const 8)
               (i32.const 176) (i32.const 24) (i32.const {grpc_status})))
             (i32.const 1)"
        );
        let grpc = pieces(&[10]).header("content-type", "application/grpc");
        let head = Request::new(Protocol::Http1, "HEAD", "/probe");
        agree(&probe(&reply, CONTINUE, ""), &setup(true, 1 << 20), &[pieces(&[10]), grpc.clone(), head]);
        agree(&probe(PAUSE, &reply, ""), &setup(true, 1 << 20), &[pieces(&[10, 20]), grpc]);
    }
}

#[test]
fn foreign_functions_are_found_or_not_alike() {
    let headers = "(call $note (i32.const 102) (call $foreign
          (i32.const 112) (i32.const 17) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 204)))
        (call $note (i32.const 103) (call $foreign
          (i32.const 144) (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 204)))
        (i32.const 0)";
    agree(&probe(headers, CONTINUE, ""), &setup(true, 1 << 20), &[pieces(&[10])]);
}

#[test]
fn a_guest_that_traps_answers_503_from_then_on() {
    let headers = "(if (result i32) (local.get $end) (then unreachable) (else (i32.const 0)))";
    let wasm = probe(headers, CONTINUE, "");
    let get = Request::new(Protocol::Http2, "GET", "/probe");
    let guest = Guest::compile(&wasm).expect("the probe compiles");
    let mut host = HostGateway::start(&setup(true, 1 << 20), &guest).expect("the host starts").expect("it accepts");
    assert!(host.exchange(vec![pieces(&[10])]).is_ok());
    let error = host.exchange(vec![get]).expect_err("the trap is reported");
    assert!(error.to_string().contains("proxy_on_request_headers trapped"), "{error}");
}
