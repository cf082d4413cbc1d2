"""A runner starts an engine, keeps it running on one port, and says where it stands."""

import asyncio
import logging
import sys

import pytest

from chutes.engines import EngineRunner, HealthPolicy
from chutes.errors import EngineError, ModelError
from chutes.processes import RestartPolicy
from support.child_processes import becomes_true, is_alive
from support.engines import QUICK, WATCHFUL, ask, preparation, scripted, spec_of
from support.tiny_llama import make_tiny_llama


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_tiny_llama(tmp_path_factory.mktemp("tiny"))


def runner_of(model, engine, restarts=QUICK, health=None, **fields):
    return EngineRunner(
        spec_of(model, **fields), preparation=preparation(engine), restarts=restarts, health=health
    )


async def test_it_answers_inside_the_block_and_is_gone_after_it(model):
    runner = runner_of(model, scripted("--child"))
    assert runner.retry_after() is not None
    assert runner.status.state == "stopped"
    with pytest.raises(EngineError, match="is not started"):
        _ = runner.url
    async with runner:
        pids = await ask(f"{runner.url}/pids")
        assert runner.retry_after() is None
        status = runner.status
        assert (status.engine, status.version, status.state, status.restarts) == (
            "scripted",
            "scripted 1.0",
            "ready",
            0,
        )
        assert status.seconds_to_ready > 0
        assert runner.served_name == "tiny"
        assert runner.name == "Scripted"
    assert len(pids) == 2
    assert not any(map(is_alive, pids))
    assert runner.status.state == "stopped"


async def test_it_knows_its_key_and_none_of_the_secrets_of_the_chute(model, monkeypatch):
    monkeypatch.setenv("CHUTES_API_KEYS", "ours")
    monkeypatch.setenv("CHUTES_DATABASE_URL", "postgresql://u:secret@h/d")
    async with runner_of(model, scripted()) as runner:
        told = await ask(f"{runner.url}/environment", {})
        assert runner.headers["authorization"] == f"Bearer {told['environment']['ENGINE_KEY']}"
        assert len(told["environment"]["ENGINE_KEY"]) > 30
        assert not {"CHUTES_API_KEYS", "CHUTES_DATABASE_URL"} & told["environment"].keys()


async def test_it_imports_nothing_from_the_folder_of_the_chute(model, tmp_path, monkeypatch):
    (tmp_path / "http.py").write_text("raise RuntimeError('the wrong file')")
    monkeypatch.chdir(tmp_path)
    module = ["-m", "http.server", "--bind", "127.0.0.1"]
    engine = scripted(argv=lambda launch: [sys.executable, *module, str(launch.port)], health_path="/")
    async with runner_of(model, engine) as runner:
        assert runner.retry_after() is None


async def test_programs_beside_the_interpreter_are_found(model):
    async with runner_of(model, scripted()) as runner:
        told = await ask(f"{runner.url}/environment", {})
        assert told["environment"]["PATH"].startswith(f"{sys.exec_prefix}/bin:")


async def test_an_engine_that_ends_is_started_again_on_the_same_port(model):
    async with runner_of(model, scripted()) as runner:
        before = (runner.url, await ask(f"{runner.url}/pids"))
        with pytest.raises(OSError):
            await ask(f"{runner.url}/exit", {})
        await becomes_true(lambda: runner.retry_after() is not None)
        assert runner.retry_after() >= 1
        await becomes_true(lambda: runner.retry_after() is None, 60)
        assert runner.url == before[0]
        assert await ask(f"{runner.url}/pids") != before[1]
        assert runner.status.restarts == 1


async def test_an_engine_that_hangs_is_started_again(model, caplog):
    async with runner_of(model, scripted(), health=WATCHFUL) as runner:
        await ask(f"{runner.url}/hang", {})
        await becomes_true(lambda: runner.status.restarts >= 1, 60)
        await becomes_true(lambda: runner.retry_after() is None, 60)
        await ask(f"{runner.url}/pids")
    assert "Scripted runs but did not answer 2 checks of its health" in caplog.text


async def test_an_engine_that_answers_its_health_checks_with_errors_is_started_again(model):
    async with runner_of(model, scripted("--sick-after", "2"), health=WATCHFUL) as runner:
        await becomes_true(lambda: runner.status.restarts >= 1, 60)


