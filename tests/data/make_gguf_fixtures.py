#!/usr/bin/env python
"""Writes tiny language models as GGUF files, and what transformers and llama.cpp make of them, under gguf/.

    python -m venv /tmp/fixtures
    /tmp/fixtures/bin/pip install torch transformers tokenizers sentencepiece protobuf gguf xllamacpp
    /tmp/fixtures/bin/python make_gguf_fixtures.py

Random weights of each architecture that the runtime serves from such files, as llama.cpp's convert_hf_to_gguf.py writes
them: the names are gguf's own, rows of Llama's queries and keys are moved to where its rotation wants them, and so are
BLOOM's; Gemma's norms get their 1. golden.json has what transformers answers with the same values (token ids that
follow greedily, logits of the first), and the ids of texts by the library that a tokenizer was trained with, which this
script holds against llama.cpp's; of splits by name, which no library has, llama.cpp's. Committed as it was made with
the releases that golden.json names.
"""

import base64
import json
import os
import re
import shutil
import tempfile
import urllib.request
from importlib.metadata import version

import gguf
import gguf.quants
import numpy as np
import sentencepiece
import tokenizers
import torch
import transformers
import xllamacpp
from gguf import GGMLQuantizationType as Type
from make_family_fixtures import answers, disturb
from make_language_fixtures import CORPUS
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf")

TEXTS = [
    "Every day is a new binning, filled with opionpieing and hope",
    "the quick brown fox jumps over the lazy dog, again and again.",
    "今天天气很好，我们去公园吧。",
    "I love it 😀🎉 so much!!",
    "  two spaces,   three,\n\n\tand a tab \n ",
    "in 2024 it was 1234567 or 3.14159, I'LL say we're DON'T",
    "naïve café — Ünïcödé, ελληνικά, русский, हिन्दी, ไทย",
    "a<s>b</s> c<|user|>d <|end|>e",
    "<|user|>\n a  <|end|>\n\n<s> b</s> \n<|user|>",
    "snake_case(camelCase){x+=1;} // http://a.b/c?d=e&f",
    " ",
    "",
]

CORPUS = CORPUS + [
    "in the year 2024 it was 12 of 345, don't you say that we're DONE with it\n\nif (x == 1) { return x; }\n\n  and so on",
    "naïve café, ελληνικά и русский язык, हिन्दी  with two  spaces",
] * 20

CHAT = (
    "{{ bos_token }}{% for message in messages %}<|user|>{{ message.role }}: {{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|user|>assistant:{% endif %}"
)
SPECIAL = ["<unk>", "<s>", "</s>", "<|end|>"]
OWN = ["<|user|>"]

# === Tokenizers ===


def byte_level(split, composes=False):
    """BPE over bytes; its merges go over the borders of words, so that the split is seen."""
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=448, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False, max_token_length=6,
    )
    bpe.train_from_iterator(CORPUS, trainer)
    bpe.add_tokens(OWN)
    if composes:
        bpe.normalizer = normalizers.NFC()
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    first = [pre_tokenizers.Split(Regex(split), "isolated")] if split else []
    bpe.pre_tokenizer = pre_tokenizers.Sequence([*first, level])
    bpe.decoder = decoders.ByteLevel()
    return bpe


def pieces(folder, prefix):
    """SentencePiece's BPE with bytes for what it does not know."""
    text = os.path.join(folder, "corpus.txt")
    with open(text, "w", encoding="utf-8") as file:
        file.write("\n".join(CORPUS))
    sentencepiece.SentencePieceTrainer.train(
        input=text, model_prefix=os.path.join(folder, "tokenizer"), model_type="bpe", vocab_size=440,
        byte_fallback=True, add_dummy_prefix=prefix, remove_extra_whitespaces=False, normalization_rule_name="identity",
        control_symbols=["<|end|>", "<|endoftext|>"], character_coverage=0.98, minloglevel=2,
        # With a space before every text llama.cpp puts one behind such a symbol, too; no model has both.
        user_defined_symbols=["<|user|>"] if prefix else ["<|user|>", "▁▁"],
    )
    return sentencepiece.SentencePieceProcessor(os.path.join(folder, "tokenizer.model"))


