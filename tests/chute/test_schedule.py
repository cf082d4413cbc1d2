import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.chute.schedule import check_schedule, check_timezone, cron_expression
from chutes.errors import DefinitionError


@pytest.mark.parametrize(
    "schedule",
    [
        "0 2 * * *",
        "*/5 * * * *",
        "0 9-17 * * MON-FRI",
        "0 0 L * *",
        "0 0 29 2 *",
        " 0  2 * * * ",
        "@daily",
        "@Weekly",
    ],
)
def test_what_cron_understands_is_accepted(schedule):
    check_schedule(schedule, "cleanup")


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("  0   2 * * * ", "0 2 * * *"),
    ],
)
def test_an_alias_stands_for_five_fields(alias, expression):
    assert cron_expression(alias) == expression


@pytest.mark.parametrize(
    ("schedule", "reason"),
    [
        ("0 25 * * *", "Its hour is '25', which is not valid: it goes 0-23"),
        ("60 * * * *", "Its minute is '60'"),
        ("0 0 30 2 *", "Its day-of-month is '30'"),
        ("0 0 * FOO *", "Its month is 'FOO'"),
        ("0 0 * * 8", "Its day-of-week is '8'"),
        ("*/0 * * * *", "Its minute is"),
        ("* * * * * *", "It has 6 fields where cron has five.*Seconds cannot be given"),
        ("* * * *", "It has 4 fields"),
        ("", "It has 0 fields"),
        ("@dayly", "There is no such alias. Did you mean '@daily'"),
        ("@reboot", "There is no such alias"),
        (5, "It is a text of five cron fields"),
    ],
)
def test_a_bad_schedule_is_shown_with_what_is_wrong_and_an_example(schedule, reason):
    with pytest.raises(DefinitionError, match=reason) as caught:
        check_schedule(schedule, "cleanup")
    assert f"Invalid schedule {schedule!r} of job 'cleanup'." in str(caught.value)
    assert "For example, '0 2 * * *' is every day at 02:00." in str(caught.value)


@given(st.text(alphabet="0123456789*/,-#LW@MON ", max_size=25))
def test_any_text_is_either_a_schedule_or_a_definition_error(text):
    try:
        check_schedule(text, "cleanup")
    except DefinitionError:
        return
    assert len(cron_expression(text).split()) == 5


@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_zones_of_the_database_are_accepted(timezone):
    check_timezone(timezone, "cleanup")


@pytest.mark.parametrize("timezone", ["europe/berlin", "Europe/Berln"])
def test_an_unknown_zone_names_the_nearest(timezone):
    with pytest.raises(
        DefinitionError, match=r"Unknown timezone .* of job 'cleanup'\. Did you mean 'Europe/Berlin'"
    ):
        check_timezone(timezone, "cleanup")


@pytest.mark.parametrize("timezone", ["Europe", "../../etc/passwd", "/etc/localtime", "", 3, None, "a\0b"])
def test_what_is_no_zone_is_a_definition_error(timezone):
    with pytest.raises(DefinitionError, match="Unknown timezone"):
        check_timezone(timezone, "cleanup")


def test_cron_and_zones_are_loaded_only_when_a_schedule_is_checked():
    code = "import sys, chutes.chute.schedule; assert not {'cronsim', 'zoneinfo'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
