"""How an application under test is served."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chutes.serve.engine import ModelServer

__all__ = ["ServingOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """How an application under test is served.

    Attributes:
        raise_errors: raise the application's own exceptions in the test, rather than answer 500.
        root_path: path under which a proxy mounts the application, such as "/v1".
        client: address and port from which requests seem to come.
        lifespan_timeout: seconds that startup may take, and shutdown again; None sets no limit.
        shutdown_grace: seconds that requests in flight get to end, once the client is closed.
        engine: the model server of a chute that serves a model; None for its own.
    """

    raise_errors: bool = False
    root_path: str = ""
    client: tuple[str, int] = ("127.0.0.1", 50000)
    lifespan_timeout: float | None = 60.0
    shutdown_grace: float = 1.0
    engine: "ModelServer | None" = None

    def __post_init__(self) -> None:
        path, limit = self.root_path, self.lifespan_timeout
        if path and (not path.startswith("/") or path.endswith("/")):
            raise ValueError(
                f"Invalid root_path {path!r}. It starts with '/' and ends without, for example '/v1'."
            )
        if limit is not None and limit <= 0:
            raise ValueError(f"Invalid lifespan_timeout {limit}. Give seconds above 0, or None for no limit.")
        if self.shutdown_grace < 0:
            raise ValueError(f"Invalid shutdown_grace {self.shutdown_grace}. Give 0 or more seconds.")
