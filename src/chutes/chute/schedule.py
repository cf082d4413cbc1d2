"""The checks of a job's schedule: a cron expression, read in a time zone."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

__all__ = ["check_schedule", "check_timezone", "cron_expression"]

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
_EXAMPLE = "For example, '0 2 * * *' is every day at 02:00."
_FIELDS = (
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day-of-month", "1-31, as far as the month goes"),
    ("month", "1-12 or JAN-DEC"),
    ("day-of-week", "0-7 or SUN-SAT"),
)


def cron_expression(schedule: str) -> str:
    """Return the five cron fields of a schedule, its alias resolved."""
    return _ALIASES.get(schedule.strip().lower(), " ".join(schedule.split()))


def check_schedule(schedule: object, job: str) -> None:
    """Check the cron expression or alias of a job.

    Raises:
        DefinitionError: it has another number of fields, a field with no meaning, or never comes.
    """
    if not isinstance(schedule, str):
        raise _invalid(schedule, job, "It is a text of five cron fields.")
    expression = cron_expression(schedule)
    if expression.startswith("@"):
        raise _invalid(
            schedule,
            job,
            f"There is no such alias.{did_you_mean(expression, _ALIASES)} They are {', '.join(_ALIASES)}.",
        )
    count = len(expression.split())
    if count != len(_FIELDS):
        seconds = " Seconds cannot be given." if count == len(_FIELDS) + 1 else ""
        names = ", ".join(name for name, _ in _FIELDS)
        raise _invalid(schedule, job, f"It has {count} fields where cron has five: {names}.{seconds}")
    _check_fields(expression, schedule, job)


def check_timezone(timezone: object, job: str) -> None:
    """Check the name of a time zone.

    Raises:
        DefinitionError: this machine knows no such zone.
    """
    # A machine without a time zone database still knows UTC.
    if timezone == "UTC":
        return
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(timezone)  # type: ignore[arg-type] # what is no text is caught below
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        known = zoneinfo.available_timezones()
        hint = (
            did_you_mean(str(timezone), known)
            if known
            else " This machine has no time zones: pip install tzdata."
        )
        raise DefinitionError(
            f"Unknown timezone {timezone!r} of job {job!r}.{hint} Write for example 'Europe/Berlin' or 'UTC'."
        ) from None


def _check_fields(expression: str, schedule: str, job: str) -> None:
    # Imported here: most chutes have no schedule, and defining one must stay cheap.
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(expression, datetime(2000, 1, 1)))
    except CronSimError as error:
        for (name, allowed), value in zip(_FIELDS, expression.split(), strict=True):
            if str(error) == f"Bad {name}":
                raise _invalid(
                    schedule, job, f"Its {name} is {value!r}, which is not valid: it goes {allowed}."
                ) from None
        raise _invalid(schedule, job, f"{error}.") from None
    except StopIteration:
        raise _invalid(schedule, job, "That time never comes.") from None


def _invalid(schedule: object, job: str, reason: str) -> DefinitionError:
    return DefinitionError(f"Invalid schedule {schedule!r} of job {job!r}. {reason} {_EXAMPLE}")
