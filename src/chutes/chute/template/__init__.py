"""The public SDK's import paths of templates; they live in `chutes.templates`."""

from chutes.templates.vllm import build_vllm_chute

__all__ = ["build_vllm_chute"]
