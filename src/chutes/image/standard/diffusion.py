"""The image of chutes that make pictures with diffusion models."""

__all__ = ["DIFFUSION"]

DIFFUSION = "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime"
