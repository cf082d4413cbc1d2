import dataclasses
import functools

import pytest

from chutes.chute.job import Job, Port, make_job
from chutes.errors import DefinitionError


async def daily_cleanup(self): ...


async def process(self, data: dict, *, dry_run): ...


def test_a_job_without_parameters_is_named_for_its_function():
    job = make_job(daily_cleanup)
    assert job == Job(function=daily_cleanup, name="daily_cleanup")
    assert (job.schedule, job.timezone, job.retry_count, job.timeout) == (None, "UTC", 3, None)
    assert (job.ports, job.upload, job.ssh, job.cron) == ((), True, False, None)
    assert job.function is daily_cleanup


def test_every_parameter_of_the_reference_goes_by_name_and_in_its_order():
    job = make_job(daily_cleanup, "cleanup", "0 2 * * *", 5, 30)
    assert job == make_job(daily_cleanup, name="cleanup", schedule="0 2 * * *", retry_count=5, timeout=30)
    assert job.cron == "0 2 * * *"


def test_an_alias_is_kept_as_written_and_resolved_in_cron():
    job = make_job(daily_cleanup, schedule="@daily", timezone="Europe/Berlin")
    assert (job.schedule, job.cron, job.timezone) == ("@daily", "0 0 * * *", "Europe/Berlin")


def test_a_job_cannot_be_changed_nor_replaced_by_an_invalid_one():
    job = make_job(daily_cleanup)
    with pytest.raises(dataclasses.FrozenInstanceError):
        job.timeout = 5
    with pytest.raises(DefinitionError, match="Invalid timeout=-5"):
        dataclasses.replace(job, timeout=-5)


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("doWork", "do_work"),
        ("Nightly Report!", "nightly_report"),
        ("", "daily_cleanup"),
        ("x" * 64, "x" * 63),
        ("a/b", "a_b"),
        (7, "daily_cleanup"),
    ],
)
def test_a_bad_name_is_answered_with_a_valid_one(name, example):
    with pytest.raises(DefinitionError) as caught:
        make_job(daily_cleanup, name=name)
    assert str(caught.value).startswith(f"Invalid name {name!r} of a job.")
    assert str(caught.value).endswith(f"for example name={example!r}.")
    make_job(daily_cleanup, name=example)


def test_a_lambda_and_a_partial_need_a_name():
    with pytest.raises(DefinitionError, match="Invalid name '<lambda>'"):
        make_job(lambda self: None)
    partial = functools.partial(process, data={}, dry_run=True)
    with pytest.raises(DefinitionError, match=r"has no name of its own\. Write name="):
        make_job(partial)
    assert make_job(partial, name="process", schedule="@daily").name == "process"


@pytest.mark.parametrize("retry_count", [-1, True, 1.5, "3", None])
def test_retry_count_is_a_whole_number_from_zero(retry_count):
    with pytest.raises(DefinitionError, match=r"Invalid retry_count=.* of job 'daily_cleanup'"):
        make_job(daily_cleanup, retry_count=retry_count)


@pytest.mark.parametrize("timeout", [0, -1, True, "30", float("nan"), float("inf")])
def test_timeout_is_a_number_of_seconds_or_none(timeout):
    with pytest.raises(DefinitionError, match=r"Invalid timeout=.* of job 'daily_cleanup'"):
        make_job(daily_cleanup, timeout=timeout)


@pytest.mark.parametrize("timeout", [0.5, 1, 86_401])
def test_any_positive_timeout_is_fine(timeout):
    assert make_job(daily_cleanup, timeout=timeout, retry_count=0).timeout == timeout


@pytest.mark.parametrize(
    ("written", "meant"),
    [("retry", "retry_count"), ("retries", "retry_count"), ("cron", "schedule"), ("tiemout", "timeout")],
)
def test_a_mistyped_keyword_is_refused_with_the_right_one(written, meant):
    with pytest.raises(
        DefinitionError, match=rf"A job has no parameter '{written}'\. Did you mean '{meant}'\?"
    ):
        make_job(daily_cleanup, **{written: 3})


