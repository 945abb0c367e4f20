"""Asks the gateway of the language demo and checks every answer.

    language_check.py

What transformers and PEFT answer stands in tests/data/language (example.json, golden.json), what sentence-transformers
answers in tests/data/embeddings. Prints a table; the
status is 0 only if every row holds.
"""

import base64
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy
import openai
import tritonclient.grpc
from clients import Rest, curl
from table import Row, render

LANGUAGE = Path(__file__).resolve().parent.parent / "data" / "language"
EXAMPLE = json.loads((LANGUAGE / "example.json").read_text())
GOLDEN = json.loads((LANGUAGE / "golden.json").read_text())

EMBEDDINGS = json.loads((LANGUAGE.parent / "embeddings" / "golden.json").read_text())

MODEL = "peft-demo"
EMBEDDER = "embedder"
TEXT = EXAMPLE["text"]
ANSWER = EXAMPLE["answer"]
PROMPT = f"{EXAMPLE['column']} : {TEXT} Label : "
NEW = ANSWER.removeprefix(PROMPT)


class Gateway:
    def __init__(self, url: str) -> None:
        self.url = url
        self.address = url.removeprefix("http://")
        self.rest = Rest(self.address)
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=20)


def the_example(gateway: Gateway) -> Row:
    """The request of ModelMesh's example, as it stands there."""
    encoded = base64.b64encode(TEXT.encode()).decode()
    tensor = {"name": "content", "shape": [1], "datatype": "BYTES", "contents": {"bytes_contents": [encoded]}}
    answer = curl(f"{gateway.url}/v2/models/{MODEL}/infer", json.dumps({"inputs": [tensor]}))
    expected = {
        "name": "output-0",
        "datatype": "BYTES",
        "shape": ["1", "1"],
        "parameters": {"content_type": {"stringParam": "str"}},
        "contents": {"bytesContents": [base64.b64encode(ANSWER.encode()).decode()]},
    }
    [output] = answer.body["outputs"]
    text = base64.b64decode(output["contents"]["bytesContents"][0]).decode()
    holds = answer.status == 200 and answer.body["modelName"] == MODEL and output == expected
    return Row("the request of ModelMesh's example, by curl -d", f"200, as transformers and PEFT: {ANSWER!r}", f"{answer.status}: {text!r}", holds)


def without_the_adapter(gateway: Gateway) -> Row:
    expected = EXAMPLE["without_adapter"]
    [text] = by_tensor(gateway, "without-adapter", [TEXT])
    return Row("the same without the adapter", f"another text: {expected!r}", repr(text), text == expected != ANSWER)


def another_adapter(gateway: Gateway) -> Row:
    """An A/B test of adapters: a header chooses the LoRA."""
    golden = GOLDEN["models"]["lora"]["tweet"]
    tweet = golden["text"].split(" : ", 1)[1].split(" Label : ")[0]
    [text] = by_tensor(gateway, MODEL, [tweet], {"x-variant": "lora"})
    return Row("the other variant, a LoRA of the same base", repr(golden["text"]), repr(text), text == golden["text"])


def several_texts(gateway: Gateway) -> Row:
    texts = by_tensor(gateway, MODEL, [TEXT] * 3)
    return Row("three texts in one request (`data`)", "three times the same answer", f"{len(texts)} answers", texts == [ANSWER] * 3)


