//! Configurations: any bytes are refused with a reason or accepted whole, and an accepted one means the same when its
//! numbers have become doubles, as protobuf's Struct makes them on the way through Istio.

use modelway_decision::Router;
use serde_json::{Number, Value};

use crate::gateway::{Request, Seen, send};
use crate::grpc::frame;

/// Larger integers are not the same as doubles.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// One input.
pub fn check(data: &[u8]) {
    let router = match Router::from_json(data) {
        Ok(router) => router,
        Err(error) => {
            assert!(!error.to_string().is_empty(), "a refusal without a reason");
            return;
        }
    };
    let seen: Vec<Seen> = requests().iter().map(|request| send(&router, request, &[])).collect();
    if data.trim_ascii().is_empty() {
        return;
    }
    let value: Value = serde_json::from_slice(data).expect("what is accepted is JSON");
    let Some(doubles) = with_doubles(&value) else { return };
    let again = match Router::from_json(doubles.to_string().as_bytes()) {
        Ok(router) => router,
        Err(error) => panic!("with doubles it is refused: {error}: {doubles}"),
    };
    for (request, before) in requests().iter().zip(seen) {
        assert_eq!(send(&again, request, &[]), before, "with doubles it decides otherwise: {doubles}");
    }
}

fn requests() -> Vec<Request> {
    let infer = "/v2/models/iris/infer";
    vec![
        Request::new("GET", b"/v2/models/iris", None).header("x-user-id", "u1").header("cookie", "mw-user=7"),
        Request::json(infer, br#"{"parameters":{"user_id":7,"tier":"beta"},"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1]}]}"#),
        Request::json("/v2/models/iris/versions/2/infer?debug=1", b"{}"),
        Request::grpc(&frame(b"\x0a\x04iris\x12\x012\x1a\x02id")),
        Request::new("POST", b"/v2/repository/index", Some(b"{}")),
        Request::new("GET", b"/", None),
    ]
}

/// `None` where a number does not survive.
fn with_doubles(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Number(number) => {
            let double = number.as_f64().filter(|double| double.abs() < LARGEST_EXACT)?;
            Value::Number(Number::from_f64(double)?)
        }
        Value::Array(items) => Value::Array(items.iter().map(with_doubles).collect::<Option<_>>()?),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone(), with_doubles(value)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}
