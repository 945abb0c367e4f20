#!/usr/bin/env python
"""Writes language/example.json: what transformers and PEFT answer to the request of ModelMesh's language model example.

    /tmp/fixtures/bin/python make_example_answer.py      the environment of make_language_fixtures.py

The sample posts a text to a model that was made of a BLOOM and a prompt-tuning adapter; its server makes a prompt of
it and lets the model go on for ten tokens, or to the padding. Here the models are the tiny ones under language/, with
the adapter and without it.
"""

import json
import os

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "language")
TEXT = "Every day is a new binning, filled with optionpiening and hope"
COLUMN = "Tweet text"
NEW_TOKENS = 10
EOS = 3


def answer(model, tokens):
    ids = tokens(f"{COLUMN} : {TEXT} Label : ")["input_ids"]
    new = []
    while len(new) < NEW_TOKENS and EOS not in new:
        text = torch.tensor([ids + new])
        with torch.no_grad():
            logits = model(input_ids=text, attention_mask=torch.ones_like(text), use_cache=False).logits[0, -1]
        new.append(int(logits.argmax()))
    return tokens.decode(ids + new, skip_special_tokens=True)


def main():
    base = os.path.join(HERE, "base")
    tokens = AutoTokenizer.from_pretrained(base)
    load = lambda: AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()  # noqa: E731
    with_adapter = peft.PeftModel.from_pretrained(load(), os.path.join(HERE, "prompt-tuning")).eval()
    written = {
        "made_with": {"transformers": transformers.__version__, "peft": peft.__version__, "torch": torch.__version__},
        "text": TEXT,
        "column": COLUMN,
        "answer": answer(with_adapter, tokens),
        "without_adapter": answer(load(), tokens),
    }
    with open(os.path.join(HERE, "example.json"), "w", encoding="utf-8") as file:
        json.dump(written, file, ensure_ascii=True, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
