"""Where the runs of a chute under test are kept: not among those of its developer."""

from starlette.types import ASGIApp

from chutes.chute.chute import Chute
from chutes.jobs.memory import Memory
from chutes.serve.app import ChuteApp
from chutes.serve.jobs import jobs_database
from chutes.settings import Settings

__all__ = ["keep_jobs_apart"]


def keep_jobs_apart(application: ASGIApp) -> None:
    """Give a chute an empty database in memory, unless `CHUTES_HOME` or `CHUTES_DATABASE_URL` says where runs are kept.

    Raises:
        DefinitionError: the chute cannot be served.
        SettingsError: an environment variable has a value that cannot be used.
    """
    if not isinstance(application, Chute) or not application.jobs:
        return
    settings = Settings.from_env()
    served = application.app.served if isinstance(application.app, ChuteApp) else None
    if served is not None:
        served.background.keep_in(jobs_database(application, settings) if settings.keeps_jobs else Memory())
