#!/usr/bin/env python
"""Writes the scikit-learn files that the runtime's reader is tested with, under sklearn/.

    python -m venv /tmp/fixtures && /tmp/fixtures/bin/pip install scikit-learn joblib
    /tmp/fixtures/bin/python make_sklearn_fixtures.py

What one release of scikit-learn writes, with whatever Python and NumPy it runs on, is written by

    python make_sklearn_fixtures.py --release

which is how the files under sklearn/releases/ were made: with scikit-learn 0.20.4 (Python 2.7 and 3.7), 0.21.3,
0.22.2, 0.23.1, 0.24.2, 1.0.2, 1.1.3, 1.2.2, 1.3.2, 1.5.2 and 1.9.1. This script therefore keeps to Python 2.7.
"""

from __future__ import print_function

import io
import json
import os
import pickle
import sys
import warnings
import zlib

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.svm import SVC, LinearSVC, NuSVC, SVR

try:
    import joblib
except ImportError:
    from sklearn.externals import joblib

warnings.simplefilter("ignore")
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sklearn")


def path(*names):
    full = os.path.join(HERE, *names)
    if not os.path.isdir(os.path.dirname(full)):
        os.makedirs(os.path.dirname(full))
    return full


def write_json(value, *names):
    with io.open(path(*names), "w", encoding="utf-8") as file:
        text = json.dumps(value, separators=(",", ":"), sort_keys=True)
        file.write(text.replace("},{", "},\n{") + u"\n")


def pickled(model, name, protocol):
    with open(path(name), "wb") as file:
        pickle.dump(model, file, protocol=protocol)


def plain(values):
    """JSON numbers, bools or texts."""
    return [plain(value) if isinstance(value, np.ndarray) else getattr(value, "item", lambda v=value: v)() for value in values]


def expectation(files, model, rows):
    """What the model that is in the files answers to these rows."""
    shape = model.decision_function_shape
    model.decision_function_shape = "ovo"
    pairs = model._decision_function(rows).reshape(len(rows), -1)
    model.decision_function_shape = shape
    decisions = model.decision_function(rows)
    case = {
        "files": files,
        "rows": rows.tolist(),
        "predict": plain(model.predict(rows)),
        "decision_function": decisions.reshape(len(rows), -1).tolist(),
        "pairs": pairs.tolist(),
    }
    if model.probability is True:
        case["predict_proba"] = model.predict_proba(rows).tolist()
    return case


def iris():
    x, y = datasets.load_iris(return_X_y=True)
    return x[::5], y[::5], x[2::13]


def breast_cancer():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x = x[:, :8]
    return x[::9], y[::9], x[1::37]


def digits():
    """The four kernels on scikit-learn's digits; the first is the model of KServe's quick start."""
    x, y = datasets.load_digits(return_X_y=True)
    x.astype(np.uint8).tofile(path("digits", "pictures.u8"))
    half = len(x) // 2
    models = [
        ("rbf", SVC(gamma=0.001), 0),
        ("linear", SVC(kernel="linear"), 3),
        ("poly", SVC(kernel="poly", degree=3, coef0=1.0, gamma=0.001), 3),
        ("sigmoid", SVC(kernel="sigmoid", gamma=0.0001, coef0=-0.5, C=10.0), 3),
    ]
    for kernel, model, compress in models:
        model.fit(x[:half], y[:half])
        joblib.dump(model, path("digits", kernel + ".joblib"), compress=compress)
        model.predict(x).astype(np.uint8).tofile(path("digits", kernel + ".predict.u8"))
        # To 2**-30, which is 20 times finer than the test asks for and compresses to half.
        decisions = np.round(model.decision_function(x) * 2.0**30) / 2.0**30
        with open(path("digits", kernel + ".decision.f64.zlib"), "wb") as file:
            file.write(zlib.compress(decisions.astype("<f8").tobytes(), 9))


def encodings(cases):
    """One model in every protocol and compression."""
    x, y, rows = iris()
    model = SVC(gamma=0.1).fit(x, y)
    for protocol in (2, 3, 4, 5):
        name = "encodings/iris-protocol{}".format(protocol)
        pickled(model, name + ".pkl", protocol)
        files = [name + ".pkl"]
        for label, compress in [("plain", 0), ("zlib", ("zlib", 3)), ("gzip", ("gzip", 3))]:
            file = "{}-{}.joblib".format(name, label)
            joblib.dump(model, path(file), compress=compress, protocol=protocol)
            files.append(file)
        cases.append(expectation(files, model, rows))
    for label in ("bz2", "xz", "lzma"):
        joblib.dump(model, path("refused", "iris-{}.joblib".format(label)), compress=(label, 3))


