"""Inert stand-ins for libraries that this machine lacks: a file can be shown, built or deployed without them.

What works with a stand-in: attributes and sub-modules (each is a stand-in again), `from library import name`,
subclassing, subscripts, annotations, `isinstance` (always false), assigning attributes, and decoration. What
would need a value of the library raises a `LoadError` that names it and the user's line: calling it, putting
it into a string. The rest, such as arithmetic, fails as it would for any plain object.

Decoration and calling look alike, so the rule is:
1. A call with exactly one argument, a function or a class, returns that argument: `@library.compile`.
2. A call that stands in a decorator whose first name is a stand-in returns a stand-in: `@library.retry(3)`,
   and `library.after(3)` in `@library.retry(stop=library.after(3))`.
3. Any other call raises.

A missing module is replaced only where the user's own file imports it. Libraries, which probe for optional
ones, see the truth. So does a user's file that expects the failure (`try: … except ImportError`), and one
that misspells a file beside it: the name nearly is that file's, and the right one is not imported.
"""

import builtins
import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Union

from chutes.errors import LoadError
from chutes.loading.hints import install_hint
from chutes.loading.reference import importable_names
from chutes.loading.source import decorator_of_call, imported_names, is_guarded_import
from chutes.tracebacks import is_user_file, place_of

__all__ = ["StandIn", "standing_in"]

_LIKELY_TYPO = 0.8


class StandIn:
    """A library that is not installed, or anything in it."""

    def __init__(self, name: str) -> None:
        self.__stand_in_name__ = name
        self.__stand_in_base__: type | None = None

    def __getattr__(self, name: str) -> "StandIn":
        if name.startswith("__"):
            # Protocols such as copying and inspecting ask for these: a stand-in follows none of them.
            raise AttributeError(f"{self.__stand_in_name__} is not installed; its stand-in has no {name!r}")
        child = StandIn(f"{self.__stand_in_name__}.{name}")
        setattr(self, name, child)
        return child

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate, or refuse: see the module's rule."""
        if len(args) == 1 and not kwargs and _can_be_decorated(args[0]):
            return args[0]
        frame = _caller()
        decorator = decorator_of_call(frame)
        if decorator is None or not isinstance(_lookup(frame, decorator), StandIn):
            _refuse(self.__stand_in_name__, "is called", frame)
        return StandIn(f"{self.__stand_in_name__}(…)")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        if self.__stand_in_base__ is None:
            self.__stand_in_base__ = _make_base(self.__stand_in_name__)
        return (self.__stand_in_base__,)

    def __getitem__(self, item: Any) -> "StandIn":
        return StandIn(f"{self.__stand_in_name__}[…]")

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007 - the operator is what this implements

    def __ror__(self, other: Any) -> Any:
        return Union[other, self]  # noqa: UP007 - the operator is what this implements

    def __instancecheck__(self, instance: object) -> bool:
        return False

    def __subclasscheck__(self, subclass: type) -> bool:
        return self.__stand_in_base__ is not None and issubclass(subclass, self.__stand_in_base__)

    # Having subscripts would make it iterable, without an end.
    __iter__ = None
    __contains__ = None

    def __format__(self, spec: str) -> str:
        """Refuse to become a part of the user's texts, such as a path; a library may mention it in its own."""
        caller = _caller()
        if is_user_file(caller.f_code.co_filename):
            _refuse(self.__stand_in_name__, "is put into a string", caller)
        return repr(self)

    def __copy__(self) -> "StandIn":
        return self

    def __deepcopy__(self, memo: object) -> "StandIn":
        return self

    def __repr__(self) -> str:
        return f"<stand-in for {self.__stand_in_name__}>"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return _any_schema()


