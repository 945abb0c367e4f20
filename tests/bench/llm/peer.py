"""The peer: transformers and PEFT, one request after the other, as ModelMesh's language model example serves them.

    peer.py FOLDER DTYPE        reads a line of JSON {"prompts": [[ids…]…], "new": N}, writes {"seconds": […]} for each prompt

The prompts of one line are answered in turn, each by one `generate`; with `"batch": true` they are one batch.
"""

import json
import sys
import time

import peft
import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    folder, dtype = sys.argv[1], sys.argv[2]
    base = AutoModelForCausalLM.from_pretrained(f"{folder}/base", dtype=getattr(torch, dtype))
    model = peft.PeftModel.from_pretrained(base, f"{folder}/adapter").eval()
    print(json.dumps({"ready": True, "threads": torch.get_num_threads(), "torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        batches = [asked["prompts"]] if asked.get("batch") else [[prompt] for prompt in asked["prompts"]]
        seconds = []
        for batch in batches:
            ids = torch.tensor(batch)
            started = time.perf_counter()
            with torch.no_grad():
                out = model.generate(
                    input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=asked["new"],
                    min_new_tokens=asked["new"], do_sample=False, pad_token_id=3,
                )  # fmt: skip
            seconds.append(time.perf_counter() - started)
            assert out.shape[1] >= asked["new"]
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
