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


def test_writing_the_same_again_changes_nothing(tmp_path):
    assert write_text(tmp_path / "a.csv.gz", "text")
    assert not write_text(tmp_path / "a.csv.gz", "text")
    assert write_text(tmp_path / "a.csv.gz", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv.gz"]
