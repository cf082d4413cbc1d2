"""llama.cpp's own HTTP server, run by xllamacpp until a signal comes.

Started by path, under an interpreter that may have neither this package nor its dependencies: it imports xllamacpp and
the standard library alone.

    llamacpp_server.py --model FILE --port PORT [--alias NAME] [--parallel N] [--ctx-size N] [--threads N] [--NAME VALUE]...

Further arguments are named as llama.cpp names its parameters: `--n-batch 512` sets `n_batch`. `LLAMA_API_KEY` is the key
that callers have to present. `--ctx-size` is for all parallel requests together.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import xllamacpp

# What llama-server calls otherwise than the parameter that it sets.
_OTHER_NAMES = {
    "ctx_size": "n_ctx",
    "batch_size": "n_batch",
    "ubatch_size": "n_ubatch",
    "gpu_layers": "n_gpu_layers",
    "jinja": "use_jinja",
    "embeddings": "embedding",
}
_SHORT_NAMES = {
    "-c": "--ctx-size", "-np": "--parallel", "-t": "--threads", "-b": "--batch-size", "-ub": "--ubatch-size",
    "-ngl": "--gpu-layers", "-m": "--model", "-a": "--alias",
}  # fmt: skip
# A model's properties stand in front of its vocabulary, at the beginning of the file.
_HEADER_BYTES = 65_536
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="llamacpp_server", allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alias")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    words = [_SHORT_NAMES.get(word, word) for word in sys.argv[1:]]
    known, others = parser.parse_known_args(words)
    params = xllamacpp.CommonParams()
    params.model.path = known.model
    params.port = known.port
    params.model_alias = {known.alias} if known.alias else set()
    params.n_parallel = known.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = known.threads
    # More threads than slots, or those who wait for a slot keep the answer of /health waiting.
    params.n_threads_http = max(16, 4 * known.parallel)
    key = os.environ.get("LLAMA_API_KEY")  # noqa: TID251 - this file is a program of its own
    params.api_keys = [key] if key else []
    params.ui = False
    params.endpoint_metrics = True
    _set_others(params, others, parser)
    params.chat_template = _template(params.chat_template)
    if params.embedding and not _says_how_it_pools(known.model):
        # One vector for each text, as the OpenAI API wants it; a model that was made for embeddings says which.
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    _serve(params)


def _set_others(params: object, words: list[str], parser: argparse.ArgumentParser) -> None:
    """Set the parameters that stand as `--name value`, `--name=value` or, for a switch, `--name`."""
    while words:
        flag, equals, value = words.pop(0).partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        name = _OTHER_NAMES.get(name, name)
        default = getattr(params, name, None)
        if not flag.startswith("--") or not isinstance(default, (bool, int, float, str)):
            parser.error(f"unrecognized argument: {flag}")
        if not equals:
            value = "on" if _is_alone(default, words) else words.pop(0) if words else ""
        try:
            setattr(
                params, name, _WORDS[value.lower()] if isinstance(default, bool) else type(default)(value)
            )
        except (KeyError, ValueError):
            parser.error(f"argument {flag}: invalid value: {value!r}")


def _template(said: str) -> str:
    """The chat template itself; other servers take the file that holds it, too."""
    is_file = "{" not in said and Path(said).is_file()
    return Path(said).read_text(encoding="utf-8") if is_file else said


def _says_how_it_pools(model: str) -> bool:
    with Path(model).open("rb") as file:
        return b".pooling_type" in file.read(_HEADER_BYTES)


def _is_alone(default: object, words: list[str]) -> bool:
    return isinstance(default, bool) and (not words or words[0].startswith("-"))


def _serve(params: object) -> None:
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        server = xllamacpp.Server(params)
    except Exception as exc:  # noqa: BLE001 - the edge of a process: its reader wants a line and an exit code
        sys.exit(f"error: {exc}")
    print(f"listening on {server.listening_address}", flush=True)  # noqa: T201 - a program says so on its output
    signal.sigwait(stops)
    # Its destructor waits for requests in flight, without a limit; who stopped us has given them their time.
    os._exit(0)


if __name__ == "__main__":
    main()
