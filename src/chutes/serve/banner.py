"""What a chute says of itself when it is ready."""

from chutes.chute.chute import Chute, definition_of

__all__ = ["banner"]


def banner(chute: Chute, url: str, probe_url: str | None = None) -> str:
    """A few lines: the cords' URLs, the docs' URL and the concurrency."""
    definition, config = definition_of(chute), chute.config
    rows = [(cord.method, cord.path) for cord in definition.cords]
    rows += [("WS", socket.path) for socket in definition.sockets]
    lines = [f"{config.username}/{config.name} is ready on {url}", ""]
    lines += [
        f"  {verb:<7} {(url.replace('http', 'ws', 1) if verb == 'WS' else url)}{path}" for verb, path in rows
    ]
    if not rows:
        lines.append('  no cords yet: write @chute.cord("/…") above a function')
    docs = config.fastapi_options.get("docs_url", "/docs")
    facts = (
        [f"docs {url}{docs}"] if docs and config.fastapi_options.get("openapi_url", "/openapi.json") else []
    )
    facts.append(f"concurrency {config.concurrency}, queue {config.max_queue}")
    if probe_url is not None:
        facts.append(f"probes {probe_url}")
    lines += ["", "  " + " · ".join(facts), "  Ctrl-C stops it.", ""]
    return "\n".join(lines)
