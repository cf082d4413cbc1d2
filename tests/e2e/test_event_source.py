"""Streams of events as the `EventSource` of a browser has them."""

import json

import pytest

from support.browser import browser

pytestmark = pytest.mark.browser

LISTEN = """new Promise(done => {
    const seen = [], source = new EventSource('/ticks');
    source.onopen = () => seen.push(['open', '', '']);
    const note = event => seen.push([event.type, event.data, event.lastEventId]);
    source.addEventListener('message', note);
    source.addEventListener('note', note);
    source.addEventListener('error', event => { note(event); source.close(); done(seen); });
})"""


def test_a_browser_gets_every_event_and_the_error_and_no_comment(module_serve, tmp_path):
    with module_serve("apps/ticks.py") as chute, browser(tmp_path) as page:
        page.open(f"{chute.url}/livez")
        page.wait_for("location.pathname === '/livez'")
        opened, first, second, third, (kind, data, _) = page.value(LISTEN)

    assert opened == ["open", "", ""]
    assert [first, second] == [["message", '{"n":1}', ""], ["message", "two\nlines", ""]]
    assert third == ["note", '{"n":2}', "7"]
    error = json.loads(data)
    assert (kind, error["detail"], error["status"]) == ("error", "slow down", 429)
