"""The webhook of a run: where its end is told, and how far that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Webhook", "WebhookStatus"]


class WebhookStatus(StrEnum):
    """Where a webhook stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What is known of a run's webhook.

    Attributes:
        url: where the end of the run is told.
        status: pending until the receiver has taken it, or there are no attempts left.
        attempts: begun so far, since the run ended.
        last_error: why the last attempt failed; None once one went well.
        delivered_at: when the receiver took it, in milliseconds since 1970, UTC.
    """

    url: str
    status: WebhookStatus
    attempts: int
    last_error: str | None
    delivered_at: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Webhook | None":
        """From a row of the table of runs; None for a run without a webhook."""
        if row["webhook"] is None:
            return None
        return cls(
            url=row["webhook"],
            status=WebhookStatus(row["webhook_status"]),
            attempts=row["webhook_attempts"],
            last_error=row["webhook_error"],
            delivered_at=row["webhook_delivered_at"],
        )