def by_grpc(gateway: Gateway) -> Row:
    client = tritonclient.grpc.InferenceServerClient(gateway.address)
    tensor = tritonclient.grpc.InferInput("content", [1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([TEXT.encode()], dtype=numpy.object_))
    text = client.infer(MODEL, [tensor]).as_numpy("output-0")[0][0].decode()
    client.close()
    return Row("tritonclient gRPC", repr(ANSWER), repr(text), text == ANSWER)


def by_grpc_stream(gateway: Gateway) -> Row:
    """Each piece of the text is a response of ModelStreamInfer."""
    client = tritonclient.grpc.InferenceServerClient(gateway.address)
    seen: list = []
    client.start_stream(lambda result, error: seen.append(error or result))
    tensor = tritonclient.grpc.InferInput("content", [1], "BYTES")
    tensor.set_data_from_numpy(numpy.array([TEXT.encode()], dtype=numpy.object_))
    client.async_stream_infer(MODEL, [tensor], parameters={"stream": True})
    client.stop_stream()
    client.close()
    pieces = [piece.as_numpy("output-0")[0][0].decode() for piece in seen]
    holds = "".join(pieces) == NEW and len(pieces) > 1
    return Row("tritonclient gRPC, ModelStreamInfer", f"pieces of {NEW!r}", f"{len(pieces)} pieces: {''.join(pieces)!r}", holds)


def completion(gateway: Gateway) -> Row:
    answer = gateway.openai.completions.create(model=MODEL, prompt=PROMPT, max_tokens=10, temperature=0)
    text, usage = answer.choices[0].text, answer.usage
    return Row(
        "openai client, a completion",
        f"{NEW!r}, 10 tokens, length",
        f"{text!r}, {usage.completion_tokens} tokens, {answer.choices[0].finish_reason}",
        (text, usage.completion_tokens, answer.choices[0].finish_reason) == (NEW, 10, "length"),
    )


def completion_stream(gateway: Gateway) -> Row:
    stream = gateway.openai.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=10, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    usage = chunks[-1].usage
    return Row(
        "openai client, a stream with its usage",
        f"pieces of {NEW!r}, 10 tokens",
        f"{len(chunks)} chunks of {text!r}, {usage.completion_tokens} tokens",
        text == NEW and usage.completion_tokens == 10 and len(chunks) > 3,
    )


def generate(gateway: Gateway) -> Row:
    body = json.dumps({"text_input": PROMPT, "parameters": {"max_tokens": 10}}).encode()
    answer = gateway.rest.ask("POST", f"/v2/models/{MODEL}/generate", body)
    text = answer.body.get("text_output") if isinstance(answer.body, dict) else answer.body
    return Row("Triton's generate", f"200 {NEW!r}", f"{answer.status} {text!r}", (answer.status, text) == (200, NEW))


def embeddings(gateway: Gateway) -> Row:
    """The client asks for base64; the gateway gives the model another name."""
    texts, expected = vectors_of_sentence_transformers()
    answer = gateway.openai.embeddings.create(model=EMBEDDER, input=texts, extra_body={"truncate": True})
    seen = numpy.array([item.embedding for item in answer.data])
    tokens = answer.usage.prompt_tokens
    return Row(
        "openai client, embeddings",
        f"{len(texts)} vectors, as sentence-transformers",
        f"{len(seen)} vectors, off by {difference(seen, expected):.0e}, {tokens} tokens",
        difference(seen, expected) < 1e-5 and answer.model == EMBEDDER and tokens > len(texts),
    )


def embeddings_as_tensors(gateway: Gateway) -> Row:
    texts, expected = vectors_of_sentence_transformers()
    client = tritonclient.grpc.InferenceServerClient(gateway.address)
    tensor = tritonclient.grpc.InferInput("content", [len(texts)], "BYTES")
    tensor.set_data_from_numpy(numpy.array([text.encode() for text in texts], dtype=numpy.object_))
    seen = client.infer(EMBEDDER, [tensor], parameters={"truncate": True}).as_numpy("output-0")
    client.close()
    tensor = {"name": "content", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    answer = gateway.rest.infer(EMBEDDER, {"parameters": {"truncate": True}, "inputs": [tensor]})
    by_rest = numpy.array(answer.body["outputs"][0]["data"], dtype=numpy.float32).reshape(seen.shape)
    holds = seen.dtype == numpy.float32 and difference(seen, expected) < 1e-5 and (by_rest == seen).all()
    return Row("the same as tensors, gRPC and REST", f"FP32 {list(expected.shape)}", f"{seen.dtype} {list(seen.shape)}", bool(holds))


def vectors_of_sentence_transformers() -> tuple[list[str], numpy.ndarray]:
    answers = list(EMBEDDINGS["models"]["bert"]["answers"].values())
    vectors = [numpy.frombuffer(base64.b64decode(answer["vector"]), dtype="<f4") for answer in answers]
    return [answer["text"] for answer in answers], numpy.array(vectors)


def difference(seen: numpy.ndarray, expected: numpy.ndarray) -> float:
    return float(numpy.abs(seen - expected).max())


def wrong(gateway: Gateway) -> Row:
    """A prompt over the limit, as the openai client sees it."""
    try:
        gateway.openai.completions.create(model=MODEL, prompt="a " * 400, max_tokens=10)
        seen = "an answer"
    except openai.BadRequestError as error:
        seen = f"{error.status_code} {error.body['message']}"
    return Row("a prompt over the limit", "400, with how many tokens there is room for", seen, "400 " in seen and "room for 256" in seen)


def many_at_once(gateway: Gateway) -> Row:
    """Sixteen clients at once: everyone gets the answer that one alone gets."""

    def ask(number: int) -> bool:
        rest = Rest(gateway.address)
        with_adapter = number % 2 == 0
        model = MODEL if with_adapter else "without-adapter"
        return by_tensor(gateway, model, [TEXT], rest=rest) == [ANSWER if with_adapter else EXAMPLE["without_adapter"]]

    with ThreadPoolExecutor(16) as pool:
        right = sum(pool.map(ask, range(64)))
    return Row("64 requests of 16 clients at once", "64 answers as alone", f"{right} as alone", right == 64)


CHECKS = (
    the_example, without_the_adapter, another_adapter, several_texts, by_grpc, by_grpc_stream, completion,
    completion_stream, generate, embeddings, embeddings_as_tensors, wrong, many_at_once,
)  # fmt: skip


def by_tensor(
    gateway: Gateway, model: str, texts: list[str], headers: dict[str, str] | None = None, rest: Rest | None = None
) -> list[str]:
    tensor = {"name": "content", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    answer = (rest or gateway.rest).infer(model, {"inputs": [tensor]}, headers)
    if answer.status != 200:
        raise RuntimeError(f"REST {answer.status}: {answer.body}")
    return answer.body["outputs"][0]["data"]


def main() -> int:
    started = time.monotonic()
    gateway = Gateway(os.environ.get("MODELWAY_GATEWAY", "http://127.0.0.1:8008"))
    rows = []
    for check in CHECKS:
        try:
            rows.append(check(gateway))
        except (Exception, grpc.RpcError) as error:  # noqa: BLE001  one check must not hide the others
            rows.append(Row(check.__name__.replace("_", " "), "an answer", f"{type(error).__name__}: {error}", False))
    print(f"\n{render(rows)}\n")
    failed = sum(not row.holds for row in rows)
    verdict = f"{failed} of {len(rows)} rows do not hold" if failed else f"all {len(rows)} rows hold"
    print(f"{verdict}, checked in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
