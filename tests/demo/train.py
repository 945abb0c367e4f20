"""Trains the demo's two models on scikit-learn's digits and writes what they answer.

    train.py FOLDER

FOLDER/models/sklearn-mnist-v1  the model of KServe's quick start: SVC(gamma=0.001) on the first half, unshuffled
FOLDER/models/sklearn-mnist-v2  the same data, another kernel, so that the two disagree on some digits
FOLDER/expected.json            the digits and what each version makes of them, written last
"""

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.svm import SVC

VERSIONS = {"sklearn-mnist-v1": SVC(gamma=0.001), "sklearn-mnist-v2": SVC(kernel="linear")}


def main() -> None:
    folder = Path(sys.argv[1])
    digits, labels = load_digits(return_X_y=True)
    half = len(digits) // 2
    expected = {"digits": digits.astype(int).tolist(), "answers": {}}
    for name, model in VERSIONS.items():
        model.fit(digits[:half], labels[:half])
        place = folder / "models" / name
        place.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, place / "model.joblib")
        expected["answers"][name] = model.predict(digits).tolist()
        print(f"{name}: {model}, {model.score(digits[half:], labels[half:]):.1%} of the second half right")
    disagree = sum(a != b for a, b in zip(*expected["answers"].values()))
    print(f"the two disagree on {disagree} of {len(digits)} digits")
    unfinished = folder / "expected.json.new"
    unfinished.write_text(json.dumps(expected))
    unfinished.rename(folder / "expected.json")


if __name__ == "__main__":
    main()
