"""A claim's verdict is that of its interval; with small tables as one reads them by hand."""

import pandas as pd
import pytest

from benchmark.results import papers
from benchmark.results.papers import AGREE, DIFFER, UNTOLD, absent, evaluated

KEY = {"task": "mul", "range": "positive", "overrides": ""}


def rates(*rows, protocol="p/paper"):
    """Rows of (model, our share, seeds, published share, its seeds)."""
    columns = ["model", "value", "seeds", "published", "published_seeds"]
    table = pd.DataFrame(rows, columns=columns).assign(**KEY, protocol=protocol, metric="success_rate")
    return table.assign(low=0.0, high=1.0, published_low=0.0, published_high=1.0)


def errors(*rows, protocol="p/paper"):
    """Rows of (model, value, low, high, published)."""
    table = pd.DataFrame(rows, columns=["model", "value", "low", "high", "published"])
    return table.assign(**KEY, protocol=protocol, metric="score", seeds=25, published_seeds=1)


@pytest.fixture
def given(monkeypatch):
    """The references, by name."""
    tables = {}
    monkeypatch.setattr(papers, "read", lambda folder, name: tables.get(folder.name, pd.DataFrame()))
    return tables


def verdicts(claim):
    return {key: verdict for key, (_, verdict) in evaluated(claim).items()}


def test_rates_over_several_rows_are_one_and_compared_by_the_rule_of_compare(given):
    given["a"] = rates(("nmu", 1.0, 50, 0.9, 50), ("nmu", 0.9, 50, 1.0, 50), ("nac", 0.1, 100, 0.9, 100),
                       ("nau", 1.0, 5, 1.0, 5))  # fmt: skip
    claim = {"in": "a", "near": "published", "each": ["model"]}
    assert verdicts(claim) == {("nmu",): AGREE, ("nac",): DIFFER, ("nau",): UNTOLD}
    rows, _ = evaluated(claim)[("nmu",)]
    assert rows[["value", "seeds", "published"]].to_numpy().tolist() == [[0.95, 100, 0.95]]


@pytest.mark.parametrize(
    ("low", "high", "bound", "verdict"),
    [
        (0.2, 0.4, {"above": 0.1}, AGREE),
        (0.2, 0.4, {"above": 0.3}, UNTOLD),
        (0.2, 0.4, {"below": 0.1}, DIFFER),
        (0.2, 0.4, {"below": 0.5}, AGREE),
        (0.2, 0.4, {"near": "published"}, AGREE),  # 0.3
        (0.2, 0.7, {"near": "published"}, UNTOLD),
        (0.7, 0.8, {"near": "published"}, DIFFER),
        (0.7, 0.8, {"near": "published", "zero": 0.5}, AGREE),  # both count as what is printed as 0, and 0.5
        (0.2, 0.4, {"above": "published", "times": 0.5}, AGREE),
    ],
)
def test_an_error_agrees_where_its_interval_lies_within_the_bounds(given, low, high, bound, verdict):
    given["a"] = errors(("nmu", 0.3, low, high, 0.3))
    assert verdicts({"in": "a", "metric": "score", **bound}) == {(): verdict}


def test_an_error_does_not_differ_where_the_printed_interval_reaches_it(given):
    given["a"] = errors(("nmu", 0.1, 0.05, 0.1, 0.3)).assign(published_low=[0.09], published_high=0.5)
    given["b"] = errors(("nmu", 0.1, 0.05, 0.1, 0.3)).assign(published_low=[0.2], published_high=0.5)
    given["c"] = errors(("nmu", 0.1, 0.05, 0.1, 0.3)).assign(published_low=[float("nan")], published_high=float("nan"))
    found = [evaluated({"in": name, "metric": "score", "near": "published"})[()][1] for name in given]
    assert found == [UNTOLD, DIFFER, DIFFER]


def test_beside_one_network_our_seeds_from_the_least_to_the_greatest_take_the_place_of_the_interval(monkeypatch):
    cell = {"model": "nmu", **KEY, "protocol": "p/paper"}
    outcomes = pd.DataFrame([{**cell, "extrapolation": x} for x in (4.0, 2.0, float("inf"), 1.0)])
    outcomes = pd.concat([outcomes, pd.DataFrame([{**cell, "model": "nac", "extrapolation": 1e-9}])])
    tables = {"comparison": errors(("nmu", 50, 40, 60, 13)), "outcomes": outcomes}
    monkeypatch.setattr(papers, "read", lambda folder, name: tables[name])
    claim = {"in": "a", "metric": "score", "near": "published"}
    assert verdicts(claim) == {(): DIFFER}
    rows, verdict = evaluated({**claim, "spread": "extrapolation"})[()]
    assert verdict == UNTOLD and rows[["value", "low", "high"]].to_numpy().tolist() == [[50, 25, float("inf")]]


def test_few_seeds_cannot_tell(given):
    given["a"] = errors(("nmu", 0.3, 0.3, 0.3, 0.3)).assign(seeds=5)
    given["b"] = errors(("nmu", 0.3, 0.3, 0.3, 0.3)).assign(seeds=6)
    assert [verdicts({"in": name, "metric": "score", "near": "published"})[()] for name in given] == [UNTOLD, AGREE]


def test_every_row_of_a_reading_and_one_of_several_readings_has_to_agree(given):
    given["a"] = errors(("nmu", 1, 1, 1, 1), ("nmu", 9, 9, 9, 1))
    given["b"] = errors(("nmu", 1, 1, 1, 1), ("nmu", 1, 1, 3, 1))
    claim = {"metric": "score", "near": "published"}
    assert verdicts({**claim, "in": "a"}) == {(): DIFFER}
    assert verdicts({**claim, "in": "a", "some": True}) == {(): AGREE}
    assert verdicts({**claim, "in": ["a", "b"]}) == {(): UNTOLD}
    given["b"] = errors(("nmu", 1, 1, 1, 1))
    assert verdicts({**claim, "in": ["a", "b"]}) == {(): AGREE}


def test_one_beats_another_where_the_interval_of_the_difference_is_above_0(given):
    given["a"] = rates(("nmu", 0.9, 100, 0, 1), ("nac", 0.1, 100, 0, 1), ("nau", 0.85, 100, 0, 1))
    ours = {"in": "a", "rows": {"model": "nmu"}}
    assert verdicts({**ours, "beats": {"rows": {"model": "nac"}}}) == {(): AGREE}
    assert verdicts({**ours, "beats": {"rows": {"model": "nau"}}}) == {(): UNTOLD}
    assert verdicts({"in": "a", "rows": {"model": "na[cx]"}, "beats": {"rows": {"model": "nmu"}}}) == {(): DIFFER}


def test_fewer_steps_than_the_papers_or_none_cannot_tell(given):
    given["a"] = errors(("nmu", 1, 1, 1, 1), protocol="p/quick")
    assert verdicts({"in": "a", "metric": "score", "below": 2}) == {(): UNTOLD}
    assert evaluated({"in": "nowhere", "below": 2}) == {}


def test_published_rows_of_which_nothing_was_trained_are_known():
    claim = {"in": "madsen2020_simple", "near": "published", "each": ["model"]}
    assert set(absent(claim, [("nmu",)])) == {("nac_mul",), ("nalu",)}
