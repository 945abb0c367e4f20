//! Files that scikit-learn wrote, and files that nobody should have written; `tests/data/make_sklearn_fixtures.py`
//! makes them.

mod damage;
pub(super) mod fixtures;
mod refusals;

use std::sync::Arc;

use fixtures::{case_lists, data};
use futures_util::StreamExt;

use super::svc::DecisionShape;
use super::{SklearnFormat, Svc};
use crate::formats::{Format, ModelFiles};
use crate::message::InferRequest;
use crate::model::Context;
use crate::tensor::{Tensor, TensorData};

/// What the issue asks for.
const TOLERANCE: f64 = 1e-8;

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= TOLERANCE, "{what}: value {index} is {found}, expected {expected}");
    }
}

#[test]
fn every_digit_gets_scikit_learns_label_and_decision_values_with_every_kernel() {
    let pictures: Vec<f64> = data("digits/pictures.u8").into_iter().map(f64::from).collect();
    assert_eq!(pictures.len(), 1797 * 64);
    for kernel in ["rbf", "linear", "poly", "sigmoid"] {
        let svc = Svc::from_bytes(&data(&format!("digits/{kernel}.joblib"))).unwrap();
        let labels: Vec<i64> = data(&format!("digits/{kernel}.predict.u8")).into_iter().map(i64::from).collect();
        assert_eq!(svc.predict(&pictures).unwrap(), TensorData::Int64(labels), "{kernel}");

        let mut inflated = Vec::new();
        let compressed = data(&format!("digits/{kernel}.decision.f64.zlib"));
        std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&compressed[..]), &mut inflated).unwrap();
        let expected: Vec<f64> = inflated.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let found = svc.decision_function(&pictures).unwrap();
        assert_eq!(found.columns, 10);
        assert_close(&found.values, &expected, kernel);
    }
}

#[test]
fn a_batch_answers_as_its_rows_do_alone() {
    let pictures: Vec<f64> = data("digits/pictures.u8").into_iter().map(f64::from).collect();
    for kernel in ["rbf", "poly"] {
        let svc = Svc::from_bytes(&data(&format!("digits/{kernel}.joblib"))).unwrap();
        for rows in [1, 2, 15, 16, 17, 64, 100] {
            let batch = &pictures[..rows * 64];
            let together = svc.decisions(batch, DecisionShape::OneVsOne).unwrap().values;
            let alone: Vec<f64> =
                batch.chunks(64).flat_map(|row| svc.decisions(row, DecisionShape::OneVsOne).unwrap().values).collect();
            assert_eq!(together, alone, "{kernel}, {rows} rows");
        }
    }
}

#[test]
fn files_of_every_release_encoding_label_type_and_option_answer_as_scikit_learn_does() {
    let mut files = 0;
    for (list, cases) in case_lists() {
        assert!(!cases.is_empty(), "{list}");
        for case in cases {
            for file in &case.files {
                let svc = Svc::from_bytes(&data(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
                assert_eq!(svc.predict(&case.rows).unwrap(), case.labels, "{file}");
                assert_close(&svc.decisions(&case.rows, DecisionShape::OneVsOne).unwrap().values, &case.ovo(), file);
                // 0.20 scaled the one-versus-rest scores by the batch's largest, see `one_vs_rest`.
                if !list.contains("0.20.4") || svc.classes() == 2 {
                    assert_close(&svc.decision_function(&case.rows).unwrap().values, &case.decisions, file);
                }
                if let Some(expected) = &case.probabilities {
                    assert_close(&svc.predict_proba(&case.rows).unwrap().values, expected, file);
                }
                files += 1;
            }
        }
    }
    assert!(files > 150, "{files} files");
}

#[test]
fn a_file_is_recognised_by_its_name_and_it_and_a_folder_with_one_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.joblib");
    std::fs::write(&file, data("digits/rbf.joblib")).unwrap();
    std::fs::write(folder.path().join("other.pkl"), b"not looked at").unwrap();
    let format = SklearnFormat::default();
    let unnamed = |path: &std::path::Path| ModelFiles { path: path.to_owned(), ..ModelFiles::default() };
    assert!(format.recognises(&unnamed(&file)));
    // Of such a folder the file is the model.
    assert!(!format.recognises(&unnamed(folder.path())));
    for (name, is_ours) in [("a.pkl", true), ("a.pickle", true), ("a.joblib.gz", true), ("a.pkl.z", true)]
        .into_iter()
        .chain([("model.onnx", false), ("a.gz", false), ("joblib", false), ("a.json", false)])
    {
        assert_eq!(format.recognises(&unnamed(&folder.path().join(name))), is_ours, "{name}");
    }
    assert!(!format.recognises(&ModelFiles { path: file.clone(), format: Some("xgboost".into()), parameters: None }));
    assert!(format.recognises(&ModelFiles {
        path: folder.path().join("digits"),
        format: Some("sklearn".into()),
        parameters: None
    }));
    for path in [file.as_path(), folder.path()] {
        let model = format.load(&unnamed(path)).unwrap();
        assert_eq!(model.metadata().platform, "sklearn_joblib");
    }
}

#[test]
fn errors_of_loading_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.joblib");
    std::fs::write(&file, b"\x80\x04").unwrap();
    let files = |path: std::path::PathBuf| ModelFiles { path, ..ModelFiles::default() };
    let error = SklearnFormat::default().load(&files(file)).err().unwrap().to_string();
    assert!(error.contains("broken.joblib: truncated or damaged: 1 bytes expected at byte 2"), "{error}");
    let error = SklearnFormat::default().load(&files(folder.path().join("none.joblib"))).err().unwrap().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("none.joblib"), "{error}");
    std::fs::write(folder.path().join("second.pkl"), b"").unwrap();
    let error = SklearnFormat::default().load(&files(folder.path().to_owned())).err().unwrap().to_string();
    assert!(error.contains("has 2 files that end in"), "{error}");
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.joblib");
    std::fs::write(&file, data("digits/rbf.joblib")).unwrap();
    let files = ModelFiles { path: file, ..ModelFiles::default() };
    let error = SklearnFormat::with_max_bytes(100_000).load(&files).err().unwrap().to_string();
    assert!(error.contains("larger than 100000 bytes"), "{error}");
}

#[tokio::test]
async fn a_loaded_model_answers_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.joblib");
    std::fs::write(&path, data("digits/rbf.joblib")).unwrap();
    let model = SklearnFormat::default().load(&ModelFiles { path, ..ModelFiles::default() }).unwrap();
    let pictures = data("digits/pictures.u8");
    for rows in [1, 1797] {
        let input = Tensor::new("x", vec![rows, 64], TensorData::Uint8(pictures[..rows * 64].to_vec())).unwrap();
        let request = InferRequest { inputs: vec![input], ..InferRequest::default() };
        let mut responses = Arc::clone(&model).infer(request, Context::default());
        let response = responses.next().await.unwrap().unwrap();
        let TensorData::Int64(labels) = response.outputs[0].data() else { panic!("no INT64") };
        let expected: Vec<i64> = data("digits/rbf.predict.u8")[..rows].iter().map(|&label| label.into()).collect();
        assert_eq!(*labels, expected);
        assert!(responses.next().await.is_none());
    }
}
