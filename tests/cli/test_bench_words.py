"""What may be written after `chutes bench`."""

import pytest

from chutes.cli.bench_words import calls_of, headers_of, plans_of
from chutes.cli.call_items import UsageError
from chutes.client import ABSENT


def plans(**options):
    defaults = dict.fromkeys(("clients", "rate", "duration", "requests", "warmup"))
    return plans_of(**{**defaults, "arrivals": "poisson", "timeout": 60.0, **options})


def calls(**options):
    return calls_of(
        "/embed", options.pop("arguments", {}), **{"data": None, "inputs": None, "method": None, **options}
    )


def test_without_a_word_eight_clients_call_for_ten_seconds():
    (plan,) = plans()
    assert (plan.clients, plan.duration, plan.requests, plan.warmup, plan.rate) == (8, 10.0, None, 8, None)


def test_each_number_of_clients_is_a_run():
    assert [(plan.clients, plan.warmup) for plan in plans(clients="1,2,16")] == [(1, 1), (2, 2), (16, 16)]


def test_each_rate_is_a_run():
    found = plans(rate="50,99.5", arrivals="constant")
    assert [(plan.rate, plan.clients, plan.warmup) for plan in found] == [(50.0, 1000, 8), (99.5, 1000, 8)]
    assert plans(rate="50", clients="4")[0].clients == 4
    assert plans(rate="50", clients="4")[0].warmup == 4


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 5.0), ("0.5", 0.5), (".5s", 0.5), ("30s", 30.0), ("2m", 120.0), ("250ms", 0.25), ("1h", 3600.0)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text, seconds):
    assert plans(duration=text)[0].duration == pytest.approx(seconds)


def test_a_number_of_requests_needs_no_duration():
    assert plans(requests=100)[0].duration is None
    assert plans(requests=100, duration="5")[0].duration == 5.0


def test_a_warm_up_may_be_left_out():
    assert plans(warmup=0)[0].warmup == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"clients": "1,x"}, "--clients '1,x'"),
        ({"clients": "2.5"}, "--clients '2.5'"),
        ({"clients": "0"}, "clients 0"),
        ({"rate": "fast"}, "--rate 'fast'"),
        ({"rate": "0"}, "rate 0"),
        ({"rate": "nan"}, "rate nan"),
        ({"rate": "5", "clients": "1,2"}, "one number of --clients"),
        ({"duration": "10x"}, "--duration '10x'"),
        ({"duration": "0"}, "duration 0"),
        ({"requests": 0}, "requests 0"),
        ({"warmup": -1}, "warm-up -1"),
        ({"timeout": -1.0}, "timeout -1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, text):
    with pytest.raises(UsageError, match=text):
        plans(**options)


def test_headers():
    assert headers_of(["X-Tenant: a", "x-b:c"]) == {"X-Tenant": "a", "x-b": "c"}


@pytest.mark.parametrize("text", ["X-Tenant", "X Tenant: a", ": a", "X: a\r\nY: b", "X: ü"])
def test_what_is_no_header_is_refused(text):
    with pytest.raises(UsageError, match="Invalid header"):
        headers_of([text])


def test_arguments_or_a_body_make_one_call():
    (by_name,) = calls(arguments={"text": "a"}, method="PUT")
    assert (by_name.arguments, by_name.body, by_name.method) == ({"text": "a"}, ABSENT, "PUT")
    assert calls(data='{"text": "a"}')[0].body == {"text": "a"}


def test_a_body_in_a_file(tmp_path):
    (tmp_path / "body.json").write_text("[1, 2]")
    assert calls(data=f"@{tmp_path}/body.json")[0].body == [1, 2]


def test_each_line_of_inputs_is_a_call(tmp_path):
    path = tmp_path / "inputs.jsonl"
    path.write_text('{"text": "a\u2028b"}\n\n{"text": "c", "limit": 9}\r\n[1]\n')
    one, two, three = calls(arguments={"limit": 1}, inputs=str(path))

    assert one.arguments == {"text": "a\u2028b", "limit": 1}
    assert two.arguments == {"text": "c", "limit": 9}
    assert three.body == [1]


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "has no inputs"), (b"\n \n", "has no inputs"), (b"{}\n{", "Line 2 of"), (b"\xff", "is not text")],
)
def test_inputs_that_cannot_be_used_are_refused(tmp_path, content, text):
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=text):
        calls(inputs=str(path))


def test_data_and_inputs_exclude_each_other():
    with pytest.raises(UsageError, match="Give either"):
        calls(inputs="a.jsonl", data="{}")


def test_data_that_is_no_json_names_the_option():
    with pytest.raises(UsageError, match="--data is not JSON"):
        calls(data="{")
