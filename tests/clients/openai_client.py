"""Asks a server by OpenAI's own client, and checks what it gives.

    openai_client.py BASE_URL MODEL [--chat] [--prompt TEXT] [--other MODEL] [--embedder MODEL] [--header NAME]

BASE_URL ends with /v1 or /openai/v1. With --chat the model is asked for chats, too: it needs a chat template. --other is a
model there that is no language model. --embedder is one that makes vectors. --header must stand in answers (x-modelway-served unless said otherwise).
Nothing is assumed of the model but that it is greedy at temperature 0. Prints a line a check; the status is 0 only if
every one holds.
"""

import argparse
import asyncio
import math
import sys
import traceback

import openai


class Checks:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.model = arguments.model
        self.prompt = arguments.prompt
        self.other = arguments.other
        self.embedder = arguments.embedder
        self.header = arguments.header
        self.base_url = arguments.base_url
        self.client = openai.OpenAI(base_url=self.base_url, api_key="none", max_retries=0, timeout=60)

    def greedy(self, **more):
        settings = {"model": self.model, "prompt": self.prompt, "temperature": 0, "max_tokens": 12, **more}
        return self.client.completions.create(**settings)

    def chat(self, **more):
        messages = [{"role": "user", "content": self.prompt}]
        settings = {"model": self.model, "messages": messages, "temperature": 0, "max_tokens": 12, **more}
        return self.client.chat.completions.create(**settings)


def the_model_is_listed_and_found(checks: Checks) -> None:
    assert checks.model in [model.id for model in checks.client.models.list()]
    model = checks.client.models.retrieve(checks.model)
    assert (model.id, model.object) == (checks.model, "model"), model
    assert model.created > 0 and model.owned_by, model


def a_prompt_is_gone_on_with(checks: Checks) -> None:
    answer = checks.greedy()
    assert answer.object == "text_completion" and answer.model == checks.model and answer.id, answer
    (choice,) = answer.choices
    assert choice.index == 0 and choice.finish_reason in ("stop", "length"), choice
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 12, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    assert 0 <= usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens, usage
    assert checks.greedy().choices[0].text == choice.text


def a_stream_has_the_same_text_in_parts(checks: Checks) -> None:
    whole = checks.greedy()
    parts = list(checks.greedy(stream=True, stream_options={"include_usage": True}))
    *texts, last = parts
    assert texts and {part.id for part in parts} == {last.id}, parts
    assert "".join(part.choices[0].text for part in texts) == whole.choices[0].text
    reasons = [part.choices[0].finish_reason for part in texts]
    assert reasons[-1] == whole.choices[0].finish_reason and not any(reasons[:-1]), reasons
    assert all(part.usage is None for part in texts) and last.choices == [], last
    assert last.usage.completion_tokens == whole.usage.completion_tokens, last
    assert all(part.usage is None for part in checks.greedy(stream=True))


