"""A job that leaves files."""

from pathlib import Path

from chutes import Chute

PIECE = 1024 * 1024

chute = Chute(username="me", name="filing", image="python:3.11", max_jobs=1, shutdown_grace=0.5)


@chute.job(retry_count=3)
def render(self, pieces: int, output_dir: str):
    attempt = self.jobs.current.attempt
    with (Path(output_dir) / "film.bin").open("wb") as file:
        for number in range(pieces):
            file.write(f"{attempt}:{number:06}:".encode() * (PIECE // 9 + 1))
    (Path(output_dir) / f"attempt-{attempt}.txt").write_text(str(attempt))
    return attempt
