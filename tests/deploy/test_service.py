"""Putting chutes on a platform, finding them, scaling them and going back, on any platform."""

from dataclasses import replace

import pytest

from chutes.deploy import Plan, Secret
from chutes.deploy.service import check_name, deploy, find_deployment, rollback, scale
from chutes.errors import DeployError
from chutes.testing import FakePlatform

PLAN = Plan(
    username="me", name="hello", image="me/hello:1", digest="a" * 64, source="/srv/app.py", max_instances=4
)


class Said(list):
    def __call__(self, text):
        self.append(text)


@pytest.fixture
def platform():
    return FakePlatform()


@pytest.fixture
def said():
    return Said()


def version(number):
    return replace(PLAN, image=f"me/hello:{number}", digest=str(number) * 64)


def put(platform, *plans):
    for plan in plans:
        deploy(platform, plan, say=Said())


def test_a_first_deploy_is_revision_one(platform, said):
    done = deploy(platform, PLAN, say=said)

    assert done.is_new
    assert (done.deployment.current, done.deployment.slug) == (1, "me/hello")
    assert said == ["Revision 1 of me/hello is ready."]


def test_the_same_content_by_the_same_plan_is_nothing_to_do(platform, said):
    put(platform, PLAN)

    assert not deploy(platform, PLAN, say=said).is_new
    assert len(platform.running["me/hello"].revisions) == 1


@pytest.mark.parametrize(
    "plan",
    [replace(PLAN, digest=""), replace(PLAN, secrets=(Secret(name="TOKEN"),))],
    ids=["content unknown", "a secret's value may have changed"],
)
def test_what_may_have_changed_is_deployed_again(platform, said, plan):
    put(platform, plan)

    assert deploy(platform, plan, say=said).is_new


@pytest.mark.parametrize("state", ["failed", "starting"])
def test_a_chute_of_which_nothing_answers_is_deployed_again(platform, said, state):
    plan = replace(PLAN, instances=1)
    put(platform, plan)
    there = platform.running["me/hello"]
    platform.running["me/hello"] = replace(there, instances=(replace(there.instances[0], state=state),))

    assert deploy(platform, plan, say=said).is_new


@pytest.mark.parametrize("again", [deploy, lambda where, plan, *, say: scale(where, plan.slug, 2, say=say)])
def test_an_instance_that_failed_beside_others_is_replaced(platform, said, again):
    plan = PLAN.scaled(2)
    put(platform, plan)
    there = platform.running["me/hello"]
    one, other = there.instances
    platform.running["me/hello"] = replace(there, instances=(replace(one, state="failed"), other))

    assert again(platform, plan, say=said).is_new
    assert platform.running["me/hello"].ready == 2


def test_another_environment_is_a_new_revision(platform, said):
    put(platform, PLAN)

    assert deploy(platform, replace(PLAN, environment={"A": "1"}), say=said).is_new


def test_another_file_may_not_take_a_name(platform, said):
    put(platform, PLAN)

    with pytest.raises(DeployError, match=r"/srv/app.py.*This one is /srv/other.py.*--replace"):
        deploy(platform, replace(PLAN, source="/srv/other.py"), say=said)
    assert platform.running["me/hello"].plan == PLAN


def test_another_file_takes_a_name_that_it_is_to_replace(platform, said):
    put(platform, PLAN)

    done = deploy(platform, replace(PLAN, source="/srv/other.py"), replace=True, say=said)

    assert done.deployment.plan.source == "/srv/other.py"


def test_names_are_unique_for_each_username_alone(platform):
    put(platform, PLAN)

    assert check_name(platform, replace(PLAN, username="you", source="/srv/other.py")) is None


def test_a_file_that_is_not_known_takes_no_name_from_anybody(platform):
    put(platform, PLAN)

    assert check_name(platform, replace(PLAN, source="")).slug == "me/hello"


def test_a_deploy_that_gets_not_ready_leaves_what_ran(platform, said):
    put(platform, version(1))
    platform.refusal = "It ended with code 1."

    with pytest.raises(DeployError, match="ended with code 1"):
        deploy(platform, version(2), say=said)

    there = platform.running["me/hello"]
    assert there.plan == version(1)
    assert [one.outcome for one in there.revisions] == ["ready", "failed"]