def write_byte_level(writer, bpe, pre, begins):
    description = json.loads(bpe.to_str())
    vocabulary = bpe.get_vocab(with_added_tokens=True)
    tokens = sorted(vocabulary, key=vocabulary.get)
    kinds = [gguf.TokenType.CONTROL if t in SPECIAL else gguf.TokenType.USER_DEFINED if t in OWN else gguf.TokenType.NORMAL
             for t in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(merge) for merge in description["model"]["merges"]])
    writer.add_bos_token_id(vocabulary["<s>"])
    writer.add_eos_token_id(vocabulary["</s>"])
    writer.add_add_bos_token(begins)
    return len(tokens)


def write_pieces(writer, model, prefix):
    size = model.vocab_size()
    kinds = []
    for token in range(size):
        kind = gguf.TokenType.NORMAL
        if model.is_unknown(token):
            kind = gguf.TokenType.UNKNOWN
        elif model.is_control(token):
            kind = gguf.TokenType.CONTROL
        elif model.is_byte(token):
            kind = gguf.TokenType.BYTE
        elif model.id_to_piece(token) in ("<|user|>", "▁▁"):
            kind = gguf.TokenType.USER_DEFINED
        kinds.append(kind)
    texts = [model.id_to_piece(token) for token in range(size)]
    # As the converter has them.
    texts = [t.replace("▁", " ") if kind == gguf.TokenType.USER_DEFINED else t for t, kind in zip(texts, kinds)]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text.encode() for text in texts])
    writer.add_token_scores([model.get_score(token) for token in range(size)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_unk_token_id(model.unk_id())
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(prefix)
    return size


# === Models ===

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.3, 2.0, 2.5],
    "long_factor": [1.5, 3.0, 5.0, 9.0],
}
GEMMA3 = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e5},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
COMMON = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
BPE, SPM = "bpe", "spm"

# Each: the class, the architecture, options, the tokenizer, how matrices are stored.
MODELS = {
    "llama": ("Llama", "llama", dict(rope_parameters=LLAMA3), (BPE, "llama-bpe"), Type.F16),
    "llama-biases": (
        "Llama", "llama",
        dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
             rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
        (SPM, True), Type.F32,
    ),
    "mistral": ("Mistral", "llama", dict(sliding_window=None, head_dim=12, rope_theta=1000.0), (SPM, True), Type.F16),
    "qwen2": ("Qwen2", "qwen2", dict(tie_word_embeddings=True), (BPE, "qwen2"), Type.BF16),
    "qwen3": ("Qwen3", "qwen3", dict(head_dim=12, rope_theta=1e6), (BPE, "qwen2"), Type.F16),
    "gemma": ("Gemma", "gemma", dict(head_dim=12), (SPM, False), Type.F16),
    "gemma2": (
        "Gemma2", "gemma2",
        dict(head_dim=12, sliding_window=6, query_pre_attn_scalar=12, attn_logit_softcapping=2.5,
             final_logit_softcapping=9.0),
        (SPM, False), Type.F16,
    ),
    "gemma3": (
        "Gemma3Text", "gemma3",
        dict(num_hidden_layers=7, hidden_size=32, intermediate_size=32, head_dim=12, sliding_window=6,
             query_pre_attn_scalar=12, rope_parameters=GEMMA3),
        (SPM, False), Type.F16,
    ),
    "phi2": ("Phi", "phi2", dict(num_key_value_heads=4), (BPE, "gpt-2"), Type.F16),
    "phi2-fused": ("Phi", "phi2", dict(num_key_value_heads=4), (BPE, "gpt-2"), Type.F16),
    "phi3": ("Phi3", "phi3", dict(sliding_window=9), (SPM, True), Type.F16),
    "phi3-longrope": (
        "Phi3", "phi3",
        dict(rope_parameters=LONGROPE, max_position_embeddings=1024, original_max_position_embeddings=256,
             sliding_window=None),
        (BPE, "gpt-4o"), Type.F16,
    ),
    "bloom": ("Bloom", "bloom", dict(n_layer=2, n_head=6, hidden_size=48), (BPE, "bloom"), Type.F16),
    "llama-blocks": ("Llama", "llama", dict(), (SPM, True), "blocks"),
    "llama-k": (
        "Llama", "llama", dict(hidden_size=256, intermediate_size=256, num_hidden_layers=1), (SPM, True), "k",
    ),
}
BLOCKS = {
    "token_embd": Type.Q8_0, "attn_q": Type.Q4_0, "attn_k": Type.Q4_1, "attn_v": Type.Q5_0, "attn_output": Type.Q5_1,
    "ffn_gate": Type.Q8_0, "ffn_up": Type.Q4_0, "ffn_down": Type.Q5_1, "output": Type.Q8_0,
}
K_BLOCKS = {
    "token_embd": Type.Q4_K, "attn_q": Type.Q2_K, "attn_k": Type.Q3_K, "attn_v": Type.Q5_K, "attn_output": Type.Q4_K,
    "ffn_gate": Type.Q6_K, "ffn_up": Type.Q3_K, "ffn_down": Type.Q2_K, "output": Type.Q6_K,
}


