"""Settings: the environment, read once."""

from pathlib import Path

import pytest

from chutes.errors import SettingsError
from chutes.settings import VARIABLES, Settings, check_log_level


def test_an_empty_environment_leaves_every_default():
    settings = Settings.from_env({})

    assert settings == Settings(home=Path.home() / ".chutes")
    assert (settings.host, settings.port, settings.listen_fd, settings.log_level) == (None, None, None, None)


def test_every_variable_is_read():
    settings = Settings.from_env(
        {
            "CHUTES_API_KEYS": "a,b",
            "CHUTES_API_KEY": "a",
            "CHUTES_DATABASE_URL": " postgresql://me:secret@db/jobs ",
            "CHUTES_DRAIN_DELAY": "2.5",
            "CHUTES_HOME": "/srv/chutes",
            "CHUTES_HOST": "::1",
            "CHUTES_LISTEN_FD": "7",
            "CHUTES_LOG_FORMAT": "JSON",
            "CHUTES_LOG_LEVEL": "Debug",
            "CHUTES_PORT": "0",
            "NO_COLOR": "1",
        }
    )

    assert settings == Settings(
        api_keys="a,b",
        api_key="a",
        database_url="postgresql://me:secret@db/jobs",
        drain_delay=2.5,
        home=Path("/srv/chutes"),
        keeps_jobs=True,
        host="::1",
        listen_fd=7,
        log_format="json",
        log_level="debug",
        port=0,
        no_color=True,
    )


def test_the_environment_of_the_process_is_the_default(monkeypatch):
    monkeypatch.setenv("CHUTES_PORT", "8123")

    assert Settings.from_env().port == 8123


@pytest.mark.parametrize("variable", VARIABLES)
def test_an_empty_variable_counts_as_unset(variable):
    assert Settings.from_env({variable: ""}) == Settings.from_env({})


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("CHUTES_PORT", "80a", "whole number from 0 to 65535"),
        ("CHUTES_PORT", "65536", "CHUTES_PORT=8000"),
        ("CHUTES_PORT", "-1", "CHUTES_PORT=8000"),
        ("CHUTES_PORT", "²", "CHUTES_PORT=8000"),
        ("CHUTES_LISTEN_FD", "stdin", "whole number"),
        ("CHUTES_LOG_FORMAT", "xml", "auto, human, json"),
        ("CHUTES_LOG_LEVEL", "inof", "Did you mean 'info'?"),
        ("CHUTES_OTEL", "yes", "on, off or auto"),
        ("CHUTES_DRAIN_DELAY", "soon", "CHUTES_DRAIN_DELAY=10"),
        ("CHUTES_DRAIN_DELAY", "-1", "0 or more"),
        ("CHUTES_JOBS_MAX_FILES_SIZE", "lots", "CHUTES_JOBS_MAX_FILES_SIZE=512MiB"),
        ("CHUTES_JOBS_MAX_FILES_SIZE", "-1", "a number of bytes"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_to_write(variable, value, advice):
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})

    assert variable in str(caught.value)
    assert repr(value) in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 256 * 1024**2), ("1000", 1000), ("512MiB", 512 * 1024**2), (" 2 gib ", 2 * 1024**3), ("0", 0)],
)
def test_a_size_is_in_bytes_or_has_a_unit(text, size):
    assert Settings.from_env({"CHUTES_JOBS_MAX_FILES_SIZE": text}).job_files_size == size


COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("env", "tracing"),
    [
        ({}, "off"),
        (COLLECTOR, "offered"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "offered"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, "off"),
        ({**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, "off"),
        ({**COLLECTOR, "OTEL_SDK_DISABLED": "TRUE"}, "off"),
        ({**COLLECTOR, "CHUTES_OTEL": "off"}, "off"),
        ({**COLLECTOR, "CHUTES_OTEL": "auto"}, "offered"),
        ({"CHUTES_OTEL": "On"}, "asked"),
        ({"CHUTES_OTEL": "on", "OTEL_SDK_DISABLED": "true"}, "off"),
    ],
)
def test_traces_are_made_when_asked_for_or_when_a_collector_is_named(env, tracing):
    assert Settings.from_env(env).otel.tracing == tracing


def test_the_protocol_and_the_exporters_of_traces_are_those_of_the_standard_variables():
    def read(**env):
        otel = Settings.from_env(env).otel
        return otel.exporters, otel.protocol

    assert read() == (("otlp",), "http/protobuf")
    assert read(OTEL_TRACES_EXPORTER="console, otlp") == (("console", "otlp"), "http/protobuf")
    assert read(OTEL_EXPORTER_OTLP_PROTOCOL="grpc") == (("otlp",), "grpc")
    general, traces = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    assert read(**{general: "grpc", traces: "http/protobuf"}) == (("otlp",), "http/protobuf")


