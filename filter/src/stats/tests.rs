use super::*;

fn name(value: &[u8]) -> String {
    String::from_utf8(StatName::default().tag("model", value).named("modelway_requests_total")).unwrap()
}

#[test]
fn a_name_holds_its_labels_as_istio_writes_them() {
    assert_eq!(name(b"llama-3.1/8b@x:y_z"), "model=.=llama-3.1/8b@x:y_z;.;modelway_requests_total");
}

#[test]
fn a_value_cannot_end_its_label() {
    assert_eq!(name(b"a;.;b=.=\"\n\xff %"), "model=.=a%3B.%3Bb%3D.%3D%22%0A%FF%20%25;.;modelway_requests_total");
}

#[test]
fn a_long_value_is_cut() {
    assert_eq!(name(&[b'a'; 1000]).len(), name(b"").len() + 128);
}

#[test]
fn texts_that_are_cut_elsewhere_are_other_texts() {
    assert_ne!(hash(1, &[b"ab", b"c"]), hash(1, &[b"a", b"bc"]));
    assert_ne!(hash(1, &[b"", b"a"]), hash(1, &[b"a", b""]));
    assert_ne!(hash(1, &[b"a"]), hash(2, &[b"a"]));
}