def k_blocks(kind, shape, random):
    """Random blocks whose values are some tenths: gguf has no way to make them."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (shape[0], shape[1] // block, size), dtype=np.uint8)

    def put(at, value):
        scales = (value * random.uniform(0.7, 1.3, blocks.shape[:2])).astype(np.float16)
        blocks[:, :, at : at + 2] = scales[..., None].view(np.uint8)

    if kind == Type.Q2_K:
        put(80, 0.01), put(82, 0.015)
    elif kind == Type.Q3_K:
        put(108, 0.002)
    elif kind == Type.Q4_K:
        put(0, 0.0007), put(2, 0.0052)
    elif kind == Type.Q5_K:
        put(0, 0.0004), put(2, 0.0062)
    else:
        put(208, 0.00008)
    return blocks.reshape(shape[0], -1)


def permute(values, heads):
    """convert_hf_to_gguf.py's LlamaModel.permute."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def unpermute(values, heads):
    return values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def parts_first(values, heads):
    """BloomModel.modify_tensors: from head by head to one part behind the other."""
    return values.reshape(heads, 3, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def make(family, options, vocabulary):
    if family == "Bloom":
        options = dict(**options, bos_token_id=1, eos_token_id=2, pad_token_id=3, seq_length=128)
    else:
        options = {**COMMON, **options}
    config = getattr(transformers, f"{family}Config")(**options, vocab_size=vocabulary, attn_implementation="eager")
    name = "Gemma3ForCausalLM" if family == "Gemma3Text" else f"{family}ForCausalLM"
    return getattr(transformers, name)(config)


def write_parameters(writer, config, arch):
    """set_gguf_parameters of the architectures."""
    layers = config.n_layer if arch == "bloom" else config.num_hidden_layers
    heads = config.n_head if arch == "bloom" else config.num_attention_heads
    writer.add_block_count(layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(heads)
    if arch == "bloom":
        writer.add_context_length(128)
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_head_count_kv(heads)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    writer.add_context_length(config.max_position_embeddings)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    rope = config.rope_parameters
    if arch == "phi2":
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config.hidden_size) // heads)
        return
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    width = getattr(config, "head_dim", None)
    if width and arch != "phi3":
        writer.add_key_length(width)
        writer.add_value_length(width)
    if arch == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(width or config.hidden_size // heads)
    if arch == "phi3":
        writer.add_rope_dimension_count(config.hidden_size // heads)
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(config.sliding_window or 0)
    if arch in ("gemma2", "gemma3"):
        writer.add_sliding_window(config.sliding_window)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if arch == "gemma3":
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    if arch not in ("gemma", "gemma2"):
        rope = rope.get("full_attention", rope)
        writer.add_rope_freq_base(rope["rope_theta"])
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])


def rope_tensors(config, arch):
    """generate_extra_tensors of Llama and Phi 3."""
    rope = getattr(config, "rope_parameters", None) or {}
    if arch == "llama" and rope["rope_type"] == "llama3":
        dim = config.hidden_size // config.num_attention_heads
        factors = []
        low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
        high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
        for frequency in 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)):
            wavelength = 2 * np.pi / frequency
            if wavelength < high:
                factors.append(1)
            elif wavelength > low:
                factors.append(rope["factor"])
            else:
                smooth = (rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"]) / (
                    rope["high_freq_factor"] - rope["low_freq_factor"])
                factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
        assert len({round(float(factor), 4) for factor in factors}) > 2, "all three cases"
        return {"rope_freqs.weight": factors}
    if arch == "phi3" and rope["rope_type"] == "longrope":
        return {"rope_factors_long.weight": rope["long_factor"], "rope_factors_short.weight": rope["short_factor"]}
    return {}


def their_names(arch, layers, name):
    name = name.removeprefix("transformer.") if arch == "bloom" else name
    names = gguf.get_tensor_name_map(getattr(gguf.MODEL_ARCH, arch.upper()), layers)
    return names.get_name(name, try_suffixes=(".weight", ".bias"))


