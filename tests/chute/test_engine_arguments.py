"""`engine_args`, in each of the forms that people write."""

import pytest

from chutes.chute.engine_arguments import engine_words, take_served_names
from chutes.errors import DefinitionError


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, ()),
        ("", ()),
        ({}, ()),
        ({"max_model_len": 4096, "enforce_eager": True}, ("--max-model-len", "4096", "--enforce-eager")),
        ({"--max-model-len": 4096, "dtype": "half"}, ("--max-model-len", "4096", "--dtype", "half")),
        ({"quantization": None, "enable_prefix_caching": False}, ("--no-enable-prefix-caching",)),
        ({"limit_mm_per_prompt": {"image": 2}}, ("--limit-mm-per-prompt", '{"image": 2}')),
        ({"lora_modules": ["a=/a", "b=/b"]}, ("--lora-modules", "a=/a", "b=/b")),
        ({"gpu_memory_utilization": 0.95}, ("--gpu-memory-utilization", "0.95")),
        (["--seed", 1, "--swap-space", 0.5], ("--seed", "1", "--swap-space", "0.5")),
        (("--enforce-eager",), ("--enforce-eager",)),
        ("--max-model-len 4096 --enforce-eager", ("--max-model-len", "4096", "--enforce-eager")),
        ("  --seed=1\n   --dtype half  \n", ("--seed=1", "--dtype", "half")),
        ("--seed 1 \\\n --dtype half", ("--seed", "1", "--dtype", "half")),
        ("""--limit-mm-per-prompt '{"image": 2}'""", ("--limit-mm-per-prompt", '{"image": 2}')),
        ('--chat-template "a b"', ("--chat-template", "a b")),
    ],
)
def test_every_form_becomes_the_words_of_a_command_line(given, words):
    assert engine_words(given, "vllm") == words


def test_a_switch_that_is_off_is_left_out_where_the_engine_has_no_word_for_it():
    assert engine_words({"enable_metrics": False}, "sglang") == ()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("--chat-template 'a", "no closing quotation"),
        (7, "Invalid engine_args 7"),
        (b"--seed", "Invalid engine_args b'--seed'"),
        (["--enforce-eager", True], "Invalid True in engine_args"),
        ({"seed": object}, "Invalid value <class 'object'> of 'seed'"),
        ({"seed": {"a": object}}, "of 'seed' in engine_args"),
        ({7: 1}, "Invalid option 7"),
        ({"--": 1}, "Invalid option '--'"),
        ("--port 8001", "engine_args cannot have --port"),
        (["--api-key=abc"], "engine_args cannot have --api-key. Write the chute's keys into CHUTES_API_KEYS"),
        ({"model": "x"}, "engine_args cannot have --model. Write model_name="),
        ("--revision main", "Write revision="),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(given, text):
    with pytest.raises(DefinitionError) as caught:
        engine_words(given, "vllm")
    assert text in str(caught.value)


def test_the_names_of_the_model_are_taken_out_wherever_they_stand():
    words = ("--a", "1", "--served-model-name", "x", "y", "--b", "--served-model-name=z")
    assert take_served_names(words) == (("x", "y", "z"), ("--a", "1", "--b"))
