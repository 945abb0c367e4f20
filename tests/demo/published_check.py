"""Asks the gateway for a published language model and compares its texts with those of transformers.

    published_check.py

They stand in tests/data/published.json. Prints a table; the status is 0 only if every row holds.
"""

import json
import os
import sys
from pathlib import Path

import openai
from table import Row, render

GOLDEN = json.loads((Path(__file__).resolve().parent.parent / "data" / "published.json").read_text())
MODEL = "smollm2"


def main() -> int:
    client = openai.OpenAI(base_url=f"{os.environ['MODELWAY_GATEWAY']}/v1", api_key="none", timeout=120)
    rows = [row(client, answer) for answer in GOLDEN["answers"]]
    print(render(rows))
    return 0 if all(row.holds for row in rows) else 1


def row(client: openai.OpenAI, golden: dict) -> Row:
    asked = {"model": MODEL, "max_tokens": GOLDEN["max_tokens"], "temperature": 0}
    if golden["chat"]:
        answer = client.chat.completions.create(messages=[{"role": "user", "content": golden["prompt"]}], **asked)
        text = answer.choices[0].message.content
    else:
        answer = client.completions.create(prompt=golden["prompt"], **asked)
        text = answer.choices[0].text
    tokens = answer.usage.prompt_tokens
    holds = (text, tokens) == (golden["text"], golden["prompt_tokens"])
    kind = "chat" if golden["chat"] else "text"
    return Row(f"{kind}: {golden['prompt']}", repr(golden["text"]), repr(text), holds)


if __name__ == "__main__":
    sys.exit(main())
