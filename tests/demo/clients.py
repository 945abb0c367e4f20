"""The clients that the demo asks with: curl, plain HTTP, tritonclient and gRPC."""

import http.client
import json
import subprocess
from dataclasses import dataclass
from typing import Any

import grpc
import numpy
import tritonclient.grpc
import tritonclient.http
from tritonclient.grpc import service_pb2, service_pb2_grpc

INPUT = "predict"
SERVICE = "/inference.GRPCInferenceService"


@dataclass
class Answer:
    """An answer over REST or gRPC: the body is decoded JSON, or the message, or the text of an error."""

    status: int | grpc.StatusCode
    headers: dict[str, str]
    body: Any


def oip_json(digit: list[int], **more: Any) -> dict:
    """A request in the dialect of the Open Inference Protocol."""
    return {"inputs": [{"name": INPUT, "shape": [1, len(digit)], "datatype": "FP32", "data": digit}], **more}


def typed_message(model: str, digit: list[int], parameters: dict[str, str] | None = None) -> service_pb2.ModelInferRequest:
    """A gRPC request with its values in `contents`, not as raw bytes."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, value in (parameters or {}).items():
        request.parameters[name].string_param = value
    tensor = request.inputs.add(name=INPUT, datatype="FP32", shape=[1, len(digit)])
    tensor.contents.fp32_contents.extend(digit)
    return request


def curl(url: str, body: str) -> Answer:
    """What a newcomer types: `curl -d`, which says application/x-www-form-urlencoded."""
    command = ["curl", "--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}", url, "-d", body]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text, _, status = output.rpartition("\n")
    return Answer(int(status), {}, json.loads(text))


class Rest:
    """HTTP/1.1 over one connection."""

    def __init__(self, address: str) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        self.connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
        response = self.connection.getresponse()
        text = response.read()
        fields = {name.lower(): value for name, value in response.getheaders()}
        try:
            return Answer(response.status, fields, json.loads(text))
        except ValueError:
            return Answer(response.status, fields, text.decode(errors="replace"))

    def infer(self, model: str, request: dict, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", f"/v2/models/{model}/infer", json.dumps(request).encode(), headers)

    def classify(self, model: str, digit: list[int], headers: dict[str, str] | None = None, **more: Any) -> int:
        """What the model makes of a digit."""
        answer = self.infer(model, oip_json(digit, **more), headers)
        if answer.status != 200:
            raise RuntimeError(f"REST {answer.status}: {answer.body}")
        return answer.body["outputs"][0]["data"][0]


class Grpc:
    """gRPC over one connection, by the stubs that tritonclient brings."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)])
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)

    def ask(self, method: Any, request: Any, headers: dict[str, str] | None = None) -> Answer:
        try:
            message, call = method.with_call(request, timeout=10, metadata=list((headers or {}).items()))
        except grpc.RpcError as error:
            return Answer(error.code(), dict(error.initial_metadata() or ()), error.details())
        return Answer(grpc.StatusCode.OK, dict(call.initial_metadata()), message)

    def infer(self, request: service_pb2.ModelInferRequest, headers: dict[str, str] | None = None) -> Answer:
        return self.ask(self.stub.ModelInfer, request, headers)

    def infer_bytes(self, request: bytes) -> Answer:
        """Bytes as they are, in the place of a message."""
        return self.ask(self.channel.unary_unary(f"{SERVICE}/ModelInfer"), request)

    def classify(
        self,
        model: str,
        digit: list[int],
        headers: dict[str, str] | None = None,
        parameters: dict[str, str] | None = None,
    ) -> int:
        """What the model makes of a digit."""
        answer = self.infer(typed_message(model, digit, parameters), headers)
        if answer.status != grpc.StatusCode.OK:
            raise RuntimeError(f"gRPC {answer.status.name}: {answer.body}")
        return answer.body.outputs[0].contents.int64_contents[0]


def triton_http(address: str, model: str, digits: list[list[int]]) -> tritonclient.http.InferResult:
    """tritonclient over REST: binary tensors both ways, its default."""
    client = tritonclient.http.InferenceServerClient(address)
    try:
        tensor = tritonclient.http.InferInput(INPUT, [len(digits), len(digits[0])], "FP32")
        tensor.set_data_from_numpy(numpy.array(digits, dtype=numpy.float32))
        return client.infer(model, [tensor])
    finally:
        client.close()


def triton_grpc(
    address: str, model: str, digits: list[list[int]], headers: dict[str, str] | None = None
) -> tritonclient.grpc.InferResult:
    """tritonclient over gRPC: raw tensors both ways, its only form."""
    client = tritonclient.grpc.InferenceServerClient(address)
    try:
        tensor = tritonclient.grpc.InferInput(INPUT, [len(digits), len(digits[0])], "FP32")
        tensor.set_data_from_numpy(numpy.array(digits, dtype=numpy.float32))
        return client.infer(model, [tensor], headers=headers)
    finally:
        client.close()
