"""Values of secrets: where they come from, and what looks like one."""

import traceback

import pytest

from chutes.deploy import Secret
from chutes.deploy.secret_values import check_secrets, looks_secret, secret_value
from chutes.errors import DeployError


def test_a_secret_comes_from_the_variable_of_its_name(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hush")

    assert secret_value(Secret(name="HF_TOKEN")) == "hush"


def test_a_secret_comes_from_its_file_without_the_line_end(tmp_path):
    file = tmp_path / "token"
    file.write_text("hush hush\n")

    assert secret_value(Secret(name="HF_TOKEN", file=str(file))) == "hush hush"


def test_all_secrets_without_a_value_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("EMPTY", "")
    gone = str(tmp_path / "gone")

    with pytest.raises(DeployError, match=r"EMPTY, TWO, THREE \(file '.*gone'\)"):
        check_secrets(
            [Secret(name=name) for name in ("ONE", "EMPTY", "TWO")] + [Secret(name="THREE", file=gone)]
        )


def test_bytes_that_are_no_text_are_refused_and_not_shown(tmp_path):
    file = tmp_path / "token"
    file.write_bytes(b"hush\xff")

    with pytest.raises(DeployError, match="base64") as caught:
        secret_value(Secret(name="HF_TOKEN", file=str(file)))
    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "OPENAI_API_KEY", "APIKEY", "PASSWORD", "DB_PASSWD", "CHUTES_API_KEYS", "aws_secret"]
)
def test_a_variable_looks_like_a_secret_by_its_name(name):
    assert looks_secret(name, "x")


def test_a_variable_looks_like_a_secret_by_a_password_in_its_address():
    assert looks_secret("DATABASE", "postgresql://me:hush@db/jobs")


@pytest.mark.parametrize(
    ("name", "value"),
    [("LOG_LEVEL", "debug"), ("MONKEY", "1"), ("MAX_TOKENS_OUT", "3"), ("URL", "http://db:80/x")],
)
def test_other_variables_do_not(name, value):
    assert not looks_secret(name, value)