def both(cases, name, model, rows, protocol=4, same_as=None):
    """By joblib and by pickle; `same_as` answers where scikit-learn itself cannot compute with the model."""
    joblib.dump(model, path(name + ".joblib"), protocol=protocol)
    pickled(model, name + ".pkl", protocol)
    cases.append(expectation([name + ".joblib", name + ".pkl"], same_as or model, rows))


def labels(cases):
    """Classes of every type."""
    x, y, rows = iris()
    names = np.array(["setosa", u"versicolor \u2698", "virginica"])
    both(cases, "labels/unicode", SVC(gamma=0.1).fit(x, names[y]), rows)
    both(cases, "labels/object", SVC(gamma=0.1).fit(x, names.astype(object)[y]), rows)
    both(cases, "labels/object-protocol2", SVC(gamma=0.1).fit(x, names.astype(object)[y]), rows, protocol=2)
    both(cases, "labels/float", SVC(gamma=0.1).fit(x, y * 2.0 - 2.0), rows)
    both(cases, "labels/bool", SVC(gamma=0.1).fit(x, y == 2), rows)
    both(cases, "labels/negative", SVC(gamma=0.1).fit(x, (y - 300).astype(np.int16)), rows)


def variants(cases):
    """Kernels, options and layouts."""
    x, y, rows = iris()
    both(cases, "variants/linear", SVC(kernel="linear").fit(x, y), rows)
    both(cases, "variants/poly", SVC(kernel="poly", degree=4, coef0=0.5).fit(x, y), rows)
    both(cases, "variants/sigmoid", SVC(kernel="sigmoid", gamma=0.01, coef0=0.2).fit(x, y), rows)
    both(cases, "variants/nu", NuSVC(nu=0.3, gamma="auto").fit(x, y), rows)
    both(cases, "variants/ovo", SVC(gamma=0.1, decision_function_shape="ovo").fit(x, y), rows)
    both(cases, "variants/break-ties", SVC(gamma=0.1, break_ties=True).fit(x, y), rows)
    both(cases, "variants/probability", SVC(gamma=0.1, probability=True, random_state=np.random.RandomState(1)).fit(x, y), rows)
    both(cases, "variants/scalars", SVC(kernel=np.str_("rbf"), gamma=np.float32(0.125), degree=np.int64(3)).fit(x, y), rows)

    usual = SVC(gamma=0.1).fit(x, y)
    changed = SVC(gamma=0.1).fit(x, y)
    changed.support_vectors_ = np.asfortranarray(changed.support_vectors_)
    changed._dual_coef_ = np.asfortranarray(changed._dual_coef_)
    changed.feature_names_in_ = np.array(["a", "b", "c", "d"], dtype=object)
    both(cases, "variants/column-major", changed, rows, same_as=usual)
    both(cases, "variants/column-major-protocol5", changed, rows, protocol=5, same_as=usual)
    swapped = SVC(gamma=0.1).fit(x, y)
    swapped.support_vectors_ = swapped.support_vectors_.astype(">f8")
    both(cases, "variants/big-endian", swapped, rows, same_as=usual)

    x, y, rows = breast_cancer()
    both(cases, "variants/two-classes", SVC(gamma=0.001).fit(x, y), rows)
    both(cases, "variants/two-classes-linear", SVC(kernel="linear").fit(x, y), rows)
    both(cases, "variants/two-classes-probability", SVC(gamma=0.001, probability=True, random_state=1).fit(x, y), rows)

    # Points that mirror each other, so that a row in the middle is a tie.
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    rows = np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [0.5, 0.5], [3.0, -3.0]])
    both(cases, "variants/ties", SVC(gamma=0.5).fit(x, [0, 1, 2, 3]), rows)
    both(cases, "variants/ties-broken", SVC(gamma=0.5, break_ties=True).fit(x, [0, 1, 2, 3]), rows)


def same_kernel(a, b):
    return np.dot(a, b.T)


class Command(object):
    def __reduce__(self):
        return os.system, ("touch /tmp/this-pickle-was-executed",)


def refused():
    """Well-formed files that are not served."""
    from scipy import sparse

    x, y, _ = iris()
    joblib.dump(SVC(gamma=0.1).fit(sparse.csr_matrix(x), y), path("refused", "sparse.joblib"))
    joblib.dump(SVC(kernel="precomputed").fit(np.dot(x, x.T), y), path("refused", "precomputed.joblib"))
    joblib.dump(SVC(kernel=same_kernel).fit(x, y), path("refused", "callable.joblib"))
    joblib.dump(SVC(), path("refused", "unfitted.joblib"))
    joblib.dump(LinearSVC().fit(x, y), path("refused", "linear-svc.joblib"))
    joblib.dump(SVR().fit(x, y), path("refused", "svr.joblib"))
    joblib.dump({"model": SVC(gamma=0.1).fit(x, y)}, path("refused", "dict.joblib"))
    joblib.dump(Command(), path("refused", "os-system.joblib"))
    inside = SVC(gamma=0.1).fit(x, y)
    inside.class_weight = {0: Command()}
    joblib.dump(inside, path("refused", "os-system-inside.joblib"))


