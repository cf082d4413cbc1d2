"""Models of the hub: the real huggingface_hub against a small hub on this machine."""

import logging
import sys
import threading

import pytest

from chutes.errors import ModelError
from chutes.models import Hub, LogProgress, find_model
from support.hub_server import running_hub
from support.model_files import config, gguf, llama_folder, safetensors

NAME = "someone/small"
MEGABYTE = 1_000_000


@pytest.fixture
def server():
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server, tmp_path):
    return Hub(endpoint=server.address, cache=tmp_path / "cache", offline=False)


class Recorded:
    """Remembers what it is told."""

    def __init__(self):
        self.started = []
        self.sizes = []
        self.ended = 0

    def start(self, name, total_bytes):
        self.started.append((name, total_bytes))

    def advance(self, size_bytes):
        self.sizes.append(size_bytes)

    def finish(self):
        self.ended += 1


def test_a_model_is_fetched_once_and_described(server, hub):
    files = llama_folder()
    commit = server.add(NAME, files)
    model = find_model(NAME, hub=hub)
    assert (model.name, model.form, model.source, model.revision) == (NAME, "folder", "hub", commit)
    assert (model.architecture, model.parameters, model.context_length) == ("LlamaForCausalLM", 64, 2048)
    assert model.size_bytes == len(files["model.safetensors"])
    assert (model.path / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert sorted(server.fetched()) == ["config.json", "model.safetensors", "tokenizer.json"]
    server.requests.clear()
    assert find_model(NAME, hub=hub) == model
    assert server.fetched() == []


def test_a_commit_in_the_cache_costs_no_request(server, hub):
    commit = server.add(NAME, llama_folder())
    find_model(NAME, revision=commit, hub=hub)
    server.requests.clear()
    assert find_model(NAME, revision=commit, hub=hub).revision == commit
    assert server.requests == []


def test_a_revision_is_a_branch_a_tag_or_a_commit(server, hub):
    first = server.add(NAME, llama_folder())
    second = server.add(NAME, llama_folder() | {"config.json": config("Other")}, branch="v2")
    assert find_model(NAME, hub=hub).revision == first
    assert find_model(NAME, revision="v2", hub=hub).architecture == "Other"
    assert find_model(NAME, revision=second, hub=hub).revision == second


def test_a_branch_that_moved_is_fetched_anew(server, hub):
    server.add(NAME, llama_folder())
    before = find_model(NAME, hub=hub)
    server.add(NAME, llama_folder() | {"config.json": config("Newer")})
    after = find_model(NAME, hub=hub)
    assert (before.architecture, after.architecture) == ("LlamaForCausalLM", "Newer")
    assert server.fetched().count("model.safetensors") == 1


def test_only_one_form_of_the_weights_is_fetched(server, hub):
    pickled = {"pytorch_model.bin": bytes(100), "onnx/model.onnx": bytes(100), "training_args.bin": b"x"}
    server.add(NAME, llama_folder() | pickled | {"small.Q4_K_M.gguf": gguf()})
    assert find_model(NAME, hub=hub).form == "folder"
    assert sorted(server.fetched()) == ["config.json", "model.safetensors", "tokenizer.json"]
    server.requests.clear()
    assert find_model(NAME, forms=("gguf", "folder"), hub=hub).form == "gguf"
    assert server.fetched() == ["small.Q4_K_M.gguf"]


def test_one_gguf_file_of_several_is_named_behind_a_colon(server, hub):
    server.add(NAME, {"small-Q8_0.gguf": gguf("big"), "small-Q4_K_M.gguf": gguf("tiny")})
    assert find_model(NAME, hub=hub).architecture == "tiny"
    for file in ("Q8_0", "q8_0", "small-Q8_0.gguf"):
        assert find_model(f"{NAME}:{file}", hub=hub).architecture == "big"
    with pytest.raises(ModelError, match=r"no single GGUF file 'Q2_K'. It has small-Q4_K_M.gguf, small-Q8_0"):
        find_model(f"{NAME}:Q2_K", hub=hub)


def test_all_parts_of_a_gguf_model_are_fetched(server, hub):
    parts = {f"q4/small-0000{n}-of-00002.gguf": gguf(shapes=((2, n),), parts=2) for n in (1, 2)}
    server.add(NAME, parts)
    model = find_model(NAME, hub=hub)
    assert model.path.name == "small-00001-of-00002.gguf"
    assert (model.parameters, model.size_bytes) == (6, sum(map(len, parts.values())))


def test_progress_tells_every_byte(server, hub):
    files = llama_folder(size=21 * MEGABYTE)
    server.add(NAME, files)
    told = Recorded()
    find_model(NAME, hub=hub, progress=told)
    total = sum(len(content) for name, content in files.items() if name != "README.md")
    assert (told.started, sum(told.sizes), told.ended) == ([(NAME, total)], total, 1)
    assert len(told.sizes) >= 3


def test_a_connection_that_breaks_goes_on_where_it_was(server, hub):
    server.add(NAME, llama_folder(size=25 * MEGABYTE))
    server.breaks = [12 * MEGABYTE]
    told = Recorded()
    model = find_model(NAME, hub=hub, progress=told)
    assert (model.path / "model.safetensors").read_bytes() == llama_folder(size=25 * MEGABYTE)[
        "model.safetensors"
    ]
    ranges = [wanted for method, path, wanted in server.requests if method == "GET" and "/stored/" in path]
    assert len(ranges) == 2
    assert ranges[1].startswith("bytes=1")
    assert sum(told.sizes) == told.started[0][1]


def test_files_that_are_whole_stay_when_a_download_is_given_up(server, hub):
    shards = {f"model-{n}.safetensors": safetensors({"t": [n]}, size=15 * MEGABYTE) for n in (1, 2)}
    server.add(NAME, {"config.json": config(), "tokenizer.json": b"{}"} | shards)

    class GivesUp(Recorded):
        def advance(self, size_bytes):
            super().advance(size_bytes)
            if sum(self.sizes) > 20 * MEGABYTE:
                raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        find_model(NAME, hub=hub, progress=GivesUp())
    kept = [path for path in hub.folder.rglob("blobs/*") if path.stat().st_size > MEGABYTE]
    server.requests.clear()
    find_model(NAME, hub=hub)
    assert len(kept) + len([path for path in server.fetched() if path.endswith(".safetensors")]) == 2


def test_offline_takes_what_the_cache_has(server, hub, tmp_path):
    commit = server.add(NAME, llama_folder())
    online = find_model(NAME, hub=hub)
    server.requests.clear()
    offline = Hub(endpoint=server.address, cache=tmp_path / "cache", offline=True)
    assert find_model(NAME, hub=offline) == find_model(NAME, revision=commit, hub=offline) == online
    assert server.requests == []


def test_offline_and_absent_says_how_to_get_it(server, tmp_path):
    offline = Hub(endpoint=server.address, cache=tmp_path / "cache", offline=True)
    with pytest.raises(ModelError) as raised:
        find_model(NAME, hub=offline)
    assert f"'{NAME}' is not in the cache {tmp_path / 'cache'}, and HF_HUB_OFFLINE is set" in str(
        raised.value
    )
    assert f"chutes models pull {NAME}" in str(raised.value)
    with pytest.raises(ModelError, match=r"at revision '0{40}' .* --revision 0{40}"):
        find_model(NAME, revision="0" * 40, hub=offline)
    assert server.requests == []


def test_offline_and_half_fetched_says_what_is_missing(server, hub, tmp_path):
    server.add(NAME, llama_folder())
    model = find_model(NAME, hub=hub)
    (model.path / "model.safetensors").unlink()
    offline = Hub(cache=tmp_path / "cache", offline=True)
    with pytest.raises(ModelError, match=r"not whole .* 1 files are missing"):
        find_model(NAME, hub=offline)


def test_a_hub_that_is_gone_leaves_the_cache(tmp_path, caplog):
    with running_hub() as server:
        server.add(NAME, llama_folder())
        hub = Hub(endpoint=server.address, cache=tmp_path / "cache", offline=False)
        model = find_model(NAME, hub=hub)
    assert find_model(NAME, hub=hub) == model
    with pytest.raises(
        ModelError, match=r"cannot be reached \(ConnectError.*someone/other is not in the cache"
    ):
        find_model("someone/other", hub=hub)


def test_an_unknown_name_says_what_to_look_at(server, hub):
    with pytest.raises(
        ModelError, match=r"has no model 'someone/smal', or it is private.*no folder someone/smal"
    ):
        find_model("someone/smal", hub=hub)


def test_an_unknown_revision_is_named(server, hub):
    server.add(NAME, llama_folder())
    with pytest.raises(ModelError, match="someone/small has no revision 'v9'"):
        find_model(NAME, revision="v9", hub=hub)


def test_a_private_model_needs_the_right_token(server, hub, tmp_path):
    server.add(NAME, llama_folder(), private=True)
    with pytest.raises(ModelError, match="or it is private"):
        find_model(NAME, hub=hub)
    with pytest.raises(ModelError, match=r"refuses this token \(401\)"):
        find_model(NAME, hub=Hub(endpoint=server.address, cache=tmp_path / "cache", token="hf_wrong"))
    known = Hub(endpoint=server.address, cache=tmp_path / "cache", token="hf_right")
    assert find_model(NAME, hub=known).parameters == 64
    assert "hf_right" not in repr(known)


def test_a_gated_model_says_where_to_ask(server, hub):
    server.add(NAME, llama_folder(), gated=True)
    with pytest.raises(ModelError, match=rf"is gated. Ask for access at {server.address}/{NAME}"):
        find_model(NAME, hub=hub)


def test_a_model_larger_than_the_disk_is_refused_before_it_is_fetched(server, hub, monkeypatch):
    server.add(NAME, llama_folder())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ModelError, match=r"No room for someone/small: it takes .* has 10 bytes left"):
        find_model(NAME, hub=hub)
    assert server.fetched() == []


