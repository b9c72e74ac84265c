"""The leaderboard as one HTML page, which opens from disk and asks nothing of any network.

Style and script stand in the page, and its content security policy names them by their digests: no other script runs,
whatever text came with the data, and nothing can be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from addp_bench import __version__
from addp_bench.errors import BenchError
from addp_bench.page.data import view
from addp_bench.page.samples import choose
from addp_bench.records import Record, clean
from addp_bench.results.grid import SEPARATED
from addp_bench.results.rendering import FEW_SEEDS, INCOMPLETE, NOT_TRAINED, SEES_TRUTH, Table

SAMPLES = 6  # for each cell, unless somebody asks for more

Pictured = Callable[[Record, Sequence[str]], Mapping[str, Mapping[str, Any]]]

_HERE = Path(__file__).parent
_MARKS = {
    FEW_SEEDS: "fewer than three seeds: the row speaks of these checkpoints, not of a method",
    NOT_TRAINED: "not trained here",
    SEES_TRUTH: "looks at the truth; shown without a rank",
    INCOMPLETE: "not ranked, for the reason given below the table",
    SEPARATED: "separated from 0 at 5 %, Holm-corrected (in tables by parts of the data)",
}


def page(table: Table, records: Iterable[Record], samples: int = SAMPLES, pictured: Pictured | None = None) -> str:
    """A table as a page.

    records: those behind the table, others do no harm. samples: of each cell, at most. pictured: gives the pictures of
    a record for these sample ids, as `pictures.of_cell` does; the page says why where it raises BenchError or OSError,
    and where it is None.
    """
    by_id = {record.id: record for record in records}
    views = []
    for number, section in enumerate(table.sections, 1):
        chosen = choose(section, by_id, samples)
        ids = [sample["id"] for sample in chosen.shown] if chosen else []
        pictures = {r.id: _tried(pictured, r, ids) for r in (chosen.cells if chosen and ids else ())}
        missing = "" if chosen else "No sample of these records has a score of its own, so there is none to look at."
        views.append(view(number, section, table.extra, by_id, chosen, pictures, missing))
    script = "".join((_HERE / name).read_text(encoding="utf-8") for name in ("page.js", "browser.js"))
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    shown = [
        by_id[cell] for section in table.sections for row in section.rows for cell in row["cells"] if cell in by_id
    ]
    finished = [str(record.provenance["finished"]) for record in shown if record.provenance.get("finished")]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            views=views,
            cells=len({cell for section in table.sections for row in section.rows for cell in row["cells"]}),
            newest=clean(max(finished))[:10] if finished else "",
            version=__version__,
            marks=_MARKS,
            style=Markup(style),
            script=Markup(script),
            policy="; ".join(
                [
                    "default-src 'none'",
                    "img-src data:",
                    f"style-src {_digest(style)}",
                    f"script-src {_digest(script)}",
                    "base-uri 'none'",
                    "form-action 'none'",
                ]
            ),
        )
    )


def _tried(pictured: Pictured | None, record: Record, ids: Sequence[str]) -> Any:
    """The pictures of a record, or in words why there are none."""
    if pictured is None:
        return "the page was made without pictures"
    try:
        return pictured(record, ids)
    except (BenchError, OSError) as why:
        return clean(str(why))


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # `tojson` escapes <, >, & and ' so that no text ends the element that holds it
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return made


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
