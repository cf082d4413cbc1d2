import pytest

from chutes.chute.chute import definition_of
from chutes.chute.hooks import Hook, make_hook
from chutes.errors import DefinitionError
from support.serving import new_chute


async def load(self): ...


def test_a_hook_has_priority_50():
    assert make_hook(load, 50) == Hook(function=load, name="load")


@pytest.mark.parametrize("decorator", ["on_startup", "on_shutdown"])
def test_lower_priorities_come_first_and_equal_ones_as_written(decorator):
    chute = new_chute()
    for name, options in [
        ("c", {}),
        ("d", {"priority": 50}),
        ("a", {"priority": -1}),
        ("e", {"priority": 99}),
    ]:

        def hook(self): ...

        hook.__name__ = name
        getattr(chute, decorator)(**options)(hook)

    def b(self): ...

    getattr(chute, decorator)(10)(b)
    definition = definition_of(chute)
    ordered = definition.ordered_startup() if decorator == "on_startup" else definition.ordered_shutdown()
    assert [hook.name for hook in ordered] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("priority", ["high", 1.5, None, True])
def test_a_priority_is_a_whole_number(priority):
    with pytest.raises(DefinitionError, match=r"Invalid priority .* for hook 'load'"):
        make_hook(load, priority)


def test_a_hook_takes_the_chute():
    def without(): ...

    with pytest.raises(DefinitionError, match="The hook 'without' takes no chute"):
        make_hook(without, 50)


def test_a_hook_gets_nothing_but_the_chute():
    def greedy(self, model, *, path): ...

    def content(self, model=None, *rest, **named): ...

    with pytest.raises(
        DefinitionError, match="The hook 'greedy' needs 'model', 'path', and a hook gets the chute"
    ):
        make_hook(greedy, 50)
    assert make_hook(content, 50).name == "content"
