"""When the user's own code fails while it is loaded: one line that says where, why, and what to write."""

import re
import sys

import pytest

from chutes.errors import LoadError
from chutes.loading import load_chute
from chutes.tracebacks import user_frames


def failure(project, source, **files):
    for name, text in files.items():
        project.write(f"{name}.py", text, chute=None)
    project.write("app.py", source)
    with pytest.raises(LoadError) as caught:
        load_chute("app.py")
    text = str(caught.value)
    assert "\n" not in text
    return text, caught.value.__cause__


def test_a_library_that_is_missing_names_the_line_and_the_install_command(project):
    text, cause = failure(project, "import sklearn_extra.cluster")

    assert text == (
        "app.py, line 2: `import sklearn_extra.cluster` failed: there is no module 'sklearn_extra' on this machine. "
        "Install it: pip install sklearn-extra."
    )
    assert isinstance(cause, ModuleNotFoundError)


def test_a_library_whose_package_has_another_name_is_known(project):
    text, _ = failure(project, "import faiss")

    assert text.endswith("Install it: pip install faiss-cpu.")


def test_a_misspelt_neighbour_is_proposed(project):
    text, _ = failure(project, "import embeder", embedder="")

    assert text.endswith("there is no module 'embeder' on this machine. Did you mean 'embedder'?")


def test_the_failing_import_of_a_neighbour_is_told_with_its_own_place(project):
    text, cause = failure(project, "import neighbour_a", neighbour_a="x = 1\nimport no_such_library")

    assert text.startswith("neighbour_a.py, line 2: `import no_such_library` failed")
    assert [frame.lineno for frame in user_frames(cause)][-2:] == [2, 2]


def test_what_a_library_needs_is_not_blamed_on_the_user(project, tmp_path):
    library = tmp_path / "lib" / "site-packages" / "bigmodel"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("import no_such_library\n")
    sys.path.append(str(library.parent))

    text, _ = failure(project, "import bigmodel")

    assert "app.py, line 2: `import bigmodel` failed: 'bigmodel' needs 'no_such_library'" in text


def test_a_part_that_a_package_lacks_is_told(project):
    text, _ = failure(project, "import json.decoderr")

    assert text.endswith("failed: 'json' has no 'decoderr'.")


def test_an_import_through_importlib_counts_as_the_users(project):
    text, _ = failure(project, "import importlib\nimportlib.import_module('no_such_library')")

    assert "there is no module 'no_such_library' on this machine" in text


def test_a_name_that_a_module_lacks_is_told(project):
    text, _ = failure(project, "from json import lods")

    assert text.startswith(
        "app.py, line 2: `from json import lods` failed: cannot import name 'lods' from 'json'"
    )
    assert text.endswith(" Did you mean 'loads'?")


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("import chutes\nchutes.Chut()", "Chute"),
        ("from chutes.image import Image\nImage('me', 'x').pip_instal('torch')", "pip_install"),
    ],
)
def test_an_attribute_that_something_lacks_proposes_one_that_it_has(project, source, meant):
    text, _ = failure(project, source)

    assert re.search(rf"Did you mean:? '{meant}'\?$", text)


def test_a_name_that_chutes_lacks_proposes_one_that_it_has(project):
    text, _ = failure(project, "from chutes import Chutes")

    assert text.endswith(" Did you mean 'Chute'?")


def test_a_relative_import_outside_of_a_package_is_explained(project):
    text, _ = failure(project, "from . import words")

    assert "put an __init__.py beside the file, or leave out the dot" in text


def test_a_syntax_error_names_file_line_and_text(project):
    text, cause = failure(project, "def f(:\n    pass")

    assert text == "app.py, line 2: invalid syntax: `def f(:`"
    assert isinstance(cause, SyntaxError)


def test_a_syntax_error_of_a_neighbour_names_the_neighbour(project):
    text, _ = failure(project, "import neighbour_b", neighbour_b="\n\nx = = 1")

    assert text == "neighbour_b.py, line 3: invalid syntax: `x = = 1`"


def test_a_file_in_another_encoding_is_told(project):
    (project.folder / "app.py").write_bytes(b"x = '\xe9'\n")

    with pytest.raises(LoadError, match=r"app\.py.*utf-8"):
        load_chute("app.py")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def f(x: Optional[int]): pass", "from typing import Optional"),
        ("x = json.dumps({})", "import json"),
        ("asyncio.Lock()", "import asyncio"),
        ("class A(BaseModel): pass", "from pydantic import BaseModel"),
        ("def f(r: StreamingResponse): pass", "from fastapi.responses import StreamingResponse"),
        ("raise HTTPException(400)", "from fastapi import HTTPException"),
        ("x = datetime.now()", "from datetime import datetime"),
        ("i = Image(username='a', name='b', tag='1')", "from chutes import Image"),
        ("x = np.zeros(3)", "import numpy as np"),
        ("def f(x: AsyncIterator[str]): pass", "from collections.abc import AsyncIterator"),
    ],
)
def test_a_well_known_name_without_its_import_gets_the_line_to_add(project, source, line):
    text, _ = failure(project, source)

    assert text.startswith("app.py, line 2: the name ")
    assert text.endswith(f"Add this line to the file: {line}")


def test_a_misspelt_name_of_the_file_is_told(project):
    text, _ = failure(project, "temperature = 1\nx = temprature")

    assert text == "app.py, line 3: the name 'temprature' is not known. Did you mean 'temperature'?"


def test_any_other_error_is_told_with_its_line_and_kept_as_the_cause(project):
    text, cause = failure(project, "x = 1 / 0")

    assert text == "app.py, line 2: `x = 1 / 0` raised ZeroDivisionError: division by zero"
    assert isinstance(cause, ZeroDivisionError)


def test_an_error_inside_a_library_is_told_with_the_users_line(project):
    text, _ = failure(project, "import json\nx = json.loads('{')")

    assert text.startswith("app.py, line 3: `x = json.loads('{')` raised json.decoder.JSONDecodeError")


def test_an_error_of_several_lines_becomes_one(project):
    text, _ = failure(project, "raise ValueError('first\\nsecond')")

    assert text.endswith("raised ValueError: first second")


def test_a_file_that_ends_the_program_is_told(project):
    text, cause = failure(project, "import sys\nsys.exit(3)")

    assert text.startswith("app.py, line 3: `sys.exit(3)` ends the program while the file is loaded.")
    assert text.endswith('if __name__ == "__main__":')
    assert isinstance(cause, SystemExit)
