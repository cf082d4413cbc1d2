"""What is kept of the cluster on this machine."""

import pytest

from chutes.deploy.cluster import Address, local_cluster
from chutes.deploy.cluster.down import stop_cluster
from chutes.deploy.cluster.report import cluster_report
from chutes.deploy.cluster.state import ClusterState, StartedNode, cluster_folder, keep, kept, write_privately
from chutes.errors import DeployError
from chutes.settings import Settings

STATE = ClusterState(
    mark="a-mark-that-no-process-has",
    python="/opt/ray/bin/python",
    ray_version="2.60.0",
    head="127.0.0.2:6379",
    dashboard="http://127.0.0.1:1",
    url="http://127.0.0.2:8000",
    folder="nowhere",
    nodes=(StartedNode(name="head", pid=2**22, started_at="then", labels={"chutes.gpu": "l4"}),),
)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


def kept_with_token(settings, tmp_path):
    write_privately(cluster_folder(settings) / "token", "secret")
    keep(
        settings,
        ClusterState(
            **{**{name: getattr(STATE, name) for name in STATE.__slots__}, "folder": str(tmp_path / "gone")}
        ),
    )


def test_there_is_none_until_one_is_started(settings):
    assert local_cluster(settings) is None
    assert cluster_report(settings) is None
    assert not stop_cluster(settings, now=False, say=str)


def test_it_is_found_with_its_token(settings, tmp_path):
    kept_with_token(settings, tmp_path)
    found = local_cluster(settings)
    assert found == Address(dashboard=STATE.dashboard, url=STATE.url, token="secret")
    assert "secret" not in repr(found)
    assert kept(settings).nodes == STATE.nodes


def test_only_its_owner_reads_the_token(settings, tmp_path):
    kept_with_token(settings, tmp_path)
    for file in cluster_folder(settings).iterdir():
        assert file.stat().st_mode & 0o077 == 0


def test_one_that_has_died_is_told_and_forgotten(settings, tmp_path):
    kept_with_token(settings, tmp_path)
    report = cluster_report(settings)
    assert not report.is_running
    assert "No Ray cluster answers" in report.problem

    assert stop_cluster(settings, now=False, say=str)

    assert local_cluster(settings) is None


def test_what_cannot_be_read_is_told(settings):
    cluster_folder(settings).mkdir()
    (cluster_folder(settings) / "cluster.json").write_text("{}")
    with pytest.raises(DeployError, match=r"Cannot read .*cluster\.json"):
        local_cluster(settings)
