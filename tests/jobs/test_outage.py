"""What is said of a database that is away."""

import logging

from chutes.errors import StoreError
from chutes.jobs.outage import Outage


def test_an_outage_is_said_once_and_its_end_once(caplog):
    caplog.set_level(logging.INFO)
    outage = Outage(logging.getLogger("chutes.jobs"), "Jobs wait.", "Jobs go on.")

    outage.end()
    for _ in range(3):
        outage.begin(StoreError("It is away."))
    outage.end()
    outage.end()
    outage.begin(StoreError("It is away again."))

    assert caplog.messages == [
        "It is away. Jobs wait.",
        "The jobs database is back. Jobs go on.",
        "It is away again. Jobs wait.",
    ]
