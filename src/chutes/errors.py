"""Every exception of the package, ordered by what its reader does next.

ChutesError
├── DefinitionError (ValueError)     correct the chute file, at the line that raised
│   ├── InvalidPath                  … the path of a cord or websocket
│   ├── DuplicatePath                … a second cord or websocket on one path
│   └── DuplicateName                … a second job of one name
├── SettingsError (ValueError)       correct the environment variable that it names
├── LoadError                        correct the reference on the command line
├── ServeError                       free the port, or choose another
├── StartupError                     read the traceback of the hook or the warm-up call that failed
├── ShutdownError                    likewise, for a shutdown hook
├── BatchError                       correct the batched function: its results do not fit its items
├── StoreError                       look after the database of the jobs: its disk, its address, its version
├── JobError                         a run did not end well
│   ├── JobFailed                    read its error: the function failed, or was interrupted too often
│   └── JobCancelled                 somebody cancelled it
├── ModelError                       correct the model's name, or get its weights
├── EngineError                      install the model server that it names, or read that server's last lines
├── BuildError                       read what the container tool said, or correct the files that the image takes
├── DeployError                      read what the platform said, and change the plan or the platform
├── ProcessError                     read the last lines of the child process
├── RequestError                     (server side) becomes an answer with the class's `status`
│   ├── BodyTooLarge          413
│   ├── QueueFull             503
│   │   └── DeadlineUnreachable   … the call's turn would come after its deadline
│   ├── NotReady              503
│   ├── UnknownJob            404    no job of that name, or no run of that id
│   ├── UnknownFile           404    the run has no file of that path
│   ├── InvalidArguments      422    the arguments do not fit the job's function
│   └── KeyConflict           409    the idempotency key was used with other arguments
├── CallError                        (client side) a running chute did not give a good answer
│   ├── ConnectionFailed             is the chute running, and is the URL right?
│   ├── CallRefused                  wait, then call again: the chute is busy, or starts, or stops
│   ├── CallRejected                 correct the arguments, or the key
│   └── CallFailed                   the chute's own code failed: its log has the request id
├── WebSocketError                   (client side) a websocket is not, or no longer, open
│   ├── WebSocketRefused             its status or close code says why
│   └── WebSocketClosed              likewise
└── ClientNotOpen (RuntimeError)     (tests) put the request inside `with TestClient(chute) as client:`
"""

__all__ = [
    "BatchError",
    "BodyTooLarge",
    "BuildError",
    "CallError",
    "CallFailed",
    "CallRefused",
    "CallRejected",
    "ChutesError",
    "ClientNotOpen",
    "ConnectionFailed",
    "DeadlineUnreachable",
    "DefinitionError",
    "DeployError",
    "DuplicateName",
    "DuplicatePath",
    "EngineError",
    "InvalidArguments",
    "InvalidPath",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "KeyConflict",
    "LoadError",
    "ModelError",
    "NotReady",
    "ProcessError",
    "QueueFull",
    "RequestError",
    "ServeError",
    "SettingsError",
    "ShutdownError",
    "StartupError",
    "StoreError",
    "UnknownFile",
    "UnknownJob",
    "WebSocketClosed",
    "WebSocketError",
    "WebSocketRefused",
]


class ChutesError(Exception):
    """The base of every exception that this package raises on purpose."""


class DefinitionError(ChutesError, ValueError):
    """The chute file says something that cannot be: correct it where this was raised."""


class InvalidPath(DefinitionError):  # noqa: N818 - the public SDK's name
    """The path of a cord or a websocket has a form that no request can have."""


class DuplicatePath(DefinitionError):  # noqa: N818 - the public SDK's name
    """A cord or websocket with this verb and path exists already."""


class DuplicateName(DefinitionError):  # noqa: N818 - reads as its sibling
    """A job with this name exists already."""


class SettingsError(ChutesError, ValueError):
    """An environment variable has a value that cannot be used."""


class LoadError(ChutesError):
    """A reference such as `app:chute` does not lead to a chute."""


class ServeError(ChutesError):
    """The server cannot start: most often its port is taken."""


class StartupError(ChutesError):
    """A startup hook or a warm-up call failed; what the user's code raised is the cause."""


class ShutdownError(ChutesError):
    """A shutdown hook failed, or did not end in time."""


class BatchError(ChutesError):
    """A batched cord did not return one result for each item."""