def test_a_model_in_the_wrong_form_is_refused_before_it_is_fetched(server, hub):
    server.add(NAME, llama_folder())
    with pytest.raises(ModelError, match=r"it has no .gguf file, and the engine needs one"):
        find_model(NAME, forms=("gguf",), hub=hub)
    assert server.fetched() == []


def test_a_hub_that_fails_is_named(server, hub, monkeypatch):
    server.status = 418
    with pytest.raises(ModelError, match="answered 418"):
        find_model(NAME, hub=hub)


def test_two_chutes_that_start_at_once_share_one_download(server, hub):
    files = llama_folder(size=5 * MEGABYTE)
    server.add(NAME, files)
    found = []
    threads = [threading.Thread(target=lambda: found.append(find_model(NAME, hub=hub))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert (found[0].path / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_without_a_progress_the_log_says_how_it_goes(server, hub, caplog):
    server.add(NAME, llama_folder(size=21 * MEGABYTE))
    with caplog.at_level(logging.INFO, "chutes.models"):
        find_model(NAME, hub=hub, progress=LogProgress(interval=0))
    assert caplog.messages[0] == "Downloading someone/small: 21 MB."
    assert any("21 MB (" in message for message in caplog.messages[1:-1])
    assert caplog.messages[-1].startswith("Downloaded someone/small in ")


def test_the_addresses_of_files_stay_out_of_the_log(server, hub, caplog):
    server.add(NAME, llama_folder())
    with caplog.at_level(logging.INFO):
        find_model(NAME, hub=hub)
    assert caplog.messages
    assert not [record for record in caplog.records if "stored" in record.getMessage()]
    assert not logging.getLogger("httpx2").filters


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"Install it with: pip install 'openchutes\[models\]'"):
        find_model(NAME)