def test_a_bad_schedule_raises_at_once():
    with pytest.raises(DefinitionError, match="Invalid schedule '0 25 \\* \\* \\*' of job 'daily_cleanup'"):
        make_job(daily_cleanup, schedule="0 25 * * *")


def test_a_schedule_on_a_function_that_needs_arguments_names_them():
    with pytest.raises(DefinitionError, match="needs 'data', 'dry_run', and a schedule passes nothing"):
        make_job(process, schedule="@daily")
    make_job(process)


def test_parameters_with_defaults_and_variadic_ones_can_be_scheduled():
    async def report(self, day: str = "today", *args, dry_run=False, **options): ...

    def alone(): ...

    assert make_job(report, schedule="@daily").cron
    assert make_job(alone, schedule="@daily").cron


def test_a_timezone_without_a_schedule_has_no_meaning():
    with pytest.raises(DefinitionError, match="no meaning without a schedule"):
        make_job(daily_cleanup, timezone="Europe/Berlin")


def test_an_unknown_timezone_raises():
    with pytest.raises(DefinitionError, match="Unknown timezone 'Mars/Base'"):
        make_job(daily_cleanup, schedule="@daily", timezone="Mars/Base")


def test_a_generator_is_no_job():
    async def stream(self):
        yield 1

    def numbers(self):
        yield 1

    for function in (stream, numbers):
        with pytest.raises(DefinitionError, match=r"yields\. A job has one result"):
            make_job(function)


def test_what_cannot_be_called_is_no_job():
    with pytest.raises(DefinitionError, match="which is no function"):
        make_job(5, name="five")


@pytest.mark.parametrize("flag", ["upload", "ssh"])
def test_flags_are_booleans(flag):
    with pytest.raises(DefinitionError, match=f"Invalid {flag}='yes' of job"):
        make_job(daily_cleanup, **{flag: "yes"})


def test_ports_may_be_dicts():
    job = make_job(
        daily_cleanup, ports=[{"name": "web", "port": 9000, "proto": "http"}, Port("metrics", 9001)]
    )
    assert job.ports == (Port("web", 9000, "http"), Port(name="metrics", port=9001, proto="tcp"))
    assert make_job(daily_cleanup, ports=None).ports == ()


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"name": "web", "port": 1}, "Write a list"),
        ("web", "Write a list"),
        (9000, "Write a list"),
        ([9000], "Invalid port 9000. Write Port"),
        ([{"name": "web", "prot": 9000}], "A port has no field 'prot'. Did you mean 'proto'"),
        ([{"name": "web"}], "lacks 'port'"),
        ([{"port": 9000}], "lacks 'name'"),
        ([Port("web", 1), Port("web", 2)], "have the same name, 'web'"),
        ([Port("a", 1), Port("b", 1)], "have the same port, 1"),
    ],
)
def test_bad_ports_say_what_to_write(ports, message):
    with pytest.raises(DefinitionError, match=message):
        make_job(daily_cleanup, ports=ports)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1), "Invalid name ''"),
        (("Web", 1), "Invalid name 'Web'"),
        ((None, 1), "Invalid name None"),
        (("web", 0), "Invalid port 0 of 'web'. Write a number from 1 to 65535"),
        (("web", 65536), "Invalid port 65536"),
        (("web", "80"), "Invalid port '80'"),
        (("web", True), "Invalid port True"),
        (("web", 80, "sctp"), "Invalid proto 'sctp' of port 'web'. Write 'tcp', 'udp' or 'http'"),
    ],
)
def test_a_port_is_checked_when_it_is_made(arguments, message):
    with pytest.raises(DefinitionError, match=message):
        Port(*arguments)


@pytest.mark.parametrize("port", [1, 8001, 65535])
@pytest.mark.parametrize("proto", ["tcp", "udp", "http"])
def test_every_port_number_and_protocol_is_fine(port, proto):
    assert Port("web", port, proto).port == port


def test_a_webhook_is_an_address():
    assert make_job(daily_cleanup, webhook="https://example.com").webhook == "https://example.com"
    for wrong in (7, "", "example.com", "ftp://example.com/", "https://", "https://me:secret@example.com/"):
        with pytest.raises(DefinitionError, match="Write an address without a password"):
            make_job(daily_cleanup, webhook=wrong)
