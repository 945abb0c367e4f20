//! The files under `tests/data/sklearn`, and what scikit-learn answered with them.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use crate::tensor::TensorData;

/// One model, in the files that hold it.
pub(super) struct Case {
    pub(super) files: Vec<String>,
    pub(super) rows: Vec<f64>,
    pub(super) labels: TensorData,
    pub(super) decisions: Vec<f64>,
    pairs: Vec<f64>,
    classes_are_two: bool,
    pub(super) probabilities: Option<Vec<f64>>,
}

impl Case {
    /// What our one-versus-one decision values should be.
    pub(super) fn ovo(&self) -> Vec<f64> {
        // For two classes scikit-learn's `_decision_function` has turned the sign already, as ours does.
        if self.classes_are_two { self.decisions.clone() } else { self.pairs.clone() }
    }
}

pub(in crate::formats::sklearn) fn data(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sklearn")
}

/// All cases, by the name of the file that lists them.
pub(super) fn case_lists() -> Vec<(String, Vec<Case>)> {
    let mut lists = vec!["cases.json".to_owned()];
    for entry in std::fs::read_dir(folder().join("releases")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".json") {
            lists.push(format!("releases/{name}"));
        }
    }
    assert!(lists.len() > 10, "releases are missing: {lists:?}");
    lists.into_iter().map(|list| (list.clone(), cases(&list))).collect()
}

fn cases(list: &str) -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_slice(&data(list)).unwrap();
    cases.iter().map(case).collect()
}

fn case(case: &Value) -> Case {
    let pairs = numbers(&case["pairs"]);
    let rows = case["rows"].as_array().unwrap().len();
    Case {
        files: case["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect(),
        rows: numbers(&case["rows"]),
        labels: labels(case["predict"].as_array().unwrap()),
        decisions: numbers(&case["decision_function"]),
        classes_are_two: pairs.len() == rows,
        pairs,
        probabilities: case.get("predict_proba").map(numbers),
    }
}

/// A list of lists, flat.
fn numbers(lists: &Value) -> Vec<f64> {
    let rows = lists.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap()).map(|number| number.as_f64().unwrap()).collect()
}

fn labels(labels: &[Value]) -> TensorData {
    match &labels[0] {
        Value::Bool(_) => TensorData::Bool(labels.iter().map(|label| label.as_bool().unwrap()).collect()),
        Value::String(_) => {
            let texts = labels.iter().map(|label| Bytes::from(label.as_str().unwrap().to_owned()));
            TensorData::Bytes(texts.collect())
        }
        Value::Number(number) if number.is_f64() => {
            TensorData::Fp64(labels.iter().map(|label| label.as_f64().unwrap()).collect())
        }
        _ => TensorData::Int64(labels.iter().map(|label| label.as_i64().unwrap()).collect()),
    }
}
