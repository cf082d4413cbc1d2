"""Files, fields and large bodies, sent with curl as users do."""

import hashlib
import json
import subprocess

import pytest

from support.require import require_program

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/uploads.py") as chute:
        yield chute


@pytest.fixture
def curl(chute, tmp_path):
    """Runs curl on a path; returns the status and the body of the answer."""
    program = require_program("curl")

    def run(path, *words, stdin=None):
        command = [program, "--silent", "--show-error", "--noproxy", "*", "--max-time", "30"]
        command += ["--write-out", "\n%{http_code}", *map(str, words), f"{chute.url}{path}"]
        done = subprocess.run(command, input=stdin, cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), json.loads(body)

    return run


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """50 MB that do not compress."""
    path = tmp_path_factory.mktemp("files") / "weights.bin"
    block = hashlib.sha512(b"weights").digest() * 16_384
    with path.open("wb") as file:
        for _ in range(50):
            file.write(block)
    return path


def test_fields_come_as_a_form(curl):
    assert curl("/fields", "-F", "text=ab", "-F", "times=3") == (200, {"text": "ababab"})
    assert curl("/fields", "-d", "text=a%20b&times=2") == (200, {"text": "a ba b"})
    assert curl("/fields", "--data-urlencode", "text=ä & ö") == (200, {"text": "ä & ö"})


def test_a_wrong_field_is_named(curl):
    status, body = curl("/fields", "-F", "text=ab", "-F", "times=none")

    assert status == 422
    assert body["detail"][0]["loc"] == ["body", "times"]


def test_a_file_comes_with_its_name_its_type_and_the_fields_beside_it(curl, tmp_path):
    (tmp_path / "note – 1.txt").write_text("hello\n")
    status, body = curl(
        "/file",
        "-F",
        "document=@note – 1.txt;type=text/markdown",
        "-F",
        "note=first",
        "-F",
        "tags=a",
        "-F",
        "tags=b",
    )

    assert status == 200
    assert body == {
        "name": "note – 1.txt",
        "type": "text/markdown",
        "size": 6,
        "digest": hashlib.sha256(b"hello\n").hexdigest(),
        "note": "first",
        "tags": ["a", "b"],
    }


def test_a_path_in_a_file_name_is_only_a_name(curl, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    status, body = curl("/file", "-F", "document=@a.txt;filename=../../etc/passwd")

    assert (status, body["name"]) == (200, "../../etc/passwd")


def test_several_files_come_in_their_order(curl, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text("x" * n)
    words = [word for n in (2, 0, 1) for word in ("-F", f"documents=@{n}.txt")]
    status, body = curl("/files", *words)

    assert (status, body) == (200, [["2.txt", 2], ["0.txt", 0], ["1.txt", 1]])


def test_a_missing_file_is_named(curl):
    status, body = curl("/file", "-F", "note=first")

    assert status == 422
    assert body["detail"][0]["loc"] == ["body", "document"]
    assert curl("/optional", "-F", "note=first") == (200, "none")


def test_a_model_beside_a_file_has_its_fields_in_the_form(curl, tmp_path):
    (tmp_path / "a.txt").write_text("hello")

    good = curl("/with-model", "-F", "document=@a.txt", "-F", "title=sea", "-F", "size=3")
    status, body = curl("/with-model", "-F", "document=@a.txt", "-F", "title=sea", "-F", "size=large")

    assert good == (200, ["a.txt", "sea", 3])
    assert (status, body["detail"][0]["loc"]) == (422, ["body", "size"])


def test_two_models_beside_a_file_come_as_json_in_a_field_each(curl, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    first, second = '{"title": "sea", "size": 3}', '{"title": "sky", "size": 4}'

    good = curl("/with-models", "-F", "document=@a.txt", "-F", f"first={first}", "-F", f"second={second}")
    status, _ = curl("/with-models", "-F", "document=@a.txt", "-F", f"first={first}", "-F", "second={")

    assert good == (200, ["a.txt", "sea", "sky"])
    assert status == 422


def test_a_large_file_arrives_whole(curl, large_file, chute):
    status, body = curl("/file", "-F", f"document=@{large_file}")

    assert status == 200
    assert body["size"] == 50 * MEGABYTE
    assert body["digest"] == hashlib.sha256(large_file.read_bytes()).hexdigest()


@pytest.mark.parametrize("length", ["with", "without"])
def test_a_large_body_can_be_read_in_parts(curl, large_file, chute, length):
    before = chute.memory()
    chunked = ["-H", "Transfer-Encoding: chunked"] if length == "without" else []
    status, body = curl(
        "/parts", "--data-binary", f"@{large_file}", "-H", "Content-Type: application/octet-stream", *chunked
    )

    assert (status, body["size"]) == (200, 50 * MEGABYTE)
    assert body["longest"] < 5 * MEGABYTE
    assert chute.memory() - before < 30 * MEGABYTE


@pytest.mark.parametrize("length", ["with", "without"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/json", ["-H", "Content-Type: application/json", "--data-binary", "@too-large"]),
        ("/parts", ["-H", "Content-Type: application/octet-stream", "--data-binary", "@too-large"]),
        ("/file", ["-F", "document=@too-large"]),
        ("/bytes", ["-F", "document=@too-large"]),
    ],
)
def test_a_body_over_the_limit_is_refused(curl, chute, tmp_path, path, words, length):
    with (tmp_path / "too-large").open("wb") as file:
        file.truncate(61 * MEGABYTE)
    before = chute.memory()
    chunked = ["-H", "Transfer-Encoding: chunked"] if length == "without" else []
    status, body = curl(path, *words, *chunked)

    assert status == 413
    assert "max_body_size" in body["detail"]
    chute.wait_until(lambda: chute.memory() - before < 200 * MEGABYTE)
    assert chute.gauge("running") + chute.gauge("waiting") == 0


def test_a_body_that_announces_too_much_is_refused_before_it_comes(chute):
    head = f"POST /json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {61 * MEGABYTE}\r\n\r\n"
    with chute.connect() as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_bytes_that_are_piped_in_arrive(curl):
    status, body = curl("/file", "-F", "document=@-;filename=piped", stdin=b"\x00\xff" * 1_000)

    assert (status, body["name"], body["size"]) == (200, "piped", 2_000)


def test_nothing_of_this_was_an_error_of_the_chute(chute):
    assert not [line for line in chute.lines if line["level"] in {"error", "critical"}]
