"""The API pages in a browser without a network: they show every cord, and cords can be tried out on them."""

import pytest
from fastapi import FastAPI

from support.browser import browser
from support.http_servers import asgi_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/wide.py") as chute:
        yield chute


@pytest.fixture
def page(tmp_path):
    with browser(tmp_path) as page:
        yield page


@pytest.mark.parametrize(
    ("path", "last", "elsewhere"),
    [
        ("/docs", "/made", set()),
        # Redoc shows its maker's name with a picture, and lives without it.
        ("/redoc", "Teapot", {"cdn.redoc.ly"}),
    ],
)
def test_every_cord_is_on_the_page(chute, page, path, last, elsewhere):
    page.open(f"{chute.url}{path}")
    page.wait_for(f"document.body && document.body.innerText.includes('{last}')")
    text = page.text().lower()

    assert "all forms" in text
    for name in ("names", "two models", "query model", "put thing", "text stream", "either", "make one"):
        assert name in text
    assert page.hosts() - elsewhere == {"127.0.0.1"}


def test_a_cord_is_tried_out_on_the_page(chute, page):
    page.open(f"{chute.url}/docs")
    page.click("#operations-default-schemas_schemas_post .opblock-summary-control")
    page.click("#operations-default-schemas_schemas_post .try-out__btn")
    # The example is that of the minimal input.
    assert "a line" in page.wait_for(
        "document.querySelector('#operations-default-schemas_schemas_post textarea')?.value"
    )
    page.click("#operations-default-schemas_schemas_post .execute")
    page.wait_for("!!document.querySelector('.live-responses-table .response')")
    answer = page.value("document.querySelector('.live-responses-table .response').innerText")

    assert answer.startswith("200")
    assert '"title": "a line"' in answer
    assert "x-request-id" in answer


def test_this_browser_fetches_nothing_from_elsewhere(page):
    app = FastAPI()
    app.post("/paint")(lambda motif: motif)
    with asgi_server(app) as url:
        page.open(f"{url}/docs")
        page.wait_for("document.readyState == 'complete'")
        assert "/paint" not in page.text(), "FastAPI's own page needs its scripts from elsewhere."
        assert page.hosts() != {"127.0.0.1"}