def test_the_port_that_kubernetes_sets_for_a_service_is_not_taken():
    assert Settings.from_env({"CHUTES_PORT": "tcp://10.0.0.1:80"}).port is None


def test_home_may_begin_with_a_tilde_or_be_relative(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert Settings.from_env({"CHUTES_HOME": "~/x"}).home == tmp_path / "x"
    assert Settings.from_env({"CHUTES_HOME": "y"}).home == tmp_path / "y"


def test_a_user_without_a_home_keeps_things_in_the_working_folder(monkeypatch, tmp_path):
    def no_home(_path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.chdir(tmp_path)

    assert Settings.from_env({}).home == tmp_path / ".chutes"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("CHUTES_APIKEYS", "CHUTES_API_KEYS"),
        ("CHUTES_API_KEYZ", "CHUTES_API_KEY"),
        ("CHUTES_LOGLEVEL", "CHUTES_LOG_LEVEL"),
        ("CHUTES_LOG_FORMATS", "CHUTES_LOG_FORMAT"),
    ],
)
def test_a_misspelt_variable_is_told(written, meant):
    (sentence,) = Settings.from_env({written: "x"}).unknown()

    assert written in sentence
    assert f"Did you mean {meant}" in sentence


@pytest.mark.parametrize(
    "variable",
    [
        "CHUTES_EXECUTION_CONTEXT",
        "CHUTES_DEV_MODE",
        "CHUTES_SERVICE_HOST",
        "CHUTES_PORT_80_TCP",
        "MY_CHUTES_APIKEYS",
    ],
)
def test_variables_of_others_are_left_alone(variable):
    assert Settings.from_env({variable: "x"}).unknown() == ()


def test_keys_stay_out_of_the_representation():
    settings = Settings.from_env({"CHUTES_API_KEYS": "secret-one", "CHUTES_API_KEY": "secret-two"})

    assert "secret" not in repr(settings)


def test_a_log_level_is_folded_and_checked():
    assert check_log_level(" WARNING ") == "warning"
    with pytest.raises(SettingsError, match="It is one of debug, info, warning, error, critical"):
        check_log_level("loud")


@pytest.mark.parametrize("url", ["mysql://me:secret@db/jobs", "me:secret@db/jobs", "postgresql:me:secret"])
def test_only_a_postgresql_can_keep_the_jobs_and_its_password_stays_secret(url):
    with pytest.raises(SettingsError, match="postgresql://user:password@host") as caught:
        Settings.from_env({"CHUTES_DATABASE_URL": url})

    assert "secret" not in str(caught.value)


def test_the_password_of_the_database_is_in_no_repr():
    assert "secret" not in repr(Settings.from_env({"CHUTES_DATABASE_URL": "postgres://me:secret@db/jobs"}))


SECRET = "whsec_YSBzZWNyZXQgb2YgdGhlIHRlc3RzLCBubyBtb3Jl"
OTHER = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCBsb25n"


@pytest.mark.parametrize("between", [",", " ", ", ", "\n"])
def test_webhooks_may_have_two_secrets(between):
    settings = Settings.from_env({"CHUTES_WEBHOOK_SECRET": f" {SECRET}{between}{OTHER} "})

    assert settings.webhooks.secrets == (SECRET, OTHER)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "secret",
    [
        "open sesame",
        SECRET.removeprefix("whsec_"),
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + "A" * 400,
        "whsec_ä",
    ],
)
def test_a_secret_of_webhooks_is_long_and_base64(secret):
    with pytest.raises(SettingsError, match="`chutes keys webhook`") as caught:
        Settings.from_env({"CHUTES_WEBHOOK_SECRET": secret})

    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ()),
        ("0", ()),
        ("off", ()),
        ("1", ("*",)),
        (" on ", ("*",)),
        ("127.0.0.1", ("127.0.0.1",)),
        ("Hooks.internal, 10.0.0.0/8,fd00::/8", ("hooks.internal", "10.0.0.0/8", "fd00::/8")),
    ],
)
def test_webhooks_may_go_to_some_private_hosts(text, hosts):
    assert Settings.from_env({"CHUTES_WEBHOOK_ALLOW_PRIVATE": text}).webhooks.private_hosts == hosts


@pytest.mark.parametrize("text", ["https://hooks.internal", "hooks.internal:8080", "10.0.0.0/99", "*", "a/b"])
def test_a_private_host_is_a_name_an_address_or_a_network(text):
    with pytest.raises(SettingsError, match=r"hooks\.internal,10\.0\.0\.0/8"):
        Settings.from_env({"CHUTES_WEBHOOK_ALLOW_PRIVATE": text})
