import dataclasses
import functools

import pytest

from chutes.chute.chute import definition_of
from chutes.chute.websocket import Socket, make_socket
from chutes.errors import DefinitionError, DuplicatePath, InvalidPath
from support.serving import new_chute


async def talk(self, websocket): ...


def test_a_socket_says_where_its_function_answers():
    chute = new_chute()
    assert chute.websocket("/talk/{room}")(talk) is talk
    assert definition_of(chute).sockets == [Socket(function=talk, name="talk", path="/talk/{room}")]


def test_a_socket_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_socket(talk, "/talk").path = "/other"


def test_a_wrapped_coroutine_function_is_one():
    @functools.wraps(talk)
    def wrapped(self, websocket):
        return talk(self, websocket)

    assert make_socket(wrapped, "/talk").name == "talk"


def test_a_socket_is_asynchronous():
    def blocking(self, websocket): ...

    with pytest.raises(DefinitionError, match=r"'blocking' is not asynchronous. Write `async def blocking"):
        make_socket(blocking, "/talk")


@pytest.mark.parametrize("path", ["talk", "", "/a b", "/{x}/{x}", "/livez", None])
def test_a_bad_path_is_refused(path):
    with pytest.raises(InvalidPath, match=r"Invalid path .* for websocket 'talk'"):
        make_socket(talk, path)


def test_a_path_is_taken_once_by_sockets_but_a_cord_may_have_it_too():
    chute = new_chute()
    chute.websocket("/talk/{room}")(talk)

    async def other(self, websocket): ...

    with pytest.raises(DuplicatePath, match=r"The websocket 'talk' answers on '/talk/\{room\}' already"):
        chute.websocket("/talk/{name}/")(other)
    chute.cord("/talk/{room}", method="GET")(other)


def test_a_socket_takes_the_chute():
    async def without(): ...

    with pytest.raises(DefinitionError, match="The websocket 'without' takes no chute"):
        make_socket(without, "/talk")
