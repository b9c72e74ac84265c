"""The documentation as a site: what its navigation is made of, and that its reference says all that the program has."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from docs_pages import ROOT

from addp_bench import errors, hookspecs, protocols
from addp_bench.cli import COMMANDS, commands, variables
from addp_bench.loading import load
from addp_bench.spec import KINDS

DOCS = ROOT / "docs"
MISSING = 'Sphinx is not installed; pip install -e ".[docs]" brings it'


@pytest.fixture(scope="module", autouse=True)
def extensions():
    """The site's own extensions, as conf.py finds them."""
    sys.path.insert(0, str(DOCS / "_ext"))
    yield
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def reference(extensions) -> dict[str, str]:
    import site_reference

    return site_reference.pages(DOCS)


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level."""
    level = heading.partition(" ")[0]
    return re.split(rf"^{level} ", page.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_of_a_kind_has_its_words_its_options_and_its_origin(kind, reference):
    from site_words import escaped

    page = reference[f"plugins/{kind}"]
    for entry in load().registry.entries(kind):
        told = section(page, f"## {entry.name}")
        assert entry.origin in told
        for option in entry.options:
            assert f"| `{option.name}` | " in told
        assert escaped(entry.words.split()[0]) in told


def test_every_command_has_every_option_and_the_variable_that_it_reads(reference):
    context = click.Context(commands)
    for name in (name for listed in COMMANDS.values() for name in listed):
        command = commands.get_command(context, name)
        members = command.commands.values() if isinstance(command, click.Group) else ()
        for one in (command, *members):
            for option in (o for o in one.params if isinstance(o, click.Option)):
                assert option.opts[0] in reference[f"commands/{name}"]
                for variable in variables(option):
                    assert f"`{variable}`" in reference[f"commands/{name}"]
                    assert f"| `{variable}` | " in reference["environment"]


def test_a_command_has_its_examples_and_a_group_its_members(reference):
    assert "addp-bench run --task ris --weights perception_stats --aug linear\n" in reference["commands/run"]
    assert "## data adopt\n" in reference["commands/data"]


def test_contracts_hold_every_member_and_what_is_optional(reference):
    page, source = reference["contracts"], inspect.getsource(protocols)
    for name, one in vars(protocols).items():
        if inspect.isclass(one) and one.__module__ == protocols.__name__:
            told = section(page, f"### {name}")
            for member in [*vars(one).get("__annotations__", {}), *(m for m in vars(one) if m[0] != "_")]:
                assert re.search(rf"\b{member}\b", told), (name, member)
    assert page.count("ptional*") == source.count("ptional*")  # in docstrings and in comments


def test_hooks_and_errors_are_all_there(reference):
    for name in (name for name in vars(hookspecs) if name.startswith("addp_bench_")):
        assert f"## {name}\n" in reference["hooks"]
    for name, one in vars(errors).items():
        if inspect.isclass(one) and issubclass(one, errors.BenchError):
            assert f"| `{name}` | {one.exit_code} | " in reference["exit-codes"]
    assert re.findall(r"^\| `(\d)` \|", reference["exit-codes"], re.MULTILINE) == list("0123456")


def test_a_record_is_described_by_those_that_come_along(reference):
    for field in ("result.metrics.*.value", "result.samples.scored", "provenance.device", "schema"):
        assert f"| `{field}` | " in reference["records"]
    assert len(reference["records"].splitlines()) < 300  # names that people chose are one line


def test_plain_words_are_no_markdown():
    from site_words import escaped, table

    assert escaped("a*b and c_d <e> `x*y` *optional* |z|") == r"a\*b and c\_d \<e\> `x*y` *optional* \|z\|"
    assert table(["a"], [["x | y\nz"]]) == "| a |\n| --- |\n| x \\| y z |"
    assert table(["a"], []) == ""


def test_nothing_of_the_reference_is_kept():
    if not (ROOT / ".git").exists():
        pytest.skip("no repository")
    kept = subprocess.run(["git", "ls-files", "docs/reference"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert kept.stdout == ""


# ------------------------------------------------------------------------------------------------ Sphinx


def built(tmp_path: Path, pages: dict[str, str]) -> str:
    """The index of a small site of these pages, built by conf.py and without the reference."""
    pytest.importorskip("sphinx", reason=MISSING)
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    source = tmp_path / "docs"
    for name, text in pages.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    (tmp_path / "NOTES.md").write_text("# Notes\n")
    (tmp_path / "folder").mkdir()
    own = {"extensions": ["myst_parser", "site_navigation"], "html_static_path": [], "html_css_files": []}
    places = (source, DOCS, tmp_path / "out", tmp_path / "doctrees")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "_ext"))
        with patch_docutils(str(DOCS)), docutils_namespace():
            Sphinx(*map(str, places), "html", own, status=None, exception_on_warning=True).build()
    return (tmp_path / "out" / "index.html").read_text()


INDEX = "# Site\n\n## Tutorial\n\n- [a.md](a.md): the first.\n\n## Reference\n\nNothing.\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_the_navigation_is_that_of_the_index_and_pages_have_their_titles(tmp_path):
    html = built(tmp_path, {"index.md": INDEX, "a.md": "# The first page\n", "reference/index.md": "# Made\n"})
    captions = re.findall(r'<span class="caption-text">(.*?)</span>', html)
    assert captions == ["Tutorial", "Reference"]
    assert re.search(r'href="a.html"[^>]*>(<[^>]*>)*The first page', html.split("<article", 1)[1])
    assert "a.md" not in html


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_link_that_leaves_the_site_becomes_the_files_path(tmp_path):
    page = "# A\n\nSee [the notes](../NOTES.md#x), [folder](../folder) and [this](#a).\n"
    built(tmp_path, {"index.md": INDEX, "a.md": page, "reference/index.md": "# Made\n"})
    html = (tmp_path / "out" / "a.html").read_text()
    words = re.sub(r"<[^>]+>", "", html)
    assert "See the notes (NOTES.md), folder and this." in words
    assert "../NOTES" not in html


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_link_to_what_is_not_there_fails_the_build(tmp_path):
    wrong = pytest.importorskip("sphinx.errors", reason=MISSING)
    with pytest.raises(wrong.ExtensionError, match="which is not there"):
        built(tmp_path, {"index.md": INDEX, "a.md": "# A\n\n[x](../gone.md)\n", "reference/index.md": "# Made\n"})
    with pytest.raises(wrong.SphinxError):
        built(tmp_path / "2", {"index.md": INDEX, "a.md": "# A\n\n[x](gone.md)\n", "reference/index.md": "# Made\n"})
