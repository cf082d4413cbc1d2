"""A stand-in for a model server: a small HTTP server that is told by its arguments how to misbehave.

    scripted_engine.py PORT [--say LINE]... [--slow SECONDS] [--exit CODE] [--child] [--sick-after N]

`--exit` prints the lines and ends. `--sick-after N`: from the Nth health check on it answers 503. `POST /hang` answers, and
then nothing any more; `POST /exit` ends it. `GET /pids` lists it and the child that `--child` has made, in a session of its own.
"""

import argparse
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--say", action="append", default=[])
    parser.add_argument("--slow", type=float, default=0)
    parser.add_argument("--exit", type=int)
    parser.add_argument("--child", action="store_true")
    parser.add_argument("--sick-after", type=int)
    options = parser.parse_args()
    for line in options.say:
        print(line, flush=True)
    if options.exit is not None:
        sys.exit(options.exit)
    time.sleep(options.slow)
    child = None
    if options.child:
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
        )
    serve(options.port, [os.getpid()] + ([child.pid] if child else []), options.sick_after)


def serve(port: int, pids: list[int], sick_after: int | None) -> None:
    hangs = threading.Event()
    checks = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal checks
            if hangs.is_set():
                time.sleep(600)
            checks += self.path == "/health"
            sick = sick_after is not None and checks >= sick_after
            self.answer(503 if sick else 200, pids if self.path == "/pids" else {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == "/exit":
                os._exit(3)
            if self.path == "/environment":
                self.answer(200, {"environment": dict(os.environ), "cwd": str(Path.cwd())})
                return
            self.answer(200, {})
            if self.path == "/hang":
                hangs.set()

        def answer(self, status: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
