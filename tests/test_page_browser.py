"""The page in a real browser, on a desk and on a phone: sorted, filtered, opened, compared, in the dark, on paper."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browser import CHROMIUM, started
from results import record

from addp_bench import page, records
from addp_bench.page.pictures import shown
from addp_bench.results.tables import leaderboard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; `apt-get install chromium` brings one"),
]

DESK, PHONE = (1280, 900), (390, 844)
EVIL = "<img src=x onerror=alert(1)>"
SIDE = 16


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def scores():
    """Cell -> the IoU of 30 samples: two that flip on the first ten, one that does nothing right."""
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, 30)
    flipped = np.arange(30) < 10  # by less than the others differ without a flip
    first = np.where(flipped, 0.55, 0.95) + noise
    second = np.where(flipped, 0.45, 0.6) + noise
    return {"uniform": first, "p2": second, EVIL: first / 3}


@pytest.fixture(scope="module")
def file(tmp_path_factory, scores):
    """A page of three cells with pictures."""
    runs = tmp_path_factory.mktemp("runs")
    curve = {"t": [999, 499, 49], "metrics": {"oiou": [0.3, 0.4, 0.5]}}
    for name, iou in scores.items():
        record(runs, iou, weights=name, result_curve=curve, result_timestep_mass=[0.75, 0.25])
    found = records.load_all(runs).records
    for one in found:
        body = json.loads((one.folder / "record.json").read_text())
        body["provenance"] |= {"seconds": {"train/1": float(1 + len(one.result["choices"]["weights"]["name"]))}}
        (one.folder / "record.json").write_text(json.dumps(body))
    found = records.load_all(runs).records

    def pictured(one, ids):
        rng = np.random.default_rng(0)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[4:12, 4:12] = True
        photo = rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        answer = {"truth": mask, "prediction": mask & (one.result["choices"]["weights"]["name"] != EVIL)}
        return {i: shown({"photo": photo, "text": EVIL + i, "drawing": photo[None], **answer}) for i in ids}

    out = tmp_path_factory.mktemp("page") / "page.html"
    out.write_text(page.page(leaderboard(found, [], ["weights=uniform"]), found, 6, pictured), encoding="utf-8")
    return out


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def at(request, browser, file):
    """The browser showing the page anew; whatever a test did with it, nothing was asked for and nothing went wrong."""
    browser.problems.clear()
    browser.requests.clear()
    browser.ask("Emulation.setEmulatedMedia", media="", features=[])
    browser.open(file, *request.param)
    yield browser
    assert browser.problems == []
    assert {url for url in browser.requests if not url.startswith("data:")} == {file.as_uri()}


def texts(browser, selector: str) -> list[str]:
    """Text of what is shown of a selection."""
    return browser.eval(
        f"[...document.querySelectorAll({selector!r})].filter(e => e.offsetParent).map(e => e.innerText.trim())"
    )


def ranks(browser) -> list[str]:
    return texts(browser, ".board tr[data-row] .r-rank")


def press_on(browser, selector: str, key: str = "Enter") -> None:
    """A key on an element that the keyboard can reach."""
    browser.eval(f"document.querySelector({selector!r}).focus()")
    assert browser.eval(f"document.activeElement === document.querySelector({selector!r})")
    browser.press(key)


def choose(browser, selector: str, value: str) -> None:
    browser.eval(
        f"(() => {{ const e = document.querySelector({selector!r}); e.value = {value!r};"
        " e.dispatchEvent(new Event(e.tagName === 'SELECT' ? 'change' : 'input')); })()"
    )


def test_the_page_is_no_wider_than_the_window_and_text_from_data_does_nothing(at):
    assert at.eval("document.documentElement.scrollWidth <= innerWidth")
    assert texts(at, "h1") == ["Leaderboard"]
    assert any(EVIL in text for text in texts(at, ".legend button"))
    assert at.eval("document.querySelectorAll('img[src=x]').length") == 0


def test_a_heading_sorts_by_mouse_and_keyboard_and_says_so(at):
    assert ranks(at) == ["1", "2", "3"]
    heading = ".board th.r-headline button"
    at.eval(f"document.querySelector('{heading}').click()")
    assert at.eval("document.querySelector('th.r-headline').getAttribute('aria-sort')") == "descending"
    assert ranks(at) == ["1", "2", "3"]
    press_on(at, heading)
    assert at.eval("document.querySelector('th.r-headline').getAttribute('aria-sort')") == "ascending"
    assert ranks(at) == ["3", "2", "1"]
    assert texts(at, ".board .tier") == []  # rows of several tiers are mixed
    press_on(at, ".board th.r-rank button")
    assert ranks(at) == ["1", "2", "3"]
    assert len(texts(at, ".board .tier")) >= 2


def test_rows_are_filtered_by_words_and_by_choices_and_plots_follow(at):
    choose(at, "input[data-find]", "p2 TINY")
    assert ranks(at) == ["2"]
    assert texts(at, "output") == ["1 of 3 rows"]
    shown = "[...document.querySelectorAll('.plots .line')].filter(e => getComputedStyle(e).display !== 'none').length"
    assert at.eval(shown) == 1
    press_on(at, "[data-reset]")
    assert texts(at, "output") == ["3 rows"]
    at.eval("document.querySelectorAll('.menu').forEach(m => m.open = true)")
    choose(at, "select[data-axis]", EVIL)
    assert ranks(at) == ["3"]
    choose(at, "select[data-axis]", "")
    assert at.eval(shown) == 3


def test_columns_are_shown_and_put_away(at):
    k = at.eval("[...document.querySelectorAll('.board thead th')].findIndex(h => h.textContent.startsWith('seeds'))")
    box, cell = f'[data-column="{k}"]', f".board tr[data-row] > :nth-child({k + 1})"
    before = len(texts(at, cell))
    at.eval(f"document.querySelector('{box}').click()")
    assert (before, len(texts(at, cell))) in ((3, 0), (0, 3))


def test_a_row_is_emphasised_in_table_and_plots(at):
    at.eval("document.querySelectorAll('.legend button')[1].click()")
    assert at.eval("[...document.querySelectorAll('.plots .on')].every(e => e.dataset.row === '1')")
    assert at.eval("document.querySelector('.board [data-emphasise=\"1\"]').getAttribute('aria-pressed')") == "true"
    bars = "[...document.querySelectorAll('.mass')].filter(e => getComputedStyle(e).display !== 'none').length"
    assert at.eval(bars) == 1
    at.eval("document.querySelectorAll('.legend button')[1].click()")
    assert at.eval(bars) == 0


def test_the_theme_is_chosen_and_remembered(at, file):
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 27)"
    for system, expected in (("dark", dark), ("light", light)):
        at.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": system}])
        assert at.eval(ground) == expected
    at.eval("document.querySelector('input[value=dark]').click()")
    assert at.eval(ground) == dark
    for _ in range(5):  # the browser keeps what a page remembers in a process of its own, which a busy machine delays
        at.reload()
        if at.eval("document.querySelector('input[value=dark]').checked"):
            break
    assert at.eval("document.querySelector('input[value=dark]').checked")
    assert at.eval(ground) == dark
    at.eval("document.querySelector('input[value=auto]').click()")
    assert at.eval(ground) == light


def test_a_sample_opens_and_closes_and_the_focus_comes_back(at):
    assert len(texts(at, ".card")) == 6
    press_on(at, "[data-open]")
    assert at.eval("document.querySelector('dialog').open")
    first = texts(at, "dialog h4")
    at.press("ArrowRight")
    assert texts(at, "dialog h4") != first
    at.press("ArrowLeft")
    assert texts(at, "dialog h4") == first
    assert at.eval("[...document.querySelectorAll('dialog img')].every(i => i.complete && i.naturalWidth > 0)")
    at.press("Escape")
    assert not at.eval("document.querySelector('dialog').open")
    assert at.eval("document.activeElement === document.querySelector('[data-open]')")


def test_two_cells_stand_side_by_side_with_flips_first(at, scores):
    names = at.eval("[...document.querySelectorAll('[data-cell=a] option')].map(o => o.textContent)")
    a, b = (next(k for k, name in enumerate(names) if wanted in name) for wanted in ("uniform", "p2"))
    choose(at, "[data-cell=a]", str(a))
    choose(at, "[data-cell=b]", str(b))
    lost = int(np.count_nonzero((scores["uniform"] >= 0.5) & (scores["p2"] < 0.5)))
    (verdict,) = texts(at, ".verdict")
    assert f"B alone is right (IoU at least 50.0) on 0, A alone on {lost}." in verdict
    flipped = at.eval("[...document.querySelectorAll('.card')].map(c => c.classList.contains('flipped'))")
    assert flipped == sorted(flipped, reverse=True)
    assert 0 < sum(flipped) < 6
    assert len(texts(at, ".card:first-child .panel")) == 6
    at.eval("document.querySelector('.flips').open = true")
    assert len(texts(at, ".flips tbody tr")) == lost


def test_overlays_are_taken_off(at):
    seen = "[...document.querySelectorAll('.card .{}')].map(e => getComputedStyle(e).visibility)"
    for kind in ("mask", "edge", "under"):
        assert set(at.eval(seen.format(kind))) == {"visible"}
        at.eval(f"document.querySelector('[data-toggle={kind}]').click()")
        assert set(at.eval(seen.format(kind))) == {"hidden"}


def test_paper_gets_neither_controls_nor_the_dark(at):
    at.eval("document.querySelector('input[value=dark]').click()")
    at.ask("Emulation.setEmulatedMedia", media="print")
    assert texts(at, ".controls") == texts(at, ".theme") == texts(at, ".legend") == []
    assert at.eval("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert ranks(at) == ["1", "2", "3"]
    at.eval("document.querySelector('input[value=auto]').click()")


def test_whoever_wants_little_motion_gets_none(at):
    at.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    assert at.eval("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    moves = "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0)"
    assert at.eval(f"{moves}.length + document.getAnimations().length") == 0
