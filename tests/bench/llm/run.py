"""Measures a language model of bloomz-560m's shape with a prompt-tuning adapter against transformers and PEFT.

    run.py FOLDER PEER_PYTHON OUT.json [ROUNDS]

Both sides on the same cores, in turn. One request is 51 positions of prompt, 8 of them the adapter's, and 10 new
tokens, as in ModelMesh's example. The peer answers one request after the other, as the example's server does.
"""

import http.client
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

PROMPT, NEW, CLIENTS = 43, 10, 8
WEIGHTS = ("f32", "f16", "int8")
DTYPES = ("float32", "bfloat16", "float16")
EXAMPLE = "transformers + PEFT, one request after the other"


def memory_peak(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def prompts(count: int) -> list[list[int]]:
    return [[random.randrange(4, 250_000) for _ in range(PROMPT)] for _ in range(count)]


class Peer:
    def __init__(self, python: str, folder: str, dtype: str) -> None:
        command = [python, str(Path(__file__).with_name("peer.py")), folder, dtype]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self.about = json.loads(self.process.stdout.readline() or "null")
        if not self.about:
            raise SystemExit(f"the peer did not start: {' '.join(command)}")

    def seconds(self, prompts: list[list[int]], new: int) -> list[float]:
        self.process.stdin.write(json.dumps({"prompts": prompts, "new": new}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["seconds"]

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Ours:
    def __init__(self, program: str, folder: str, weights: str) -> None:
        command = [program, "serve", "--models", f"{folder}/models/{weights}", "--port", "0", "--memory", "8GiB", "--poll-interval", "0"]
        environment = {**os.environ, "RUST_LOG": "info"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        # listening on 127.0.0.1:39209 (REST and gRPC)
        self.port = int(self.process.stdout.readline().split(" (")[0].rpartition(":")[2])
        self.ask(prompts(1)[0], 1)

    def ask(self, prompt: list[int], new: int) -> float:
        body = {"model": "tuned", "prompt": prompt, "max_tokens": new, "temperature": 0, "ignore_eos": True}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        started = time.perf_counter()
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        seconds = time.perf_counter() - started
        connection.close()
        if response.status != 200 or answer["usage"]["completion_tokens"] != new:
            raise SystemExit(f"{response.status}: {answer}")
        return seconds

    def at_once(self, prompts: list[list[int]], new: int) -> float:
        threads = [threading.Thread(target=self.ask, args=(prompt, new)) for prompt in prompts]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - started

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def main() -> None:
    folder, python, out = sys.argv[1:4]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 7
    folder = str(Path(folder).resolve())
    program = os.environ["MODELWAY_PROGRAM"]
    random.seed(3)

    # The peer's fastest type on this machine, by a few requests of each.
    trial, peaks = {}, {}
    for dtype in DTYPES:
        peer = Peer(python, folder, dtype)
        [first] = peer.seconds(prompts(1), 1)
        # A type that takes longer for its first token than another for all is not asked for more.
        trial[dtype] = first if first > min(trial.values(), default=first) else statistics.median(peer.seconds(prompts(2), NEW))
        peaks[dtype] = memory_peak(peer.process.pid)
        print(f"peer in {dtype}: {trial[dtype]:.2f} s a request or more, {peaks[dtype]:.0f} MiB", file=sys.stderr, flush=True)
        about = peer.about
        peer.stop()
    best = min(trial, key=trial.get)
    peer = Peer(python, folder, best)
    ours = {weights: Ours(program, folder, weights) for weights in WEIGHTS}

    samples: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        asked = prompts(CLIENTS)
        taken: dict[tuple[str, str], float] = {}
        taken["peer", "first"] = peer.seconds(asked[:1], 1)[0]
        of_each = peer.seconds(asked, NEW)
        taken["peer", "one"], taken["peer", "eight"] = of_each[0], sum(of_each)
        for weights, server in ours.items():
            # Other prompts each time: what was computed once is not computed again.
            fresh = prompts(CLIENTS + 2)
            taken[weights, "first"] = server.ask(fresh[0], 1)
            taken[weights, "one"] = server.ask(fresh[1], NEW)
            taken[weights, "eight"] = server.at_once(fresh[2:], NEW)
        print(f"round {number} of {rounds}: " + ", ".join(f"{side} {what} {seconds:.2f}" for (side, what), seconds in taken.items()), file=sys.stderr, flush=True)
        if number > 0:  # the first one warms up
            for key, seconds in taken.items():
                samples.setdefault(key, []).append(seconds)

    what_peer = f"{EXAMPLE}, {best}"
    rows = []
    for weights, server in ours.items():
        what = f"modelway serve, weights in {weights}, sums in f32"
        goals = (">= 3", ">= 8", "<= 0.6") if weights == "int8" else (None, None, None)

        def row(name: str, unit: str, of: str, goal: str | None, mine: list[float], theirs: list[float]) -> None:
            entry = {
                "name": f"llm {weights}: {name}", "unit": unit, "of": of,
                "ours": {"what": what, "samples": mine}, "peer": {"what": what_peer, "samples": theirs},
            }  # fmt: skip
            rows.append(entry | ({"goal": goal} if goal else {}))

        def side(key: str) -> tuple[list[float], list[float]]:
            return samples[weights, key], samples["peer", key]

        row("one request, 51 positions and 10 new tokens", "s", "peer/ours", goals[0], *side("one"))
        row("8 requests at once", "s", "peer/ours", goals[1], *side("eight"))
        row("time to the first token", "s", "peer/ours", None, *side("first"))
        rates = [
            [(NEW - 1) / (whole - first) for whole, first in zip(samples[of, "one"], samples[of, "first"])] for of in (weights, "peer")
        ]
        row("tokens a second behind the first, one request", "1/s", "ours/peer", None, *rates)
        row("peak memory", "MiB", "ours/peer", goals[2], [memory_peak(server.process.pid)], [peaks[best]])
        server.stop()
    peer.stop()
    machine = {
        "processor": next(line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        "cores": str(os.cpu_count()), "kernel": platform.release(), "rounds": str(rounds), "peer": json.dumps(about),
        "peer by type": json.dumps({dtype: f"{seconds:.2f} s or more, {peaks[dtype]:.0f} MiB" for dtype, seconds in trial.items()}),
        "load average at the end": f"{os.getloadavg()[0]:.2f}",
    }  # fmt: skip
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps({"machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
