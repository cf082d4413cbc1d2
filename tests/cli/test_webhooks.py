"""`chutes jobs submit --webhook`, at a running chute and straight on a database."""

import pytest

from support.receiver import SECRET

URL = "https://example.com/hooks?job=1&for=me"
CHUTE = """
from chutes import Chute

chute = Chute(username="me", name="reports", image="python:3.12")


@chute.job()
async def report(self, title: str):
    return title
"""


@pytest.fixture
def jobs(cli, monkeypatch):
    """`chutes jobs …` on the database of a chute that nobody serves."""
    cli.write("app.py", CHUTE)

    def run(*words):
        return cli("jobs", *words, "--app", "app.py")

    return run


def test_a_run_is_submitted_with_a_webhook_and_shows_it(jobs, monkeypatch):
    monkeypatch.setenv("CHUTES_WEBHOOK_SECRET", SECRET)
    run_id = jobs("submit", "report", "title=Bees", "--webhook", URL).stdout.strip()

    shown = jobs("show", run_id)

    assert shown.exit_code == 0, shown.stderr
    assert f"webhook {URL} pending" in " ".join(shown.stdout.split())


def test_a_run_without_a_webhook_shows_none(jobs):
    run_id = jobs("submit", "report", "title=Bees").stdout.strip()

    assert "webhook" not in jobs("show", run_id).stdout


@pytest.mark.parametrize(
    ("secret", "url", "text"),
    [("", URL, "chutes keys webhook"), (SECRET, "http://10.0.0.1/", "CHUTES_WEBHOOK_ALLOW_PRIVATE")],
)
def test_what_cannot_be_told_is_refused_with_what_to_do(jobs, monkeypatch, secret, url, text):
    monkeypatch.setenv("CHUTES_WEBHOOK_SECRET", secret)
    refused = jobs("submit", "report", "title=Bees", "--webhook", url)

    assert refused.exit_code == 1
    assert text in refused.stderr
    assert refused.stdout == ""
