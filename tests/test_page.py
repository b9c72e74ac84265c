"""The page of the leaderboard: what it says, that it is whole by itself, and that text from data stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from results import record, statistics

from addp_bench import page, records
from addp_bench.errors import BadData
from addp_bench.page import data, effects, plots, samples, svg
from addp_bench.pictures.report import scores
from addp_bench.results.attribution import attribute
from addp_bench.results.rendering import with_interval
from addp_bench.results.tables import leaderboard
from addp_bench.statistics import Statistics

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "input", "br", "wbr", "img"}
HERE = Path(page.__file__).parent
RECORDS = Path(__file__).parents[1] / "benchmarks" / "records"


class Parsed(HTMLParser):
    """A page taken apart. tags: every start tag with its attributes; open: what was never closed; text: by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append((self.open[-1] if self.open else "", text))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def embedded(self) -> list[dict]:
        """What stands in blocks of JSON."""
        return [json.loads(t) for tag, t in self.text if tag == "script" and t.startswith('{"metric"')]


@pytest.fixture
def found(tmp_path):
    """Two strategies with two seeds each, one with a name that means harm, and a row that was not trained."""
    rng = np.random.default_rng(0)
    iou = rng.uniform(0.2, 0.8, 40)
    curve = {"t": [999, 499, 49], "metrics": {"oiou": [0.3, 0.4, 0.5], "miou": [0.3, None, 0.5]}}
    measured = {"raw": [0.1, 0.9], "group_probabilities": [0.2, 0.8], "bootstrap_sd": [0.01, 0.02], "flags": [EVIL]}
    for seed in (0, 1):
        noise = rng.normal(0, 0.02, 40)
        more = {"result_curve": curve, "result_timestep_mass": [0.75, 0.25]}
        record(tmp_path, iou + noise, seed=seed, weights="uniform", **more)
        record(tmp_path, iou[::-1] + noise + 0.1, seed=seed, weights=EVIL, **more, result_contribution=measured)
    record(tmp_path, iou / 2, trained=False, model="constant")
    for folder in (tmp_path / "records").iterdir():
        body = json.loads((folder / "record.json").read_text())
        trained = body["result"]["training"] is not None
        body["provenance"] |= {"seconds": {"train/1": 60.0 * trained, "score/1": 1.0}, "device": "cpu: some"}
        (folder / "record.json").write_text(json.dumps(body))
    return records.load_all(tmp_path).records


@pytest.fixture
def made(found):
    return page.page(leaderboard(found, [], ["weights=uniform"]), found)


# ------------------------------------------------------------------------------------------- whole by itself


