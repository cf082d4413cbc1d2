"""The hardware that a template asks for when nobody says."""

import pytest

from chutes.templates.hardware import guess_node_selector


@pytest.mark.parametrize(
    ("model_name", "gpus", "gigabytes"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 1, 16),
        ("Qwen/Qwen3-0.6B", 1, 16),
        ("meta-llama/Llama-3.1-8B-Instruct", 1, 24),
        ("Qwen/Qwen2.5-7B-Instruct-1M", 1, 24),
        ("Qwen/Qwen2.5-14B-Instruct", 1, 48),
        ("TheBloke/Mistral-7B-Instruct-v0.2-AWQ", 1, 16),
        ("Qwen/Qwen3-30B-A3B", 1, 80),
        ("Qwen/Qwen3-32B-FP8", 1, 48),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 2, 80),
        ("meta-llama/Llama-3.3-70B-Instruct", 4, 80),
        ("unsloth/Llama-3.3-70B-Instruct-bnb-4bit", 1, 80),
        ("openai/gpt-oss-120b", 2, 80),
        ("deepseek-ai/DeepSeek-R1", 8, 140),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", 1, 24),
        ("moonshotai/Kimi-K2-1000B", 8, 140),
        ("gpt2", 1, 24),
        ("./models/own", 1, 24),
    ],
)
def test_the_size_in_a_name_says_which_gpus_it_needs(model_name, gpus, gigabytes):
    selector = guess_node_selector(model_name)
    assert (selector.gpu_count, selector.min_vram_gb_per_gpu) == (gpus, gigabytes)
    assert selector.gpus()
