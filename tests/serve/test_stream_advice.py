"""What the log says to somebody whose stream is not what it seems to be."""

import pytest

from support.serving import serving


def test_text_that_looks_like_events_is_sent_as_text_and_the_log_says_once_what_to_write(caplog):
    async def run(self):
        yield "data: 1\n\n"

    with serving(run, stream=True) as client:
        for _ in range(3):
            response = client.post("/run")
            assert (response.text, response.headers["content-type"]) == (
                "data: 1\n\n",
                "text/plain; charset=utf-8",
            )
    said = [record.getMessage() for record in caplog.records if "server-sent events" in record.getMessage()]
    assert len(said) == 1
    assert "output_content_type='text/event-stream'" in said[0]


@pytest.mark.parametrize(
    ("chunk", "options"),
    [
        ("data", {}),
        ("once upon", {}),
        (b"data: 1\n\n", {}),
        ("data: 1\n\n", {"output_content_type": "text/plain"}),
    ],
)
def test_other_streams_need_no_advice(chunk, options, caplog):
    async def run(self):
        yield chunk

    with serving(run, stream=True, **options) as client:
        client.post("/run")
    assert "server-sent events" not in caplog.text
