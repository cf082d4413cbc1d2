"""What a job takes: JSON that fits the function's signature, and nothing else."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from chutes.chute.job import make_job
from chutes.errors import DefinitionError, InvalidArguments
from chutes.jobs.arguments import ARGUMENTS_LIMIT, Arguments


class Item(BaseModel):
    text: str
    count: int = 1


@dataclass
class Point:
    x: int


def arguments_of(function):
    return Arguments(make_job(function))


def there_and_back(function, given):
    arguments = arguments_of(function)
    return arguments.read(arguments.check(given))


def test_values_come_back_as_the_hints_say():
    def run(self, item: Item, point: Point, numbers: list[int], name: str = "a"): ...

    given = {"item": {"text": "t"}, "point": {"x": 1}, "numbers": ["1", 2]}
    assert there_and_back(run, given) == (
        [],
        {"item": Item(text="t"), "point": Point(x=1), "numbers": [1, 2]},
    )


def test_models_and_dataclasses_can_be_submitted():
    def run(self, item: Item, point: Point): ...

    _, named = there_and_back(run, {"item": Item(text="t", count=2), "point": Point(x=3)})
    assert named == {"item": Item(text="t", count=2), "point": Point(x=3)}


def test_a_dict_goes_under_its_name():
    def run(self, data: dict): ...

    assert there_and_back(run, {"data": {"a": 1}}) == ([], {"data": {"a": 1}})
    with pytest.raises(InvalidArguments, match=r'this job takes data\. Write \{"data": …\}\.'):
        arguments_of(run).check({"a": 1})


def test_parameters_without_hints_take_anything():
    def run(self, anything, more=None): ...

    assert there_and_back(run, {"anything": [1, {"a": None}]}) == ([], {"anything": [1, {"a": None}]})


def test_positional_parameters_are_given_by_position():
    def run(self, a, b, /, c=3): ...

    assert there_and_back(run, {"b": 2, "a": 1}) == ([1, 2], {})


def test_a_function_that_takes_everything_gets_everything():
    def run(self, **job_data): ...

    assert there_and_back(run, {"a": 1, "model_config": 2}) == ([], {"a": 1, "model_config": 2})


def test_names_that_a_model_could_not_have_are_names_like_others():
    def run(self, schema: int, _x: int, model_config: int, json: int): ...

    given = {"schema": 1, "_x": 2, "model_config": 3, "json": 4}
    assert there_and_back(run, given) == ([], given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "count: Field required"),
        ({"count": "x"}, "count: Input should be a valid integer"),
        ({"count": 0}, "count: Input should be greater than or equal to 1"),
        ({"count": 1, "counts": 2}, "counts: Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(given, said):
    def run(self, count: Annotated[int, Field(ge=1)]): ...

    with pytest.raises(InvalidArguments) as refused:
        arguments_of(run).check(given)
    assert said in refused.value.detail
    assert refused.value.errors[0]["loc"][0] == "body"
    assert refused.value.status == 422


def test_a_job_without_parameters_takes_an_empty_object():
    def run(self): ...

    assert there_and_back(run, {}) == ([], {})
    with pytest.raises(InvalidArguments, match="this job takes no arguments"):
        arguments_of(run).check({"a": 1})


def test_what_is_no_json_is_refused():
    def run(self, value): ...

    with pytest.raises(InvalidArguments, match="cannot be JSON"):
        arguments_of(run).check({"value": object()})


def test_what_is_too_large_is_refused():
    def run(self, value: str): ...

    with pytest.raises(InvalidArguments, match=f"{ARGUMENTS_LIMIT} are taken"):
        arguments_of(run).check({"value": "x" * ARGUMENTS_LIMIT})


def test_arguments_that_no_longer_fit_say_so():
    def before(self, count: str): ...
    def now(self, count: int): ...

    text = arguments_of(before).check({"count": "many"})
    with pytest.raises(InvalidArguments, match="count: Input should be a valid integer"):
        arguments_of(now).read(text)


def test_a_hint_that_json_has_no_place_for_is_refused():
    class Own: ...

    def run(self, value: Own): ...

    with pytest.raises(DefinitionError, match="Job 'run' takes what no JSON holds"):
        arguments_of(run)


def test_the_schema_names_every_parameter():
    def daily_report(self, item: Item, count: int = 3): ...

    schema = arguments_of(daily_report).schema()
    assert schema["title"] == "DailyReportArguments"
    assert (sorted(schema["properties"]), schema["required"]) == (["count", "item"], ["item"])
    assert schema["additionalProperties"] is False
