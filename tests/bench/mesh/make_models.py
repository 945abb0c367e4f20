"""Makes many small classifiers with scikit-learn, all different, and writes what each answers.

    make_models.py FOLDER COUNT

FOLDER/models/m00000.joblib …  SVCs of 2 to 10 digits each, fitted on four pictures of each digit drawn at random: 8 to
                               40 support vectors of 64 numbers. The label of a digit is digit * COUNT + the model's
                               number, so that an answer says which model it came from
FOLDER/pictures.u8             the pictures that they are asked about, 64 bytes each
FOLDER/answers.u8              of each model the digit that it sees in each picture, by scikit-learn when it was made
FOLDER/large.joblib            one SVC with every picture as a support vector: a load that takes long
FOLDER/large.u8                what it sees in each picture
FOLDER/count                   COUNT, written last
"""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import joblib
import numpy
from sklearn.datasets import load_digits
from sklearn.svm import SVC

PICTURES_ASKED = 100
PICTURES_A_DIGIT = 4
CHUNK = 500


def picture_numbers() -> numpy.ndarray:
    return numpy.random.default_rng(0).choice(len(load_digits().data), PICTURES_ASKED, replace=False)


def make_chunk(job: tuple[Path, int, int, int]) -> tuple[int, bytes]:
    """Models start..end; gives start and their answers."""
    folder, start, end, count = job
    pictures, digits = load_digits(return_X_y=True)
    of_digit = [numpy.flatnonzero(digits == digit) for digit in range(10)]
    asked = pictures[picture_numbers()]
    answers = bytearray()
    for number in range(start, end):
        random = numpy.random.default_rng(number + 1)
        chosen = random.choice(10, random.integers(2, 11), replace=False)
        rows = numpy.concatenate([random.choice(of_digit[digit], PICTURES_A_DIGIT, replace=False) for digit in chosen])
        model = SVC(gamma=random.uniform(0.0005, 0.002)).fit(pictures[rows], digits[rows].astype(numpy.int64) * count + number)
        joblib.dump(model, folder / "models" / f"m{number:05}.joblib")
        answers += (model.predict(asked) // count).astype(numpy.uint8).tobytes()
    return start, bytes(answers)


def make_large(folder: Path) -> None:
    """Labels drawn at random leave no picture that is not a support vector."""
    pictures, digits = load_digits(return_X_y=True)
    model = SVC(gamma=0.01).fit(pictures, numpy.random.default_rng(1).permutation(digits))
    joblib.dump(model, folder / "large.joblib")
    (folder / "large.u8").write_bytes(model.predict(pictures[picture_numbers()]).astype(numpy.uint8).tobytes())


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "models").mkdir(parents=True)
    pictures = load_digits().data[picture_numbers()].astype(numpy.uint8)
    (folder / "pictures.u8").write_bytes(pictures.tobytes())
    make_large(folder)
    jobs = [(folder, start, min(start + CHUNK, count), count) for start in range(0, count, CHUNK)]
    # One thread a process: the models are too small for more.
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.Pool() as pool:
        chunks = dict(pool.imap_unordered(make_chunk, jobs))
    (folder / "answers.u8").write_bytes(b"".join(chunks[start] for start in sorted(chunks)))
    (folder / "count").write_text(str(count))
    size = sum(file.stat().st_size for file in (folder / "models").iterdir())
    print(f"{count} models, {size / count / 1000:.1f} KB each on average")


if __name__ == "__main__":
    main()