def test_a_number_of_instances_holds_for_later_deploys(platform, said):
    put(platform, version(1))
    scale(platform, "me/hello", 3, say=said)

    done = deploy(platform, version(2), say=said)

    assert done.deployment.plan.instances == 3
    assert any("scale me/hello auto" in line for line in said)


def test_a_deploy_that_says_a_number_of_instances_has_its_way(platform, said):
    put(platform, version(1))
    scale(platform, "me/hello", 3, say=said)

    assert deploy(platform, version(1).scaled(2), say=said).deployment.ready == 2


@pytest.mark.parametrize("name", ["me/hello", "hello"])
def test_a_chute_is_found_by_its_whole_name_and_by_the_name_alone(platform, name):
    put(platform, PLAN, replace(PLAN, name="other"))

    assert find_deployment(platform, name).slug == "me/hello"


def test_a_name_that_two_users_have_wants_the_username(platform):
    put(platform, PLAN, replace(PLAN, username="you"))

    with pytest.raises(DeployError, match="me/hello, you/hello"):
        find_deployment(platform, "hello")


@pytest.mark.parametrize(("name", "near"), [("helo", "'hello'"), ("me/helo", "'me/hello'")])
def test_a_misspelt_name_gets_a_hint(platform, name, near):
    put(platform, PLAN)

    with pytest.raises(DeployError, match=f"Did you mean {near}"):
        find_deployment(platform, name)


def test_a_name_like_no_other_gets_the_list(platform):
    put(platform, PLAN)

    with pytest.raises(DeployError, match=r"There are: me/hello\."):
        find_deployment(platform, "zzzzzz")


def test_on_an_empty_platform_no_name_is_known(platform):
    with pytest.raises(DeployError, match="none at all"):
        find_deployment(platform, "hello")


def test_scaling_is_a_revision_that_says_so(platform, said):
    put(platform, PLAN)

    there = scale(platform, "hello", 3, say=said).deployment

    assert there.ready == 3
    assert there.revisions[-1].note == "scale to 3"
    assert scale(platform, "hello", None, say=said).deployment.plan == PLAN


def test_scaling_to_what_runs_is_nothing_to_do(platform, said):
    put(platform, PLAN.scaled(2))

    assert not scale(platform, "hello", 2, say=said).is_new


def test_jobs_without_a_database_are_not_scaled(platform, said):
    put(platform, replace(PLAN, has_jobs=True, max_instances=1))

    with pytest.raises(DeployError, match="CHUTES_DATABASE_URL"):
        scale(platform, "hello", 2, say=said)


def test_going_back_takes_the_last_ready_revision_before_the_current(platform, said):
    put(platform, version(1), version(2))
    platform.refusal = "no"
    with pytest.raises(DeployError):
        deploy(platform, version(3), say=said)
    platform.refusal = None

    there = rollback(platform, "hello", say=said).deployment

    assert there.plan == version(1)
    assert (there.current, there.revisions[-1].note) == (4, "rollback to 1")


def test_going_back_twice_goes_further_back(platform, said):
    put(platform, version(1), version(2), version(3))

    assert rollback(platform, "hello", say=said).deployment.plan == version(2)
    assert rollback(platform, "hello", say=said).deployment.plan == version(1)
    with pytest.raises(DeployError, match="before 1 is kept"):
        rollback(platform, "hello", say=said)


def test_going_back_to_a_number_takes_that_one(platform, said):
    put(platform, version(1), version(2), version(3))

    assert rollback(platform, "hello", 1, say=said).deployment.plan == version(1)
    assert rollback(platform, "hello", 3, say=said).deployment.plan == version(3)


def test_going_back_to_the_current_revision_is_nothing_to_do(platform, said):
    put(platform, version(1), version(2))

    assert not rollback(platform, "hello", 2, say=said).is_new


def test_a_revision_that_is_not_kept_is_refused_with_those_that_are(platform, said):
    put(platform, *(version(number) for number in range(1, 10)), version(1), version(2))

    with pytest.raises(DeployError, match=r"There is no revision 1 of me/hello\. Kept are: 2, 3"):
        rollback(platform, "hello", 1, say=said)


def test_a_revision_that_never_got_ready_is_refused(platform, said):
    put(platform, version(1))
    platform.refusal = "no"
    with pytest.raises(DeployError):
        deploy(platform, version(2), say=said)
    platform.refusal = None

    with pytest.raises(DeployError, match="never got ready"):
        rollback(platform, "hello", 2, say=said)
