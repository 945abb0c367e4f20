"""The same picture in every dialect: the answer is 8 each time, in the dialect that was asked."""

import json

import numpy
from clients import curl, oip_json, triton_grpc, triton_http, typed_message
from demo import CANARY, EIGHT, MODEL, STABLE, VARIANTS, Demo
from table import Row

QUICK_START_OUTPUT = {
    "name": "predict",
    "datatype": "INT64",
    "shape": ["1", "1"],
    "contents": {"int64Contents": ["8"]},
}


def quick_start_by_curl(demo: Demo) -> Row:
    tensor = {"name": "predict", "shape": [1, 64], "datatype": "FP32", "contents": {"fp32_contents": EIGHT}}
    answer = curl(f"{demo.gateway}/v2/models/{MODEL}/infer", json.dumps({"inputs": [tensor]}))
    body = answer.body if isinstance(answer.body, dict) else {}
    outputs = _without_parameters(body)
    return Row(
        "the quick start of ModelMesh, by curl -d",
        f"200 modelName, outputs {json.dumps([QUICK_START_OUTPUT])}",
        f"{answer.status} modelName {body.get('modelName')}, outputs {json.dumps(outputs)}",
        answer.status == 200 and isinstance(body.get("modelName"), str) and outputs == [QUICK_START_OUTPUT],
    )


def oip_data(demo: Demo) -> Row:
    answer = demo.rest.infer(MODEL, oip_json(EIGHT, id="demo-1"))
    body = answer.body if isinstance(answer.body, dict) else {}
    output = {"name": "predict", "datatype": "INT64", "shape": [1, 1], "data": [8]}
    outputs = _without_parameters(body)
    named = isinstance(body.get("model_name"), str) and body.get("id") == "demo-1"
    return Row(
        "OIP JSON (`data`)",
        f"200 model_name, id demo-1, outputs {json.dumps([output])}",
        f"{answer.status} model_name {body.get('model_name')}, id {body.get('id')}, outputs {json.dumps(outputs)}",
        answer.status == 200 and named and outputs == [output],
    )


def _without_parameters(body: dict) -> list[dict]:
    """The outputs without the hints on their content type, which a server may give or not."""
    return [{name: value for name, value in out.items() if name != "parameters"} for out in body.get("outputs", [])]


def triton_over_rest(demo: Demo) -> Row:
    result = triton_http(demo.address, MODEL, [EIGHT])
    output = result.get_output("predict")
    size = output.get("parameters", {}).get("binary_data_size")
    values = result.as_numpy("predict")
    return Row(
        "tritonclient HTTP, binary tensors",
        "INT64 [[8]] in 8 bytes, binary",
        f"{output['datatype']} {values.tolist()} in {size} bytes, binary",
        output["datatype"] == "INT64" and values.tolist() == [[8]] and size == 8,
    )


def triton_over_grpc(demo: Demo) -> Row:
    result = triton_grpc(demo.address, MODEL, [EIGHT])
    values = result.as_numpy("predict").tolist()
    raw = [len(content) for content in result.get_response().raw_output_contents]
    return Row(
        "tritonclient gRPC, raw tensors",
        "[[8]] in 8 bytes, raw",
        f"{values} in {raw[0] if raw else 0} bytes, raw",
        values == [[8]] and raw == [8],
    )


def grpc_typed(demo: Demo) -> Row:
    message = demo.grpc.infer(typed_message(MODEL, EIGHT)).body
    output = message.outputs[0]
    values = list(output.contents.int64_contents)
    return Row(
        "gRPC with typed contents",
        "INT64 int64_contents [8], nothing raw",
        f"{output.datatype} int64_contents {values}, {len(message.raw_output_contents)} raw",
        output.datatype == "INT64" and values == [8] and not message.raw_output_contents,
    )


def all_digits_at_once(demo: Demo) -> Row:
    """The rule pins the canary; the stable version comes from a user who is on it."""
    user = next(user for user in map(str, range(1000)) if demo.prove_rest(headers={"x-user-id": user}) == STABLE)
    equal = {}
    for version, headers in {STABLE: {"x-user-id": user}, CANARY: {"x-beta": "true"}}.items():
        answers = triton_grpc(demo.address, MODEL, demo.digits, headers).as_numpy("predict").reshape(-1)
        equal[VARIANTS[version]] = int(numpy.sum(answers == numpy.array(demo.answers[version])))
    total = len(demo.digits)
    return Row(
        f"all {total} digits in one message (460 KB), each version",
        f"as scikit-learn: stable {total}, canary {total}",
        ", ".join(f"{variant} {count}" for variant, count in equal.items()) + " equal",
        all(count == total for count in equal.values()),
    )


def response_headers(demo: Demo) -> Row:
    """Who answered is told to the client, over both protocols."""
    names = ("x-modelway-model", "x-modelway-variant", "x-modelway-served")
    beta = {"x-beta": "true"}
    rest = demo.rest.infer(MODEL, oip_json(EIGHT), beta).headers
    grpc = demo.grpc.infer(typed_message(MODEL, EIGHT), beta).headers
    seen = [" ".join(fields.get(name, "-") for name in names) for fields in (rest, grpc)]
    begin = f"{MODEL} canary {CANARY}/"
    return Row(
        "the response headers -model, -variant, -served of a beta user",
        f"REST and gRPC: {MODEL} canary {CANARY}/version@digest",
        f"REST: {seen[0]}, gRPC: {seen[1]}",
        all(text.startswith(begin) and "@" in text for text in seen),
    )


CHECKS = (
    quick_start_by_curl,
    oip_data,
    triton_over_rest,
    triton_over_grpc,
    grpc_typed,
    all_digits_at_once,
    response_headers,
)
