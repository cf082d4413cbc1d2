"""A GPT-2 of random numbers, with a tokenizer of single bytes and no chat template."""

import json
from pathlib import Path

from support.tiny_llama import SPECIAL, _byte_symbols, _tokenizer, _write_safetensors

HIDDEN, LAYERS, HEADS, CONTEXT = 64, 2, 2, 256


def make_tiny_gpt2(folder: Path, seed: int = 0) -> Path:
    """Writes the model into `folder`, the same for the same seed, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *_byte_symbols()))}
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "dtype": "float32", "vocab_size": len(vocabulary),
        "n_positions": CONTEXT, "n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "bos_token_id": 1,
        "eos_token_id": 2, "activation_function": "gelu_new", "tie_word_embeddings": True,
    }  # fmt: skip
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>",
        "model_max_length": CONTEXT, "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    for name, content in (
        ("config.json", config),
        ("generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
        ("tokenizer_config.json", tokenizer_config),
        ("tokenizer.json", _tokenizer(vocabulary)),
    ):
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _write_safetensors(folder / "model.safetensors", _shapes(len(vocabulary)), seed)
    return folder


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (vocabulary, HIDDEN),
        "transformer.wpe.weight": (CONTEXT, HIDDEN),
        "transformer.ln_f.weight": (HIDDEN,),
        "transformer.ln_f.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        start = f"transformer.h.{layer}."
        for name, rows, columns in (
            ("attn.c_attn", HIDDEN, 3 * HIDDEN),
            ("attn.c_proj", HIDDEN, HIDDEN),
            ("mlp.c_fc", HIDDEN, 4 * HIDDEN),
            ("mlp.c_proj", 4 * HIDDEN, HIDDEN),
        ):
            shapes |= {f"{start}{name}.weight": (rows, columns), f"{start}{name}.bias": (columns,)}
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{start}{norm}.weight": (HIDDEN,), f"{start}{norm}.bias": (HIDDEN,)}
    return shapes