def several_prompts_and_choices_have_their_order(checks: Checks) -> None:
    prompts = [checks.prompt, checks.prompt[: len(checks.prompt) // 2], "a"]
    alone = [checks.greedy(prompt=prompt) for prompt in prompts]
    answer = checks.greedy(prompt=prompts, n=2)
    assert [choice.index for choice in answer.choices] == list(range(6)), answer
    texts = [choice.text for choice in answer.choices]
    assert texts == [one.choices[0].text for one in alone for _ in range(2)], texts
    assert answer.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone), answer.usage
    assert answer.usage.completion_tokens == 2 * sum(one.usage.completion_tokens for one in alone), answer.usage
    grown = [""] * 6
    for part in checks.greedy(prompt=prompts, n=2, stream=True):
        grown[part.choices[0].index] += part.choices[0].text
    assert grown == texts, grown


def a_stop_text_ends_a_text_before_it(checks: Checks) -> None:
    text = checks.greedy().choices[0].text
    # A part of a character that stays one is shown as U+FFFD, which no stop text meets.
    pairs = [text[at : at + 2] for at in range(1, len(text) - 1)]
    stop = next((pair for pair in pairs if "\ufffd" not in pair), None)
    assert stop, f"{text!r} has no two characters to stop at: choose another --prompt"
    for stream in (False, True):
        answer = checks.greedy(stop=[stop, "\u2603"], stream=stream)
        choices = [part.choices[0] for part in answer] if stream else answer.choices
        stopped = "".join(choice.text for choice in choices)
        assert stopped == text[: text.index(stop)], (stopped, stop)
        assert choices[-1].finish_reason == "stop", choices


def a_seed_gives_the_same_text_again(checks: Checks) -> None:
    sampled = [checks.greedy(temperature=1, top_p=0.95, seed=11, n=2).choices for _ in range(2)]
    assert [choice.text for choice in sampled[0]] == [choice.text for choice in sampled[1]], sampled


def an_echo_begins_with_the_prompt(checks: Checks) -> None:
    text = checks.greedy().choices[0].text
    assert checks.greedy(echo=True).choices[0].text == checks.prompt + text
    assert "".join(part.choices[0].text for part in checks.greedy(echo=True, stream=True)) == checks.prompt + text


def tokens_have_log_probabilities(checks: Checks) -> None:
    answer = checks.greedy(logprobs=3)
    told = answer.choices[0].logprobs
    count = len(told.tokens)
    assert count == len(told.token_logprobs) == len(told.top_logprobs) == len(told.text_offset) > 0, told
    assert count in (answer.usage.completion_tokens, answer.usage.completion_tokens - 1), answer
    assert all(logprob <= 0 for logprob in told.token_logprobs), told
    for token, logprob, likeliest in zip(told.tokens, told.token_logprobs, told.top_logprobs):
        assert 1 <= len(likeliest) <= 4, likeliest
        # At temperature 0 the token is the likeliest one; parts of characters share a text.
        assert math.isclose(max(likeliest.values()), logprob, abs_tol=1e-4), (token, likeliest)
    streamed = [part.choices[0].logprobs for part in checks.greedy(logprobs=3, stream=True)]
    assert [token for part in streamed if part for token in part.tokens] == told.tokens


def a_conversation_is_answered(checks: Checks) -> None:
    answer = checks.chat()
    assert answer.object == "chat.completion" and answer.model == checks.model, answer
    (choice,) = answer.choices
    assert choice.message.role == "assistant" and choice.message.content is not None, choice
    assert choice.message.tool_calls is None and choice.finish_reason in ("stop", "length"), choice
    parts = [{"type": "text", "text": checks.prompt}]
    assert checks.chat(messages=[{"role": "user", "content": parts}]).choices[0] == choice
    *texts, last = checks.chat(stream=True, stream_options={"include_usage": True})
    assert texts[0].object == "chat.completion.chunk" and texts[0].choices[0].delta.role == "assistant", texts
    grown = "".join(part.choices[0].delta.content or "" for part in texts)
    assert grown == choice.message.content, grown
    assert texts[-1].choices[0].finish_reason == choice.finish_reason, texts
    assert last.usage.total_tokens == answer.usage.total_tokens, last
    with checks.client.chat.completions.stream(
        model=checks.model, messages=[{"role": "user", "content": checks.prompt}], temperature=0, max_tokens=12
    ) as events:
        deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == choice.message.content, deltas


def messages_have_log_probabilities(checks: Checks) -> None:
    content = checks.chat(logprobs=True, top_logprobs=2).choices[0].logprobs.content
    assert content and all(len(place.top_logprobs) == 2 for place in content), content
    for place in content:
        assert place.bytes is None or bytes(place.bytes).decode() == place.token, place
    assert checks.chat().choices[0].logprobs is None


def mistakes_are_the_clients_errors(checks: Checks) -> None:
    for create in (checks.greedy, checks.chat):
        error = fails(openai.NotFoundError, create, model="no-such-model")
        assert (error.code, error.type, error.param) == ("model_not_found", "invalid_request_error", "model"), error
        for param, value in (("temperature", -1), ("n", 0), ("max_tokens", 0), ("logit_bias", {"5": 1}), ("stop", [""])):
            error = fails(openai.BadRequestError, create, **{param: value})
            assert (error.param, error.type) == (param, "invalid_request_error"), error
        fails(openai.BadRequestError, create, temperature=-1, stream=True)
    error = fails(openai.BadRequestError, checks.chat, response_format={"type": "json_object"})
    assert error.param == "response_format", error
    fails(openai.NotFoundError, checks.client.models.retrieve, "no-such-model")
    fails(openai.BadRequestError, checks.client.embeddings.create, model=checks.model, input="a")
    if checks.other:
        fails(openai.BadRequestError, checks.greedy, model=checks.other)


def a_prompt_that_is_too_long_is_refused(checks: Checks) -> None:
    error = fails(openai.BadRequestError, checks.greedy, prompt="too long " * 40_000)
    assert error.status_code == 400 and error.type == "invalid_request_error", error


def raw_responses_have_headers(checks: Checks) -> None:
    raw = checks.client.completions.with_raw_response.create(
        model=checks.model, prompt=checks.prompt, max_tokens=2, temperature=0
    )
    assert raw.headers.get(checks.header), dict(raw.headers)
    assert raw.parse().choices[0].text is not None
    with checks.client.completions.with_streaming_response.create(
        model=checks.model, prompt=checks.prompt, max_tokens=2, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream"), dict(response.headers)
        lines = [line for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in lines), lines


def a_stream_can_be_left_and_the_server_goes_on(checks: Checks) -> None:
    for _ in range(3):
        with checks.greedy(stream=True, max_tokens=100, extra_body={"ignore_eos": True}, prompt="a") as stream:
            next(iter(stream))
    checks.greedy()


def many_at_once_get_what_each_gets_alone(checks: Checks) -> None:
    prompts = [checks.prompt[: 1 + index % len(checks.prompt)] for index in range(8)]
    alone = [checks.greedy(prompt=prompt).choices[0].text for prompt in prompts]

    async def ask(client: openai.AsyncOpenAI, prompt: str) -> str:
        settings = {"model": checks.model, "prompt": prompt, "temperature": 0, "max_tokens": 12}
        stream = await client.completions.create(stream=True, **settings)
        return "".join([part.choices[0].text async for part in stream])

    async def ask_all() -> list[str]:
        async with openai.AsyncOpenAI(base_url=checks.base_url, api_key="none", max_retries=0, timeout=60) as client:
            return await asyncio.gather(*(ask(client, prompt) for prompt in prompts))

    together = asyncio.run(ask_all())
    assert together == alone, (together, alone)


def texts_have_vectors(checks: Checks) -> None:
    texts = [checks.prompt, "a", checks.prompt * 2]
    create = checks.client.embeddings.create
    # The client asks for base64, unless told otherwise.
    answer = create(model=checks.embedder, input=texts)
    assert answer.object == "list" and answer.model == checks.embedder, answer
    assert [item.index for item in answer.data] == [0, 1, 2], answer
    width = len(answer.data[0].embedding)
    assert width > 0 and all(len(item.embedding) == width for item in answer.data), answer
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 3, answer.usage
    floats = create(model=checks.embedder, input=texts, encoding_format="float")
    assert floats.usage == answer.usage, floats.usage
    for item, float_item, text in zip(answer.data, floats.data, texts):
        (alone,) = create(model=checks.embedder, input=text).data
        assert alone.embedding == item.embedding, text
        pairs = zip(item.embedding, float_item.embedding)
        assert all(math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9) for one, other in pairs), text
    (by_tokens,) = create(model=checks.embedder, input=[5, 6, 7]).data
    assert create(model=checks.embedder, input=[[5, 6, 7], [5]]).data[0].embedding == by_tokens.embedding
    assert len(create(model=checks.embedder, input="a", dimensions=width).data[0].embedding) == width
    error = fails(openai.BadRequestError, create, model=checks.embedder, input=[])
    assert (error.param, error.type) == ("input", "invalid_request_error"), error
    error = fails(openai.BadRequestError, create, model=checks.embedder, input=["a", "too long " * 40_000])
    assert "text 1 has" in error.message, error
    fails(openai.NotFoundError, create, model="no-such-model", input="a")
    fails(openai.BadRequestError, checks.greedy, model=checks.embedder)


def fails(kind: type[openai.APIStatusError], call, *arguments, **more) -> openai.APIStatusError:
    try:
        call(*arguments, **more)
    except kind as error:
        return error
    raise AssertionError(f"{more or arguments} did not fail")


COMPLETIONS = (
    the_model_is_listed_and_found,
    a_prompt_is_gone_on_with,
    a_stream_has_the_same_text_in_parts,
    several_prompts_and_choices_have_their_order,
    a_stop_text_ends_a_text_before_it,
    a_seed_gives_the_same_text_again,
    an_echo_begins_with_the_prompt,
    tokens_have_log_probabilities,
    mistakes_are_the_clients_errors,
    a_prompt_that_is_too_long_is_refused,
    raw_responses_have_headers,
    a_stream_can_be_left_and_the_server_goes_on,
    many_at_once_get_what_each_gets_alone,
)
CHATS = (a_conversation_is_answered, messages_have_log_probabilities)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url")
    parser.add_argument("model")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--prompt", default="Every day is a new beginning")
    parser.add_argument("--other")
    parser.add_argument("--embedder")
    parser.add_argument("--header", default="x-modelway-served")
    arguments = parser.parse_args()
    checks = Checks(arguments)
    failed = 0
    embeddings = (texts_have_vectors,) if arguments.embedder else ()
    for check in (*COMPLETIONS, *(CHATS if arguments.chat else ()), *embeddings):
        try:
            check(checks)
            print(f"ok      {check.__name__}", flush=True)
        except Exception:  # noqa: BLE001  one check must not hide the others
            failed += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{failed} failed" if failed else "all hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