async def test_while_it_starts_again_callers_are_told_to_wait_as_long_as_a_start_takes(model):
    slow = RestartPolicy(first_delay=60, jitter=0, give_up_before_ready=1)
    async with runner_of(model, scripted(), restarts=slow) as runner:
        with pytest.raises(OSError):
            await ask(f"{runner.url}/exit", {})
        await becomes_true(lambda: runner.status.state == "backing off")
        assert 40 < runner.retry_after() < 60 + 2 * runner.status.seconds_to_ready + 1
        assert "Scripted ended with exit code 3" in runner.status.error


async def test_a_first_start_that_fails_is_final_and_its_last_lines_are_told(model):
    engine = scripted("--say", "error: unrecognized arguments: --nope", "--exit", "2")
    runner = runner_of(model, engine)
    await runner.start()
    with pytest.raises(EngineError) as failure:
        await runner.wait_ready()
    assert str(failure.value).splitlines() == [
        "Scripted ended with exit code 2 before it was ready. Its last lines:",
        "  error: unrecognized arguments: --nope",
        "It said: error: unrecognized arguments: --nope",
        "Correct the engine's arguments: engine_args takes them as the engine's own command line does.",
    ]
    assert runner.status.state == "failed"
    assert runner.status.restarts == 0
    await runner.stop()


async def test_the_block_is_not_entered_when_the_start_fails(model):
    with pytest.raises(EngineError, match="exit code 2"):
        async with runner_of(model, scripted("--exit", "2")):
            pytest.fail("It was entered.")


async def test_an_engine_that_does_not_get_ready_in_time_is_given_up(model):
    with pytest.raises(EngineError, match=r"was not ready within 0\.2 s"):
        async with runner_of(model, scripted("--slow", "60", start_timeout=0.2)):
            pytest.fail("It was entered.")


async def test_a_model_that_is_not_there_fails_the_start(tmp_path):
    with pytest.raises(ModelError, match="There is no model at"):
        await runner_of(tmp_path / "absent", scripted()).start()


async def test_arguments_without_a_word_are_named(model, caplog):
    async with runner_of(model, scripted(), arguments=("--kv-cache-dtype", "fp8")):
        assert (
            "Scripted has no word for these arguments, so they are left out: --kv-cache-dtype." in caplog.text
        )


async def test_its_start_is_told_in_a_line_now_and_then(model, caplog, monkeypatch):
    monkeypatch.setattr("chutes.engines.runner._PROGRESS_SECONDS", 0.05)
    engine = scripted("--say", "INFO: Loading weights", "--say", "ERROR: odd", "--slow", "1")
    with caplog.at_level(logging.INFO, "chutes.engine"):
        async with runner_of(model, engine):
            pass
    told = [record.getMessage() for record in caplog.records if record.name == "chutes.engine"]
    assert told[0].startswith("Scripted (scripted 1.0) serves the model")
    assert "[scripted] ERROR: odd" not in told
    assert any(text.startswith("Scripted starts (") and text.endswith(": odd") for text in told)
    assert told[-1].startswith("Scripted is ready after ")


async def test_a_runner_that_is_stopped_while_it_starts_leaves_nothing(model):
    runner = runner_of(model, scripted("--slow", "60", "--child"))
    await runner.start()
    await runner.start()
    waiting = asyncio.create_task(runner.wait_ready())
    await asyncio.sleep(0)
    await runner.stop()
    with pytest.raises(EngineError):
        await waiting
    await runner.stop()


async def test_a_folder_of_its_own_is_gone_with_it(model):
    folders = []

    def lay_out(launch, folder):
        (folder / launch.spec.served_name).symlink_to(launch.model.path)
        folders.append(folder)

    async with runner_of(model, scripted(lay_out=lay_out)) as runner:
        assert (folders[0] / "tiny" / "config.json").exists()
        told = await ask(f"{runner.url}/environment", {})
        assert told["cwd"] == str(folders[0])
    assert not folders[0].exists()


def test_a_health_policy_bounds_how_long_a_hanging_engine_stays():
    policy = HealthPolicy()
    assert policy.failures * (policy.interval + policy.timeout) <= 60
