"""What Ray Serve is told of a plan."""

from dataclasses import replace

import pytest

from chutes import NodeSelector
from chutes.deploy import Plan, Resources
from chutes.deploy.ray.config import Code, application, labels

PLAN = Plan(
    username="me", name="hello", image="", target="app.py:chute", concurrency=4, max_queue=8, max_instances=3
)
CODE = Code(files="gcs://files.zip", framework="gcs://framework.zip")


def deployment(**changes):
    return application(replace(PLAN, **changes), CODE)["deployments"][0]


def test_a_replica_is_sent_more_than_it_takes_so_that_it_refuses_by_itself():
    told = deployment()
    assert told["max_ongoing_requests"] > PLAN.concurrency + PLAN.max_queue
    assert told["max_queued_requests"] >= told["max_ongoing_requests"]


def test_the_number_of_replicas_follows_the_load_between_the_bounds():
    scaling = deployment(scaling_threshold=0.5, shutdown_after_seconds=90)["autoscaling_config"]
    assert scaling["target_ongoing_requests"] == 2
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (1, 3)
    assert scaling["downscale_to_zero_delay_s"] == 90


@pytest.mark.parametrize(("instances", "bounds"), [(2, (2, 2)), (0, (0, 1))])
def test_a_fixed_number_is_told_by_its_bounds(instances, bounds):
    scaling = deployment(instances=instances)["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == bounds


def test_draining_takes_what_the_plan_gives():
    assert deployment(drain_delay=3, shutdown_grace=20)["graceful_shutdown_timeout_s"] == 28


def test_a_machine_is_asked_for_in_rays_words():
    resources = Resources.of(NodeSelector(gpu_count=2, include=["l4"], cpu=4, memory_gb=32))
    assert deployment(resources=resources)["ray_actor_options"] == {
        "num_cpus": 4,
        "num_gpus": 2,
        "label_selector": {"ray.io/accelerator-type": "L4"},
        "memory": 32_000_000_000,
    }


def test_gpus_that_ray_cannot_tell_apart_are_told_by_our_own_label():
    assert labels(Resources.of(NodeSelector(include=["a100"]))) == {"chutes.gpu": "in(a100,a100_sxm)"}
    both = labels(Resources.of(NodeSelector(include=["a100", "a100_40gb"])))
    assert both == {"ray.io/accelerator-type": "A100"}


def test_memory_of_gpus_becomes_the_kinds_that_have_it():
    told = labels(Resources.of(NodeSelector(min_vram_gb_per_gpu=80, include=["h100", "h200", "l4"])))
    assert told == {"ray.io/accelerator-type": "in(H100,H200)"}


def test_without_gpus_any_node_will_do():
    assert labels(Resources()) == {}


def test_the_chutes_files_and_requirements_become_its_environment():
    told = application(replace(PLAN, environment={"MODE": "fast"}), replace(CODE, requirements=("numpy>=2",)))
    assert told["runtime_env"] == {
        "env_vars": {"MODE": "fast"},
        "working_dir": "gcs://files.zip",
        "py_modules": ["gcs://framework.zip"],
        "pip": {"packages": ["numpy>=2"], "pip_check": False},
    }


def test_an_image_holds_everything_but_the_variables():
    told = application(replace(PLAN, image="registry/me/hello:1", environment={"MODE": "fast"}), Code())
    assert told["runtime_env"] == {"image_uri": "registry/me/hello:1", "env_vars": {"MODE": "fast"}}
