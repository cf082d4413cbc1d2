"""Which files of a model are chosen, and what a file's header says."""

import pytest

from chutes.errors import ModelError
from chutes.models import find_model
from chutes.models.files import Listed, NoChoice, choose_files
from chutes.models.gguf import read_gguf_header
from chutes.models.progress import size_text
from support.model_files import config, gguf, llama_folder

BOTH = ("folder", "gguf")


def chosen(*names, forms=BOTH, wanted=""):
    choice = choose_files([Listed(name, 1) for name in names], forms, wanted)
    return choice.form, {file.path for file in choice.files}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_what_belongs_to_a_folder_comes_with_it():
    kept = {
        "config.json",
        "model.safetensors",
        "merges.txt",
        "tokenizer.model",
        "chat_template.jinja",
        "modeling_x.py",
    }
    assert chosen(*kept, "README.md", "model.onnx", "plot.png") == ("folder", kept)


def test_pickled_weights_come_only_where_there_are_no_others():
    assert chosen("config.json", "pytorch_model.bin", "model.safetensors")[1] == {
        "config.json",
        "model.safetensors",
    }
    assert chosen("config.json", "pytorch_model.bin", "optimizer.bin")[1] == {
        "config.json",
        "pytorch_model.bin",
    }


def test_copies_and_states_of_a_training_are_left_out():
    weights = {"config.json", "model-1.safetensors"}
    more = (
        "consolidated.safetensors",
        "onnx/model.safetensors",
        "original/params.json",
        "checkpoint-5/model.safetensors",
    )
    assert chosen(*weights, *more) == ("folder", weights)
    assert chosen("config.json", "consolidated.safetensors")[1] == {"config.json", "consolidated.safetensors"}


def test_the_modules_of_an_embedding_model_come_with_it():
    names = {
        "config.json",
        "model.safetensors",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
    }
    assert chosen(*names)[1] == names


def test_what_a_model_sees_through_is_no_model():
    assert chosen("mmproj-f16.gguf", "m-Q4_0.gguf") == ("gguf", {"m-Q4_0.gguf"})


def test_several_gguf_files_without_the_usual_one_have_to_be_named():
    with pytest.raises(NoChoice, match=r"write one of them behind a colon. It has a-Q2_K.gguf, a-Q8_0.gguf"):
        chosen("a-Q2_K.gguf", "a-Q8_0.gguf")


@pytest.mark.parametrize(
    ("names", "forms", "wanted", "text"),
    [
        (["config.json"], BOTH, "", "it has no config.json with .safetensors weights. It has config.json"),
        ([], BOTH, "", "It has no files"),
        (["model.safetensors"], ("gguf",), "", "it has no .gguf file"),
        (["a.gguf"], ("folder",), "", "it has GGUF files only"),
        (["config.json", "model.safetensors"], BOTH, "Q4_0", "no GGUF files, so there is no 'Q4_0'"),
    ],
)
def test_what_cannot_be_chosen_says_what_there_is(names, forms, wanted, text):
    with pytest.raises(NoChoice) as raised:
        chosen(*names, forms=forms, wanted=wanted)
    assert text in str(raised.value)


def test_a_folder_of_this_machine_is_described(tmp_path):
    model = find_model(str(write(tmp_path / "small", llama_folder())))
    assert (model.form, model.source, model.path, model.parameters) == (
        "folder",
        "folder",
        tmp_path / "small",
        64,
    )


def test_a_gguf_file_is_described_and_may_lie_in_a_folder(tmp_path):
    path = write(tmp_path, {"small.Q4_0.gguf": gguf(shapes=((8, 4), (3,)))}) / "small.Q4_0.gguf"
    by_file, by_folder = find_model(str(path)), find_model(str(tmp_path))
    assert by_file.path == by_folder.path == path
    assert (by_file.form, by_file.source) == ("gguf", "file")
    assert (by_file.architecture, by_file.parameters, by_file.context_length) == ("llama", 35, 512)


def test_quantised_weights_have_no_number_of_parameters(tmp_path):
    files = llama_folder() | {"config.json": config(quantization_config={"bits": 4})}
    assert find_model(str(write(tmp_path, files))).parameters is None


def test_a_missing_part_is_noticed(tmp_path):
    write(tmp_path, {"m-00001-of-00002.gguf": gguf(parts=2)})
    with pytest.raises(ModelError, match="one of 2 parts, and 1 of them are beside it"):
        find_model(str(tmp_path / "m-00001-of-00002.gguf"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"not a model at all", "is no GGUF file: it begins with b'not '"),
        (b"GGUF" + bytes([1, 0, 0, 0]) + bytes(16), "version 1"),
        (b"", "is no GGUF file"),
        *((gguf()[:size], "is cut off or damaged") for size in (10, 40, 90, 150, len(gguf()) - 66)),
        (gguf()[:24] + b"\xff" * 100, "is cut off or damaged"),
    ],
)
def test_a_file_that_is_no_gguf_file_says_so(tmp_path, content, text):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        read_gguf_header(path)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"config.json": b"{"}, "Cannot read"),
        ({"config.json": b"[]"}, "holds no JSON object"),
        ({"model.safetensors": b"version https://git-lfs.github.com/spec/v1"}, "pointer of Git LFS"),
        ({"model.safetensors": b"short"}, "is cut off or damaged"),
        ({"model.safetensors": bytes(8)}, "is cut off or damaged"),
        ({"model.safetensors": b"\xff" * 8}, "is cut off or damaged"),
        ({"model.safetensors": b"\x04\0\0\0\0\0\0\0null"}, "is cut off or damaged"),
    ],
)
def test_a_folder_with_a_damaged_file_says_so(tmp_path, files, text):
    write(tmp_path, llama_folder() | files)
    with pytest.raises(ModelError) as raised:
        find_model(str(tmp_path))
    assert text in str(raised.value)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    write(tmp_path, {"model.onnx": b""})
    with pytest.raises(ModelError, match=r"is no model. Write its folder, or a .gguf file"):
        find_model(str(tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_999, "1.0 MB"), (5.3e15, "5300 TB")],
)
def test_sizes_read_well(size, text):
    assert size_text(size) == text
