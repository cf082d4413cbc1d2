"""`chutes keys`: a key for the user, and its hash for the file."""

from chutes.serve.auth import KeyRing
from chutes.settings import Settings


def key_and_line(result):
    key, line = result.stdout.splitlines()
    return key.removeprefix("key:").strip(), line.removeprefix("line:").strip()


def test_the_line_of_a_new_key_opens_a_chute_to_it(cli):
    result = cli("keys", "new", "--label", "the batch on Mondays")
    key, line = key_and_line(result)
    (cli.folder / "keys.txt").write_text(f"# ours\n{line}\n")
    ring = KeyRing.parse(str(cli.folder / "keys.txt"))

    assert result.exit_code == 0
    assert line.endswith("  the batch on Mondays")
    assert ring.opens(key.encode())
    assert not ring.opens(b"another")


def test_no_two_keys_are_equal_and_none_is_in_its_line(cli):
    first, line = key_and_line(cli("keys", "new"))
    second, _ = key_and_line(cli("keys", "new"))

    assert first != second
    assert len(first) >= 40
    assert first not in line


def test_what_to_do_with_it_goes_to_stderr(cli):
    result = cli("keys", "new")

    assert "CHUTES_API_KEYS=" in result.stderr
    assert "CHUTES_API_KEYS=" not in result.stdout


def test_a_label_of_two_lines_is_refused(cli):
    result = cli("keys", "new", "--label", "a\nb")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Invalid label" in result.stderr


def test_keys_alone_shows_its_commands(cli):
    assert "new" in cli("keys").output


def test_a_new_secret_of_webhooks_is_one_that_a_chute_takes(cli):
    first, second = (cli("keys", "webhook").stdout.strip() for _ in range(2))

    assert first != second
    assert Settings.from_env({"CHUTES_WEBHOOK_SECRET": first}).webhooks.secrets == (first,)
