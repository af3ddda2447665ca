"""Whoever fills one folder shares the work, and what a lost process had claimed is free again."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from benchmark.asked.protocol import Engine
from benchmark.errors import UsageError
from benchmark.results import claims as module
from benchmark.results.claims import Claims
from benchmark.results.shards import HOST
from benchmark.results.store import Store
from benchmark.training.engine import train


@pytest.fixture
def opened(tmp_path):
    """Claims as another process has them."""
    Store(tmp_path).prepare()
    return lambda: Claims(Store(tmp_path))


def test_what_one_claims_is_not_anothers_until_it_is_given_back_or_finished(quick, opened, tmp_path):
    replicas = quick(overrides=["protocol.seeds=4"]).replicas()
    ours, theirs = opened(), opened()
    claim = ours.take(replicas[1:3])
    assert claim.replicas == replicas[1:3]
    assert theirs.take(replicas[1:3]) is None
    assert theirs.take(replicas).replicas == [replicas[0], replicas[3]]
    ours.give_back(claim)
    again = opened().take(replicas)
    assert again.replicas == replicas[1:3]
    Store(tmp_path).write(again.replicas, train(again.replicas, Engine()))
    again.path.unlink()
    assert ours.take(replicas) is None


def test_claims_are_gone_with_whoever_entered_them(quick, opened, tmp_path):
    with opened() as ours:
        ours.take(quick().replicas())
        assert list((tmp_path / "claims").iterdir())
    assert not (tmp_path / "claims").exists()


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="needs a process that nobody has asked how it ended")
@pytest.mark.parametrize(("host", "age"), [(HOST, 0), (HOST, 1000), ("elsewhere", 0), ("elsewhere", 1000)])
def test_a_claim_is_free_when_its_process_is_gone_here_or_silent_elsewhere(quick, opened, request, host, age):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    request.addfinalizer(gone.wait)
    replicas = quick().replicas()
    path = opened().take(replicas).path
    left = path.rename(path.with_name(f"{host}-{gone.pid}-0123.json"))
    os.utime(left, (time.time() - age,) * 2)
    claim = opened().take(replicas)
    if (host, age) == ("elsewhere", 0):
        assert claim is None and left.exists()
    else:
        assert claim.replicas == replicas and not left.exists()


def test_a_claim_is_alive_while_its_owner_is(quick, opened, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.01)
    with opened() as ours:
        path = ours.take(quick().replicas()).path
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while not path.stat().st_mtime and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > time.time() - 100


def test_many_who_begin_at_once_and_cut_otherwise_have_each_replica_once(quick, opened):
    replicas = quick(overrides=["protocol.seeds=12"]).replicas()
    taken = []

    def take(size):
        claims = opened()
        for start in range(0, len(replicas), size):
            if claim := claims.take(replicas[start : start + size]):
                taken.extend(claim.replicas)

    threads = [threading.Thread(target=take, args=(size,)) for size in (1, 2, 3, 4, 4, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = opened().take(replicas)
    assert Counter(taken + (left.replicas if left else [])) == Counter(replicas)


def test_who_waits_says_for_whom_and_goes_on_when_they_are_gone(quick, opened, monkeypatch, capsys):
    replicas = quick().replicas()
    theirs = opened()
    claim = theirs.take(replicas)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: theirs.give_back(claim))
    assert opened().wait(replicas) == replicas
    told = f"note: waiting for 3 networks in training by process {os.getpid()} on "
    assert capsys.readouterr().err.startswith(told)


def test_a_file_that_is_no_claim_is_named_and_refused(quick, opened, tmp_path):
    (tmp_path / "claims").mkdir()
    for name, text in (("a-1-b.json", "{}"), ("mine.json", '{"host": "a", "replicas": []}'), ("a-1-c.json", "x")):
        path = tmp_path / "claims" / name
        path.write_text(text)
        with pytest.raises(UsageError, match=f"{name} is damaged or no claim"):
            opened().take(quick().replicas())
        path.unlink()
