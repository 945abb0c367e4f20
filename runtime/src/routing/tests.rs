use super::*;

fn routing(members: &[(&'static str, &[u8])]) -> Result<Routing, Error> {
    let value = |value: &[u8]| http::HeaderValue::from_bytes(value).unwrap();
    Routing::from_headers(&members.iter().map(|(name, bytes)| (name.parse().unwrap(), value(bytes))).collect())
}

#[test]
fn without_the_headers_the_clients_names_stand() {
    let routing = routing(&[]).unwrap();
    assert_eq!(routing.apply("m", Some("1")), ("m", Some("1")));
    assert_eq!(routing.name_in_answer("m"), "m");
    assert_eq!(routing.target(), None);
}

#[test]
fn each_header_overrides_its_own_name() {
    let both = routing(&[("x-modelway-target", b"m-v2"), ("x-modelway-version", b"2")]).unwrap();
    assert_eq!(both.apply("m", Some("1")), ("m-v2", Some("2")));
    assert_eq!(both.target(), Some(("m-v2", Some("2"))));
    let target = routing(&[("x-modelway-target", b"m-v2")]).unwrap();
    assert_eq!(target.apply("m", Some("1")), ("m-v2", Some("1")));
    let version = routing(&[("x-modelway-version", b"2")]).unwrap();
    assert_eq!(version.apply("m", None), ("m", Some("2")));
}

#[test]
fn an_empty_version_is_the_default_one_and_an_empty_target_is_none() {
    let routing = routing(&[("x-modelway-target", b""), ("x-modelway-version", b"")]).unwrap();
    assert_eq!(routing.apply("m", Some("1")), ("m", None));
}

#[test]
fn the_answer_bears_the_name_that_the_client_called() {
    let routing = routing(&[("x-modelway-model", b"digits"), ("x-modelway-target", b"m-v2")]).unwrap();
    assert_eq!(routing.name_in_answer("m-v2"), "digits");
}

#[test]
fn names_are_utf8() {
    assert_eq!(routing(&[("x-modelway-target", "ä".as_bytes())]).unwrap().apply("m", None).0, "ä");
    let error = routing(&[("x-modelway-target", b"\xff\xfe")]).unwrap_err();
    assert_eq!(error.message(), "the header x-modelway-target is not UTF-8, expected a name");
}
