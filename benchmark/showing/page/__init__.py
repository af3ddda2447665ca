"""One HTML file in which results are explored: charts, tables and code within it, opened from disk without a network.

`data` turns tables into what the page holds; `page.html` is its text, `page.css` its looks, `charts.js` the charts and
`page.js` what chooses and shows. The charts are Vega-Lite's, which vl-convert-python brings along.
"""

import base64
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import UsageError
from benchmark.showing.page import data

HERE = Path(__file__).parent


def document(results: Mapping[str, Mapping[str, pd.DataFrame]], ledger: str = "") -> str:
    """The page of these results: the tables of each by name. ledger: what it opens with, as HTML.

    Each result is a piece of its own, packed, that is unpacked when it is looked at. Raises UsageError without
    vl-convert-python.
    """
    index, pieces = [], []
    for number, (name, tables) in enumerate(results.items()):
        index.append({"name": name, "about": data.about(name)})
        packed = gzip.compress(json.dumps(data.experiment(name, tables), separators=(",", ":")).encode(), 9, mtime=0)
        pieces.append(f'<script type="text/plain" id="data-{number}">{base64.b64encode(packed).decode()}</script>')
    parts = {
        "/*STYLE*/": (HERE / "page.css").read_text(encoding="utf-8"),
        "<!--LEDGER-->": ledger,
        "/*INDEX*/": embedded(index),
        "<!--DATA-->": "\n".join(pieces),
        "/*LIBRARY*/": _library(),
        "/*CHARTS*/": (HERE / "charts.js").read_text(encoding="utf-8"),
        "/*PAGE*/": (HERE / "page.js").read_text(encoding="utf-8"),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for place, text in parts.items():
        before, _, after = page.partition(place)
        page = f"{before}{text}{after}"
    return page


def embedded(content: Any) -> str:
    """JSON that ends no script element, whatever its texts say.

    >>> embedded(["</script>"])
    '["\\\\u003c/script>"]'
    """
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    try:
        from vl_convert import javascript_bundle
    except ImportError:
        raise UsageError(
            "The page needs vl-convert-python, which holds the library of its charts: "
            "pip install 'arithmetic-extrapolation-benchmark[page]', or in a clone pip install -e '.[page]'"
        ) from None
    bundle = javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return f"(() => {{\n{bundle}\n}})();"  # its many names stay its own
