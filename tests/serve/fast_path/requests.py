"""Requests around what a cord takes: right ones, nearly right ones, and bytes that were damaged."""

import json
from typing import Any

from hypothesis import strategies as st

from serve.fast_path.asgi import JSON, MARK, Call


class Raw(str):
    """A piece of JSON text as it stands, right or not."""

    __slots__ = ()


NUMBERS = (
    "0", "1", "2", "-1", "-0", "7", "10", "1.0", "1.5", "-0.0", "0.1", "1e2", "1E5", "1e400", "-1e400", "5e-324", "1e-400",
    "NaN", "Infinity", "-Infinity", "-NaN", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
    "1" * 30, "1" * 308, "1" * 310, "1" * 4300, "1" * 4301, "01", "1.", ".5", "+1", "1e", "0x1", "1_000", "0.1" + "0" * 400 + "1",
    "3.14159265358979323846264338327950288", "123456789.123456789e-20", "2.2250738585072011e-308",
)  # fmt: skip
TEXTS = (
    "", "a", "ab", "abcde", "abcdef", "red", "blue", "cat", "dog", "1", "0", "true", "2024-01-01", "2024-01-01T12:00:00Z", "P1D", "null",
    "https://example.org/", "d9428888-122b-11e1-b85c-61cd3cbb3210", "é", "日本", "\u2028", "\x7f", "🎈",
)  # fmt: skip
WRITTEN = (
    r'"\ud83c\udf88"', r'"\ud83c"', r'"\udf88\ud83c"', r'"\u0000"', r'"\x41"', r'"\/"', '"tab\there"', '"new\nline"', '"nul\0"',
    '"open', "'a'", "null", "true", "false", "nul", "True", "None", "undefined", "{}", "[]", '""', "[1,]", '{"a":1,}', "[" * 150 + "]" * 150,
    "[" * 250 + "]" * 250, "[" * 1100 + "]" * 1100, '{"a":' * 199 + "1" + "}" * 199,
)  # fmt: skip
NAMES = (
    "text", "count", "ratio", "the text", "n", "inner", "items", "by_name", "when", "day", "span", "amount", "number", "either", "raw",
    "kind", "level", "word", "link", "secret", "unique", "pair", "anything", "lives", "json", "_count", "copy", "model_dump", "unknown", "",
)  # fmt: skip
TYPES = (
    b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8", b"APPLICATION/JSON", b"application/json; charset=latin-1",
    b"application/json;", b" application/json", b"application/vnd.api+json", b"application/problem+json; a=b", b"text/plain", b"text/json",
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"application/octet-stream", b"", b"json", b"application", b"\xff", b"application/json\x00",
)  # fmt: skip

scalars = st.one_of(
    st.sampled_from(NUMBERS).map(Raw),
    st.sampled_from(TEXTS),
    st.sampled_from(WRITTEN).map(Raw),
    st.text(max_size=6),
    st.integers(-5, 12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=4).map(tuple)
    ),
    max_leaves=8,
)


def likely() -> st.SearchStrategy[Any]:
    """Objects that a cord of the gallery may well take; an object is a tuple of its pairs, so that names may repeat."""
    plain = st.fixed_dictionaries(
        {"text": st.sampled_from(("ab", "abc", "red"))}, optional={"count": st.integers(0, 4)}
    )
    fitting = st.fixed_dictionaries(
        {"text": st.sampled_from(("ab", "abcd", "x")) | st.text(max_size=6)},
        optional={
            "count": st.integers(0, 11) | st.sampled_from(("2", Raw("2.0"), Raw("2.5"), True, None)),
            "ratio": st.sampled_from((Raw("0.25"), "0.25", 1, None, Raw("NaN"))),
            "the text": st.just("alias"),
            "n": st.integers(0, 5),
            "inner": plain,
            "items": st.lists(plain, max_size=4) | st.lists(st.integers(0, 3), max_size=3),
            "by_name": st.fixed_dictionaries({}, optional={"a": plain}),
            "kind": st.sampled_from(("red", "cat", "dog")),
            "when": st.sampled_from(("2024-01-01T12:00:00Z", 1704110400, Raw("1.5"), "today")),
            "pair": st.just([1, "a"]),
            "json": st.just("renamed"),
            "_count": st.integers(0, 3),
            "unknown": st.just("x"),
        },
    )
    return fitting | st.builds(_with, fitting, st.sampled_from(NAMES), values)


