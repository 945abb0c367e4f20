use std::time::Duration;

use super::{Guest, Host, Outcome, Settings};
use crate::headers::Headers;

/// A guest with these functions beside what every guest needs.
fn guest(functions: &str) -> Guest {
    let text = format!(
        r#"(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick_every (param i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a word")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  {functions})"#
    );
    Guest::compile(&wat::parse_str(text).unwrap()).unwrap()
}

fn configure(guest: &Guest) -> Host {
    Host::configure(guest, &Settings::default(), b"{}").unwrap().unwrap()
}

fn log_of(host: &Host) -> Vec<&str> {
    host.log().iter().map(|line| line.text.as_str()).collect()
}

#[test]
fn a_guest_that_imports_what_envoy_does_not_have_is_not_loaded() {
    let wasm = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "path_rename" (func)) (func (export "proxy_abi_version_0_2_1")))"#,
    );
    let guest = Guest::compile(&wasm.unwrap()).unwrap();
    let error = Host::configure(&guest, &Settings::default(), b"").err().unwrap();
    assert!(error.to_string().contains("path_rename"), "{error}");
}

#[test]
fn a_refused_configuration_comes_with_the_log() {
    let guest = guest(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $log (i32.const 4) (i32.const 0) (i32.const 6)))
             (i32.const 0))"#,
    );
    let refusal = Host::configure(&guest, &Settings::default(), b"{}").unwrap().err().unwrap();
    assert_eq!(refusal.log.first().map(|line| (line.level, line.text.as_str())), Some((4, "a word")));
    assert_eq!(refusal.failure, None);
}

#[test]
fn ticks_come_when_the_test_moves_the_clock() {
    let guest = guest(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $tick_every (i32.const 100)))
             (i32.const 1))
           (func (export "proxy_on_tick") (param i32)
             (drop (call $log (i32.const 2) (i32.const 0) (i32.const 6))))"#,
    );
    let mut host = configure(&guest);
    let start = host.now();
    host.advance(Duration::from_millis(99));
    assert!(log_of(&host).is_empty());
    host.advance(Duration::from_millis(202));
    assert_eq!(log_of(&host), ["a word"; 3]);
    assert_eq!(host.now(), start + Duration::from_millis(301));
}

#[test]
fn metrics_are_kept_by_name() {
    let guest = guest(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (drop (call $define (i32.const 0) (i32.const 0) (i32.const 6) (i32.const 64)))
             (drop (call $increment (i32.load (i32.const 64)) (i64.const 7)))
             (call $increment (i32.load (i32.const 64)) (i64.const -1))
             (i32.const 2)
             (i32.eq))"#,
    );
    let host = configure(&guest);
    let metric = host.metrics().next().unwrap();
    assert_eq!((metric.name.as_str(), metric.value), ("a word", 7));
}

#[test]
fn a_read_past_the_end_of_a_buffer_is_the_guests_death() {
    let guest = guest(
        r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
             (call $get_buffer (i32.const 0) (i32.const 9) (i32.const 1) (i32.const 64) (i32.const 68)))"#,
    );
    let mut host = configure(&guest);
    let stream = host.request(&Headers::new().with(":path", "/"), false);
    host.data(stream, b"short", true);
    assert!(host.failure().unwrap().contains("from offset 9"), "{:?}", host.failure());
    let Outcome::LocalReply(answer) = host.outcome(stream) else { panic!("not answered") };
    assert_eq!(answer.headers.get(":status"), Some(&b"503"[..]));
}

#[test]
fn streams_live_side_by_side() {
    let mut host = configure(&guest(""));
    let streams: Vec<_> = (0..3).map(|_| host.request(&Headers::new().with(":path", "/"), false)).collect();
    for (number, stream) in streams.iter().enumerate() {
        host.data(*stream, &[number as u8], true);
    }
    for (number, stream) in streams.iter().enumerate() {
        let Outcome::Upstream(message) = host.outcome(*stream) else { panic!("not passed") };
        assert_eq!(message.body, [number as u8]);
        host.close(*stream);
    }
}