def inconsistent():
    """Models that somebody has changed, so that their attributes do not fit each other."""
    x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0], [0.0, 4.0], [1.0, 5.0]])
    changes = {
        "support-vectors-flat": lambda m: setattr(m, "support_vectors_", m.support_vectors_.ravel()),
        "support-vectors-empty": lambda m: setattr(m, "support_vectors_", m.support_vectors_[:0]),
        "support-vectors-nan": lambda m: m.support_vectors_.fill(np.nan),
        "support-vectors-text": lambda m: setattr(m, "support_vectors_", m.support_vectors_.astype(str)),
        "support-vectors-complex": lambda m: setattr(m, "support_vectors_", m.support_vectors_.astype(complex)),
        "support-vectors-list": lambda m: setattr(m, "support_vectors_", m.support_vectors_.tolist()),
        "features": lambda m: setattr(m, "n_features_in_", 3),
        "counts-sum": lambda m: m._n_support.__setitem__(0, 9),
        "counts-negative": lambda m: m._n_support.__setitem__(0, -1),
        "counts-shape": lambda m: setattr(m, "_n_support", m._n_support[:2]),
        "counts-missing": lambda m: delattr(m, "_n_support"),
        "coefficients-shape": lambda m: setattr(m, "_dual_coef_", m._dual_coef_[:1]),
        "coefficients-infinite": lambda m: m._dual_coef_.fill(np.inf),
        "intercepts-shape": lambda m: setattr(m, "_intercept_", m._intercept_[:2]),
        "classes-one": lambda m: setattr(m, "classes_", m.classes_[:1]),
        "classes-mixed": lambda m: setattr(m, "classes_", np.array(["a", 1, None], dtype=object)),
        "gamma-nan": lambda m: setattr(m, "_gamma", np.nan),
        "gamma-text": lambda m: (delattr(m, "_gamma"), setattr(m, "gamma", "scale")),
        "kernel-unknown": lambda m: setattr(m, "kernel", "chi2"),
        "degree-fraction": lambda m: (setattr(m, "kernel", "poly"), setattr(m, "degree", 2.5)),
        "shape-unknown": lambda m: setattr(m, "decision_function_shape", "ovx"),
        "ties-of-pairs": lambda m: (setattr(m, "decision_function_shape", "ovo"), setattr(m, "break_ties", True)),
        "sigmoids-shape": lambda m: setattr(m, "_probA", m._probA[:1]),
    }
    for name, change in changes.items():
        model = SVC(gamma=0.5, probability=True, random_state=0).fit(x, [0, 0, 1, 1, 2, 2])
        change(model)
        pickled(model, "inconsistent/{}.pkl".format(name), 4)


def release():
    """What this release of scikit-learn writes."""
    x, y, rows = iris()
    tag = "sklearn-{}-python{}.{}".format(sklearn.__version__, *sys.version_info[:2])
    names = np.array(["setosa", "versicolor", "virginica"])
    # How NumPy pickles a generator changed with 1.17; the files grow by its 2.5 kB of state.
    random_state = np.random.RandomState(3) if sklearn.__version__ == "0.20.4" else 3
    models = {
        "iris": SVC(gamma=0.1).fit(x, y),
        "names": SVC(kernel="poly", degree=2, gamma="auto", probability=True, random_state=random_state).fit(x, names[y]),
        "two": SVC(kernel="linear").fit(x[10:], y[10:]),
    }
    cases = []
    for name, model in sorted(models.items()):
        start = "releases/{}-{}".format(tag, name)
        joblib.dump(model, path(start + ".joblib"))
        joblib.dump(model, path(start + "-zlib.joblib"), compress=3)
        pickled(model, start + ".pkl", 2)
        files = [start + ".joblib", start + "-zlib.joblib", start + ".pkl"]
        cases.append(expectation(files, model, rows))
    write_json(cases, "releases", tag + ".json")


def main():
    if sys.argv[1:] == ["--release"]:
        release()
        return
    cases = []
    digits()
    encodings(cases)
    labels(cases)
    variants(cases)
    write_json(cases, "cases.json")
    refused()
    inconsistent()


main()