def test_the_page_is_well_formed_and_every_id_stands_once(made):
    parsed = Parsed(made)
    assert parsed.open == []
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    named = {word for _, a in parsed.tags for word in (a.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


def test_nothing_in_the_page_leads_out_of_it(made):
    assert not re.search(r"https?:|//[a-z]|@import|url\(", made)
    for tag, attributes in Parsed(made).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            if tag != "section" and attributes.get(name):
                assert attributes[name].startswith(("#", "data:")), (tag, attributes)


def test_the_policy_allows_our_style_and_our_script_and_nothing_else(made):
    parsed = Parsed(made)
    policy = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        first = next(text for name, text in parsed.text if name == tag)
        digest = base64.b64encode(hashlib.sha256(first.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not any(name.startswith("on") or name == "style" for _, a in parsed.tags for name in a)


def test_text_from_data_stays_text(found, made):
    parsed = Parsed(made)
    kinds = [a.get("type") for a in parsed.all("script")]
    assert kinds == [None, "application/json"]  # ours, and the samples
    assert "<script>alert" not in made
    shown = "".join(text for tag, text in parsed.text if tag == "span")
    assert EVIL in shown
    assert any(EVIL in cell["name"] for cell in parsed.embedded()[0]["cells"])
    assert not re.search(r"</(?!script>)", made.split('type="application/json"')[1].split("</script>")[0])


def test_hostile_captions_of_samples_come_back_as_they_were(found):
    words = "</script><script>alert(2)</script>\u2028<!--"

    def pictured(record, ids):
        return {i: {"photo": "data:,", "text": words, "truth": None, "answer": None, "drawing": None} for i in ids}

    parsed = Parsed(page.page(leaderboard(found), found, 3, pictured))
    assert len(parsed.all("script")) == 2
    assert {sample["text"] for sample in parsed.embedded()[0]["samples"]} == {words}


def test_no_control_character_reaches_the_page(tmp_path):
    record(tmp_path, np.linspace(0.2, 0.8, 20), weights="p2\x1b[31m\u202e")
    found = records.load_all(tmp_path).records
    html = page.page(leaderboard(found, extra={"note": ["x\x07"]}), found)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", html)


# -------------------------------------------------------------------------------------------------- tables


def test_tables_say_what_they_are_and_headings_sort(made):
    parsed = Parsed(made)
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in parsed.all("th"))
    sorting = [a["aria-sort"] for a in parsed.all("th") if "aria-sort" in a]
    assert sorting[0] == "ascending"
    assert set(sorting[1:]) == {"none"}
    assert all(a.get("aria-label") for a in parsed.all("svg") if a.get("role") == "img")


def test_rows_carry_the_numbers_they_sort_by(found):
    table = leaderboard(found, [], ["weights=uniform"])
    (section,) = table.sections
    (view,) = [data.view(1, section, (), {r.id: r for r in found}, None, {}, "")]
    assert [tier.number for tier in view.tiers] == sorted({row["tier"] for row in section.rows})
    at = [head.role for head in view.heads].index("headline")
    met = [line.cells[at].sort for line in view.lines]
    assert met == [row["metrics"]["oiou"]["value"] for row in section.rows]
    assert view.heads[at].numeric
    assert not view.heads[[head.role for head in view.heads].index("axis")].numeric
    assert view.lines[0].cells[at].small.startswith("[")
    assert all(head.wide for head in view.heads if head.fixed)


def test_a_bar_reaches_from_low_to_high_on_the_line_of_its_column():
    bar = plots.interval_bar({"value": 0.5, "low": 0.0, "high": 1.0}, -1.0, 1.0, 0.0)
    assert 'x1="60" x2="116"' in bar  # 4 is -1, 116 is 1
    assert 'cx="88"' in bar
    assert 'class="zero"' in bar


def test_names_leave_out_what_most_rows_share(tmp_path):
    iou = np.linspace(0.2, 0.8, 20)
    for k, (weights, target) in enumerate((("uniform", "x0"), ("p2", "x0"), ("uniform", "epsilon"))):
        record(tmp_path, iou + k / 100, weights=weights, target=target)
    (section,) = leaderboard(records.load_all(tmp_path).records).sections
    assert sorted(data.names_of(section)) == ["tiny · p2", "tiny · uniform", "tiny · uniform · epsilon"]


def test_names_say_both_of_a_choice_that_halves_the_rows(tmp_path):
    iou = np.linspace(0.2, 0.8, 20)
    for k, aug in enumerate(("none", "linear")):
        record(tmp_path, iou + k / 100, aug=aug)
    (section,) = leaderboard(records.load_all(tmp_path).records).sections
    assert sorted(data.names_of(section)) == ["tiny · linear", "tiny · none"]


def test_a_table_by_parts_of_the_data_is_a_page_too(tmp_path):
    iou = np.linspace(0.2, 0.8, 20)
    made = record(tmp_path, iou)
    plain = statistics(iou)
    levels = np.array(["easy", "hard"] * 10)
    records.write(made.folder, made.body, Statistics(plain.ids, plain.image_ids, plain.columns, {"level": levels}))
    found = records.load_all(tmp_path).records
    assert "hard (n = 10)" in page.page(leaderboard(found, by="level"), found)


# --------------------------------------------------------------------------------------------------- plots


def test_round_ticks_take_in_both_ends():
    assert svg.ticks(0.0, 51.0) == [0, 20, 40, 60]
    assert svg.ticks(3.4, 5.4) == [3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    assert svg.ticks(2.0, 2.0)[0] < 2.0 < svg.ticks(2.0, 2.0)[-1]


def test_an_axis_takes_in_what_lies_below_0():
    assert plots._heights([-2.2, 24.9]) == [-10.0, 0.0, 10.0, 20.0, 30.0]
    assert plots._heights([1.0, 10.0]) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert plots._heights([8.0, 10.0]) == [8.0, 8.5, 9.0, 9.5, 10.0]
    assert plots._heights([-3.0, -1.0])[::4] == [-3.0, -1.0]


def test_scales_by_hand():
    assert svg.linear(1000, 0, 10.0, 110.0)(250) == 85.0
    assert svg.logarithmic(1.0, 100.0, 0.0, 50.0)(10.0) == pytest.approx(25.0)


def test_attributes_and_children_of_drawings_are_escaped():
    assert svg.tag("text", EVIL, x=1.5, data_of='"') == (
        '<text x="1.5" data-of="&#34;">&lt;script&gt;alert(1)&lt;/script&gt;</text>'
    )


def test_a_curve_is_the_mean_over_seeds_and_stops_where_one_has_no_value(found):
    (section,) = leaderboard(found).sections
    by_id = {r.id: r for r in found}
    row = section.rows[0]
    pair = [by_id[cell] for cell in row["cells"]]
    body = json.loads(json.dumps(pair[1].body))
    body["result"]["curve"]["metrics"]["oiou"] = [0.5, None, 0.1]
    body["result"]["timestep_mass"] = [0.25, 0.75]
    charted = plots.Charted(0, "row", "c0", True, row, [pair[0], records.Record(body)])
    assert plots.curve_of(charted, "oiou") == ([999, 499, 49], [0.4, None, 0.3])
    assert plots.mass_of(charted) == [0.5, 0.5]
    body["result"]["curve"]["t"] = [999, 500, 49]
    other = plots.Charted(0, "row", "c0", True, row, [pair[0], records.Record(body)])
    assert plots.curve_of(other, "oiou") is None


def test_weights_lie_over_the_curves_cleanest_at_the_right(found):
    (section,) = leaderboard(found).sections
    drawn = data.view(1, section, (), {r.id: r for r in found}, None, {}, "").plots[0]
    group = re.search(r'<g class="mass c0 on" data-row="0">(.*?)</g>', drawn.svg).group(1)
    bars = [
        (float(x), float(h)) for x, h in re.findall(r'x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', group)
    ]
    (cleanest, noisiest) = bars  # 75 % on t < 500, 25 % above
    assert cleanest[0] > noisiest[0]
    assert cleanest[1] / noisiest[1] == pytest.approx(3.0, rel=1e-3)
    assert drawn.lines[0][1:] == ["30.0", "40.0", "50.0"]


def test_contributions_stand_beside_what_was_really_trained(found):
    (section,) = leaderboard(found).sections
    made = data.view(1, section, (), {r.id: r for r in found}, None, {}, "").plots
    (drawn,) = [plot for plot in made if plot.title.startswith("What explains")]
    assert [line[1:] for line in drawn.lines] == [["10.0", "90.0"], ["75.0", "25.0"]]
    assert "mean and range of 2 seeds" in drawn.caption


def test_less_is_better_turns_the_pareto_set_round(found):
    equal = [r for r in found if r.result["training"]][:2]
    rows = [
        plots.Charted(
            k,
            name,
            "c0",
            False,
            {"rank": 1 + k, "tier": 1 + k, "metrics": {"e": {"value": v, "low": None, "high": None}}},
            [r],
        )
        for k, (name, v, r) in enumerate(zip("ab", (0.1, 0.3), equal))
    ]
    said = {"label": "error", "unit": "m", "higher_is_better": False}
    (drawn,) = [plot for plot in plots.plots(rows, "e", said) if "cost" in plot.title]
    assert [line[-1] for line in drawn.lines] == ["yes", "no"]


def test_what_each_choice_does_is_what_the_command_says_and_text_stays_text(found):
    (section,) = leaderboard(found, [], ["weights=uniform"]).sections
    drawn = effects.plot(section, {r.id: r for r in found})
    (told,) = attribute([r for r in found if r.result["training"]], reference=["weights=uniform"])
    (effect,) = told.effects
    assert drawn.lines == [
        ["weights", f"{EVIL} − uniform", with_interval(effect, "points", signed=True), drawn.lines[0][3]]
    ]
    assert effect["value"] == pytest.approx(0.1, abs=0.02)
    assert EVIL not in drawn.svg
    assert "&lt;script&gt;" in drawn.svg
    assert ('class="dot c0 best"' in drawn.svg) == (effect["p_holm"] <= 0.05)
    (alone,) = leaderboard(found, ["weights=uniform"]).sections
    assert effects.plot(alone, {r.id: r for r in found}) is None


# ------------------------------------------------------------------------------------------------- samples


def test_all_cells_of_a_section_show_the_same_samples(found):
    (section,) = leaderboard(found).sections
    by_id = {r.id: r for r in found}
    asked = {}

    def pictured(record, ids):
        asked[record.id] = tuple(ids)
        raise BadData("gone")

    html = page.page(leaderboard(found), found, 4, pictured)
    assert set(asked) == set(by_id)
    (ids,) = set(asked.values())
    assert len(ids) == 4
    (shown,) = Parsed(html).embedded()
    assert [sample["id"] for sample in shown["samples"]] == list(ids)
    assert {cell["why"] for cell in shown["cells"]} == {"gone"}
    for cell in shown["cells"]:
        statistics = by_id[cell["id"]].statistics
        place = [statistics.ids.tolist().index(i) for i in ids]
        assert [one["score"] for one in cell["shown"]] == pytest.approx(
            100 * statistics.columns["iou"][place], abs=0.05
        )
    assert len(shown["all"]["ids"]) == 40
    assert shown["metric"]["right"] == 50.0
    assert section.rows[0]["cells"][0] == shown["cells"][0]["id"]


def test_disputed_samples_soon_tell_every_two_cells_apart(tmp_path):
    rng = np.random.default_rng(1)
    right = rng.random((6, 60)) < 0.5
    for k, one in enumerate(right):
        record(tmp_path, np.where(one, 0.9, 0.1), seed=k)
    found = records.load_all(tmp_path).records
    (section,) = leaderboard(found).sections
    chosen = samples.choose(section, {r.id: r for r in found}, 12)
    ids = [s["id"] for s in chosen.shown if s["group"] == samples.DISPUTED]
    place = [chosen.ids.tolist().index(i) for i in ids]
    made = np.stack([chosen.scores[r.id] for r in chosen.cells])[:, place] >= 0.5
    assert all((a != b).any() for a, b in combinations(made, 2))
    assert made[:, 0].sum() == 3  # the first splits six cells in halves
    assert {s["group"] for s in chosen.shown} == {"worst", "disputed", "best", "random"}


def test_no_samples_leave_scores_alone(found):
    (shown,) = Parsed(page.page(leaderboard(found), found, 0)).embedded()
    assert shown["samples"] == []
    assert len(shown["all"]["scores"]) == len(found)


def test_a_row_judged_on_more_samples_is_shown_on_those_of_its_section(tmp_path):
    rng = np.random.default_rng(2)
    record(tmp_path, rng.uniform(0.2, 0.8, 20))
    record(tmp_path, rng.uniform(0.2, 0.8, 40), trained=False, model="constant")
    found = records.load_all(tmp_path).records
    (section,) = leaderboard(found).sections
    chosen = samples.choose(section, {r.id: r for r in found}, 6)
    assert len(chosen.ids) == 20
    for one in found:
        assert chosen.scores[one.id] == pytest.approx(one.statistics.columns["iou"][:20])
    assert {s["id"] for s in chosen.shown} <= set(chosen.ids.tolist())


def test_an_empty_answer_to_nothing_is_scored_by_the_metric_that_can(tmp_path):
    iou = np.linspace(0.2, 0.8, 20)
    made, plain = record(tmp_path, iou), statistics(iou)
    empty = np.arange(20) == 3
    columns = {"intersection": np.where(empty, 0.0, iou * 100), "union": np.where(empty, 0.0, 100.0)}
    columns["iou"] = np.where(empty, 1.0, iou)
    records.write(made.folder, made.body, Statistics(plain.ids, plain.image_ids, columns))
    found = records.load_all(tmp_path).records
    (section,) = leaderboard(found).sections
    chosen = samples.choose(section, {r.id: r for r in found}, 6)
    assert chosen.metric == "miou"
    assert chosen.scores[found[0].id][3] == 1.0


def test_a_sample_that_one_cell_cannot_score_is_nobodys_dispute(tmp_path):
    record(tmp_path, np.where(np.arange(20) < 1, np.nan, 0.9), seed=0)
    record(tmp_path, np.full(20, 0.9), seed=1)
    found = records.load_all(tmp_path).records
    (section,) = leaderboard(found).sections
    chosen = samples.choose(section, {r.id: r for r in found}, 6)
    assert samples.DISPUTED not in {s["group"] for s in chosen.shown}


def test_average_precision_of_single_samples_is_that_of_splits_that_hold_them_alone():
    (one,) = (r for r in records.load_all(RECORDS / "tasks").records if r.id.startswith("31d81f"))
    metric = records.metric_of(one, "ap")
    expected = metric.value(one.statistics.columns, np.eye(len(one.statistics)))
    np.testing.assert_allclose(scores(one, "ap"), expected, atol=1e-12)


# ------------------------------------------------------------------------------------------------- colours


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("ground", ["paper", "panel"])
@pytest.mark.parametrize("ink", ["ink", "muted", "accent", "good", "bad"])
def test_words_can_be_read_on_every_ground(mode, ground, ink):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1, light and dark."""
    assert _contrast(_colour(ink, mode), _colour(ground, mode)) >= 4.5


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("line", [*(f"c{k}" for k in range(plots.COLOURS)), "c-rest", "control"])
def test_lines_and_controls_can_be_seen(mode, line):
    """WCAG 2.2, 1.4.11: at least 3 to 1."""
    assert _contrast(_colour(line, mode), _colour("panel", mode)) >= 3.0


def _colour(name: str, mode: int) -> tuple[float, ...]:
    said = re.search(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", (HERE / "page.css").read_text()).group(
        mode + 1
    )
    return tuple(int(said[k : k + 2], 16) / 255 for k in (1, 3, 5))


def _contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    def light(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


# ------------------------------------------------------------------------------------------------- command


def test_the_command_writes_the_page_and_says_where(shell, tmp_path):
    record(tmp_path / "runs", np.linspace(0.2, 0.8, 20))
    file = tmp_path / "new" / "page.html"
    code, out, err = shell(
        "leaderboard", "--runs", tmp_path / "runs", "--format", "html", "--out", file, "--samples", 0
    )
    assert (code, out) == (0, "")
    assert str(file) in err
    assert Parsed(file.read_text()).open == []
    same = shell("leaderboard", "--runs", tmp_path / "runs", "--format", "html", "--samples", 0)
    assert same[:2] == (0, file.read_text() + "\n")


@pytest.mark.parametrize(
    "more", [["--out", "a.html"], ["--samples", 2], ["--format", "html", "--json", "--samples", 2]]
)
def test_options_of_the_page_are_refused_elsewhere(shell, tmp_path, more):
    record(tmp_path, np.linspace(0.2, 0.8, 20))
    code, out, err = shell("leaderboard", "--runs", tmp_path, *more)
    assert (code, out) == (2, "")
    assert "--out and --samples are for --format html" in err


def test_an_order_is_chosen_on_the_page_and_not_before(shell, tmp_path):
    record(tmp_path, np.linspace(0.2, 0.8, 20))
    code, out, err = shell("leaderboard", "--runs", tmp_path, "--format", "html", "--sort", "miou")
    assert (code, out) == (2, "")
    assert "the page sorts and chooses by itself" in err


def test_a_page_that_cannot_be_written_is_one_line(shell, tmp_path):
    record(tmp_path, np.linspace(0.2, 0.8, 20))
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "page.html"
    code, _, err = shell("leaderboard", "--runs", tmp_path, "--format", "html", "--samples", 0, "--out", out)
    assert code == 2
    assert "--out FILE" in err


def test_a_record_without_its_run_says_why_there_are_no_pictures(shell, tmp_path):
    record(tmp_path, np.linspace(0.2, 0.8, 20))
    out = shell("leaderboard", "--runs", tmp_path, "--format", "html", "--samples", 2, "--no-plugin", "addp-bench")[1]
    (shown,) = Parsed(out).embedded()
    assert "does not say how it was made" in shown["cells"][0]["why"]


def test_a_page_without_samples_needs_no_torch(tmp_path):
    record(tmp_path, np.linspace(0.2, 0.8, 20))
    said = subprocess.run(
        [sys.executable, "-c", _ASKED, "leaderboard", "--runs", tmp_path, "--format", "html", "--samples", "0"],
        capture_output=True,
        text=True,
    )
    assert said.stdout.rstrip().endswith("</html>")
    assert said.stderr.splitlines()[-1] == "heavy: []"


_ASKED = """
import sys
from addp_bench.cli import main
try:
    main(sys.argv[1:])
finally:
    print("heavy:", [m for m in ("torch", "matplotlib", "diffusers") if m in sys.modules], file=sys.stderr)
"""
