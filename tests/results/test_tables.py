"""A table comes back from its file with every digit, and is written only where it changes."""

import numpy as np
import pandas as pd

from benchmark.results.tables import read_table, to_csv, write_text


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


def test_a_table_is_written_as_pandas_writes_it():
    numbers = [0.1 + 0.2, -0.0, 5e-324, 1.7e308, np.inf, -np.inf, np.nan, 1e16, 123456.0]
    texts = ["", "a,b", 'say "so"', "two\nlines", None, "ß", "NA", "1", " "]
    columns = {"number": numbers, "text": texts, "whole": range(9), "true": [True, False, True] * 3}
    table = pd.DataFrame(columns | {"a,b": 1.0})
    for one in (table, table[:0]):
        assert to_csv(one) == one.to_csv(index=False, lineterminator="\n")


def test_writing_the_same_again_changes_nothing(tmp_path):
    assert write_text(tmp_path / "a.csv.gz", "text")
    assert not write_text(tmp_path / "a.csv.gz", "text")
    assert write_text(tmp_path / "a.csv.gz", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv.gz"]