class StoreError(ChutesError):
    """The database of the jobs cannot be used; nothing was accepted."""


class JobError(ChutesError):
    """A run did not end well.

    Attributes:
        run_id: the run.
    """

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class JobFailed(JobError):  # noqa: N818 - named for the condition
    """The run failed, in its last attempt."""


class JobCancelled(JobError):  # noqa: N818 - named for the condition
    """The run was cancelled."""


class ModelError(ChutesError):
    """A model is not there, cannot be fetched, or is in no form that the engine takes."""


class EngineError(ChutesError):
    """No model server can be started for a model here, or the one that was started did not get ready."""


class BuildError(ChutesError):
    """An image cannot be built: a file is missing, or the container tool is or has failed."""


class DeployError(ChutesError):
    """A chute cannot run on a platform as it was asked for, or did not get ready there."""


class ProcessError(ChutesError):
    """A child process did not start, was not ready in time, or ended."""


class RequestError(ChutesError):
    """An answer other than success, with the status of its class.

    Attributes:
        status: the HTTP status code.
        headers: headers of the answer, such as `Retry-After`.
    """

    status: int = 500

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}


class BodyTooLarge(RequestError):  # noqa: N818 - named for the condition
    """The request's body has more bytes than the chute takes."""

    status = 413


class QueueFull(RequestError):  # noqa: N818 - named for the condition
    """All slots and all places in the queue are taken."""

    status = 503


class DeadlineUnreachable(QueueFull):
    """The queue is so long that the call could not begin before its deadline."""


class NotReady(RequestError):  # noqa: N818 - named for the condition
    """The chute starts, stops, or was never started."""

    status = 503


class UnknownJob(RequestError):  # noqa: N818 - named for the condition
    """There is no job of this name, or no run of this id."""

    status = 404


class UnknownFile(RequestError):  # noqa: N818 - named for the condition
    """The run has no file of this path, or has it no more."""

    status = 404


class InvalidArguments(RequestError):  # noqa: N818 - named for the condition
    """The arguments do not fit the job's function.

    Attributes:
        errors: what is wrong, as FastAPI's 422 lists it.
    """

    status = 422

    def __init__(self, detail: str, errors: list[dict[str, object]] | None = None) -> None:
        super().__init__(detail)
        self.errors = errors or []


class KeyConflict(RequestError):  # noqa: N818 - named for the condition
    """The idempotency key was used with other arguments."""

    status = 409


class CallError(ChutesError):
    """A call to a running chute had no good answer.

    Attributes:
        status: the HTTP status code, None when there was no answer.
        detail: the `detail` of the answer's body, else its text.
        request_id: the id to look for in the chute's log, when the answer had one.
    """

    def __init__(
        self, message: str, *, status: int | None = None, detail: object = None, request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.request_id = request_id


class ConnectionFailed(CallError):  # noqa: N818 - named for the condition
    """No connection, or it broke before the answer was whole."""


class CallRefused(CallError):  # noqa: N818 - named for the condition
    """429 or 503: busy, starting or stopping; `retry_after` seconds when the answer said so."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        detail: object = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, detail=detail, request_id=request_id)
        self.retry_after = retry_after


class CallRejected(CallError):  # noqa: N818 - named for the condition
    """Any other 4xx: the request has to change."""


class CallFailed(CallError):  # noqa: N818 - named for the condition
    """Any other 5xx, or an error inside a stream: the chute's own code failed."""


class WebSocketError(ChutesError):
    """A websocket is not open."""


class WebSocketRefused(WebSocketError):  # noqa: N818 - named for the condition
    """The application answered the handshake with anything but an accept.

    Attributes:
        status: the HTTP status of the answer; 403 when the application closed without accepting.
        headers: headers of the answer, their names in lower case.
        body: bytes of the answer.
        code: the close code, when the application closed without accepting; a client on the network never
            sees it.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 403,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.code = code


class WebSocketClosed(WebSocketError):  # noqa: N818 - named for the condition
    """The websocket was closed.

    Attributes:
        code: the close code; 1006 when the application ended without closing.
        reason: the closer's text, often empty.
    """

    def __init__(self, message: str, *, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class ClientNotOpen(ChutesError, RuntimeError):  # noqa: N818 - named for the condition
    """A test client was used outside of its `with` block."""
