"""The image of chutes that serve language models with SGLang."""

__all__ = ["SGLANG"]

SGLANG = "lmsysorg/sglang:v0.5.18"
