"""Whatever is written on a command line: a request, or a sentence of one line."""

from dataclasses import fields

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.asked.configs import Request, compose
from benchmark.asked.protocol import Engine, Protocol
from benchmark.errors import UsageError

VALUES = st.recursive(
    st.sampled_from(["null", "true", "???", "nan", "inf", "-1", "0", "1e-300", "1e400", "1" + "0" * 400, "''", "nac"])
    | st.integers(-(10**30), 10**30).map(str)
    | st.floats().map(str)
    | st.text("abz_.-/:$ ", min_size=1, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: f"[{','.join(values)}]")
        | st.dictionaries(st.sampled_from(["law", "steps", "nac", "x", "weight"]), inner, max_size=2).map(
            lambda values: f"{{{','.join(f'{key}: {value}' for key, value in values.items())}}}"
        )
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(
    [
        *(f"protocol.{field.name}" for field in fields(Protocol)),
        *(f"engine.{field.name}" for field in fields(Engine)),
        *(f"range.positive.{name}" for name in ("interpolation", "extrapolation", "profile")),
        *(f"model.nac.{name}" for name in ("unit", "options", "options.initialisation", "hidden", "hidden_unit")),
        *(f"model.nac.recipe.{name}" for name in ("learning_rate", "regularizers", "restart", "turns", "separate")),
        *("model.nac.recipe.regularizers.nalu", "model.nac", "model", "task", "task.add.margin", "task.add", "range"),
        *(
            "protocol",
            "experiment",
            "results",
            "published",
            "hydra",
            "hydra.job.chdir",
            "nothing",
            "protocol.models.nac",
        ),
    ]
)
OVERRIDES = st.builds(
    lambda prefix, key, value: f"{prefix}{key}={value}", st.sampled_from(["", "+", "~"]), KEYS, VALUES
)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OVERRIDES, min_size=1, max_size=2))
def test_whatever_is_asked_is_a_request_or_a_sentence_and_nothing_is_written(tmp_path, monkeypatch, overrides):
    monkeypatch.chdir(tmp_path)
    answer: object
    try:
        answer = compose(["nac"], ["add"], ["positive"], overrides=overrides)
    except UsageError as refusal:
        answer = str(refusal)
    assert isinstance(answer, Request) or (answer and "\n" not in str(answer))
    assert not list(tmp_path.iterdir())
