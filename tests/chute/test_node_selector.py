import copy
import dataclasses
import inspect
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.chute.gpus import GPUS
from chutes.chute.node_selector import NodeSelector
from chutes.errors import DefinitionError


def names(selector):
    return [gpu.name for gpu in selector.gpus()]


def test_a_selector_without_arguments_asks_for_one_gpu_of_16_gb():
    selector = NodeSelector()
    assert (selector.gpu_count, selector.min_vram_gb_per_gpu) == (1, 16)
    assert selector.include is selector.exclude is selector.cpu is selector.memory_gb is None
    assert {"t4", "a100", "mi300x"} <= set(names(selector))
    assert "3060" not in names(selector)


def test_the_first_four_parameters_go_by_position():
    assert NodeSelector(2, 24, ["h100", "a100"], ["t4"]) == NodeSelector(
        gpu_count=2, min_vram_gb_per_gpu=24, include=["h100", "a100"], exclude=["t4"]
    )


def test_selectors_that_ask_for_the_same_are_equal_however_spelled():
    first, second = (
        NodeSelector(include=["RTX 4090", "a100-80gb"]),
        NodeSelector(include=("4090", "a100", "rtx4090")),
    )
    assert first == second
    assert hash(first) == hash(second)
    assert first != NodeSelector(include=["a100"])


def test_its_repr_shows_what_was_asked_and_makes_it_again():
    selector = NodeSelector(gpu_count=2, include=["l4", "rtx4090"], cpu=4)
    assert (
        repr(selector) == "NodeSelector(gpu_count=2, min_vram_gb_per_gpu=16, include=('l4', '4090'), cpu=4)"
    )
    assert eval(repr(selector)) == selector


