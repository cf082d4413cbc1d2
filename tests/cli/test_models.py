"""`chutes models` as a program, against a small hub on this machine."""

import json

import pytest

from support.hub_server import running_hub
from support.model_files import gguf, llama_folder

CHUTE = """
from chutes.chute import Chute

chute = Chute(username="me", name="small", image="python:3.11", model_name="someone/small", revision="v2")
plain = Chute(username="me", name="plain", image="python:3.11")
"""


@pytest.fixture
def hub(shell):
    for name in [name for name in shell.environ if name.startswith("HF_")]:
        del shell.environ[name]
    with running_hub() as hub:
        shell.environ |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(shell.folder / "hf")}
        yield hub


def test_a_model_is_fetched_listed_and_removed(hub, shell):
    commit = hub.add("someone/small", llama_folder())
    hub.add("someone/other-GGUF", {"other-Q4_K_M.gguf": gguf()})
    code, out, err = shell.run("models", "pull", "someone/small")
    assert (code, err.splitlines()[0][:27]) == (0, "Downloading someone/small: ")
    place = shell.folder / "hf" / "hub" / "models--someone--small" / "snapshots" / commit
    assert out.splitlines() == [
        f"someone/small: folder, {size_of(place)} bytes, LlamaForCausalLM, 64 parameters",
        f"revision {commit}",
        str(place),
    ]
    assert shell.run("models", "pull", "someone/other-GGUF:Q4_K_M")[0] == 0
    _, listed, _ = shell.run("models")
    rows = [line.split() for line in listed.splitlines()]
    assert [row[0] for row in rows] == ["Model", "someone/other-GGUF", "someone/small"]
    assert (rows[1][1], rows[2][1]) == ("gguf", "folder")
    assert rows[2][-1] == str(place)
    code, out, _ = shell.run("models", "remove", "someone/small")
    assert (code, out[:23]) == (0, "Removed someone/small: ")
    assert [one["name"] for one in json.loads(shell.run("models", "--json")[1])] == ["someone/other-GGUF"]


def size_of(place):
    return (place / "model.safetensors").stat().st_size


def test_the_model_of_a_chute_is_fetched_at_its_revision(hub, shell):
    # In every form: which one it is depends on the engines that are installed here.
    files = llama_folder() | {"small-Q4_K_M.gguf": gguf()}
    hub.add("someone/small", files)
    commit = hub.add("someone/small", files | {"tokenizer.json": b"[]"}, branch="v2")
    shell.write("app.py", CHUTE)
    for target in ("app:chute", "app.py:chute"):
        code, out, err = shell.run("models", "pull", target, "--json")
        assert (code, json.loads(out)["revision"]) == (0, commit), err
    code, _, err = shell.run("models", "pull", "app:plain")
    assert (code, "serves no model" in err) == (1, True)


def test_offline_a_pull_says_what_is_missing(hub, shell):
    shell.environ["HF_HUB_OFFLINE"] = "1"
    code, out, err = shell.run("models", "pull", "someone/small")
    assert (code, out) == (1, "")
    assert err.startswith("Error: The model 'someone/small' is not in the cache")
    assert hub.requests == []


def test_a_token_of_the_environment_opens_a_private_model(hub, shell):
    hub.add("someone/secret", llama_folder(), private=True)
    code, _, err = shell.run("models", "pull", "someone/secret")
    assert (code, "or it is private" in err) == (1, True)
    shell.environ["HF_TOKEN"] = hub.token
    assert shell.run("models", "pull", "someone/secret")[0] == 0


def test_a_terminal_shows_a_bar(hub, shell):
    hub.add("someone/small", llama_folder(size=3_000_000))
    shell.environ |= {"FORCE_COLOR": "1", "TERM": "xterm"}
    code, _, err = shell.run("models", "pull", "someone/small")
    assert (code, "3.0/3.0 MB" in err) == (0, True), err


def test_what_is_not_there_cannot_be_removed(hub, shell):
    hub.add("someone/small", llama_folder())
    shell.run("models", "pull", "someone/small")
    code, _, err = shell.run("models", "remove", "someone/smal")
    assert (code, "Did you mean 'someone/small'?" in err) == (1, True)
    code, _, err = shell.run("models", "remove", "someone/small", "--revision", "v9")
    assert (code, "has no revision 'v9'" in err) == (1, True)


def test_an_empty_cache_says_how_to_fill_it(hub, shell):
    code, out, err = shell.run("models")
    assert (code, out) == (0, "")
    assert "chutes models pull owner/name" in err
