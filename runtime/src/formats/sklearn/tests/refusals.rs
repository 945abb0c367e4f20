//! Well-formed files that hold something else than a classifier that is served.

use super::fixtures::data;
use crate::formats::LoadError;
use crate::formats::sklearn::Svc;

/// The text of the refusal, which must be `Unsupported`: the file is sound.
fn refusal(file: &str) -> String {
    match Svc::from_bytes(&data(file)) {
        Err(LoadError::Unsupported(text)) => text,
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn what_is_not_served_is_refused_by_its_name() {
    for (file, text) in [
        ("sparse", "the SVC was fitted on a sparse matrix; fit it on a dense one (X.toarray()) to serve it here"),
        ("precomputed", "the SVC has the kernel 'precomputed', served are 'rbf', 'linear', 'poly' and 'sigmoid'"),
        (
            "callable",
            "the SVC's kernel is the class or function '__main__.same_kernel'; a kernel that is a Python function",
        ),
        ("unfitted", "the SVC is not fitted: it has no 'support_vectors_'"),
        ("linear-svc", "the file holds a 'sklearn.svm._classes.LinearSVC'; of scikit-learn SVC and NuSVC are served"),
        ("svr", "the file holds a 'sklearn.svm._classes.SVR'"),
        ("dict", "the file holds a dict, expected a fitted scikit-learn SVC or NuSVC"),
        ("iris-bz2", "compressed with bz2; zlib and gzip are read: save it again with joblib.dump(..., compress=0)"),
        ("iris-xz", "compressed with xz"),
        ("iris-lzma", "compressed with lzma"),
    ] {
        let found = refusal(&format!("refused/{file}.joblib"));
        assert!(found.starts_with(text), "{file}: {found}");
    }
}

#[test]
fn a_pickle_that_calls_a_program_is_refused_and_the_program_is_not_called() {
    for file in ["os-system", "os-system-inside"] {
        assert_eq!(
            refusal(&format!("refused/{file}.joblib")),
            "the pickle refers to 'posix.system', which this reader does not know; nothing was executed"
        );
    }
    assert!(!std::path::Path::new("/tmp/this-pickle-was-executed").exists());
}

#[test]
fn probabilities_of_a_model_without_them_are_refused() {
    let svc = Svc::from_bytes(&data("digits/rbf.joblib")).unwrap();
    assert!(!svc.has_probabilities());
    let error = svc.predict_proba(&[0.0; 64]).unwrap_err();
    assert_eq!(error.message(), "this SVC was fitted without probability=True and gives no 'predict_proba'");
}
