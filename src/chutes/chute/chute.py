"""The chute: one deployable application, as a collection of descriptions."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from types import MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from chutes.chute.config import ChuteConfig, DisconnectPolicy
from chutes.chute.cord import Cord, make_cord
from chutes.chute.definition import MODEL_CALLS, Definition, Running, check_called, define
from chutes.chute.hooks import Hook, make_hook
from chutes.errors import DefinitionError
from chutes.suggestions import did_you_mean

if TYPE_CHECKING:
    import logging

    from fastapi import FastAPI

    from chutes.chute.batch import Batch
    from chutes.chute.engine_arguments import EngineArguments
    from chutes.chute.jobs import Jobs
    from chutes.chute.node_selector import NodeSelector
    from chutes.image import Image

__all__ = ["Chute", "definition_of"]

P = ParamSpec("P")
R = TypeVar("R")

_PROTECTED = frozenset({
    "app", "config", "logger", "jobs", "cords", "run_local", "slot", "cord", "job", "websocket", "on_startup", "on_shutdown",
})  # fmt: skip
_CONFIG_NAMES = frozenset(entry.name for entry in fields(ChuteConfig)) | {"uid"}


class Chute:
    """A deployable AI application: decorate functions, then run, build or deploy it.

    Inside hooks, cords, jobs and websockets `self` is the chute: set state on it freely, save for the protected
    names (`app`, `config`, `logger`, `jobs`, `cords`, `run_local`, `slot` and the decorators).

    Args:
        username: owner; 1 to 63 characters of a-z, 0-9 and '-'.
        name: name of the application, under the same rule.
        image: a container image reference such as `"python:3.11"`, or an `Image`.
        concurrency: how many cord calls run at once, at most; further ones wait in a queue.
        max_queue: how many calls wait, at most; those beyond get 503 with `Retry-After`.
        max_body_size: bytes of a request's body, at most; a larger one gets 413.
        on_disconnect: "cancel" or "finish": what happens to a call whose client leaves. By default streams are
            cancelled and other calls finish.
        drain_delay: seconds during which new work is still accepted after the signal to stop.
        shutdown_grace: seconds that requests in flight get to finish.
        sse_keep_alive: seconds after which a silent stream of events gets a comment, so that no proxy cuts it; 0
            sends none.
        stall_limit: seconds for which code may block the event loop before `/livez` fails; 0 sets no limit.
        max_jobs: runs of jobs at once in one process, at most. Default: 1 for a chute that asks for a GPU, else 4.
        model_name: a model to serve as `standard_template` does, by default `vllm`: its builder in `chutes.templates`
            explains this, `engine`, `engine_args` and `engine_python`.
        **fastapi_options: the rest goes to `FastAPI(...)`: title, version, middleware, lifespan, …

    Raises:
        DefinitionError: a value breaks its rule; the text names it and proposes a valid one.

    Example:
        >>> chute = Chute(username="acme", name="greeter", image="python:3.11")
        >>> @chute.cord("/greet")
        ... async def greet(self, name: str) -> str:
        ...     return f"Hello, {name}!"
        >>> chute.cords[0].path
        '/greet'
    """

    def __init__(  # noqa: PLR0917 - the contract's signature
        self,
        username: str,
        name: str,
        image: "str | Image",
        tagline: str = "",
        readme: str = "",
        standard_template: str | None = None,
        revision: str | None = None,
        node_selector: "NodeSelector | None" = None,
        concurrency: int = 1,
        *,
        max_instances: int = 1,
        shutdown_after_seconds: int = 300,
        scaling_threshold: float = 0.75,
        allow_external_egress: bool | None = None,
        encrypted_fs: bool = False,
        passthrough_headers: Mapping[str, str] | None = None,
        tee: bool = False,
        lock_modules: bool | None = None,
        max_queue: int = 64,
        max_body_size: int = 64 * 1024 * 1024,
        on_disconnect: DisconnectPolicy | None = None,
        drain_delay: float = 0.0,
        shutdown_grace: float = 30.0,
        sse_keep_alive: float = 15.0,
        stall_limit: float = 60.0,
        max_jobs: int | None = None,
        model_name: str | None = None,
        engine: str = "auto",
        engine_args: "EngineArguments" = None,
        engine_python: str | None = None,
        **fastapi_options: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in _CONFIG_NAMES}
        config = ChuteConfig(**given | {"passthrough_headers": passthrough_headers or {}})
        config.warn_about_unused(stacklevel=3)
        # One mangled name for all that is ours leaves every other name to the user's state.
        object.__setattr__(self, "_Chute__definition", define(config))
        self.passthrough_headers = dict(config.passthrough_headers)

    def on_startup(self, priority: int = 50) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Run the function once, before requests are served; lower priorities first.

        Raises:
            DefinitionError: written without parentheses, or the function takes no chute.
        """
        return self.__hook_decorator("on_startup", priority, self.__definition.startup_hooks)

    def on_shutdown(self, priority: int = 50) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Run the function once, after the last request; lower priorities first.

        Raises:
            DefinitionError: written without parentheses, or the function takes no chute.
        """
        return self.__hook_decorator("on_shutdown", priority, self.__definition.shutdown_hooks)

    def cord(  # noqa: PLR0917 - the contract's signature
        self,
        public_api_path: str | None = None,
        method: str = "POST",
        input_schema: Any = None,
        output_schema: Any = None,
        minimal_input_schema: Any = None,
        output_content_type: str | None = None,
        stream: bool = False,
        public_api_method: str | None = None,
        *,
        path: str | None = None,
        passthrough: bool = False,
        passthrough_path: str | None = None,
        passthrough_port: int | None = None,
        provision_timeout: int | None = None,
        on_disconnect: DisconnectPolicy | None = None,
        batch: "Batch | None" = None,
        timeout: float | None = None,
        warmup: Any = None,
        **route_options: Any,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Serve the function over HTTP.

        Args:
            public_api_path: URL path; `{placeholders}` become parameters. Default: the function's name.
            method: HTTP verb.
            input_schema: type that validates the input; default: what the signature says.
            output_schema: type that validates the output; default: nothing is validated.
            minimal_input_schema: smaller type, or an instance, shown as the example in the docs.
            output_content_type: media type of str and bytes results; default: JSON.
            stream: the function is a generator, or returns a `StreamingResponse`.
            public_api_method: deprecated spelling of `method`.
            path: the public SDK's internal path; serves when `public_api_path` is not given.
            passthrough: forward the call to a server on this machine.
            passthrough_path: path on that server.
            passthrough_port: port of that server.
            provision_timeout: accepted for files of the public SDK; nothing is provisioned here.
            on_disconnect: "cancel" or "finish"; default: the chute's.
            batch: put calls that come at the same time together; the function then takes and returns lists.
            timeout: seconds until a call is answered with 504, from the moment at which its input is whole.
            warmup: arguments, as a dict or a model, of one call that is made before `/readyz` turns 200; default:
                `minimal_input_schema` when that is an instance. False makes none.
            **route_options: tags, summary, responses, status_code, … for FastAPI's route.

        Raises:
            InvalidPath: the path has a form that no request can have.
            DuplicatePath: another cord has this verb and path.
            DefinitionError: anything else is wrong.
        """
        del provision_timeout
        check_called("cord", public_api_path, '@chute.cord(public_api_path="/…")')

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            self.__definition.add_cord(
                make_cord(
                    function,
                    public_api_path=public_api_path,
                    method=method,
                    public_api_method=public_api_method,
                    path=path,
                    input_schema=input_schema,
                    output_schema=output_schema,
                    minimal_input_schema=minimal_input_schema,
                    output_content_type=output_content_type,
                    stream=stream,
                    on_disconnect=on_disconnect,
                    batch=batch,
                    timeout=timeout,
                    warmup=warmup,
                    passthrough=passthrough,
                    passthrough_path=passthrough_path,
                    passthrough_port=passthrough_port,
                    options=route_options,
                )
            )
            return function

        return decorate

    def job(
        self,
        name: str | None = None,
        schedule: str | None = None,
        retry_count: int = 3,
        timeout: float | None = None,
        **options: Any,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Register the function as a background job.

        Args:
            name: default: the function's name.
            schedule: cron expression of five fields, or an alias such as `@daily`; UTC unless `timezone=` says otherwise.
            retry_count: further attempts after a failed one.
            timeout: seconds that one attempt may take; None sets no limit.
            **options: `timezone`, `webhook`, and the public SDK's `ports`, `upload`, `ssh`.

        Raises:
            DuplicateName: another job has this name.
            DefinitionError: anything else is wrong.
        """
        from chutes.chute.job import make_job

        check_called("job", name, "@chute.job()")

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            job = make_job(
                function, name=name, schedule=schedule, retry_count=retry_count, timeout=timeout, **options
            )
            self.__definition.add_job(job)
            return function

        return decorate

    def websocket(self, path: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Serve the coroutine function `(self, websocket)` as a websocket.

        Raises:
            InvalidPath: the path has a form that no request can have.
            DuplicatePath: another websocket has this path.
            DefinitionError: the function is not `async def`, or takes no chute.
        """
        from chutes.chute.websocket import make_socket

        check_called("websocket", path, '@chute.websocket("/…")')

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            self.__definition.add_socket(make_socket(function, path))
            return function

        return decorate

    @property
    def config(self) -> ChuteConfig:
        """Every constructor value, read-only."""
        return definition_of(self).config

    @property
    def cords(self) -> tuple[Cord, ...]:
        """The cords, as they were written."""
        return tuple(self.__definition.cords)

    @property
    def jobs(self) -> "Jobs":
        """The jobs by name, and their runs: `run = await chute.jobs.submit("name", …)`."""
        from chutes.chute.jobs import Jobs

        return Jobs(self.__definition.jobs, lambda: self.__running().jobs)

    @property
    def logger(self) -> "logging.Logger":
        """The chute's logger, `chutes.<username>.<name>`."""
        import logging

        return logging.getLogger(f"chutes.{self.config.username}.{self.config.name}")

    @property
    def app(self) -> "FastAPI":
        """The underlying FastAPI application, made on first use."""
        return self.__running().app

    def slot(self) -> AbstractAsyncContextManager[None]:
        """One of the `concurrency` slots, for work outside cords: `async with self.slot(): …`.

        It waits its turn behind the calls that wait already.
        """
        return self.__running().slot()

    async def health_check(self) -> dict[str, Any]:
        """What `/health` answers; assign another function to `self.health_check` to replace it."""
        from datetime import UTC, datetime

        return {"status": "healthy", "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}

    def run_local(
        self,
        host: str = "0.0.0.0",  # noqa: S104 - the contract's default
        port: int = 8000,
        reload: bool = True,
        log_level: str = "info",
    ) -> None:
        """Serve the chute from `python app.py` until it is stopped, then end the process.

        Args:
            host: address to bind to.
            port: port to listen on; 0 takes a free one.
            reload: start again whenever a Python file beside the program changes.
            log_level: debug, info, warning or error.
        """
        from chutes.serve.server import run_local

        run_local(self, host=host, port=port, reload=reload, log_level=log_level)

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer as an ASGI application; the hooks run inside its lifespan."""
        try:
            running = self.__running()
        except Exception as error:
            await self.__definition.fail_lifespan(error, scope, receive, send)
            raise
        await running(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        """Find a registered function, a module's function with `self`, a constructor value, or an attribute of the app."""
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        definition: Definition = self.__definition
        if definition.engine is not None and name in (*MODEL_CALLS, "chute"):
            return self if name == "chute" else getattr(self.__running().model, name)
        function = definition.find(name)
        if function is not None:
            return MethodType(function, self)
        if name in _CONFIG_NAMES:
            return getattr(definition.config, name)
        try:
            return getattr(self.app, name)
        except AttributeError:
            hint = did_you_mean(name, self.__findable()) or f" Set it in a startup hook: self.{name} = …"
            raise AttributeError(f"The chute has no attribute {name!r}.{hint}", name=name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _PROTECTED:
            another = f"Choose another name, for example 'self.my_{name}'."
            raise AttributeError(f"{name!r} belongs to the chute and cannot be assigned. {another}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<Chute {self.config.username}/{self.config.name}: {len(self.cords)} cords, {len(self.jobs)} jobs>"

    def __findable(self) -> list[str]:
        """The public names that `self.<name>` finds."""
        definition: Definition = self.__definition
        calls = MODEL_CALLS if definition.engine is not None else ()
        names = [*definition.findable(), *_CONFIG_NAMES, *calls, *dir(self), *dir(self.app)]
        return [name for name in names if not name.startswith("_")]

    def __running(self) -> Running:
        definition: Definition = self.__definition
        if definition.running is None:
            from chutes.serve.app import serve_chute

            try:
                definition.running = serve_chute(self)
            except AttributeError as error:
                # Python would take it for a missing `app`, and ask __getattr__ for one.
                raise DefinitionError(f"The chute cannot be served: {error}") from error
        return definition.running

    def __hook_decorator(
        self, decorator: str, priority: int, hooks: list[Hook]
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        check_called(decorator, priority, f"@chute.{decorator}()")

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            self.__definition.add_hook(make_hook(function, priority), hooks)
            return function

        return decorate


def definition_of(chute: Chute) -> Definition:
    """Everything that was said about `chute`, for those who serve, build or deploy it."""
    definition: Definition = object.__getattribute__(chute, "_Chute__definition")
    return definition
