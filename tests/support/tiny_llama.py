"""A Llama of a quarter of a million random numbers, with a tokenizer of single bytes: every engine loads it, none talks sense."""

import array
import json
import random
import struct
from pathlib import Path

SPECIAL = ("<pad>", "<bos>", "<eos>", "<user>", "<assistant>", "<system>")
# vLLM takes no smaller heads.
HEAD = 64
HIDDEN, INNER, LAYERS, CONTEXT = 128, 256, 2, 4096
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make_tiny_llama(folder: Path, seed: int = 0, context: int = CONTEXT) -> Path:
    """Writes the model into `folder`, the same for the same seed, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = _byte_symbols()
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *symbols))}
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "dtype": "float32",
        "vocab_size": len(vocabulary), "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": HEAD, "max_position_embeddings": context,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>",
        "model_max_length": context, "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False,
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


def _tokenizer(vocabulary: dict[str, int]) -> dict[str, object]:
    added = [
        {"id": number, "content": token, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for number, token in enumerate(SPECIAL)
    ]  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": added, "pre_tokenizer": byte_level, "decoder": byte_level, "model": model,
    }  # fmt: skip


def _byte_symbols() -> list[str]:
    """The visible character by which byte-level tokenizers write each byte."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(hidden)) for byte in range(256)]


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes = {"model.embed_tokens.weight": (vocabulary, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        shapes |= {
            f"{start}self_attn.q_proj.weight": (2 * HEAD, HIDDEN),
            f"{start}self_attn.k_proj.weight": (HEAD, HIDDEN),
            f"{start}self_attn.v_proj.weight": (HEAD, HIDDEN),
            f"{start}self_attn.o_proj.weight": (HIDDEN, 2 * HEAD),
            f"{start}mlp.gate_proj.weight": (INNER, HIDDEN),
            f"{start}mlp.up_proj.weight": (INNER, HIDDEN),
            f"{start}mlp.down_proj.weight": (HIDDEN, INNER),
            f"{start}input_layernorm.weight": (HIDDEN,),
            f"{start}post_attention_layernorm.weight": (HIDDEN,),
        }
    return shapes


def _write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> None:
    chance = random.Random(seed)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = [1.0] * count if len(shape) == 1 else [chance.gauss(0, 0.05) for _ in range(count)]
        begin = len(data)
        data += array.array("f", numbers).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
