"""The image of chutes that serve language models with vLLM."""

__all__ = ["VLLM"]

VLLM = "vllm/vllm-openai:v0.18.0"
