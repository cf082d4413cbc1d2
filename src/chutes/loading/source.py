"""Questions about the source of the user's file that only its text answers."""

import ast
import linecache
from collections.abc import Iterator
from itertools import islice
from types import FrameType

__all__ = ["decorator_of_call", "imported_names", "is_guarded_import"]

_IMPORT_GUARDS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})

Decorated = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def is_guarded_import(filename: str, line: int) -> bool:
    """Whether `line` stands where a failed import is expected.

    That is inside `try: … except ImportError`, or `with suppress(ImportError)`.
    """
    for node in ast.walk(_tree(filename)):
        if isinstance(node, ast.Try) and _spans(node.body, line):
            handled = [handler.type for handler in node.handlers]
            if None in handled or _names(*handled) & _IMPORT_GUARDS:
                return True
        if isinstance(node, ast.With) and _spans(node.body, line):
            contexts = _names(*(item.context_expr for item in node.items))
            if "suppress" in contexts and contexts & _IMPORT_GUARDS:
                return True
    return False


def imported_names(filename: str) -> set[str]:
    """The top-level modules that the file imports anywhere."""
    found = set()
    for node in ast.walk(_tree(filename)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def decorator_of_call(frame: FrameType) -> str | None:
    """The first name of the decorator in which stands the call that `frame` makes right now, else None.

    It is `lib` for the call of `retry` in `@lib.retry(3)`, and for that of `after` in
    `@lib.retry(stop=lib.after(3))`.
    """
    for decorator in _decorators(_tree(frame.f_code.co_filename)):
        if any(isinstance(node, ast.Call) and _is_running(node, frame) for node in ast.walk(decorator)):
            return _first_name(decorator)
    return None


def _tree(filename: str) -> ast.Module:
    linecache.checkcache(filename)
    try:
        return ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _spans(body: list[ast.stmt], line: int) -> bool:
    return body[0].lineno <= line <= (body[-1].end_lineno or body[-1].lineno)


def _names(*expressions: ast.expr | None) -> set[str]:
    """Every identifier in `expressions`, the last part of dotted ones."""
    nodes = [node for expression in expressions if expression is not None for node in ast.walk(expression)]
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def _decorators(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, Decorated):
            yield from node.decorator_list


def _is_running(call: ast.Call, frame: FrameType) -> bool:
    """Whether `call` is the one that `frame` stands at; a call is known by its end, its closing bracket."""
    positions = frame.f_code.co_positions()
    _, end_line, _, end_column = next(islice(positions, frame.f_lasti // 2, None), (None,) * 4)
    if end_line is None or end_column is None:
        return call.lineno <= frame.f_lineno <= (call.end_lineno or call.lineno)
    return (call.end_lineno, call.end_col_offset) == (end_line, end_column)


def _first_name(expression: ast.expr) -> str | None:
    while isinstance(expression, ast.Call | ast.Attribute | ast.Subscript):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    return expression.id if isinstance(expression, ast.Name) else None
