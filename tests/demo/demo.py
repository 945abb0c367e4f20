"""What every check of the demo knows: the gateway, the clients, and what each version answers."""

import json
from itertools import cycle
from pathlib import Path

from clients import Grpc, Rest
from scipy.stats import binom

MODEL = "sklearn-mnist"
STABLE = "sklearn-mnist-v1"
CANARY = "sklearn-mnist-v2"
VARIANTS = {STABLE: "stable", CANARY: "canary"}
CANARY_SHARE = 0.1

# The picture of KServe's and ModelMesh's quick start: an eight.
EIGHT = [
    0, 0, 1, 11, 14, 15, 3, 0, 0, 1, 13, 16, 12, 16, 8, 0, 0, 8, 16, 4, 6, 16, 5, 0, 0, 5, 15, 11, 13, 14, 0, 0,
    0, 0, 2, 12, 16, 13, 0, 0, 0, 0, 0, 13, 16, 16, 6, 0, 0, 0, 0, 16, 16, 16, 7, 0, 0, 0, 0, 11, 13, 12, 1, 0,
]  # fmt: skip


class Demo:
    """The gateway under test, with one connection for REST and one for gRPC."""

    def __init__(self, gateway: str, expected: Path) -> None:
        self.gateway = gateway
        self.address = gateway.removeprefix("http://")
        self.rest = Rest(self.address)
        self.grpc = Grpc(self.address)
        known = json.loads(expected.read_text())
        self.digits: list[list[int]] = known["digits"]
        self.answers: dict[str, list[int]] = known["answers"]
        # Only these prove a version by the answer, whatever the headers say.
        disputed = [
            index
            for index, (stable, canary) in enumerate(zip(self.answers[STABLE], self.answers[CANARY]))
            if stable != canary
        ]
        self._disputed = cycle(disputed)

    def prove_rest(self, model: str = MODEL, headers: dict[str, str] | None = None, **more: object) -> str:
        """The version that answers this request over REST, proved by its answer."""
        index = next(self._disputed)
        return self._version(index, self.rest.classify(model, self.digits[index], headers, **more))

    def prove_grpc(
        self, model: str = MODEL, headers: dict[str, str] | None = None, parameters: dict[str, str] | None = None
    ) -> str:
        """The version that answers this request over gRPC, proved by its answer."""
        index = next(self._disputed)
        return self._version(index, self.grpc.classify(model, self.digits[index], headers, parameters))

    def _version(self, index: int, answer: int) -> str:
        for version, answers in self.answers.items():
            if answers[index] == answer:
                return version
        raise RuntimeError(f"digit {index} was answered {answer}, which is neither version's answer")


def canary_interval(trials: int) -> tuple[int, int]:
    """Between which counts the canary's share lies in 99.9 % of all runs."""
    return int(binom.ppf(0.0005, trials, CANARY_SHARE)), int(binom.ppf(0.9995, trials, CANARY_SHARE))
