"""Stand-ins: a file loads without the libraries that this machine lacks, and says where it cannot."""

import builtins
import importlib.util
import sys
from typing import get_type_hints

import pytest
from pydantic import BaseModel

from chutes.errors import LoadError
from chutes.loading import load


def loaded(project, source, **files):
    for name, text in files.items():
        project.write(f"{name}.py", text, chute=None)
    project.write("app.py", source)
    return load("app.py", stand_ins=True)


def module_of(project, source, **files):
    loaded(project, source, **files)
    return sys.modules["app"]


def refusal(project, source, **files):
    with pytest.raises(LoadError) as caught:
        loaded(project, source, **files)
    return str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "import heavylib",
        "import heavylib.nn.functional as F",
        "from heavylib import nn, Tensor as T",
        "from heavylib.nn.modules import Linear",
        "from heavylib import *",
        "import heavylib\nheavylib.backends.cudnn.benchmark = True",
        "import heavylib\nDTYPE = heavylib.float16",
        "import heavylib\ndef f(x: heavylib.Tensor | None, y: 'int' = 1) -> list[heavylib.Tensor[int, 3]]: ...",
        "import heavylib\ndef f(x: int | heavylib.Tensor = heavylib.DEFAULT): ...",
        "from typing import Optional\nimport heavylib\ndef f(x: Optional[heavylib.Tensor]): ...",
        "import heavylib\nclass Model(heavylib.nn.Module):\n    size: heavylib.Size = heavylib.LARGE",
        "import heavylib\nfrom abc import ABC\nclass Model(heavylib.Module, heavylib.Mixin, ABC, table=True): ...",
        "import heavylib\nclass Model(heavylib.Generic[int]): ...\nclass Other(Model[str]): ...",
        "import heavylib\nassert not isinstance(3, heavylib.Tensor)\nassert not issubclass(int, heavylib.Tensor)",
        "from dataclasses import dataclass\nimport heavylib\n@dataclass\nclass A(heavylib.B):\n    x: heavylib.C = heavylib.D",
        "def f():\n    import heavylib\n    return heavylib\nlib = f()",
    ],
)
def test_what_a_file_does_with_a_library_while_it_loads_works(project, source):
    assert loaded(project, source).stand_ins == ("heavylib",)


def test_without_stand_ins_a_missing_library_is_an_error(project):
    project.write("app.py", "import heavylib")

    with pytest.raises(LoadError, match="there is no module 'heavylib' on this machine"):
        load("app.py")


def test_a_library_is_replaced_for_the_load_only(project):
    real_import = builtins.__import__
    loaded(project, "import heavylib.nn")

    assert builtins.__import__ is real_import
    assert not [name for name in sys.modules if name.startswith("heavylib")]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("heavylib")


def test_the_import_is_real_again_after_a_load_that_failed(project):
    real_import = builtins.__import__
    refusal(project, "import heavylib\nheavylib.start()")

    assert builtins.__import__ is real_import


def test_libraries_are_named_in_the_order_of_their_imports(project):
    assert loaded(project, "import heavylib_b\nimport heavylib_a\nimport heavylib_b.x").stand_ins == (
        "heavylib_b",
        "heavylib_a",
    )


def test_a_file_beside_the_chute_may_need_a_library_too(project):
    assert loaded(project, "import modelling", modelling="from heavylib import nn").stand_ins == ("heavylib",)


@pytest.mark.parametrize(
    "decoration",
    [
        "@heavylib.compile",
        "@heavylib.jit.script",
        "@heavylib.no_grad()",
        "@heavylib.trace(name='f', depth=3)",
        "@heavylib.retry(stop=heavylib.stop_after(3), wait=heavylib.fixed(1))",
        "@heavylib.group(1).command('f')",
        "@heavylib.registry['f'].add()",
        "@heavylib.a\n@heavylib.b(\n    1,\n    heavylib.c(\n    2)\n)",
    ],
)
def test_decoration_leaves_the_function_as_it_is(project, decoration):
    module = module_of(project, f"import heavylib\n{decoration}\ndef f(x):\n    return x + 1")

    assert module.f(1) == 2


def test_classes_and_methods_are_decorated_too(project):
    module = module_of(
        project,
        "import heavylib\n"
        "@heavylib.model(1)\n@heavylib.model\nclass A:\n"
        "    @heavylib.inference(2)\n    def f(self): return 'f'\n"
        "    @heavylib.cached\n    @property\n    def g(self): return 'g'\n"
        "    @heavylib.traced\n    @staticmethod\n    def h(): return 'h'\n",
    )

    assert (module.A().f(), module.A().g, module.A.h()) == ("f", "g", "h")


def test_a_call_with_one_function_returns_it(project):
    module = module_of(project, "import heavylib\ndef f(): ...\ng = heavylib.compile(f)")

    assert module.g is module.f


@pytest.mark.parametrize(
    "line",
    [
        "weights = heavylib.load('weights.pt')",
        "heavylib.set_threads(1)",
        "device = heavylib.device('cuda')",
        "x = heavylib.nn.Linear(3, 4)",
        "x = [heavylib.a(n) for n in range(3)]",
        "def f(x=heavylib.zeros(3)): ...",
        "@print\n@heavylib.a\n@(lambda f: heavylib.wrap(f, 1))\ndef f(): ...",
    ],
)
def test_a_call_that_needs_the_library_names_it_and_the_line(project, line):
    text = refusal(project, f"import heavylib\n{line}")

    place, _, rest = text.partition(": ")
    assert place in {"app.py, line 3", "app.py, line 5"}
    assert rest.startswith("heavylib.")
    assert "is called while the file is loaded, but heavylib is not installed here" in rest
    assert rest.endswith(
        "Move the line into a startup hook (@chute.on_startup()), or install it: pip install heavylib."
    )


