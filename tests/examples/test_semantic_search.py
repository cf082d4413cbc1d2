"""The semantic-search example with its real model: every door of it, and what nobody should send."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chutes.testing import TestClient, WebSocketClosed, wait_until

CORPUS_SIZE = 90


@pytest.fixture(scope="module")
def chute(model_packages, example_chute):
    return example_chute("semantic_search/app.py")


@pytest.fixture(scope="module")
def client(chute):
    with TestClient(chute) as client:
        yield client


@pytest.fixture
def added(client):
    """Adds documents for one test; they are gone after it."""
    ids = []

    def add(*documents):
        answer = client.post("/documents", json={"documents": list(documents)})
        assert answer.status_code == 200, answer.text
        ids.extend(answer.json()["ids"])
        return answer.json()

    yield add
    for document_id in dict.fromkeys(ids):
        client.delete(f"/documents/{document_id}")


def search(client, query, **options):
    answer = client.post("/search", json={"query": query, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()["hits"]


def events(response):
    assert response.headers["content-type"].startswith("text/event-stream")
    return [
        json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line[:5] == "data:"
    ]


@pytest.mark.parametrize(
    ("query", "topic", "word"),
    [
        ("creatures that see with sound", "animals", "Bats"),
        ("why is my loaf so fluffy", "food", "yeast"),
        ("how do machines learn from their mistakes", "computing", "neural network"),
        ("exhausted after a long flight", "travel", "time zones"),
        ("the shot that protects you from disease", "health", "Vaccines"),
        ("who was the first programmer", "history", "Ada Lovelace"),
    ],
)
def test_the_first_search_finds_what_was_meant(client, query, topic, word):
    best = search(client, query)[0]
    assert best["metadata"] == {"topic": topic}
    assert word in best["text"]


def test_hits_come_best_first_and_within_the_limit(client):
    scores = [hit["score"] for hit in search(client, "the sea", limit=50, min_score=-1)]
    assert len(scores) == 50
    assert scores == sorted(scores, reverse=True)
    assert len(search(client, "the sea", limit=3, min_score=-1)) == 3


def test_hits_below_the_lowest_score_are_left_out(client):
    assert search(client, "quarterly tax return software", min_score=0.9) == []


def test_an_added_sentence_is_found(client, added):
    text = "Our office is closed on the second Friday of March."
    answer = added(text)
    assert answer["documents"] == CORPUS_SIZE + 1
    best = search(client, "when can I not come to your workplace")[0]
    assert (best["id"], best["text"], best["metadata"]) == (answer["ids"][0], text, {})


def test_a_document_keeps_its_id_and_metadata(client, added):
    metadata = {"page": 7, "draft": True, "weight": 0.5, "author": "Ana", "editor": None}
    assert added({"id": "manual-7", "text": "Press the red button twice.", "metadata": metadata})["ids"] == [
        "manual-7"
    ]
    best = search(client, "Press the red button twice.")[0]
    assert best["id"] == "manual-7"
    assert best["metadata"] == metadata
    assert best["score"] == pytest.approx(1, abs=0.001)


def test_a_known_id_replaces_its_document(client, added):
    added({"id": "note", "text": "The meeting is on Monday."})
    assert added({"id": "note", "text": "The meeting is on Tuesday."})["documents"] == CORPUS_SIZE + 1
    assert [hit["text"] for hit in search(client, "when do we meet", limit=1)] == [
        "The meeting is on Tuesday."
    ]


def test_a_deleted_document_is_gone(client, added):
    added({"id": "gone", "text": "A secret recipe for plum jam."})
    assert client.delete("/documents/gone").json() == {"id": "gone", "documents": CORPUS_SIZE}
    assert client.delete("/documents/gone").status_code == 404
    assert all(hit["id"] != "gone" for hit in search(client, "plum jam"))


def test_documents_are_listed_in_pages(client):
    first = client.get("/documents").json()
    second = client.get("/documents", params={"offset": 20, "limit": 5}).json()
    assert (len(first["documents"]), len(second["documents"])) == (20, 5)
    assert first["documents"][0]["id"] == "animals-1"
    assert second["documents"][0] not in first["documents"]
    assert first["total"] == CORPUS_SIZE
    assert client.get("/documents", params={"offset": 10**30}).json()["documents"] == []


def test_text_becomes_a_unit_vector(client):
    answer = client.post("/embed", json={"texts": "hello"}).json()
    assert (answer["model"], answer["dimensions"]) == ("all-MiniLM-L6-v2", 384)
    assert np.linalg.norm(answer["vectors"][0]) == pytest.approx(1, abs=1e-5)


def test_several_texts_become_as_many_vectors(client):
    cat, kitten, bank = np.array(
        client.post("/embed", json={"texts": ["a cat", "a kitten", "a bank"]}).json()["vectors"]
    )
    assert cat @ kitten > cat @ bank


def test_a_stream_reports_each_step(client):
    documents = [{"id": f"bulk-{number}", "text": f"Fact number {number}."} for number in range(40)]
    steps = events(client.post("/documents/stream", json={"documents": documents}))
    assert [step.get("stored") for step in steps] == [16, 32, 40, None]
    assert [document_id for step in steps[:3] for document_id in step["ids"]] == [
        one["id"] for one in documents
    ]
    assert steps[3] == {"done": True, "documents": CORPUS_SIZE + 40}
    for one in documents:
        assert client.delete(f"/documents/{one['id']}").status_code == 200


def test_a_client_that_leaves_stops_the_stream(client):
    documents = [{"id": f"left-{number}", "text": f"Fact number {number}."} for number in range(320)]
    started = time.monotonic()
    with client.stream("POST", "/documents/stream", json={"documents": documents}) as response:
        next(response.iter_lines())
    step = time.monotonic() - started
    counts = []

    def at_rest():
        counts.append(client.get("/stats").json()["documents"])
        time.sleep(step)
        return len(counts) >= 8 and len(set(counts[-8:])) == 1

    wait_until(at_rest, timeout=60)
    assert CORPUS_SIZE < counts[-1] < CORPUS_SIZE + 320
    for one in documents:
        client.delete(f"/documents/{one['id']}")


def test_a_file_is_added_by_paragraphs(client):
    content = "# Opening hours\n\nWe open at nine.\n\n# Parking\n\nLeave your car behind the mill.\n"
    answer = client.post("/documents/file", files={"file": ("visit.md", content)})
    assert answer.status_code == 200, answer.text
    best = search(client, "where do I put my vehicle")[0]
    assert best["text"] == "Parking: Leave your car behind the mill."
    assert best["metadata"] == {"file": "visit.md", "paragraph": 2}
    for document_id in answer.json()["ids"]:
        client.delete(f"/documents/{document_id}")


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("picture.png", b"\x89PNG", 415),
        ("noname", b"text", 415),
        ("empty.txt", b"", 400),
        ("blank.txt", b" \n\n\t", 400),
        ("latin.txt", "café".encode("latin-1"), 400),
        ("large.txt", b"x" * (1024 * 1024 + 1), 413),
        ("many.txt", b"a\n\n" * 201, 413),
    ],
)
def test_a_file_that_cannot_be_added_is_refused(client, name, content, status):
    answer = client.post("/documents/file", files={"file": (name, content)})
    assert (answer.status_code, list(answer.json())) == (status, ["detail"])


def test_a_search_follows_the_typing(client):
    with client.websocket_connect("/live") as live:
        for typed in ("b", "bread ri", "bread rises because"):
            live.send_text(typed)
            answer = live.receive_json()
            assert answer["query"] == typed
        assert answer["hits"][0]["text"].startswith("Bread rises")
        live.send_text("  ")
        assert live.receive_json() == {"query": "  ", "hits": [], "searched": CORPUS_SIZE}
        live.send_text("x" * 100_000)
        assert len(live.receive_json()["query"]) == 1000


def test_a_binary_message_ends_its_own_connection_only(client):
    with client.websocket_connect("/live") as other, client.websocket_connect("/live") as live:
        live.send_bytes(b"bread")
        with pytest.raises(WebSocketClosed):
            live.receive()
        other.send_text("bread")
        assert other.receive_json()["hits"]


def test_an_idle_websocket_holds_no_slot(client, chute):
    opened = [client.websocket_connect("/live") for _ in range(chute.config.concurrency + 2)]
    for connection in opened:
        connection.__enter__()
    try:
        assert search(client, "bread")
    finally:
        for connection in opened:
            connection.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {}),
        ("/search", {"query": ""}),
        ("/search", {"query": " \n"}),
        ("/search", {"query": "x" * 4001}),
        ("/search", {"query": 5}),
        ("/search", {"query": ["x"]}),
        ("/search", {"query": "x", "limit": 0}),
        ("/search", {"query": "x", "limit": 51}),
        ("/search", {"query": "x", "min_score": 1.1}),
        ("/search", []),
        ("/documents", {"documents": []}),
        ("/documents", {"documents": ["x"] * 101}),
        ("/documents", {"documents": [{"text": "x", "id": "a/b"}]}),
        ("/documents", {"documents": [{"text": "x", "id": ".."}]}),
        ("/documents", {"documents": [{"text": "x", "id": "a" * 65}]}),
        ("/documents", {"documents": [{"text": "x", "metadata": {"k": ["nested"]}}]}),
        ("/documents", {"documents": [{"text": "x", "metadata": {"k": "v" * 501}}]}),
        ("/documents", {"documents": [{"text": "x", "metadata": {str(n): n for n in range(17)}}]}),
        ("/documents/stream", {"documents": ["x"] * 1001}),
        ("/embed", {"texts": []}),
        ("/embed", {"texts": ["x"] * 65}),
        ("/embed", {"texts": None}),
    ],
)
def test_input_out_of_bounds_is_refused(client, path, body):
    assert client.post(path, json=body).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b'"text"',
        b'{"query": "\\ud800"}',
        b'{"query": "\\udfff and more"}',
        b'{"query": "x", "limit": 1e400}',
        b'{"query": "x", "min_score": NaN}',
        b'{"query": "x", "min_score": Infinity}',
    ],
)
def test_a_body_that_is_no_sound_json_is_refused(client, body):
    answer = client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["detail"], list)


@pytest.mark.parametrize(
    "body", [b'{"query": "\xff"}', b'{"query": "x", "limit": ' + b"9" * 5000 + b"}", b"[" * 10_000]
)
def test_a_body_that_no_parser_reads_is_refused(client, body):
    answer = client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"detail": "There was an error parsing the body"})


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999"])
def test_metadata_takes_finite_numbers_only(client, number):
    body = b'{"documents": [{"text": "x", "metadata": {"k": %s}}]}' % number
    answer = client.post("/documents", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "text", ["\x00", "🦇", "مرحبا بالعالم", "e\u0301", "\u202e\u200b.", "a\x00b", "\U0010ffff"]
)
def test_unusual_characters_are_text_like_any_other(client, added, text):
    document_id = added(text)["ids"][0]
    best = search(client, text, limit=50)
    assert document_id in [hit["id"] for hit in best]
    assert {"query": text} == {"query": client.post("/search", json={"query": text}).json()["query"]}


@pytest.mark.parametrize("name", ["unknown", "%00", "%FF", "%ED%A0%80", "%F0%9F%A6%87", "a%20b", "x" * 5000])
def test_an_unknown_document_is_not_found(client, name):
    assert client.delete(f"/documents/{name}").status_code == 404


def test_a_full_index_says_so(client, chute, monkeypatch):
    monkeypatch.setattr(chute.index, "capacity", CORPUS_SIZE + 20)
    answer = client.post("/documents", json={"documents": ["text"] * 21})
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"The index has {CORPUS_SIZE} of at most {CORPUS_SIZE + 20} documents."
    documents = [{"id": f"fit-{number}", "text": "text"} for number in range(30)]
    stored, refused = events(client.post("/documents/stream", json={"documents": documents}))
    assert stored["stored"] == 16
    assert refused["stored"] == 16
    assert "at most" in refused["error"]
    for one in documents[:16]:
        assert client.delete(f"/documents/{one['id']}").status_code == 200


def test_searches_and_additions_at_once_disturb_nobody(client):
    def use(number):
        document_id = f"busy-{number}"
        client.post(
            "/documents", json={"documents": [{"id": document_id, "text": f"Visitor {number} came."}]}
        )
        hits = search(client, f"Visitor {number} came.", limit=50)
        client.delete(f"/documents/{document_id}")
        return document_id in [hit["id"] for hit in hits]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(32)))
    assert client.get("/stats").json()["documents"] == CORPUS_SIZE


def test_the_statistics_count_what_was_done(client):
    before = client.get("/stats").json()
    search(client, "count me")
    after = client.get("/stats").json()
    assert after["searches"] == before["searches"] + 1
    assert after["texts_embedded"] == before["texts_embedded"] + 1
    assert (after["documents"], after["capacity"]) == (CORPUS_SIZE, 10_000)


def test_the_page_needs_nothing_from_elsewhere(client):
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    # The namespace of the inline icon is a name, and nothing is fetched from it.
    assert set(re.findall(r"https?://[\w.]+", answer.text)) <= {"http://www.w3.org"}
    assert not re.findall(r"<(?:script|img)[^>]+src|<link[^>]+stylesheet|@import", answer.text)


def test_the_corpus_is_as_good_as_what_users_may_send(client):
    listed = client.get("/documents", params={"limit": 100}).json()["documents"]
    assert len({one["id"] for one in listed}) == len({one["text"] for one in listed}) == CORPUS_SIZE
    assert all(one["text"].endswith(".") and len(one["text"]) < 120 for one in listed)


def test_the_health_check_is_well_after_all_this(client):
    assert client.get("/health").status_code == 200
