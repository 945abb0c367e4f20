#!/usr/bin/env python
"""Writes tiny models that make embeddings, under embeddings/.

    python -m venv /tmp/fixtures && /tmp/fixtures/bin/pip install torch transformers sentence-transformers
    /tmp/fixtures/bin/python make_embedding_fixtures.py

One of each family that the runtime's encoder serves, with random weights, norms and biases that are not what they are
initialised with, and a tokenizer of each kind that such models have (WordPiece, byte-level BPE, Unigram). The modules
behind the encoder differ, so that every one is there. golden.json holds what SentenceTransformer.encode answers.
Committed as it was made with the releases that golden.json names.
"""

import json
import os
import shutil

import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers
from make_language_fixtures import floats
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.sentence_transformer.modules.layer_norm import LayerNorm
from sentence_transformers.sentence_transformer.modules.pooling import Pooling
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "embeddings")
LIMIT = 40

CORPUS = [
    "The quick brown fox jumps over the lazy dog, again and again.",
    "Every day is a new beginning, filled with opportunity and hope",
    "I have no water and the bill is current and paid. Can you do something about this?",
    "今天天气很好，我们去公园吧。",
    "I love it 😀🎉 so much!! thank you",
    "Ein Fluß fließt über die Brücke nach Köln",
] * 20

# Lengths around the blocks of 16 positions that attention has, and the limit.
TEXTS = {
    "empty": "",
    "short": "Hi",
    "sentence": "Every day is a new binning, filled with opionpieing and hope",
    "upper case": "THE QUICK Brown Fox",
    "cjk": "今天天气很好，我们去公园吧。",
    "emoji": "I love it 😀🎉 so much!!",
    "accents": "Köln, Straße, naïve café",
    "special tokens": "one {sep} two {pad} three {unk}",
    "long": "the quick brown fox jumps over the lazy dog, " * 2,
    "over the limit": "the bill is current and paid, again and again and again. " * 8,
}


def wordpiece():
    """BERT's: lower case, no accents, [CLS] and [SEP] around a text."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tok = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As published files have it: what the file says of lengths is not what the model is used with.
    tok.enable_truncation(max_length=12)
    tok.enable_padding(length=24, pad_id=0, pad_token="[PAD]")
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=LIMIT,
    )


def byte_level():
    """RoBERTa's: bytes, <s> and </s> around a text."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tok = tokenizers.Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tok.train_from_iterator(CORPUS, trainer)
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return fast(tok)


def unigram():
    """XLM-RoBERTa's: pieces by their probability, ▁ for a space."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tok = tokenizers.Tokenizer(models.Unigram())
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=180, special_tokens=special, unk_token="<unk>", show_progress=False)
    tok.train_from_iterator(CORPUS, trainer)
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return fast(tok)


def fast(tok):
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
        pad_token="<pad>", mask_token="<mask>", model_max_length=LIMIT,
    )


SHAPE = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, max_position_embeddings=LIMIT,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)


def disturb(model, seed):
    """Parameters at random; norms around what leaves a value as it is."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_norm = "norm" in name.lower()
            centre, scale = (1.0, 0.1) if is_norm and name.endswith("weight") else (0.0, 0.1 if "bias" in name else 0.3)
            parameter.copy_(centre + scale * noise)
    return model.eval()


def bert(tok):
    return transformers.BertModel(transformers.BertConfig(vocab_size=len(tok), **SHAPE))


def roberta(tok):
    shape = {**SHAPE, "max_position_embeddings": LIMIT + 2}
    return transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(vocab_size=len(tok), type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, **shape)
    )


def xlm_roberta(tok):
    shape = {**SHAPE, "max_position_embeddings": LIMIT + 2}
    return transformers.XLMRobertaModel(
        transformers.XLMRobertaConfig(vocab_size=len(tok), type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, **shape)
    )


def distilbert(tok):
    return transformers.DistilBertForMaskedLM(
        transformers.DistilBertConfig(
            vocab_size=len(tok), dim=32, n_layers=2, n_heads=4, hidden_dim=40, max_position_embeddings=LIMIT, dropout=0.0,
            attention_dropout=0.0,
        )
    )


def mpnet(tok):
    shape = {**SHAPE, "max_position_embeddings": LIMIT + 2}
    return transformers.MPNetModel(transformers.MPNetConfig(vocab_size=len(tok), layer_norm_eps=1e-5, **shape))


def modernbert(tok):
    return transformers.ModernBertModel(
        transformers.ModernBertConfig(
            vocab_size=len(tok), hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=40,
            max_position_embeddings=LIMIT, local_attention=10, global_attn_every_n_layers=3, pad_token_id=1,
            bos_token_id=0, eos_token_id=2, cls_token_id=0, sep_token_id=2,
        )
    )


def dense(inputs, outputs, seed, **more):
    layer = Dense(inputs, outputs, **more)
    return disturb(layer, seed)


