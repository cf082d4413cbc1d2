"""What a job's function logs, kept with its run."""

import logging

from chutes.jobs.current import current_run

__all__ = ["RunLog"]


class RunLog(logging.Handler):
    """Notes lines that are logged while a run's function is running, wherever they come from."""

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line with the run that it belongs to; other lines are none of our business."""
        run = current_run.get()
        if run is None:
            return
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - logging's own way with a line that cannot be formatted
            self.handleError(record)
            return
        run.add_line(record.levelname.lower(), text)