def test_a_call_for_an_argument_of_a_real_decorator_is_refused(project):
    text = refusal(
        project, "import heavylib, functools\n@functools.partial(print, heavylib.value(3))\ndef f(): ..."
    )

    assert "heavylib.value is called" in text


def test_an_instance_of_a_class_that_needs_the_library_is_refused(project):
    text = refusal(project, "import heavylib\nclass Model(heavylib.Module): ...\nmodel = Model()")

    assert "app.py, line 4: heavylib.Module is needed by Model(…)" in text


def test_a_text_made_with_the_library_is_refused(project):
    text = refusal(project, "import heavylib\nx = f'{heavylib.PATH}/weights'")

    assert text.startswith("app.py, line 3: heavylib.PATH is put into a string while the file is loaded")


@pytest.mark.parametrize(
    "line",
    [
        "x = heavylib.PI * 2",
        "x = len(heavylib.NAMES)",
        "x = heavylib.__version__",
        "for x in heavylib.NAMES: ...",
        "a, b = heavylib.PAIR",
        "x = 'a' in heavylib.NAMES",
    ],
)
def test_python_s_own_errors_about_a_stand_in_mention_it(project, line):
    text = refusal(project, f"import heavylib\n{line}")

    assert "app.py, line 3" in text
    assert text.endswith("(Not installed here, and replaced by stand-ins: heavylib.)")


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import heavylib\nexcept ImportError:\n    heavylib = None",
        "try:\n    import heavylib\nexcept (KeyError, ModuleNotFoundError):\n    heavylib = None",
        "try:\n    import heavylib\nexcept:\n    heavylib = None",
        "import contextlib\nheavylib = None\nwith contextlib.suppress(ImportError):\n    import heavylib",
    ],
)
def test_a_file_that_expects_the_library_to_be_missing_is_told_the_truth(project, source):
    assert module_of(project, source).heavylib is None


def test_a_try_that_handles_something_else_does_not_count(project):
    source = "try:\n    import heavylib\nexcept KeyError:\n    heavylib = None"

    assert loaded(project, source).stand_ins == ("heavylib",)


def test_a_file_that_looks_for_the_library_is_told_the_truth(project):
    source = "import importlib.util\nhas = importlib.util.find_spec('heavylib') is not None\nimport heavylib"

    assert module_of(project, source).has is False


def test_a_library_that_probes_for_another_is_told_the_truth(project, tmp_path):
    library = tmp_path / "lib" / "site-packages" / "probinglib"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(
        "try:\n    import heavylib\nexcept ImportError:\n    heavylib = None\n"
    )
    sys.path.append(str(library.parent))

    module = module_of(project, "import heavylib\nimport probinglib")

    assert module.heavylib is not None
    assert module.probinglib.heavylib is None


def test_a_misspelt_neighbour_is_not_replaced(project):
    text = refusal(project, "import modeling", modelling="")

    assert "there is no module 'modeling' on this machine. Did you mean 'modelling'?" in text


def test_a_library_with_a_name_like_a_neighbour_that_is_used_is_replaced(project):
    assert loaded(project, "import vlmx\nimport vllmx", vlmx="import vllmxx").stand_ins == ("vllmxx", "vllmx")


def test_a_missing_part_of_a_library_that_is_installed_is_an_error(project):
    assert "'json' has no 'heavy'" in refusal(project, "import json.heavy")


def test_a_missing_file_of_a_package_of_the_user_is_an_error(project):
    (project.folder / "parts").mkdir()

    assert "'parts' has no 'nothing'" in refusal(project, "from parts.nothing import x")


def test_a_library_on_a_shelf_that_others_share_is_replaced(project, tmp_path):
    shelf = tmp_path / "lib" / "site-packages" / "shelf_of_libs"
    (shelf / "present").mkdir(parents=True)
    (shelf / "present" / "__init__.py").write_text("X = 1\n")
    sys.path.append(str(shelf.parent))

    result = loaded(project, "import shelf_of_libs.present\nfrom shelf_of_libs.absent.v1 import Client")

    assert result.stand_ins == ("shelf_of_libs.absent",)


def test_the_module_that_is_asked_for_is_never_replaced(project):
    with pytest.raises(LoadError, match="There is no module 'heavylib'"):
        load("heavylib:chute", stand_ins=True)


def test_types_of_the_library_can_stand_in_models(project):
    module = module_of(
        project,
        "from pydantic import BaseModel\nimport heavylib\n"
        "class Inner(heavylib.Params): ...\n"
        "class Mixed(heavylib.Mixin, BaseModel):\n    y: int\n"
        "class Input(BaseModel):\n    x: heavylib.Tensor\n    inner: Inner | None = None\n    mixed: Mixed | None = None\n",
    )

    assert issubclass(module.Input, BaseModel)
    schema = module.Input.model_json_schema()
    assert set(schema["properties"]) == {"x", "inner", "mixed"}
    assert set(schema["$defs"]["Mixed"]["properties"]) == {"y"}


def test_annotations_can_be_read_after_the_load(project):
    text = "from __future__ import annotations\nimport heavylib\ndef f(x: heavylib.Tensor | None) -> str: ..."
    project.write("hinted.py", text, chute=None)

    assert get_type_hints(module_of(project, "from hinted import f").f)["return"] is str


def test_a_name_of_a_star_import_that_is_missing_points_to_the_library(project):
    text = refusal(project, "from heavylib import *\nx = Tensor")

    assert "the name 'Tensor' is not known" in text
    assert "replaced by stand-ins: heavylib" in text