def test_it_cannot_be_changed_but_copied_replaced_and_pickled():
    selector = NodeSelector(gpu_count=2, include=["h100"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        selector.gpu_count = 3
    assert dataclasses.replace(selector, gpu_count=4) == NodeSelector(gpu_count=4, include=["h100"])
    assert copy.deepcopy(selector) == selector == pickle.loads(pickle.dumps(selector))


def test_the_signature_names_every_parameter_for_programs_that_filter_by_it():
    assert {"gpu_count", "min_vram_gb_per_gpu", "include", "exclude", "cpu", "memory_gb"} <= set(
        inspect.signature(NodeSelector).parameters
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("min_vram_gpu_per_gpu", "min_vram_gb_per_gpu"),
        ("num_gpus", "gpu_count"),
        ("min_cpu_count", "cpu"),
        ("min_memory_gb", "memory_gb"),
        ("includes", "include"),
    ],
)
def test_a_mistyped_keyword_is_refused_with_the_right_one(written, meant):
    with pytest.raises(DefinitionError, match=rf"no parameter '{written}'\. Did you mean '{meant}'\?"):
        NodeSelector(**{written: 1})


def test_an_unknown_keyword_is_answered_with_all_that_there_are():
    with pytest.raises(
        DefinitionError, match=r"no parameter 'regions'\. It takes gpu_count, min_vram_gb_per_gpu"
    ):
        NodeSelector(regions=["eu"])


@pytest.mark.parametrize("parameter", ["include", "exclude"])
def test_an_unknown_gpu_is_refused_with_the_nearest(parameter):
    with pytest.raises(DefinitionError, match=r"Unknown GPU 'h1000'\. Did you mean 'h100'"):
        NodeSelector(**{parameter: ["h1000"]})


@pytest.mark.parametrize("value", ["h100", 5, b"h100"])
def test_include_is_a_list_of_names(value):
    with pytest.raises(DefinitionError):
        NodeSelector(include=value)


def test_an_empty_include_restricts_nothing():
    assert NodeSelector(include=[], exclude=()) == NodeSelector()


@pytest.mark.parametrize("gpu_count", [-1, True, 1.0, "2", None])
def test_gpu_count_is_a_whole_number_from_zero(gpu_count):
    with pytest.raises(DefinitionError, match="Invalid gpu_count="):
        NodeSelector(gpu_count=gpu_count)


@pytest.mark.parametrize("vram", [-1, True, float("nan"), float("inf"), "24", None])
def test_min_vram_is_a_number_from_zero(vram):
    with pytest.raises(DefinitionError, match="Invalid min_vram_gb_per_gpu="):
        NodeSelector(min_vram_gb_per_gpu=vram)


@pytest.mark.parametrize("vram", [0, 4, 8, 12, 141, 0.5])
def test_values_that_the_public_sdk_refuses_are_fine_here(vram):
    assert NodeSelector(min_vram_gb_per_gpu=vram).gpus()


@pytest.mark.parametrize("parameter", ["cpu", "memory_gb", "max_hourly_price_per_gpu"])
@pytest.mark.parametrize("value", [0, -2, True, "4", float("nan")])
def test_amounts_are_positive_numbers(parameter, value):
    with pytest.raises(DefinitionError, match=f"Invalid {parameter}="):
        NodeSelector(**{parameter: value})


def test_fractions_of_a_core_are_fine():
    assert NodeSelector(gpu_count=0, cpu=0.5, memory_gb=1.5).cpu == 0.5


def test_a_selector_for_no_gpu_resolves_to_none():
    assert NodeSelector(gpu_count=0).gpus() == ()
    assert NodeSelector(gpu_count=0, min_vram_gb_per_gpu=10_000).gpus() == ()


def test_a_name_stands_for_its_variants():
    assert names(NodeSelector(include=["h100"])) == ["h100", "h100_sxm", "h100_nvl"]
    assert names(NodeSelector(include=["h100-sxm"])) == ["h100_sxm"]
    assert names(NodeSelector(include=["h100"], exclude=["h100_sxm"])) == ["h100", "h100_nvl"]
    assert not {"h100", "h100_sxm", "h100_nvl"} & set(names(NodeSelector(exclude=["h100"])))


def test_a_variant_that_include_names_stays_though_its_family_is_excluded():
    assert names(NodeSelector(include=["h100_sxm", "h200"], exclude=["h100"])) == [
        "h100_sxm",
        "h200",
        "h200_nvl",
    ]


def test_memory_narrows_what_include_names():
    assert names(NodeSelector(min_vram_gb_per_gpu=90, include=["h100", "l4"])) == ["h100_nvl"]


def test_nothing_left_says_which_gpus_were_dropped_and_why():
    with pytest.raises(DefinitionError) as caught:
        NodeSelector(min_vram_gb_per_gpu=40, include=["l4", "h100_sxm", "h200"], exclude=["h100_sxm", "h200"])
    message = str(caught.value)
    assert "'l4': it has 24 GB, less than min_vram_gb_per_gpu=40" in message
    assert "'h100_sxm': it is in exclude" in message
    assert "'h200_nvl': it is a variant of 'h200', which is in exclude" in message
    assert "4090" not in message


def test_exclude_alone_can_leave_nothing():
    largest = [gpu.name for gpu in GPUS if gpu.vram_gb >= 288]
    with pytest.raises(DefinitionError, match="'b300': it is in exclude"):
        NodeSelector(min_vram_gb_per_gpu=288, exclude=largest)


def test_more_memory_than_any_gpu_has_says_what_the_largest_has():
    with pytest.raises(DefinitionError, match=r"No GPU has min_vram_gb_per_gpu=500: .* with 288 GB"):
        NodeSelector(min_vram_gb_per_gpu=500)


def test_a_price_warns_once_at_the_line_that_sets_it():
    with pytest.warns(UserWarning, match="max_hourly_price_per_gpu") as caught:
        selector = NodeSelector(max_hourly_price_per_gpu=2.5)
    assert [warning.filename for warning in caught] == [__file__]
    assert selector.max_hourly_price_per_gpu == 2.5


def test_no_price_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NodeSelector(gpu_count=2, include=["h100"])


@given(
    vram=st.integers(0, 300),
    include=st.lists(st.sampled_from([gpu.name for gpu in GPUS]), max_size=4),
    exclude=st.lists(st.sampled_from([gpu.name for gpu in GPUS]), max_size=4),
)
def test_whatever_a_selector_resolves_to_satisfies_it(vram, include, exclude):
    try:
        selector = NodeSelector(1, vram, include, exclude)
    except DefinitionError:
        return
    assert selector.gpus()
    for gpu in selector.gpus():
        assert gpu.vram_gb >= vram
        assert not include or {gpu.name, gpu.variant_of} & set(include)
        assert gpu.name not in exclude