# Each: the model and its tokenizer, the modules behind it (none: sentence-transformers' files are left out), and what is
# particular of it.
MODELS = {
    "bert": (bert, wordpiece, lambda: [Pooling(32, "cls"), Normalize()], {}),
    "bert-plain": (bert, wordpiece, None, {}),
    "roberta": (
        roberta, byte_level,
        lambda: [Pooling(32, ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")),
                 dense(192, 24, 3), disturb(LayerNorm(24), 4)],
        {"do_lower_case": True},
    ),
    "xlm-roberta": (
        xlm_roberta, unigram, lambda: [Pooling(32, "mean"), Normalize()],
        {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query", "torch": True},
    ),
    "distilbert": (
        distilbert, wordpiece,
        lambda: [Pooling(32, "lasttoken"),
                 dense(32, 16, 5, bias=False, activation_function=torch.nn.Identity()), Normalize()],
        {"max_seq_length": 24},
    ),
    "mpnet": (mpnet, byte_level, lambda: [Pooling(32, "mean"), Normalize()], {}),
    "modernbert": (modernbert, byte_level, lambda: [Pooling(32, "weightedmean")], {}),
}


def make(name):
    """A model's folder, whole."""
    architecture, tokenizer, modules, particular = MODELS[name]
    folder = os.path.join(HERE, name)
    tok = tokenizer()
    torch.manual_seed(7)
    model = disturb(architecture(tok), sum(name.encode()))
    model.save_pretrained(folder)
    tok.save_pretrained(folder)
    if "torch" in particular:
        weights = load_file(os.path.join(folder, "model.safetensors"))
        torch.save(weights, os.path.join(folder, "pytorch_model.bin"))
        os.remove(os.path.join(folder, "model.safetensors"))
    if modules is None:
        return folder
    entries = [("Transformer", "sentence_transformers.models.Transformer", "")]
    for number, module in enumerate(modules(), start=1):
        kind = type(module).__name__
        path = f"{number}_{kind}"
        os.makedirs(os.path.join(folder, path))
        module.save(os.path.join(folder, path))
        # The class by its name of many releases, and by that of the one that made this.
        own = f"{type(module).__module__}.{kind}"
        entries.append((kind, f"sentence_transformers.models.{kind}" if number % 2 else own, path))
    listed = [{"idx": idx, "name": str(idx), "path": path, "type": kind} for idx, (_, kind, path) in enumerate(entries)]
    write(folder, "modules.json", listed)
    reading = {"max_seq_length": particular.get("max_seq_length", LIMIT), "do_lower_case": particular.get("do_lower_case", False)}
    write(folder, "sentence_bert_config.json", reading)
    saved = {name: particular[name] for name in ("prompts", "default_prompt_name") if name in particular}
    write(folder, "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.2.2"}, **saved})
    return folder


def as_published(folder):
    """What files of some years ago have: numbers of positions, norms in Greek letters, pooling as a member each."""
    path = os.path.join(folder, "model.safetensors")
    weights = load_file(path)
    weights["embeddings.position_ids"] = torch.arange(LIMIT).reshape(1, -1)
    greek = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, old in greek.items():
        for name in [name for name in weights if name.endswith(new)]:
            weights[name.removesuffix(new) + old] = weights.pop(name)
    save_file(weights, path, metadata={"format": "pt"})
    write(folder, "1_Pooling/config.json", {
        "word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
    })


def write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def answers(folder):
    """What sentence-transformers answers, each text by itself, and how many tokens it has."""
    model = SentenceTransformer(folder, device="cpu")
    special = {"sep": model.tokenizer.sep_token, "pad": model.tokenizer.pad_token, "unk": model.tokenizer.unk_token}
    said = {}
    for name, text in TEXTS.items():
        text = text.format(**special) if name == "special tokens" else text
        vector = model.encode(text, convert_to_numpy=True)
        prompt = model.prompts.get(model.default_prompt_name) or ""
        ids = model.tokenizer(prompt + text, truncation=True, max_length=model.max_seq_length, padding=False)["input_ids"]
        whole = model.tokenizer(prompt + text, truncation=False, padding=False)["input_ids"]
        said[name] = {"text": text, "ids": ids, "tokens": len(whole), "vector": floats(np.asarray(vector))}
    return {"width": model.get_embedding_dimension(), "limit": model.max_seq_length, "answers": said}


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    golden = {
        "made_with": {
            "torch": torch.__version__, "transformers": transformers.__version__,
            "sentence_transformers": sentence_transformers.__version__, "tokenizers": tokenizers.__version__,
        },
        "models": {},
    }
    for name in MODELS:
        print(name)
        folder = make(name)
        golden["models"][name] = answers(folder)
        if name == "bert":
            # The same answers, of files that this release may not read any more.
            as_published(folder)
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
