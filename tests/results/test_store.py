"""What is on disk is whole, ours, and never lost."""

import io
import json
import os
import shutil
import time
import zipfile
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from conftest import posix

from benchmark.asked import replicas as replicas_module
from benchmark.asked.protocol import Engine
from benchmark.errors import UsageError
from benchmark.results import shards
from benchmark.results.store import Store
from benchmark.run import derive, run
from benchmark.training.engine import train


@pytest.fixture(scope="module")
def once(quick, tmp_path_factory):
    """(folder with one shard, request)."""
    request = quick()
    store = Store(tmp_path_factory.mktemp("once"))
    store.prepare()
    store.write(request.replicas(), train(request.replicas(), Engine()))
    return store.folder, request


@pytest.fixture
def filled(once, tmp_path):
    """(store with one shard, request)."""
    folder, request = once
    shutil.copytree(folder, tmp_path / "results")
    return Store(tmp_path / "results"), request


def test_a_shard_comes_back_as_it_was_written(filled):
    store, request = filled
    (shard,) = Store(store.folder).shards()
    assert shard.identities == [(*r.key, r.cell.specification.digest) for r in request.replicas()]
    measured = train(request.replicas(), Engine())
    assert np.array_equal(shard.arrays["extrapolation"], measured.extrapolation)
    parameters = Store(store.folder).parameters(request.replicas()[1])
    assert all(np.array_equal(value, measured.parameters[name][1]) for name, value in parameters.items())


def test_a_shard_from_before_there_were_several_outputs_is_read(filled):
    store, request = filled
    changed(next(store.shard_folder.glob("*.npz")), lacking("output_error"))
    (shard,) = Store(store.folder).shards()
    assert shard.arrays["output_error"].shape == (len(request.replicas()), 0)


def test_only_what_no_shard_holds_is_missing(filled, quick):
    store, _ = filled
    grown = quick(overrides=["protocol.seeds=5"])
    assert [replica.seed for replica in store.missing(grown.replicas())] == [3, 4]
    other = quick(overrides=["protocol.steps=8"])
    assert len(store.missing(other.replicas())) == 3


def test_a_temporary_file_of_a_killed_writer_is_no_shard(filled):
    store, _request = filled
    path = next(store.shard_folder.glob("*.npz"))
    half = store.shard_folder / f".{path.name}.{shards.HOST}-999999999-0123abcd"
    half.write_bytes(path.read_bytes()[:100])
    assert len(Store(store.folder).shards()) == 1
    store.prepare()
    assert half.exists()  # it may be another machine's of this name, still at work
    os.utime(half, (0, 0))
    store.prepare()
    assert [path.name] == [left.name for left in store.shard_folder.iterdir()]


def damage(path, how):
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        with zipfile.ZipFile(path) as file:
            place = file.getinfo("interpolation.npy").header_offset + 200  # among the numbers
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
    elif how == "text":
        path.write_text("not a shard")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        np.savez(path, a=np.arange(3))
    elif how == "pickle":
        np.savez(path, meta=np.array([{"format": shards.FORMAT}], dtype=object))
    elif how == "short":
        with np.load(path) as file:
            arrays = dict(file)
        arrays["interpolation"] = arrays["interpolation"][:1]
        np.savez(path, **arrays)


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "empty", "foreign", "pickle", "short"])
def test_a_damaged_or_foreign_shard_is_named_and_refused(filled, how):
    store, request = filled
    path = next(store.shard_folder.glob("*.npz"))
    damage(path, how)
    with pytest.raises(UsageError, match=path.name):
        Store(store.folder).missing(request.replicas())


def changed(path, change):
    """The file again, with its arrays and its meta as `change` leaves them."""
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    change(arrays, meta)
    np.savez(path, **arrays | {"meta": np.array(json.dumps(meta))})


def lacking(name):
    return lambda arrays, meta: arrays.pop(name)


def other(name, make):
    return lambda arrays, meta: arrays.update({name: make(arrays[name])})


