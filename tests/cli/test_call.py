"""`chutes call`: what it sends, what it prints, and its exit status."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from chutes.cli import application
from support.http_servers import ScriptedServer, asgi_server, http_answer, silent_address, unused_address
from support.remote_chute import remote_chute

CUT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nX-Request-ID: r1\r\n\r\n2\r\nhi\r\n"


@pytest.fixture(scope="module")
def url():
    with asgi_server(remote_chute()) as address:
        yield address


@pytest.fixture
def chutes(monkeypatch):
    """Runs `chutes call` with these words."""
    monkeypatch.delenv("CHUTES_API_KEY", raising=False)

    def run(*words, **options):
        return CliRunner().invoke(application(), ["call", *map(str, words)], **options)

    return run


def printed(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def start(*words, **options):
    command = [sys.executable, "-m", "chutes", "call", *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "dumb"}, **options)


def on_a_terminal(*words):
    """Exit status and output of a real process whose output is a terminal."""
    ours, theirs = pty.openpty()
    process = start(*words, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    try:
        while chunk := os.read(ours, 65536):
            output += chunk
    except OSError:
        # Linux says EIO when the last process that had the terminal open has ended.
        pass
    finally:
        os.close(ours)
    return process.wait(30), re.sub(r"\x1b\[[\d;]*m", "", output.decode().replace("\r\n", "\n"))


def test_arguments_are_sent_and_the_answer_is_compact_json(chutes, url):
    result = chutes(f"{url}/embed", "text=hello")
    assert (result.exit_code, result.stdout, result.stderr) == (0, '{"vector":[5,0.5]}\n', "")


def test_text_json_files_and_lists(chutes, url, tmp_path):
    (tmp_path / "a.txt").write_text("grüße\n")
    (tmp_path / "a.json").write_text('{"deep": null}')
    sent = printed(
        chutes(
            f"{url}/echo/json",
            "text=a=b@c:d",
            "empty=",
            "number:=3",
            "many:=[1, true]",
            f"file=@{tmp_path}/a.txt",
            f"json:=@{tmp_path}/a.json",
            "tag=x",
            "tag:=2",
            "method=kept",
            "headers=kept",
        )
    )
    assert sent["body"] == {
        "text": "a=b@c:d",
        "empty": "",
        "number": 3,
        "many": [1, True],
        "file": "grüße\n",
        "json": {"deep": None},
        "tag": ["x", 2],
        "method": "kept",
        "headers": "kept",
    }


def test_files_are_uploaded(chutes, url, tmp_path):
    cat = tmp_path / "cat.png"
    cat.write_bytes(b"123")
    answer = printed(chutes(f"{url}/caption", f"image@{cat}", f"image@{cat}", "lang=en"))
    assert answer == {"names": ["cat.png image/png"] * 2, "sizes": [3, 3], "lang": "en"}


def test_a_whole_body(chutes, url, tmp_path):
    (tmp_path / "body.json").write_text("[2]")
    assert printed(chutes(f"{url}/echo/json", "--json", '{"a": 1}'))["body"] == {"a": 1}
    assert printed(chutes(f"{url}/echo/json", "--json", f"@{tmp_path}/body.json"))["body"] == [2]
    assert printed(chutes(f"{url}/echo/json", "--json", "-", input="[3]"))["body"] == [3]


def test_a_cord_of_the_chute_at_url(chutes, url):
    assert printed(chutes("embed", "text=hi", "--url", url)) == {"vector": [2, 0.5]}
    assert printed(chutes("/embed", "text=hi", "--url", url)) == {"vector": [2, 0.5]}


def test_an_address_needs_no_scheme(chutes, url):
    port = url.rpartition(":")[2]
    assert printed(chutes(f"localhost:{port}/stats?limit=7", "tag=x"))["query"] == "limit=7&tag=x"
    assert printed(chutes(f":{port}/stats"))["limit"] == 1


def test_path_arguments_and_the_method(chutes, url):
    assert printed(chutes(f"{url}/users/{{user_id}}", "user_id=7", "--method", "get")) == {"user": "7"}
    result = chutes(f"{url}/users/{{user_id}}", "user_id=7", "--method", "DELETE")
    assert (result.exit_code, result.output) == (0, "")


def test_the_key_comes_from_the_option_or_the_environment(chutes, url):
    assert printed(chutes(f"{url}/who", "--key", "abc"))["key"] == "Bearer abc"
    assert printed(chutes(f"{url}/who", env={"CHUTES_API_KEY": "def"}))["key"] == "Bearer def"
    assert printed(chutes(f"{url}/who", "--key", "abc", env={"CHUTES_API_KEY": "def"}))["key"] == "Bearer abc"


def test_streams_are_printed_an_item_a_line(chutes, url):
    assert chutes(f"{url}/tokens", "prompt=a b").stdout == '{"token":"a"}\n{"token":"b"}\n'
    assert chutes(f"{url}/events").stdout == "a\nb\n"
    assert chutes(f"{url}/lines").stdout == '{"n":1,"s":"a\u2028b"}\n{"n":2}\n3\n'


def test_streams_of_text_and_bytes_are_printed_as_they_are(chutes, url):
    assert chutes(f"{url}/story").stdout == "once grüße end"
    assert chutes(f"{url}/blocks").stdout_bytes == b"\x00\x01\xff"


def test_a_stream_can_be_waited_for(chutes, url):
    assert printed(chutes(f"{url}/tokens", "prompt=a b", "--no-stream")) == [{"token": "a"}, {"token": "b"}]
    assert chutes(f"{url}/story", "--no-stream").stdout == "once grüße end"
    assert chutes(f"{url}/text", "--stream").stdout == "grüße"


def test_a_binary_answer_goes_to_a_file_or_a_pipe(chutes, url, tmp_path):
    result = chutes(f"{url}/image", "--output", tmp_path / "cat.png")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "cat.png").read_bytes() == b"\x89PNG\x00"
    assert chutes(f"{url}/image").stdout_bytes == b"\x89PNG\x00"


@pytest.mark.parametrize("json_text", ['"text"', "null", "0", "[]", '"\\ud800"'])
@pytest.mark.parametrize("option", ["--stream", "--no-stream"])
def test_any_json_value_is_printed_as_json(chutes, json_text, option):
    server = ScriptedServer([http_answer(200, json_text.encode(), Content_Type="application/json")])
    assert chutes(f"{server.url}/x", option).stdout == json_text + "\n"
    server.close()


def test_half_a_surrogate_pair_cannot_be_sent(chutes, url):
    assert chutes(f"{url}/raw", "--json", '"\\ud800"').exit_code == 2


def test_verbose_shows_the_exchange_on_standard_error(chutes, url):
    result = chutes(f"{url}/embed", "text=hi", "-v")
    assert result.stdout == '{"vector":[2,0.5]}\n'
    lines = result.stderr.splitlines()
    assert lines[:2] == [f"> POST {url}/embed", "< 200 OK"]
    assert "< content-type: application/json" in lines
    assert re.fullmatch(r"\* \d+\.\d{3} s in all", lines[-1])


def test_verbose_shows_the_head_of_an_error_too(chutes, url):
    assert "< 500 Internal Server Error" in chutes(f"{url}/broken", "-v").stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["/search", "limit=1"], "answered 422: query: Field required"),
        (["/broken"], "The chute's log has the reason, under request id"),
        (["/proxy"], "'502 Bad Gateway'"),
        (["/failing"], "failed in mid-stream: Internal Server Error"),
        (["/busy?times=99&after=100"], "503: All slots are taken. The chute asks to wait 100 s"),
        (["/liar"], "should be JSON and is not"),
    ],
)
def test_an_error_of_the_chute_is_status_1(chutes, url, words, error):
    result = chutes(url + words[0], *words[1:])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert error in result.stderr


def test_what_came_before_an_error_in_a_stream_is_printed(chutes, url):
    assert chutes(f"{url}/failing").stdout == "1\n"


@pytest.mark.parametrize("words", [[], ["--no-stream"], ["--output"]])
def test_an_answer_that_breaks_off_is_status_1(chutes, words, tmp_path):
    server = ScriptedServer([CUT_STREAM])
    result = chutes(f"{server.url}/story", *words, *([tmp_path / "out"] if "--output" in words else []))
    server.close()
    assert result.exit_code == 1
    assert "broke off before the end of its answer" in result.stderr
    assert "request id r1" in result.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["/embed", "text"], "Invalid argument 'text'. Write name=text, name:=json, name@file"),
        (["/embed", "=x"], "Invalid argument '=x'"),
        (["/embed", "n:=many"], "n is not JSON: Expecting value"),
        (["/embed", "--json", "{"], "--json is not JSON"),
        (["/embed", "--json", "@no-such.json"], "The file of --json is not there: 'no-such.json'"),
        (["/caption", "image@no-such.png"], "The file of image is not there: 'no-such.png'"),
        (["/embed", "text=@no-such.txt"], "The file of text is not there: 'no-such.txt'"),
        (["/embed", "text=x", "--json", "{}"], "has a whole body and also 'text' by name"),
        (["/users/{user_id}"], "needs 'user_id'"),
        (["", "text=x"], "names no cord. Add its path"),
        (["/embed", "--method", "GE T"], "Invalid method 'GE T'"),
        (["/embed", "--key", "a b"], "Invalid api_key"),
        (["/embed", "text=x", "--output", "no/such/folder"], "No such file or directory: 'no/such/folder'"),
    ],
)
def test_bad_usage_is_status_2(chutes, url, words, error):
    result = chutes(url + words[0], *words[1:])
    assert result.exit_code == 2
    assert error in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_cord_is_bad_usage(chutes, url):
    result = chutes("embd", "--url", url)
    assert result.exit_code == 2
    assert "Did you mean 'embed'?" in result.stderr


def test_a_file_that_is_no_text_is_better_uploaded(chutes, url, tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    result = chutes(f"{url}/embed", f"text=@{tmp_path}/x")
    assert result.exit_code == 2
    assert f"To upload it write text@{tmp_path}/x" in result.stderr


def test_a_bad_setting_is_bad_usage(chutes, url):
    result = chutes(f"{url}/embed", "text=x", env={"CHUTES_PORT": "http"})
    assert result.exit_code == 2
    assert "CHUTES_PORT" in result.stderr


def test_no_connection_is_status_2(chutes):
    with unused_address() as address:
        result = chutes(f"{address}/embed", "text=x")
    assert result.exit_code == 2
    assert f"No connection to {address}" in result.stderr
    assert result.stdout == ""


def test_a_timeout_is_status_2(chutes):
    with silent_address() as address:
        result = chutes(f"{address}/embed", "text=x", "--timeout", "0.05")
    assert result.exit_code == 2
    assert "nothing came for 0.05 s" in result.stderr


def test_on_a_terminal_json_is_pretty(url):
    assert on_a_terminal(f"{url}/embed", "text=hi") == (0, '{\n  "vector": [\n    2,\n    0.5\n  ]\n}\n')


def test_on_a_terminal_json_is_never_wrapped_and_always_printable():
    body = json.dumps({"long": "x " * 100, "half": "\ud800", "markup": "[red]"}).encode()
    server = ScriptedServer([http_answer(200, body, Content_Type="application/json")])
    status, output = on_a_terminal(f"{server.url}/x")
    server.close()
    assert (status, json.loads(output)) == (0, json.loads(body))
    assert len(output.splitlines()) == 5


def test_on_a_terminal_text_ends_with_a_line_break(url):
    assert on_a_terminal(f"{url}/text") == (0, "grüße\n")
    assert on_a_terminal(f"{url}/story") == (0, "once grüße end\n")
    assert on_a_terminal(f"{url}/tokens", "prompt=a") == (0, '{"token":"a"}\n')


def test_on_a_terminal_a_binary_answer_is_refused(url):
    status, output = on_a_terminal(f"{url}/image")
    assert status == 2
    assert output == "Error: The answer is binary. Write it to a file with --output FILE, or pipe it on.\n"


def test_a_stream_is_printed_while_it_comes_and_ends_when_nobody_reads(url):
    process = start(f"{url}/endless", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert [process.stdout.readline() for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_help_says_how_arguments_are_written(chutes):
    result = chutes("--help", env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "name@file to upload" in re.sub(r"\s+", " ", result.stdout)
