"""What cannot be answered is refused with the right status and a text that says what is wrong."""

from typing import Any

from clients import Answer, oip_json, typed_message
from demo import EIGHT, MODEL, Demo
from grpc import StatusCode
from table import Row
from tritonclient.grpc import service_pb2

NO_MODEL = "no-such-model"
INFER = f"/v2/models/{MODEL}/infer"


def unknown_model(demo: Demo) -> Row:
    # The forged target must not open a way around the list.
    forged = {"x-modelway-target": "sklearn-mnist-v1"}
    return _refused(
        "a model that does not exist",
        demo.rest.infer(NO_MODEL, oip_json(EIGHT), forged),
        404,
        demo.grpc.infer(typed_message(NO_MODEL, EIGHT), forged),
        StatusCode.NOT_FOUND,
        about=NO_MODEL,
    )


def broken_json(demo: Demo) -> Row:
    answer = demo.rest.ask("POST", INFER, b'{"inputs": [{"name": "predict", "shape": [1, 64], "data": [0.0, 1')
    return _row("broken JSON", "400 error", [answer], _rest_refusal(answer, 400))


def truncated_protobuf(demo: Demo) -> Row:
    """Cut in the values, in the tensor's head and in the model's name."""
    whole = typed_message(MODEL, EIGHT).SerializeToString()
    answers = [demo.grpc.infer_bytes(whole[:length]) for length in (len(whole) - 10, 24, 8)]
    refused = all(_grpc_refusal(answer, StatusCode.INVALID_ARGUMENT) for answer in answers)
    return _row("a protobuf message cut at three places", "INVALID_ARGUMENT with a text, each time", answers, refused)


def tensor_of_the_wrong_size(demo: Demo) -> Row:
    short = EIGHT[:-1]
    too_few = oip_json(EIGHT)
    too_few["inputs"][0]["data"] = short
    message = typed_message(MODEL, EIGHT)
    del message.inputs[0].contents.fp32_contents[-1]
    return _refused(
        "63 values in a tensor of shape [1,64]",
        demo.rest.infer(MODEL, too_few),
        400,
        demo.grpc.infer(message),
        StatusCode.INVALID_ARGUMENT,
        about="63",
    )


def tensor_of_the_wrong_shape(demo: Demo) -> Row:
    short = EIGHT[:-1]
    return _refused(
        "a tensor of shape [1,63], whole",
        demo.rest.infer(MODEL, oip_json(short)),
        400,
        demo.grpc.infer(typed_message(MODEL, short)),
        StatusCode.INVALID_ARGUMENT,
        about="64",
    )


def repository_from_outside(demo: Demo) -> Row:
    return _refused(
        "the model repository's index, from outside",
        demo.rest.ask("POST", "/v2/repository/index", b"{}"),
        403,
        demo.grpc.ask(demo.grpc.stub.RepositoryIndex, service_pb2.RepositoryIndexRequest()),
        StatusCode.PERMISSION_DENIED,
        about="",
    )


def _refused(asked: str, rest: Answer, status: int, grpc: Answer, code: StatusCode, about: str) -> Row:
    holds = _rest_refusal(rest, status, about) and _grpc_refusal(grpc, code, about)
    return _row(asked, f"REST {status} error, gRPC {code.name}, saying why", [rest, grpc], holds)


def _rest_refusal(answer: Answer, status: int, about: str = "") -> bool:
    text = answer.body.get("error") if isinstance(answer.body, dict) else None
    return answer.status == status and isinstance(text, str) and text != "" and about in text


def _grpc_refusal(answer: Answer, code: StatusCode, about: str = "") -> bool:
    return answer.status == code and isinstance(answer.body, str) and answer.body != "" and about in answer.body


def _row(asked: str, expected: str, answers: list[Answer], holds: bool) -> Row:
    return Row(asked, expected, "; ".join(f"{_name(answer.status)} {answer.body}" for answer in answers), holds)


def _name(status: Any) -> str:
    return status.name if isinstance(status, StatusCode) else str(status)


CHECKS = (
    unknown_model,
    broken_json,
    truncated_protobuf,
    tensor_of_the_wrong_size,
    tensor_of_the_wrong_shape,
    repository_from_outside,
)
