"""Bytes that no well-behaved client sends to a server: a seed gives the same ones each time."""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

JSON_PATHS = ("/names", "/model", "/anything", "/either", "/stream", "/injected")
ALL_PATHS = (
    *JSON_PATHS, "/sync", "/query", "/things/7", "/upload", "/many", "/form", "/talk", "/", "/docs", "/redoc",
    "/openapi.json", "/metrics", "/health", "/livez", "/readyz", "/docs-assets/swagger-ui.css", "/nowhere",
)  # fmt: skip
VERBS = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "get",
    "FROB",
    "CONNECT",
)
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ODD = (b"\x00", b"\r", b"\n", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3\x28", b"%", b"%zz", b"%00", b"\\", b'"', b"\x1b[0m", b"\xf0\x9f\x92\xa9", b"..;/", b"{", b":")  # fmt: skip
BOUNDARY = b"edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What is sent on one connection.

    Attributes:
        kind: the way in which it is broken.
        data: the bytes.
        then: more bytes, sent once something came back.
        unfinished: the server may wait for more, so that no answer is owed.
    """

    kind: str
    data: bytes
    then: bytes = b""
    unfinished: bool = False


def attacks(seed: int, count: int) -> Iterator[Attack]:
    """That many, of all kinds."""
    rng = random.Random(seed)
    kinds = list(KINDS.items())
    for n in range(count):
        name, make = kinds[n % len(kinds)]
        made = make(rng)
        yield made if isinstance(made, Attack) else Attack(kind=name, data=made)


def request(path: str, body: bytes = b"", verb: str = "POST", **headers: object) -> bytes:
    """A request that is in order, as long as its arguments are."""
    given: dict[str, object] = {"Host": "x", "Content-Type": "application/json", "Content-Length": len(body)}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [
        name.encode() + b": " + (value if isinstance(value, bytes) else str(value).encode())
        for name, value in given.items()
        if value is not None
    ]
    return b"\r\n".join([f"{verb} {path} HTTP/1.1".encode(), *lines, b"", b""]) + body


def broken_request_line(rng: random.Random) -> Attack:
    lines = [
        noise(rng, 40), b"GET", b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/1.1 more", b" GET / HTTP/1.1", b"GET  / HTTP/1.1",
        b"GET nowhere HTTP/1.1", b"GET http:// HTTP/1.1", b"GET http://[::1/ HTTP/1.1", b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1",
        b"CONNECT x:1 HTTP/1.1", b"CONNECT / HTTP/1.1", b"PRI * HTTP/2.0", b"G\x00T / HTTP/1.1", b"GET /\x00 HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1", b"GET /" + b"a" * rng.randint(1, 60_000) + b" HTTP/1.1", b"GET /?" + noise(rng, 30) + b" HTTP/1.1",
        b"GET //evil.example/ HTTP/1.1", b"GET /\t HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(rng, 60),
    ]  # fmt: skip
    end = rng.choice([b"\r\n\r\n", b"\r\nHost: x\r\n\r\n", b"\n\n", b"\r\r", b"\r\n"])
    return Attack(kind="request line", data=rng.choice(lines) + end, unfinished=True)


def broken_headers(rng: random.Random) -> Attack:
    headers = [
        b"NoColon", b"Space : x", b": empty", b"Bad\x00: x", b"Bad: \x00", b"Folded: a\r\n b", b"Bare: a\rb", b"Bare: a\nb",
        b"N\xc3\xa4me: x", b"Value: \xff\xfe\xed\xa0\x80", b"X-Request-ID: " + noise(rng, 20).translate(None, b"\r\n"),
        b"X-Request-ID: " + b"a" * 500, b"X-Request-ID: a\tb", b"Long: " + b"a" * rng.randint(1, 60_000),
        b"\r\n".join(b"H%d: x" % n for n in range(rng.randint(1, 2000))), b"Cookie: " + noise(rng, 30).translate(None, b"\r\n"),
        b"X-Number: twelve", b"X-Number: " + b"9" * 5000, b"Authorization: Bearer", b"Authorization: \xff",
        b"X-Forwarded-For: ,,,", b"X-Forwarded-For: [::1", b"X-Forwarded-Proto: \xff", b"X-Forwarded-For: " + noise(rng, 9).translate(None, b"\r\n"),
        b"Connection: close, upgrade", b"Connection: \xff", b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: Upgrade\r\nUpgrade: websocket",
        b"Expect: 100-continue", b"Expect: nonsense", b"Accept-Encoding: \xff", b"Content-Encoding: gzip", b"Origin: \xff",
        b"Range: bytes=" + b"0-," * 500, b"Range: bytes=abc", b"Range: bytes=9-1", b"If-Modified-Since: never", b"If-None-Match: \xff",
        b"Host: [::1", b"Host: a b", b"Host: \xff", b"Host: x:port", b"Host: ", b"Host: x\r\nHost: y", b"Host: ]", b"Host: x/../y?z#a@b",
    ]  # fmt: skip
    path, extra = rng.choice(ALL_PATHS), rng.choice(headers)
    whole = request(
        path + rng.choice(["", "", "/"]), b'{"text": "hi"}', rng.choice(["GET", "POST", "HEAD", "OPTIONS"])
    )
    first, _, rest = whole.partition(b"\r\n")
    if extra.startswith(b"Host") and rng.random() < 0.7:
        rest = rest.replace(b"Host: x\r\n", b"")
    return Attack(kind="headers", data=first + b"\r\n" + extra + b"\r\n" + rest, unfinished=True)


def lying_length(rng: random.Random) -> Attack:
    body = b'{"text": "hi"}'
    true = len(body)
    lengths: list[object] = [
        true - 3, true + 40, 0, -1, -true, "+14", "0x0e", "14 14", "14, 14", "fourteen", "", "1" * 30, "1" * 400, "14\t", "\xb2",
        f"{true}\r\nContent-Length: {true + 5}", f"{true}\r\nTransfer-Encoding: chunked", 1_999_999, 2_000_001, 10**15,
    ]  # fmt: skip
    data = request(rng.choice(JSON_PATHS), body, Content_Length=rng.choice(lengths))
    return Attack(kind="length", data=data, unfinished=True)


def broken_chunks(rng: random.Random) -> Attack:
    chunks = [
        b"zz\r\nhi\r\n", b"-5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello!\r\n", b"5hello\r\n", b"\r\n", b"ffffffffffffffff\r\nhi", b"f" * 40 + b"\r\n",
        b"5;ext=" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"0\r\nTrailer: x\r\n\r\n", b"0\r\nBad Trailer\r\n\r\n",
        b"7fffffff\r\nhi", b"1\r\n{\r\n" * 50, b"0x5\r\nhello\r\n0\r\n\r\n", b"e\r\n{\"text\": \"hi\"}\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
        b"1\r\n{\r\n" + noise(rng, 30),
    ]  # fmt: skip
    encoding = rng.choice(
        [
            "chunked",
            "chunked",
            "chunked",
            "Chunked",
            "chunked, chunked",
            "gzip, chunked",
            "identity",
            "xchunked",
            "chunked, identity",
            " chunked",
        ]
    )
    head = request(rng.choice(JSON_PATHS), b"", Content_Length=None, Transfer_Encoding=encoding)
    return Attack(kind="chunks", data=head + rng.choice(chunks), unfinished=True)


def cut_short(rng: random.Random) -> Attack:
    whole = rng.choice([request(rng.choice(JSON_PATHS), b'{"text": "' + b"a" * 5000 + b'"}'), good_upload()])
    return Attack(kind="cut short", data=whole[: rng.randrange(1, len(whole))], unfinished=True)


def wrong_json(rng: random.Random) -> bytes:
    deep = rng.choice([10, 150, 900, 5_000, 100_000])
    bodies = [
        b"", b"null", b"true", b"7", b'"text"', b"[]", b"[[]]", b"{", b"}", b"{]", b'{"text": }', b'{"text": "hi",}', b"{'text': 'hi'}",
        b'{"text": "hi"} trailing', b'{"text": 7}', b'{"text": null}', b'{"text": ["hi"]}', b'{"text": {"text": "hi"}}', b'{"Text": "hi"}',
        b'{"text": "\\ud800"}', b'{"text": "\\udfff\\ud800"}', b'{"\\ud800": 1}', b'{"text": "\\u00"}', b'{"text": "\x00"}', b'{"text": "\xff\xfe"}',
        b'{"text": "\xed\xa0\x80"}', b'\xef\xbb\xbf{"text": "hi"}', '{"text": "hi"}'.encode("utf-16"), '{"text": "hi"}'.encode("utf-32"),
        b'{"text": "hi", "count": 1e400}', b'{"text": "hi", "count": ' + b"9" * 5000 + b"}", b'{"text": "hi", "count": 1.5}', b'{"text": "hi", "count": "1"}',
        b'{"text": "hi", "count": 9223372036854775808}', b'{"text": "hi", "share": NaN}', b'{"text": "hi", "share": Infinity}', b'{"text": "hi", "share": -1e999}',
        b'{"text": "hi", "text": 5}', b'{"__proto__": {}, "text": "hi"}', b'{"": "", "text": "hi"}', b'{"self": 1, "text": "hi"}', b'{"data": {"self": 1}}',
        b'{"stream": true}', b'{"stream": "true", "text": "hi"}', b'{"stream": true, "\\ud800": 1}', b'{"name": "a", "inner": 7}',
        b"[" * deep + b"]" * deep, b'{"text":' * deep + b"1" + b"}" * deep, b'{"name": "a", "inner": ' * deep + b"null" + b"}" * deep, b'{"a": ' + b"[" * deep,
        b'{"text": "' + b"a" * rng.choice([100_000, 1_900_000]) + b'"}', b'{"text": "hi", "labels": {"a": [1, "b"]}}', noise(rng, rng.randint(1, 400)),
        b'{"' + b'", "'.join(b"k%d" % n for n in range(500)) + b'"}', b'{"name": "\\ud83d", "labels": {"\\udc00": [1e3]}}', b'{"share": 1e-500, "text": "\\u0000"}',
    ]  # fmt: skip
    types = ["application/json"] * 8 + [
        None, "", "text/plain", "application/json; charset=utf-16", "application/json; charset=nonsense", "application/vnd.api+json", "json", "application/x-www-form-urlencoded", b"\xff", "application/json;" * 50,
        "multipart/form-data",
    ]  # fmt: skip
    verb, path = rng.choice(
        [("POST", path) for path in JSON_PATHS] + [("PUT", "/sync"), ("POST", "/upload"), ("POST", "/form")]
    )
    return request(path, rng.choice(bodies), verb, Content_Type=rng.choice(types))


def mutated(rng: random.Random) -> Attack:
    whole = bytearray(
        rng.choice(
            [request(rng.choice(JSON_PATHS), b'{"text": "hi", "name": "x", "count": 3}'), good_upload()]
        )
    )
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(whole))
        change = rng.randrange(4)
        if change == 0:
            whole[at] = rng.randrange(256)
        elif change == 1:
            del whole[at : at + rng.randint(1, 12)]
        elif change == 2:
            whole[at:at] = rng.choice(ODD)
        else:
            whole[at:at] = whole[at : at + 30]
    return Attack(kind="mutated", data=bytes(whole), unfinished=True)


def bad_multipart(rng: random.Random) -> bytes:
    part = b'--edge\r\nContent-Disposition: form-data; name="document"; filename="a.txt"\r\n\r\nhello\r\n'
    field = b'--edge\r\nContent-Disposition: form-data; name="note"\r\n\r\n'
    end = b"--edge--\r\n"
    bodies = [
        b"", b"hello", part, part + b"--edge", part[:-20] + end, b"--other\r\n\r\n" + end, b"\r\n" * 50 + part + end, end, part * 3 + end,
        part.replace(b' name="document";', b"") + end, part.replace(b"name=", b"name") + end, part.replace(b'"document"', b'"docu\x00ment"') + end,
        part.replace(b"Content-Disposition", b"Content-Disposition\x00") + end, part.replace(b"form-data", b"attachment") + end, part.replace(b"\r\n", b"\n") + end,
        part.replace(b'"a.txt"', b'"../../etc/passwd"') + end, part.replace(b'"a.txt"', b'"a\r\nb"') + end, part.replace(b'"a.txt"', b'"\xff\xfe"') + end,
        part.replace(b'filename="a.txt"', b"filename*=utf-8''%ff%zz") + end, part.replace(b'filename="a.txt"', b"filename*=nonsense''a") + end,
        part.replace(b"\r\n\r\nhello", b"\r\nContent-Type: \xff\r\nX: " + b"a" * 9000 + b"\r\n\r\nhello") + end, part + field + b"\xff\xfe\r\n" + end,
        part + field + b"a" * rng.choice([10, 2_000, 1_500_000]) + b"\r\n" + end, part + b"".join(field + b"x\r\n" for _ in range(1_100)) + end, part * rng.choice([2, 1_100]) + end,
        b'--edge\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\nutf-99\r\n' + part + end, part + end + part + noise(rng, 30),
        b'--edge\r\nContent-Disposition: form-data; name="document"\r\n\r\nno file\r\n' + end, part.replace(b"hello", b"\r\n--edge" * 20) + end, noise(rng, 300),
        b"--edge\r\nContent-Disposition: form-data; name=document; filename=\r\n\r\n\r\n" + end, b"--edge\r\n" + b"H: x\r\n" * 2_000 + b"\r\nhello\r\n" + end,
    ]  # fmt: skip
    types = [b"multipart/form-data; boundary=edge"] * 6 + [
        b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary="edge', b"multipart/form-data; boundary=" + b"e" * 5000,
        b"multipart/form-data; boundary=\xff", b"multipart/mixed; boundary=edge", b"multipart/form-data; boundary=edge; charset=utf-99", b"multipart/form-data; boundary=edge; boundary=other",
    ]  # fmt: skip
    return request(
        rng.choice(["/upload", "/many", "/form", "/names"]),
        rng.choice(bodies),
        Content_Type=rng.choice(types),
    )


def bad_form(rng: random.Random) -> bytes:
    bodies = [
        b"", b"text", b"=", b"&&&", b"text=hi&count=many", b"text=%zz", b"text=%ff%fe", b"text=\xff", b"text=hi&text=ho", b"%00=%00", b"text=" + b"a" * 100_000,
        b"&".join(b"k%d=v" % n for n in range(1_500)), b"text=hi;count=3", b"text[a]=b", noise(rng, 200), b"text=%F0%9F%92%A9&count=%EF%BC%97", b"count=" + b"9" * 5000 + b"&text=a",
    ]  # fmt: skip
    kind = rng.choice(
        ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-16"]
    )
    return request(rng.choice(["/form", "/upload", "/names"]), rng.choice(bodies), Content_Type=kind)


def odd_target(rng: random.Random) -> bytes:
    targets = [
        "/query?count=many", "/query?count=1&count=2", "/query?text=%ff&flags=maybe", "/query?" + "a=b&" * 2_000, "/query?count=" + "9" * 5_000, "/query?%00=%00", "/query?text=%ED%A0%80",
        "/query?flags=1&flags=2", "/query?=&==&&", "/query?text=%", "/things/seven", "/things/" + "9" * 5_000, "/things/%00", "/things/1%2F2", "/things/1e3", "/things/+7", "/things/%EF%BC%97",
        "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs-assets/../app.py", "/docs-assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/docs-assets/..%2f..%2f..%2f..%2fetc/passwd",
        "/docs-assets//etc/passwd", "/docs-assets/%00", "/docs-assets/" + "a" * 5_000, "/docs-assets/" + "a/" * 2_000, "/docs-assets/%ff%fe", "/docs-assets", "/docs-assets/",
        "//evil.example/%2f..", "/names/", "/%68ealth", "/health/", "/livez?x=%ff", "/livez/..", "/docs/oauth2-redirect?state=<script>", "/openapi.json?x=" + "y" * 9_000, "/%0d%0aSet-Cookie:x=1", "/names%0d%0aX:%20y/",
    ]  # fmt: skip
    return request(rng.choice(targets), b"", rng.choice(["GET", "GET", "GET", "HEAD", "POST", "DELETE"]))


def odd_verb(rng: random.Random) -> Attack:
    data = request(rng.choice(ALL_PATHS), rng.choice([b"", b'{"text": "hi"}']), rng.choice(VERBS))
    return Attack(
        kind="verb", data=data, unfinished=b"FROB" in data or b"CONNECT" in data or data.startswith(b"get")
    )


def several_at_once(rng: random.Random) -> Attack:
    good = request("/names", b'{"text": "hi"}')
    parts = [
        rng.choice(
            [
                good,
                good,
                request("/query", verb="GET"),
                request("/stream", b'{"text": "a"}'),
                noise(rng, 20),
                wrong_json(rng),
            ]
        )
        for _ in range(rng.randint(2, 12))
    ]
    return Attack(kind="pipeline", data=b"".join(parts), unfinished=True)


def old_version(rng: random.Random) -> Attack:
    data = rng.choice(
        [
            request("/names", b'{"text": "hi"}'),
            request("/stream", b'{"text": "a"}'),
            request("/query", verb="GET", Connection="keep-alive"),
            request("/talk", verb="GET"),
        ]
    )
    return Attack(
        kind="old version",
        data=data.replace(b"HTTP/1.1", rng.choice([b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0"]), 1),
        unfinished=True,
    )


def bad_handshake(rng: random.Random) -> Attack:
    headers: dict[str, object] = {
        "Content_Type": None, "Content_Length": None, "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Key": KEY, "Sec_WebSocket_Version": "13",
    }  # fmt: skip
    changes: list[dict[str, object]] = [
        {"Sec_WebSocket_Key": None}, {"Sec_WebSocket_Key": "short"}, {"Sec_WebSocket_Key": b"\xff" * 24}, {"Sec_WebSocket_Version": "12"}, {"Sec_WebSocket_Version": None},
        {"Sec_WebSocket_Version": "thirteen"}, {"Upgrade": "WebSocket, h2c"}, {"Upgrade": "web"}, {"Connection": "keep-alive"}, {"Connection": "upgrade, \xff"}, {"Host": None}, {"Host": "[::1"},
        {"Sec_WebSocket_Protocol": "a, b, \x7f"}, {"Sec_WebSocket_Extensions": "permessage-deflate; server_max_window_bits=99"}, {"Sec_WebSocket_Extensions": ";;;"}, {"Origin": b"\xff"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits; a=" + "b" * 3000}, {"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}, {"X_Request_ID": b"\xff\xfe"},
    ]  # fmt: skip
    path = rng.choice(["/talk", "/talk", "/binary", "/nowhere", "/names", "/livez", "/talk?x=%ff", "/%ff"])
    verb = rng.choice(["GET", "GET", "GET", "POST", "HEAD"])
    return Attack(
        kind="handshake",
        data=request(path, noise(rng, 10), verb, **headers | rng.choice(changes)),
        unfinished=True,
    )


def bad_frames(rng: random.Random) -> Attack:
    frames = [
        frame(1, b"\xff\xfe"), frame(1, b"\xed\xa0\x80"), frame(1, b"hi", mask=False), frame(3, b"hi"), frame(15, b""), frame(1, b"hi", first=0x40), frame(1, b"hi", first=0x20),
        frame(9, b"a" * 126), frame(9, b"", first=-0x80), frame(0, b"goes on"), frame(1, b"a", first=-0x80) + frame(1, b"b"), frame(8, b"\x03"), frame(8, struct.pack(">H", 1005)),
        frame(8, struct.pack(">H", 0)), frame(8, struct.pack(">H", 99) + b"no"), frame(8, struct.pack(">H", 1000) + b"\xff"), frame(8, struct.pack(">H", 5000)), b"\x81\xff" + b"\xff" * 8,
        b"\x81\xff" + struct.pack(">Q", 2**62) + b"abcd", b"\x81\xfe\x00\x05abcd", b"\xc1\x85" + noise(rng, 9), noise(rng, 60), frame(9, b"ping") * 50, frame(10, b"pong") * 50, frame(2, b"bytes"),
        frame(1, b"a" * 70_000), frame(1, b"hi") + frame(8, b"") + frame(1, b"after"), frame(1, b"hi")[:-1], frame(1, b"", first=-0x80) * 100, b"",
    ]  # fmt: skip
    hello = handshake(rng.choice(["/talk", "/binary"]), rng.choice([None, "permessage-deflate"]))
    sent = b"".join(rng.choice(frames) for _ in range(rng.randint(1, 3)))
    return Attack(kind="frames", data=hello, then=sent, unfinished=True)


def handshake(path: str, extensions: str | None = None) -> bytes:
    """The request that begins a websocket, in order."""
    return request(
        path, verb="GET", Content_Type=None, Content_Length=None, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Key=KEY, Sec_WebSocket_Version=13,
        Sec_WebSocket_Extensions=extensions,
    )  # fmt: skip


def frame(opcode: int, payload: bytes, *, mask: bool = True, first: int = 0) -> bytes:
    """A frame of a websocket; `first` is added to its first byte."""
    length = len(payload)
    size = (
        bytes([length])
        if length < 126
        else b"\x7e" + struct.pack(">H", length)
        if length < 65536
        else b"\x7f" + struct.pack(">Q", length)
    )
    head = bytes([(0x80 | opcode) + first]) + bytes([size[0] | (0x80 if mask else 0)]) + size[1:]
    return head + b"\x00\x00\x00\x00" * mask + payload


def good_upload() -> bytes:
    """A form with a file, in order."""
    body = b'--edge\r\nContent-Disposition: form-data; name="document"; filename="a.txt"\r\n\r\nhello\r\n--edge--\r\n'
    return request("/upload", body, Content_Type="multipart/form-data; boundary=edge")


def noise(rng: random.Random, length: int) -> bytes:
    """Random bytes, or random odd ones."""
    if rng.random() < 0.5:
        return rng.randbytes(length)
    return b"".join(rng.choice([*ODD, b"a", b" ", b"7", b"GET"]) for _ in range(length // 2))


KINDS: dict[str, Callable[[random.Random], Attack | bytes]] = {
    "request line": broken_request_line,
    "headers": broken_headers,
    "length": lying_length,
    "chunks": broken_chunks,
    "cut short": cut_short,
    "json": wrong_json,
    "json again": wrong_json,
    "mutated": mutated,
    "multipart": bad_multipart,
    "form": bad_form,
    "target": odd_target,
    "verb": odd_verb,
    "pipeline": several_at_once,
    "old version": old_version,
    "handshake": bad_handshake,
    "frames": bad_frames,
}