def as_stored(values, name, stored, random):
    """The bytes of a tensor, and what they mean."""
    if values.ndim == 1 or stored == Type.F32:
        return values.astype(np.float32), values.astype(np.float32), Type.F32
    if stored == Type.F16:
        return values.astype(np.float16), values.astype(np.float16).astype(np.float32), Type.F16
    own = name.removesuffix(".weight").rsplit(".", 1)[-1]
    kind = {"blocks": BLOCKS, "k": K_BLOCKS}[stored][own] if isinstance(stored, str) else stored
    data = k_blocks(kind, values.shape, random) if stored == "k" else gguf.quants.quantize(values, kind)
    return data, gguf.quants.dequantize(data, kind).astype(np.float32), kind


def write_model(path, name, model, vocabulary_writer):
    """The file; the model gets the values that it has there."""
    family, arch, _, _, stored = MODELS[name]
    config = model.config
    writer = gguf.GGUFWriter(path, arch)
    # llama.cpp knows by the name which tokens take the spaces behind them.
    writer.add_name("phi-3" if name == "phi3" else "tiny")
    vocabulary_writer(writer)
    writer.add_chat_template(CHAT)
    write_parameters(writer, config, arch)
    random = np.random.default_rng(9)
    layers = config.n_layer if arch == "bloom" else config.num_hidden_layers
    heads = config.n_head if arch == "bloom" else config.num_attention_heads
    for rope, values in rope_tensors(config, arch).items():
        writer.add_tensor(rope, np.array(values, dtype=np.float32))
    if "longrope" in name:
        scale = config.max_position_embeddings / config.original_max_position_embeddings
        factor = np.sqrt(1 + np.log(scale) / np.log(config.original_max_position_embeddings))
        writer.add_rope_scaling_attn_factors(float(factor))
    tied = arch in ("bloom", "gemma", "gemma2", "gemma3") or config.tie_word_embeddings
    state = model.state_dict()
    held = {}
    for ours, tensor in state.items():
        if tied and ours.startswith("lm_head"):
            continue
        values = tensor.float().numpy()
        theirs = their_names(arch, layers, ours)
        if arch == "llama" and re.search(r"attn_[qk]\.", theirs):
            own = heads if "attn_q." in theirs else config.num_key_value_heads
            data, meant, kind = as_stored(permute(values, own), theirs, stored, random)
            meant = unpermute(meant, own)
        elif arch == "bloom" and "attn_qkv" in theirs:
            data, meant, kind = as_stored(parts_first(values, heads), theirs, stored, random)
            meant = meant.reshape(3, heads, -1, *meant.shape[1:]).swapaxes(0, 1).reshape(meant.shape)
        elif family.startswith("Gemma") and ours.endswith("norm.weight"):
            data, meant, kind = as_stored(values + 1, theirs, stored, random)
            meant = meant - 1
        else:
            data, meant, kind = as_stored(values, theirs, stored, random)
        held[ours] = torch.from_numpy(np.ascontiguousarray(meant))
        if name == "phi2-fused" and re.search(r"attn_[qkv]\.", theirs):
            if "attn_q." in theirs:
                three = [state[ours.replace("q_proj", f"{part}_proj")].float().numpy() for part in "qkv"]
                data = as_stored(np.concatenate(three), theirs, stored, random)[0]
                writer.add_tensor(theirs.replace("attn_q.", "attn_qkv."), data, raw_dtype=kind)
            continue
        writer.add_tensor(theirs, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if tied and "lm_head.weight" in state:
        held["lm_head.weight"] = held["transformer.word_embeddings.weight" if arch == "bloom" else "model.embed_tokens.weight"]
    model.load_state_dict(held)
    model.tie_weights()


# === llama.cpp ===


class LlamaCpp:
    """A server of it, for one file."""

    def __init__(self, path):
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx, params.n_parallel, params.verbosity, params.warmup = 256, 1, -1, False
        params.cpuparams.n_threads = 2
        self.server = xllamacpp.Server(params)

    def ask(self, what, body):
        request = urllib.request.Request(
            f"{self.server.listening_address}/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def ids(self, text):
        return self.ask("tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def probabilities(self, ids, count):
        body = {"prompt": ids, "max_tokens": 1, "logprobs": count, "temperature": 0, "cache_prompt": False}
        said = self.ask("v1/completions", body)["choices"][0]["logprobs"]
        # It says nothing of a token that is a part of a character.
        return {token["id"]: token["logprob"] for token in said["content"][0]["top_logprobs"]} if said else {}


def compare(name, peer, golden, texts):
    """Prints how far llama.cpp is; ids must be the same."""
    for text, ids in texts:
        theirs = peer.ids(text)
        if theirs != ids:
            print(f"   {name}: {text!r} is {theirs} for llama.cpp, {ids} here")
    differences = []
    for answer in golden.values():
        logits = torch.from_numpy(np.frombuffer(base64.b64decode(answer["logits"]), dtype="<f4").copy())
        ours = torch.log_softmax(logits, -1)
        theirs = peer.probabilities(answer["ids"], 20)
        differences += [abs(value - float(ours[token])) for token, value in theirs.items()]
    print(f"   {name}: {len(differences)} log-probabilities of llama.cpp within {max(differences, default=0):.4f}")


def splits(folder):
    """Ids of texts by each split that has a name, over the same tokens."""
    known = {}
    bpe = byte_level(None)
    names = ["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "tekken", "gpt-4o", "bloom"]
    for name in names:
        path = os.path.join(folder, f"{name}.gguf")
        model = make("Qwen2", dict(tie_word_embeddings=True, num_hidden_layers=1), bpe.get_vocab_size())
        MODELS[name] = ("Qwen2", "qwen2", {}, None, Type.F16)
        write_model(path, name, model, lambda writer, name=name: write_byte_level(writer, bpe, name, False))
        del MODELS[name]
        peer = LlamaCpp(path)
        # Its expressions for these two do not know marks that follow letters.
        texts = [text for text in TEXTS if "ि" not in text or name not in ("tekken", "gpt-4o")]
        known[name] = [{"text": text, "ids": peer.ids(text)} for text in texts]
        if name == names[0]:
            shutil.copy(path, os.path.join(HERE, "splits.gguf"))
    return known


def main():
    torch.manual_seed(1)
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    packages = ["torch", "transformers", "tokenizers", "sentencepiece", "gguf", "xllamacpp"]
    golden = {"made_with": {package: version(package) for package in packages}, "models": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, (family, arch, options, (kind, variant), stored)) in enumerate(MODELS.items()):
            print(name)
            if kind == BPE:
                split, begins = {
                    "llama-bpe": (LLAMA_SPLIT, True), "qwen2": (QWEN, False), "gpt-2": (None, False),
                    "gpt-4o": (GPT_4O_SPLIT, False), "bloom": (BLOOM_SPLIT, False),
                }[variant]
                bpe = byte_level(split, variant == "qwen2")
                size = bpe.get_vocab_size()
                begin = [bpe.token_to_id("<s>")] if begins else []
                texts = [(text, (begin if begins else []) + bpe.encode(text, add_special_tokens=False).ids) for text in TEXTS]
                write, special = (lambda writer: write_byte_level(writer, bpe, variant, begins)), []
            else:
                model = pieces(scratch, variant)
                size = model.vocab_size()
                # The library does not read what stands for a special token as one: llama.cpp's word counts there.
                plain = [text for text in TEXTS if "<" not in text]
                texts = [(text, [model.bos_id(), *model.encode(text)]) for text in plain]
                special = [text for text in TEXTS if "<" in text]
                write = lambda writer: write_pieces(writer, model, variant)
            made = disturb_any(make(family, options, size), family, number)
            path = os.path.join(HERE, f"{name}.gguf")
            write_model(path, name, made, write)
            said = answers(made)
            peer = LlamaCpp(path)
            compare(name, peer, said, texts)
            texts += [(text, peer.ids(text)) for text in special]
            golden["models"][name] = {
                "architecture": arch, "answers": said,
                "tokens": [{"text": text, "ids": ids} for text, ids in texts],
            }
        golden["splits"] = splits(scratch)
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as file:
        text = json.dumps(golden, indent=1, sort_keys=True, ensure_ascii=False)
        file.write(re.sub(r"\[[\d,\s]+\]", lambda ids: " ".join(ids[0].split()), text) + "\n")


def disturb_any(model, family, number):
    generator = torch.Generator().manual_seed(70 + number)
    if family == "Bloom":
        from make_language_fixtures import disturb as disturb_bloom

        disturb_bloom(model.transformer, generator)
        model.tie_weights()
        return model.eval()
    return disturb(model, family, generator)


LLAMA_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT_4O_SPLIT = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
BLOOM_SPLIT = r" ?[^(\s|[.,!?…。，、।۔،])]+"

if __name__ == "__main__":
    main()
