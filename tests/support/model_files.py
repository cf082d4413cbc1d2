"""Small files that look like models: safetensors and GGUF with real headers."""

import json
import struct


def safetensors(shapes: dict[str, list[int]], *, size: int = 0) -> bytes:
    """A file with these tensors of zeros in float32; `size` makes the last one as long as that."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        count = 4
        for side in shape:
            count *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + count]}
        offset += count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(max(offset, size))


def config(architecture: str = "LlamaForCausalLM", **more: object) -> bytes:
    """A `config.json`."""
    return json.dumps({"architectures": [architecture], "max_position_embeddings": 2048, **more}).encode()


def llama_folder(size: int = 0) -> dict[str, bytes]:
    """The files of a small model, by their names."""
    return {
        "config.json": config(),
        "model.safetensors": safetensors({"embed": [8, 4], "head": [4, 8]}, size=size),
        "tokenizer.json": b"{}",
        "README.md": b"# A small model",
    }


def gguf(
    architecture: str = "llama", shapes: tuple[tuple[int, ...], ...] = ((8, 4),), parts: int = 1
) -> bytes:
    """A GGUF file of version 3 with a vocabulary, a nested array and these tensors."""
    entries = [
        entry("general.architecture", 8, text(architecture)),
        entry(f"{architecture}.context_length", 4, struct.pack("<I", 512)),
        entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b")),
        entry("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 2) + bytes(8)),
        entry("some.nested", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 3) + bytes(3)),
        entry("split.count", 2, struct.pack("<H", parts)),
    ]
    tensors = [
        text(f"t{number}") + struct.pack(f"<I{len(shape)}Q", len(shape), *shape) + struct.pack("<IQ", 0, 0)
        for number, shape in enumerate(shapes)
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    return head + b"".join(entries) + b"".join(tensors) + bytes(64)


def entry(key: str, kind: int, value: bytes) -> bytes:
    """A pair of the metadata."""
    return text(key) + struct.pack("<I", kind) + value


def text(value: str) -> bytes:
    """A string as GGUF has it."""
    return struct.pack("<Q", len(value.encode())) + value.encode()
