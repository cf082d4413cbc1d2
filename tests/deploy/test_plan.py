"""A plan: what it is made of, what it refuses, and that it can be written down."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes import Chute, NodeSelector
from chutes.deploy import Plan, Resources, Secret, make_plan
from chutes.errors import DeployError

NAMES = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
VARIABLES = st.text(string.ascii_uppercase + "_", min_size=1, max_size=12)
SECONDS = st.floats(0, 1e6)
RESOURCES = st.builds(
    Resources,
    gpu_count=st.integers(0, 8),
    gpus=st.lists(NAMES, max_size=3).map(tuple),
    min_vram_gb=st.floats(0, 200),
    cpu=st.none() | st.floats(0.1, 256),
    memory_gb=st.none() | st.floats(0.1, 4096),
)


@st.composite
def plans(draw):
    least = draw(st.integers(0, 5))
    return Plan(
        username=draw(NAMES),
        name=draw(NAMES),
        image=draw(st.text()),
        digest=draw(st.text("0123456789abcdef", max_size=64)),
        source=draw(st.text()),
        target=draw(st.text()),
        version=draw(st.text()),
        concurrency=draw(st.integers(1, 999)),
        instances=draw(st.none() | st.integers(0, 9)),
        min_instances=least,
        max_instances=draw(st.integers(least, 20)),
        scaling_threshold=draw(st.floats(0.01, 1)),
        shutdown_after_seconds=draw(SECONDS),
        drain_delay=draw(SECONDS),
        resources=draw(RESOURCES),
        environment=draw(st.dictionaries(VARIABLES, st.text(), max_size=4)),
        secrets=tuple(
            Secret(name=name, file=file)
            for name, file in draw(st.dictionaries(VARIABLES, st.none() | st.text(), max_size=3)).items()
        ),
        has_model=draw(st.booleans()),
        egress=draw(st.none() | st.booleans()),
    )


@given(plans())
def test_a_plan_that_was_written_down_is_the_same(plan):
    text = plan.to_json()

    assert "\n" not in text
    assert Plan.from_json(text) == plan


def test_a_plan_of_a_later_version_is_read():
    plan = Plan(username="me", name="hello", image="hello:1")
    text = json.dumps(json.loads(plan.to_json()) | {"colour": "green"})

    assert Plan.from_json(text) == plan


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"username": 1}', "null"])
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(DeployError, match="not a plan"):
        Plan.from_json(text)


def test_a_plan_says_what_the_chute_says():
    chute = Chute(
        username="me",
        name="hello",
        image="python:3.11",
        concurrency=7,
        max_instances=5,
        scaling_threshold=0.5,
        shutdown_after_seconds=60,
        node_selector=NodeSelector(gpu_count=2, min_vram_gb_per_gpu=80),
    )

    plan = make_plan(chute, image="hello:1", instances=None)

    assert (plan.slug, plan.concurrency, plan.min_instances, plan.max_instances) == ("me/hello", 7, 0, 5)
    assert (plan.scaling_threshold, plan.shutdown_after_seconds) == (0.5, 60)
    assert (plan.resources.gpu_count, plan.resources.min_vram_gb) == (2, 80)
    assert "h100" in plan.resources.gpus
    assert "t4" not in plan.resources.gpus


def test_more_instances_at_least_than_at_most_are_refused():
    with pytest.raises(DeployError, match="at least 3, at most 2"):
        Plan(username="me", name="hello", image="", min_instances=3, max_instances=2)


def jobs_chute(**values):
    chute = Chute(username="me", name="hello", image="python:3.11", **values)

    @chute.job()
    async def tidy(self): ...

    return chute


def test_jobs_on_several_instances_want_a_database():
    with pytest.raises(DeployError, match="CHUTES_DATABASE_URL"):
        make_plan(jobs_chute(max_instances=2), image="")


@pytest.mark.parametrize(
    "given",
    [
        {"secrets": (Secret(name="CHUTES_DATABASE_URL"),)},
        {"environment": {"CHUTES_DATABASE_URL": "postgresql://db/jobs"}},
        {"instances": 1},
    ],
)
def test_jobs_with_a_database_or_on_one_instance_are_fine(given):
    assert make_plan(jobs_chute(max_instances=2), image="", **given).has_jobs