DAMAGES = {
    **{f"without {name}": lacking(name) for name in (*shards.ARRAYS, "steps", "seconds")
       if name != "output_error"},  # older shards have none
    **{f"{name} as text": other(name, lambda array: array.astype("U")) for name in shards.ARRAYS if name != "why"
       and not name.startswith("representable")},
    **{f"{name} with an axis more": other(name, lambda array: array[..., None]) for name in shards.ARRAYS},
    "best out of range": other("best", lambda array: array + 1000),
    "steps that do not rise": other("steps", lambda array: array[::-1]),
    "a word that is no answer": other("representable", lambda array: np.full_like(array, "si")),
    "one evaluation less": other("sparsity", lambda array: array[:, :-1]),
    "an array of somebody else's": lambda arrays, meta: arrays.update(mine=arrays["best"]),
    "a key without seed": lambda arrays, meta: meta["replicas"][0].pop(),
    "a key that is a number": lambda arrays, meta: meta["replicas"].__setitem__(0, 5),
    "doubled keys": lambda arrays, meta: meta.update(replicas=[meta["replicas"][0]] * len(meta["replicas"])),
    "no cells": lambda arrays, meta: meta.pop("cells"),
    "cells in a list": lambda arrays, meta: meta.update(cells=[]),
    "no specification": lambda arrays, meta: meta.update(specifications={}),
    "semantics in words": lambda arrays, meta: meta.update(semantics="2"),
    "no torch": lambda arrays, meta: meta.pop("torch"),
    "semantics beyond all": lambda arrays, meta: meta.update(semantics=10**30),
    "a seed beyond all": lambda arrays, meta: meta["replicas"][0].__setitem__(-2, 10**30),
    "half a character": lambda arrays, meta: meta.update(device="\ud800"),
    "half a character in a key": lambda arrays, meta: meta["replicas"][0].__setitem__(0, "\ud800"),
    "half a character among the reasons": other("why", lambda array: np.full_like(array, "\ud800", dtype="U9")),
    "no type": lambda arrays, meta: [each["protocol"].pop("dtype") for each in meta["specifications"].values()],
    "no options": lambda arrays, meta: [each["model"].pop("options") for each in meta["specifications"].values()],
    "a limit beyond all": lambda arrays, meta: [
        each["protocol"].update(fits=10**400) for each in meta["specifications"].values()
    ],
    "a range of no width": lambda arrays, meta: [each.update(half_width=0.0) for each in meta["cells"].values()],
    "distances that do not rise": other("profile_x", np.zeros_like),
    "distances without end": other("profile_x", lambda x: np.full_like(x, np.inf)),
    "half a profile": lambda arrays, meta: arrays.update(
        {name: arrays[name][:, :9] for name in ("profile_x", "profile_error", "profile_target")}
    ),
    "half a plane": lambda arrays, meta: arrays.update(
        {name: arrays[name][:, :9] for name in ("plane_error", "plane_target")}
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_shard_of_another_shape_is_named_and_refused_whole(filled, how):
    store, request = filled
    path = next(store.shard_folder.glob("*.npz"))
    changed(path, DAMAGES[how])
    with pytest.raises(UsageError, match=f"{path.name} is damaged .*; move it away and run again"):
        Store(store.folder).missing(request.replicas())


def test_an_archive_that_would_fill_the_memory_is_refused_unopened(filled, monkeypatch):
    store, request = filled
    monkeypatch.setattr(shards, "LARGEST", 1000)
    with pytest.raises(UsageError, match="it would unpack to"):
        Store(store.folder).missing(request.replicas())


@pytest.fixture
def half_done(filled, quick, checkpoint):
    """(store with one shard and one checkpoint, the checkpoint's replicas)."""
    store, _ = filled
    replicas = quick(overrides=["protocol.seeds=7"]).replicas()[3:]
    train(replicas, Engine(), checkpoint=store.checkpoint(replicas, Engine()))
    return store, replicas


def test_a_tile_that_is_half_done_is_taken_up_where_all_of_it_is_missing(half_done):
    store, replicas = half_done
    assert store.begun(replicas) == [replicas]
    assert store.begun([*replicas[::-1], *replicas[:1]]) == [replicas]
    assert store.begun(replicas[1:]) == []
    assert store.checkpoint(replicas, Engine()).load()["best"].shape == (4,)
    assert store.checkpoint(replicas, Engine(mode="compiled")).load() is None


def test_a_checkpoint_goes_when_its_replicas_are_finished(half_done):
    store, replicas = half_done
    store.write(replicas[:2], train(replicas[:2], Engine()))
    Store(store.folder).prepare()
    assert store.checkpoint_folder.exists()
    store.write(replicas[2:], train(replicas[2:], Engine()))
    Store(store.folder).prepare()
    assert not store.checkpoint_folder.exists()


def test_a_damaged_checkpoint_is_named_and_refused(half_done):
    store, replicas = half_done
    (path,) = store.checkpoint_folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(UsageError, match=path.name):
        store.begun(replicas)
    path.write_bytes(whole)
    changed(path, other("lowest", lambda array: np.full_like(array, np.nan)))
    with pytest.raises(UsageError, match=f"{path.name} is damaged .it is not what was written"):
        store.begun(replicas)


def test_of_two_shards_with_the_same_replica_the_first_wins(filled):
    store, _ = filled
    first = next(store.shard_folder.glob("*.npz"))
    with np.load(first) as file:
        arrays = dict(file)
    arrays["extrapolation"] = arrays["extrapolation"] + 1
    np.savez(store.shard_folder / "99999999999999999999-1.npz", **arrays)
    tables, notes, _ = derive(Store(store.folder))
    with np.load(first) as file:
        best = file["extrapolation"][np.arange(3), file["best"]]
    assert tables["outcomes"]["extrapolation"].tolist() == best.tolist()
    assert notes == []


def test_of_two_configurations_behind_one_key_the_current_semantics_wins_and_the_other_is_named(
    filled, quick, monkeypatch
):
    store, request = filled
    cell = request.cells[0]
    changed = replace(cell.specification.protocol, epsilon=0.5)
    other = replace(cell, specification=replace(cell.specification, protocol=changed))
    replicas = [replicas_module.Replica(other, seed) for seed in range(2)]
    monkeypatch.setattr(shards, "SEMANTICS", 0)
    store.write(replicas, train(replicas, Engine()))
    monkeypatch.undo()
    tables, notes, _ = derive(Store(store.folder))
    assert set(tables["outcomes"]["digest"]) == {cell.specification.digest}
    assert len(notes) == 1
    assert other.specification.digest in notes[0]


@pytest.mark.parametrize("asked", ["first", "second"])
def test_of_two_configurations_in_one_cell_the_asked_one_counts_and_they_are_never_mixed(filled, quick, asked):
    store, request = filled
    changed = lambda one: replace(one, protocol=replace(one.protocol, epsilon=0.5))
    cells = [replace(cell, specification=changed(cell.specification)) for cell in request.cells]
    other = replace(request, cells=cells, seeds=request.seeds[:2])
    store.write(other.replicas(), train(other.replicas(), Engine()))
    wanted = {"first": request, "second": other}[asked]
    digests = {cell.names: cell.specification.digest for cell in wanted.cells}
    for given in (digests, None):  # then as the table has it, whichever was finished last
        tables, notes, _ = derive(Store(store.folder), given)
        assert set(tables["outcomes"]["digest"]) == set(digests.values())
        assert len(tables["outcomes"]) == len(wanted.replicas())
        assert len(notes) == 1 and "another configuration" in notes[0]


def test_shards_written_in_one_moment_do_not_replace_each_other(quick, tmp_path, monkeypatch):
    store, replicas = Store(tmp_path / "results"), quick().replicas()
    store.prepare()
    monkeypatch.setattr("time.time_ns", lambda: 1)
    for replica in replicas:
        store.write([replica], train([replica], Engine()))
    assert len(Store(store.folder).rows()[0]) == len(replicas) == 3


@posix
def test_a_pipe_among_the_shards_is_passed_over_and_a_link_out_of_the_folder_refused(filled, tmp_path):
    store, _ = filled
    os.mkfifo(store.shard_folder / "pipe.npz")
    assert len(Store(store.folder).rows()[0]) == 3
    (tmp_path / "foreign.npz").write_bytes(b"")
    (store.shard_folder / "link.npz").symlink_to(tmp_path / "foreign.npz")
    with pytest.raises(UsageError, match=r"link\.npz is a link that leads out of"):
        Store(store.folder)


def test_tables_are_the_same_whatever_order_the_shards_came_in(quick, tmp_path):
    request = quick(["nac"], ["add", "mul"])
    replicas = request.replicas()
    for name, order in (("forwards", replicas), ("backwards", replicas[::-1])):
        store = Store(tmp_path / name)
        store.prepare()
        for tile in (order[:2], order[2:]):
            store.write(tile, train(tile, Engine()))
        derive(store)
    for file in ("summary.csv", "profile.csv", "cells.csv", "curves.csv.gz"):
        assert (tmp_path / "forwards" / file).read_bytes() == (tmp_path / "backwards" / file).read_bytes()


def test_a_table_without_its_shards_is_not_overwritten(filled, quick):
    store, _ = filled
    derive(store)
    shutil.rmtree(store.shard_folder)
    with pytest.raises(UsageError, match="drop from the table"):
        Store(store.folder).missing(quick(["nac"]).replicas())
    assert len(Store(store.folder).missing(quick().replicas())) == 3


def test_a_foreign_table_in_the_folder_is_refused(filled):
    store, request = filled
    (store.folder / "outcomes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"outcomes\.csv is no results table"):
        store.missing(request.replicas())


def test_a_results_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="is a file"):
            Store(path)


def test_a_shard_can_be_opened_without_this_package(filled):
    store, _ = filled
    path = next(store.shard_folder.glob("*.npz"))
    with zipfile.ZipFile(path) as archive:
        meta = np.load(io.BytesIO(archive.read("meta.npy")), allow_pickle=False)
    assert shards.FORMAT in str(meta)


def test_what_killed_writers_left_is_swept_out_and_nothing_else(filled):
    store, _ = filled
    gone, here, elsewhere = (
        f"{of}-0123abcd" for of in (f"{shards.HOST}-999999999", f"{shards.HOST}-{os.getpid()}", "z-9")
    )
    left = [
        *(store.folder / f".{name}.{gone}" for name in ("cells.csv", "curves.csv.gz", "REPORT.md")),
        *(store.folder / "figures" / f".{name}.{gone}" for name in ("success.png", ".shown")),
        store.shard_folder / f".01-1-ab.npz.{gone}",
        store.folder / f".outcomes.csv.{elsewhere}",
    ]
    kept = [
        *(store.folder / name for name in (f".notes.{gone}", "notes.txt", f".cells.csv.{here}")),
        *(store.folder / "figures" / name for name in ("mine.pdf", ".hidden")),
    ]
    (store.folder / "figures").mkdir()
    for path in [*left, *kept]:
        path.write_text("half")
        os.utime(path, (time.time() - 90_000,) * 2)
    fresh = store.folder / f".plane.csv.{elsewhere}"  # on another machine somebody writes it
    fresh.write_text("half")
    shard = [path for path in store.shard_folder.iterdir() if path not in left]
    Store(store.folder).sweep()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in [*kept, fresh, *shard])


@pytest.mark.parametrize("platform", ["win32", "linux"])
def test_what_another_process_has_open_is_replaced_once_it_is_closed_as_windows_wants_it(
    tmp_path, monkeypatch, platform
):
    held = iter([True, True, False])

    def replace(self, target):
        if next(held):
            raise PermissionError(13, "The process cannot access the file")
        os.replace(self, target)

    monkeypatch.setattr(shards.Path, "replace", replace)
    monkeypatch.setattr(shards.sys, "platform", platform)
    with (
        nullcontext() if platform == "win32" else pytest.raises(PermissionError),
        shards.replacing(tmp_path / "a.csv") as temporary,
    ):
        temporary.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == (["a.csv"] if platform == "win32" else [])


@pytest.mark.parametrize("wrong", [OSError("disk full"), KeyboardInterrupt()])
def test_what_cannot_be_written_leaves_nothing_half_written(tmp_path, wrong):
    def write():
        with shards.replacing(tmp_path / "a.csv") as temporary:
            temporary.write_text("half")
            raise wrong

    with pytest.raises(type(wrong)):
        write()
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_may_come_and_go_by_other_processes_hands(half_done, monkeypatch):
    store, replicas = half_done
    checkpoint = store.checkpoint(replicas, Engine())
    arrays = checkpoint.load()
    names = list(store.checkpoint_folder.iterdir())
    checkpoint.clear()  # after another process has listed it
    monkeypatch.setattr(type(store.checkpoint_folder), "glob", lambda folder, pattern: names)
    assert store.begun(replicas) == []
    monkeypatch.undo()
    assert checkpoint.load() is None
    checkpoint.save(arrays)  # though its folder is gone
    assert store.begun(replicas) == [replicas]


@pytest.mark.parametrize("error", [OSError(37, "No locks available"), NotImplementedError("no flock")])
def test_without_locks_tables_are_written_and_what_is_missing_is_said(filled, monkeypatch, error):
    store, _ = filled

    def fails(*_):
        raise error

    monkeypatch.setattr("benchmark.results.store.FileLock.acquire", fails)
    with pytest.warns(UserWarning, match=r"\.lock cannot be locked \((No locks available|no flock)\)"):
        assert derive(store)[2]
    assert (store.folder / "summary.csv").exists()


@posix
@pytest.mark.parametrize("name", ["outcomes.csv", "curves.csv.gz", ".lock", "REPORT.md", "figures", "shards"])
def test_a_pipe_in_a_files_or_folders_place_is_refused_and_stays(quick, tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=f"{name} is no (file|folder)"):
        run(quick(results=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_users_own_files_and_folders_among_the_shards_are_nobodys(tmp_path):
    (tmp_path / "shards" / "own").mkdir(parents=True)
    (tmp_path / "shards" / "notes.txt").write_text("mine")
    assert Store(tmp_path).shards() == []
    assert (tmp_path / "shards" / "notes.txt").read_text() == "mine"
