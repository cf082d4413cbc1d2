"""asyncpg, the driver of PostgreSQL: loaded when it is used, with its errors, and the addresses that it takes."""

import re
from functools import lru_cache
from types import ModuleType

from chutes.errors import StoreError

__all__ = ["driver", "explain", "failures", "split_cache_size", "was_refused", "without_secrets"]

_UNREACHABLE = "Is it running, and is the address in CHUTES_DATABASE_URL right?"
_BOUNCER = "Behind a PgBouncer that pools transactions, end CHUTES_DATABASE_URL with ?statement_cache_size=0."
_ADVICE = {
    "CannotConnectNowError": "It starts or stops: try again in a moment.",
    "ConnectionRefusedError": _UNREACHABLE,
    "DuplicatePreparedStatementError": _BOUNCER,
    "InsufficientPrivilegeError": "Grant the user of CHUTES_DATABASE_URL the right to create tables and to use them.",
    "InvalidAuthorizationSpecificationError": "Correct the user in CHUTES_DATABASE_URL, or let that user in.",
    "InvalidCatalogNameError": "Create it with `createdb`, or correct the name at the end of CHUTES_DATABASE_URL.",
    "InvalidPasswordError": "Correct the user and the password in CHUTES_DATABASE_URL.",
    "InvalidSQLStatementNameError": _BOUNCER,
    "OSError": _UNREACHABLE,
    "TimeoutError": _UNREACHABLE,
    "TooManyConnectionsError": "Raise its max_connections, or put a PgBouncer before it.",
    "gaierror": _UNREACHABLE,
}


@lru_cache(maxsize=1)
def driver() -> ModuleType:
    """The package.

    Raises:
        StoreError: it is not installed.
    """
    try:
        import asyncpg
    except ImportError:
        raise StoreError(
            "CHUTES_DATABASE_URL names a PostgreSQL, and its driver is not installed. "
            'Install it with pip install "openchutes[postgres]".'
        ) from None
    return asyncpg  # type: ignore[no-any-return] # the driver has no types


@lru_cache(maxsize=1)
def failures() -> tuple[type[Exception], ...]:
    """What a call of the driver may raise, when the server or the way to it is at fault, or the values are."""
    asyncpg = driver()
    return (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def was_refused(error: Exception) -> bool:
    """Whether the server, or the driver, refused the statement: nothing was stored, and the connection still works."""
    asyncpg = driver()
    broken = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, broken)


def explain(where: str, error: Exception) -> StoreError:
    """The error that says what to do; `where` names the database."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, ValueError) and not was_refused(error):
        # The text of the driver may show a part of the password.
        return StoreError(
            "CHUTES_DATABASE_URL cannot be read. Write postgresql://user:password@host:5432/database, with "
            "percent-encoding of special characters in the password."
        )
    kinds = [kind.__name__ for kind in type(error).__mro__]
    advice = next((_ADVICE[kind] for kind in kinds if kind in _ADVICE), "")
    # The driver adds paragraphs of advice for programmers.
    what = str(error).partition("\n")[0] or type(error).__name__
    return StoreError(f"The jobs database {where} failed: {what.rstrip('.')}. {advice}".rstrip())


def without_secrets(url: str) -> str:
    """Host, port and database of an address."""
    address = url.partition("://")[2]
    before_parameters = address.partition("?")[0]
    if "@" in address and "@" not in before_parameters:
        return "of CHUTES_DATABASE_URL"
    return before_parameters.rpartition("@")[2] or "of CHUTES_DATABASE_URL"


def split_cache_size(url: str) -> tuple[str, int]:
    """The address without the one parameter that is the driver's, and its value."""
    found = re.search(r"([?&])statement_cache_size=(\d+)(&|$)", url)
    if found is None:
        return url, 100
    joint = found[1] if found[3] else ""
    return url[: found.start()] + joint + url[found.end() :], int(found[2])