def bodies() -> st.SearchStrategy[bytes]:
    """What may be sent, from right to broken."""
    written = st.builds(_text, likely(), st.booleans(), st.sampled_from(("", " ", "\n\t")))
    encoded = st.builds(
        _encoded,
        written,
        st.sampled_from(("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-32", "utf-16-le", "latin-1")),
    )
    fuzzy = st.builds(_text, values, st.booleans(), st.just("")).map(lambda text: _encoded(text, "utf-8"))
    damaged = st.builds(_damaged, encoded, st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3))
    odd = st.sampled_from(
        (
            b"",
            b" ",
            b"null",
            b"[]",
            b"{}",
            b"0",
            b'""',
            b"\xef\xbb\xbf{}",
            b"{}{}",
            b"{} ",
            b"\x00",
            b"\xff\xfe",
            b"[{}]",
        )
    )
    return st.one_of(encoded, encoded, encoded, fuzzy, damaged, odd, st.binary(max_size=12))


def calls(paths: tuple[str, ...]) -> st.SearchStrategy[Call]:
    """Posts to one of the paths."""
    return st.builds(
        _call,
        st.sampled_from(paths),
        bodies(),
        st.lists(st.integers(0, 40), max_size=3),
        st.sampled_from((JSON[1],) * 20 + TYPES + (None,)),
        st.sampled_from(("",) * 12 + ("before", "within", "after")),
        st.booleans(),
        st.sampled_from(("1.1", "1.1", "1.0", "2")),
        st.sampled_from((None, None, None, b"call-2", b"not sane\xff", b"")),
    )


def gets(paths: tuple[str, ...]) -> st.SearchStrategy[Call]:
    """Requests without a body to one of the paths."""
    return st.builds(
        lambda path, query, leaves, headers: Call(
            path=path, method="GET", query=query, headers=(MARK, *headers), chunks=(b"",), leaves=leaves
        ),
        st.sampled_from(paths),
        queries(),
        st.sampled_from(("",) * 8 + ("before", "after")),
        st.lists(st.sampled_from((JSON, (b"accept", b"*/*"), (b"content-length", b"0"))), max_size=2),
    )


def queries() -> st.SearchStrategy[bytes]:
    """Query strings around the names that cords take."""
    name = st.sampled_from((*NAMES, "flag", "tags", "colour"))
    value = st.one_of(
        st.sampled_from(
            (
                "",
                "1",
                "0",
                "-1",
                "1.0",
                "true",
                "on",
                "yes",
                "off",
                "red",
                "RED",
                "2024-01-01",
                "2024-01-01T00:00:00Z",
                "NaN",
                "null",
                "%20",
                "+",
            )
        ),
        st.sampled_from(
            (
                "%ff",
                "%C3%A9",
                "%00",
                "%",
                "%4",
                "a;b",
                "é",
                "a=b",
                "1_0",
                "１",
                "[1,2]",
                "%5B1%2C2%5D",
                "%7B%22text%22:%22a%22%7D",
            )
        ),
        st.text(max_size=4),
    )
    pair = st.builds(lambda one, two: f"{one}={two}", name, value) | name | st.just("")
    return st.lists(pair, max_size=6).map(lambda pairs: "&".join(pairs).encode("utf-8", "surrogateescape"))


def _call(
    path: str,
    body: bytes,
    cuts: list[int],
    content_type: bytes | None,
    leaves: str,
    bare: bool,
    version: str,
    mark: bytes | None,
) -> Call:
    places = sorted({min(cut, len(body)) for cut in cuts})
    chunks = tuple(body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True))
    headers = [MARK] if mark is None else [(b"x-request-id", mark)]
    if content_type is not None:
        headers.append((b"content-type", content_type))
    return Call(
        path=path, headers=tuple(headers), chunks=chunks, leaves=leaves, bare=bare, http_version=version
    )


def _with(fields: dict[str, Any], name: str, value: Any) -> tuple[tuple[str, Any], ...]:
    return (*fields.items(), (name, value))


def _text(value: Any, ascii_only: bool, space: str) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        value = tuple(value.items())
    if isinstance(value, tuple):
        pairs = (
            f"{_text(name, ascii_only, space)}:{space}{_text(one, ascii_only, space)}" for name, one in value
        )
        return "{" + f",{space}".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + f",{space}".join(_text(one, ascii_only, space) for one in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _encoded(text: str, encoding: str) -> bytes:
    # A character that the encoding lacks is damage too.
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def _damaged(body: bytes, place: int, length: int, put: bytes) -> bytes:
    place = min(place, len(body))
    return body[:place] + put + body[place + length :]
