"""The model server of a chute under test."""

from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from chutes.chute.chute import Chute
from chutes.serve.app import ChuteApp

if TYPE_CHECKING:
    from chutes.serve.engine import ModelServer

__all__ = ["use_engine"]


def use_engine(application: ASGIApp, engine: "ModelServer | None") -> None:
    """Have a chute use `engine` from its next start on; None stands for the one that it asks for.

    Raises:
        ValueError: the application is no chute that serves a model.
        DefinitionError: the chute cannot be served.
    """
    if engine is None and not (isinstance(application, Chute) and application.config.model_name):
        return
    app = application.app if isinstance(application, Chute) else None
    served = app.served if isinstance(app, ChuteApp) else None
    if served is None or served.engine is None:
        raise ValueError(
            "engine= is for a chute that serves a model: one of build_vllm_chute(...), for example."
        )
    served.engine.given = engine
