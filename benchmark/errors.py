"""The one exception for whoever asks for something impossible."""

import difflib
import math
from collections.abc import Iterable
from typing import Any


class UsageError(Exception):
    """What is wrong and what would be right, in one sentence: the command line prints it and exits with 2."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The sentence for a misspelled name.

    >>> print(unknown("model", "nlau", ["nac", "nalu"]))
    There is no model 'nlau' (did you mean nalu?); choose from: nac, nalu
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return UsageError(f"There is no {kind} {name!r}{hint}; choose from: {', '.join(choices)}")


def number(name: str, value: Any, least: float | None = None, above: float | None = None) -> float:
    """`value` as a float, refused where it is no number, nan, or too small."""
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} ({value!r}) must be a number") from None
    if math.isnan(result):
        raise UsageError(f"{name} ({value}) must be a number")
    if least is not None and result < least:
        raise UsageError(f"{name} ({value}) must be at least {least:g}")
    if above is not None and result <= above:
        raise UsageError(f"{name} ({value}) must exceed {above:g}")
    return result
