"""Arguments that were written for one engine are said in the words of another, or named as left out."""

from chutes.engines.words import translate

ARGUMENTS = [
    "--max-model-len",
    "2048",
    "--max_num_seqs=4",
    "--dtype",
    "bfloat16",
    "--trust-remote-code",
    "--enforce-eager",
]


def test_its_own_arguments_stay_as_they_are():
    assert translate(ARGUMENTS, "vllm", "vllm").arguments == tuple(ARGUMENTS)


def test_what_another_engine_has_a_word_for_is_translated():
    said = translate(ARGUMENTS, "vllm", "transformers")
    assert said.arguments == ("--dtype", "bfloat16", "--trust-remote-code")
    assert (said.context, said.concurrency) == (2048, 4)
    assert said.left_out == ("--enforce-eager",)


def test_a_value_that_is_no_number_is_left_to_nobody():
    said = translate(["--max-model-len", "auto"], "vllm", "llamacpp")
    assert (said.context, said.left_out) == (None, ("--max-model-len",))


def test_a_word_without_a_flag_is_left_out():
    assert translate(["stray", "--seed", "7"], "vllm", "sglang").left_out == ("stray",)
    assert translate(["stray", "--seed", "7"], "vllm", "sglang").arguments == ("--random-seed", "7")


def test_a_chat_template_goes_to_every_engine_that_takes_one():
    said = translate(["--chat-template", "tools.jinja"], "vllm", "llamacpp")
    assert (said.arguments, said.left_out) == (("--chat-template", "tools.jinja"), ())
    assert translate(["--chat-template", "x"], "vllm", "transformers").left_out == ("--chat-template",)