@contextmanager
def standing_in() -> Iterator[list[str]]:
    """Replace missing libraries while the context lasts; the yielded list fills with their names.

    It acts on the `import` statement rather than through `sys.modules`, so that only the file that imports a
    stand-in sees it.
    """
    roots: dict[str, StandIn] = {}
    replaced: list[str] = []
    real_import = builtins.__import__

    def import_or_replace(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - the names of `__import__`
        locals: Mapping[str, object] | None = None,  # noqa: A002 - the names of `__import__`
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        try:
            return real_import(name, globals, locals, fromlist or (), level)
        except ModuleNotFoundError as exc:
            library = _library(name, exc.name) if level == 0 else None
            if library is None or not _may_replace(library, _caller()):
                raise
        if library not in replaced:
            replaced.append(library)
        top, _, rest = name.partition(".")
        root = roots.setdefault(top, StandIn(top))
        return reduce(getattr, rest.split("."), root) if fromlist and rest else root

    builtins.__import__ = import_or_replace
    try:
        yield replaced
    finally:
        builtins.__import__ = real_import


def _library(name: str, missing: str | None) -> str | None:
    """The library that `import name` lacks, None when `missing` is something else.

    A namespace package, such as `google`, is a shelf on which libraries stand; of any other package that is
    installed, a missing part is a mistake.
    """
    if missing is None or not f"{name}.".startswith(f"{missing}."):
        return None
    parent = sys.modules.get(missing.rpartition(".")[0])
    if "." not in missing:
        return missing
    is_namespace = parent is not None and getattr(parent, "__file__", None) is None
    folders = [str(Path(folder, "x.py")) for folder in getattr(parent, "__path__", ())]
    return missing if is_namespace and not any(is_user_file(folder) for folder in folders) else None


def _may_replace(library: str, importer: FrameType) -> bool:
    filename = importer.f_code.co_filename
    return (
        is_user_file(filename)
        and not is_guarded_import(filename, importer.f_lineno)
        and not _is_misspelt_neighbour(library, filename)
    )


def _is_misspelt_neighbour(library: str, filename: str) -> bool:
    neighbours = {*importable_names(Path(filename).parent), *importable_names(Path.cwd())} - {
        Path(filename).stem
    }
    near = difflib.get_close_matches(library, neighbours, n=1, cutoff=_LIKELY_TYPO)
    return bool(near) and near[0] not in imported_names(filename)


def _caller() -> FrameType:
    """The frame that used the stand-in, or wrote the import."""
    return sys._getframe(2)  # noqa: SLF001 - the only way to learn which file that is


def _lookup(frame: FrameType, name: str) -> object:
    return frame.f_locals.get(name, frame.f_globals.get(name))


def _can_be_decorated(value: object) -> bool:
    wrapped = hasattr(value, "__wrapped__")
    return (
        inspect.isroutine(value) or wrapped or isinstance(value, type | staticmethod | classmethod | property)
    )


def _refuse(name: str, use: str, frame: FrameType | None) -> NoReturn:
    while frame is not None and not is_user_file(frame.f_code.co_filename):
        frame = frame.f_back
    place = f"{place_of(frame.f_code.co_filename, frame.f_lineno)}: " if frame is not None else ""
    library = name.partition(".")[0]
    raise LoadError(
        f"{place}{name} {use} while the file is loaded, but {library} is not installed here. "
        f"Move the line into a startup hook (@chute.on_startup()), or install it: {install_hint(library)}."
    )


def _make_base(name: str) -> type:
    """A class for user classes to inherit from; no instance of one can be made."""

    def __new__(cls: type, *_args: Any, **_kwargs: Any) -> NoReturn:  # noqa: N807 - it becomes the class's
        _refuse(name, f"is needed by {cls.__name__}(…)", _caller())

    def __init_subclass__(cls: type, /, **_options: Any) -> None:  # noqa: N807 - it becomes the class's
        """Take whatever class options the real base takes."""

    def __get_pydantic_core_schema__(cls: type, source: Any, handler: Any) -> Any:  # noqa: N807 - likewise
        return handler(source) if hasattr(cls, "__pydantic_fields__") else _any_schema()

    namespace = {
        "__new__": __new__,
        "__init_subclass__": classmethod(__init_subclass__),
        "__class_getitem__": classmethod(lambda cls, _item: cls),
        "__get_pydantic_core_schema__": classmethod(__get_pydantic_core_schema__),
    }
    return type(name.rpartition(".")[2], (), namespace)


def _any_schema() -> Any:
    from pydantic_core import core_schema

    return core_schema.any_schema()
