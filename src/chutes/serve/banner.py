"""What a chute says of itself when it is ready."""

from collections.abc import Mapping
from types import MappingProxyType

from chutes.chute.chute import Chute, definition_of
from chutes.chute.engine import Task

__all__ = ["banner"]

_FIRST_CALLS: Mapping[Task, tuple[str, str]] = MappingProxyType(
    {
        "generate": (
            "/v1/chat/completions",
            '{"messages": [{"role": "user", "content": "What is gravity?"}]}',
        ),
        "embed": ("/v1/embeddings", '{"input": "The cat sits on the mat."}'),
    }
)


def banner(chute: Chute, url: str, probe_url: str | None = None, model: str = "") -> str:
    """A few lines: the cords' URLs, of a model its name and a first call, the docs' URL and the concurrency."""
    definition, config = definition_of(chute), chute.config
    rows = [(cord.method, cord.path) for cord in definition.cords]
    rows += [("WS", socket.path) for socket in definition.sockets]
    lines = [f"{config.username}/{config.name} is ready on {url}", ""]
    lines += [
        f"  {verb:<7} {(url.replace('http', 'ws', 1) if verb == 'WS' else url)}{path}" for verb, path in rows
    ]
    if not rows:
        lines.append('  no cords yet: write @chute.cord("/…") above a function')
    if definition.engine is not None:
        lines += ["", *_first_call(definition.engine.task, url)]
    docs = config.fastapi_options.get("docs_url", "/docs")
    facts = (
        [f"docs {url}{docs}"] if docs and config.fastapi_options.get("openapi_url", "/openapi.json") else []
    )
    if model:
        facts.append(model)
    facts.append(f"concurrency {config.concurrency}, queue {config.max_queue}")
    if probe_url is not None:
        facts.append(f"probes {probe_url}")
    lines += ["", "  " + " · ".join(facts), "  Ctrl-C stops it.", ""]
    return "\n".join(lines)


def _first_call(task: Task, url: str) -> list[str]:
    """A call of the chute's model, to be pasted into a shell."""
    path, body = _FIRST_CALLS[task]
    return [
        f"  Try it:  curl -s {url}{path} -H 'content-type: application/json' \\",
        f"             -d '{body}'",
    ]
