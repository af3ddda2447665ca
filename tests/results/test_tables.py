"""A table comes back from its file with every digit, and is written only where it changes."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest

from benchmark.asked.replicas import KEY
from benchmark.errors import UsageError
from benchmark.results import tables
from benchmark.results.tables import read_table, table_path, to_csv, write_text

HEADER = ",".join([*KEY, "x", "solved"])


def test_tables_keep_every_digit_infinity_and_every_name(tmp_path):
    table = pd.DataFrame(
        {
            "model": ["nan", "NA", "1"],
            "task": "t",
            "range": "r",
            "protocol": "p",
            "overrides": "",
            "x": [0.1 + 0.2, np.inf, np.nan],
        }
    )
    write_text(tmp_path / "table.csv", to_csv(table))
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv", ["x"]), table)


def test_a_table_without_rows_can_be_joined_to_one_with_rows(tmp_path):
    write_text(tmp_path / "table.csv", f"{HEADER},a\n")
    table = read_table(tmp_path / "table.csv", KEY)
    assert table.merge(pd.DataFrame({"model": ["nac"], "a": [1.5]}), on=["model", "a"]).empty


def test_numbers_are_written_as_pandas_writes_them_the_two_zeros_apart():
    numbers = [0.0, -0.0, np.nan, 0.1 + 0.2, np.inf, -np.inf, 1e-320, 0.0, np.nan, 1e22]
    table = pd.DataFrame({"x": numbers, "seed": range(10), "solved": [True, False] * 5})
    assert to_csv(table) == table.to_csv(index=False, lineterminator="\n")


NAMES = {"model": "NA", "task": "null", "range": "nan", "protocol": "1.0", "overrides": ""}


def test_a_table_is_read_plain_or_gzipped_and_its_names_are_texts(tmp_path):
    table = pd.DataFrame([NAMES | {"seed": 7, "digest": "00012", "torch": "2.10", "x": np.nan}])
    for name, other in (("outcomes", "outcomes.csv.gz"), ("curves", "curves.csv")):
        path = table_path(tmp_path, name)
        write_text(path, to_csv(table))
        read = read_table(path, [*KEY, "x"])
        pd.testing.assert_frame_equal(read, table)
        path.rename(tmp_path / other)
        assert table_path(tmp_path, name) == tmp_path / other
        if other.endswith(".gz"):
            (tmp_path / other).write_bytes(gzip.compress((tmp_path / other).read_bytes()))
        else:
            (tmp_path / other).write_bytes(gzip.decompress((tmp_path / other).read_bytes()))
        pd.testing.assert_frame_equal(read_table(tmp_path / other, [*KEY, "x"]), table)
        path.write_text("")
        with pytest.raises(UsageError, match="holds both"):
            table_path(tmp_path, name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model;task\nnac;add\n", "separated by semicolons"),
        (f"{HEADER}\nm,t,r,p,,0,0.5,True\nm,t,r,p,,0,0.5,False\n", r"a row stands twice .m × t × r × p × 0"),
        (f"{HEADER}\nm,t,r,p,,0,much,True\n", "column x holds something else than numbers"),
        (f"{HEADER}\nm,t,r,p,,0,1,yes\n", "column solved holds something else than True and False"),
        (f"{HEADER}\nm,t,r,p,,0.5,1,True\n", "is no results table"),
        ("", "No columns to parse"),
        ("\x00\xff", "it is no text"),
        (f"{HEADER}\nm,t,r,p,,x,1,True\n", "column seed holds something else than whole numbers from 0 on"),
        (f"{HEADER}\n\xff,t,r,p,,0,1,True\n", "it is no UTF-8"),
        (f"{HEADER}\nm,t,r,p,,0,1,True,2\n", "hold more values than its header"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_no_table_is_refused_with_what_is_wrong_in_it(tmp_path, text, said, packed):
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text.encode("latin1")) if packed else text.encode("latin1"))
    with pytest.raises(UsageError, match=said):
        read_table(path, [*KEY, "x", "solved"])


def test_what_unpacks_to_more_than_memory_is_for_and_what_is_not_packed_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST_TABLE", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"," * 2000))
    with pytest.raises(UsageError, match="would unpack to more than"):
        read_table(tmp_path / "a.csv.gz", [])
    (tmp_path / "a.csv").write_bytes(b"," * 2000)
    with pytest.raises(UsageError, match="has more than 1,000 bytes"):
        read_table(tmp_path / "a.csv", [])
    for content in (b"model,task\n", gzip.compress(b"model,task\n")[:-9]):
        (tmp_path / "a.csv.gz").write_bytes(content)
        with pytest.raises(UsageError, match="is no results table"):
            read_table(tmp_path / "a.csv.gz", [])


def test_a_pipe_and_a_folder_are_no_tables_and_nothing_waits_for_them(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    for name in ("a", "b"):
        with pytest.raises(UsageError, match="it is no file"):
            read_table(tmp_path / f"{name}.csv", [])


def test_writing_the_same_again_changes_nothing(tmp_path):
    assert write_text(tmp_path / "a.csv.gz", "text")
    assert not write_text(tmp_path / "a.csv.gz", "text")
    assert write_text(tmp_path / "a.csv.gz", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv.gz"]
