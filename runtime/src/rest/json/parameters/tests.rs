use super::*;

fn read(text: &str) -> Result<Parameters, String> {
    serde_json::from_str::<ReadParameters>(text).map(|read| read.0).map_err(|error| error.to_string())
}

fn one(text: &str) -> Parameter {
    read(&format!("{{\"p\": {text}}}")).unwrap().remove("p").unwrap()
}

#[test]
fn numbers_stay_exact() {
    assert_eq!(one("true"), Parameter::Bool(true));
    assert_eq!(one("9007199254740993"), Parameter::Int64(9_007_199_254_740_993));
    assert_eq!(one("18446744073709551615"), Parameter::Uint64(u64::MAX));
    assert_eq!(one("0.5"), Parameter::Double(0.5));
    assert_eq!(one("\"a\""), Parameter::String("a".to_owned()));
}

#[test]
fn wrapped_values_are_read_in_both_casings() {
    assert_eq!(one("{\"stringParam\": \"np\"}"), Parameter::String("np".to_owned()));
    assert_eq!(one("{\"string_param\": \"np\"}"), Parameter::String("np".to_owned()));
    assert_eq!(one("{\"int64Param\": \"-3\"}"), Parameter::Int64(-3));
    assert_eq!(one("{\"int64_param\": 3}"), Parameter::Int64(3));
    assert_eq!(one("{\"uint64Param\": \"3\"}"), Parameter::Uint64(3));
    assert_eq!(one("{\"doubleParam\": 3}"), Parameter::Double(3.0));
    assert_eq!(one("{\"doubleParam\": \"-Infinity\"}"), Parameter::Double(f64::NEG_INFINITY));
    assert_eq!(one("{\"boolParam\": false}"), Parameter::Bool(false));
}

#[test]
fn null_is_no_parameter() {
    assert_eq!(read("null").unwrap(), Parameters::new());
    assert_eq!(read("{\"a\": null}").unwrap(), Parameters::new());
}

#[test]
fn what_is_no_parameter_is_refused() {
    for text in ["[]", "{}", "{\"boolParam\": 1}", "{\"nope\": 1}", "{\"int64Param\": 1, \"boolParam\": true}"] {
        assert!(read(&format!("{{\"p\": {text}}}")).is_err(), "{text}");
    }
    assert!(read("[]").unwrap_err().contains("expected parameters to be an object"));
}

#[test]
fn both_forms_written_are_read_as_they_were() {
    let parameters = Parameters::from([
        ("b".to_owned(), Parameter::Bool(true)),
        ("d".to_owned(), Parameter::Double(0.25)),
        ("i".to_owned(), Parameter::Int64(i64::MIN)),
        ("s".to_owned(), Parameter::String("ü\0".to_owned())),
        ("u".to_owned(), Parameter::Uint64(u64::MAX)),
    ]);
    let bare = serde_json::to_string(&BareParameters(&parameters)).unwrap();
    assert_eq!(read(&bare).unwrap(), parameters);
    let wrapped = serde_json::to_string(&WrappedParameters(&parameters)).unwrap();
    assert_eq!(read(&wrapped).unwrap(), parameters);
    assert!(wrapped.contains("{\"int64Param\":\"-9223372036854775808\"}"), "{wrapped}");
}
