"""What Markdown alone does not say to Sphinx: the navigation, and that some files lie outside of the site.

The navigation is that of index.md: each of its second headings is a part, and the pages that it links to are in it. So
that page needs no directive, and reads on its own wherever Markdown is shown.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

GENERATED = {"Reference": ["reference/index"]}  # pages of a part that are written when the site is built

_PART = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
_INTERVAL = re.compile(r"\[([-+]?[\d.]+), ([-+]?[\d.]+)\]")
_PAGE = re.compile(r"\]\(([\w./-]+)\.md\)")


def parts(index: str) -> dict[str, list[str]]:
    """The pages of each part of index.md, in its order, without their ending."""
    found = {title: list(dict.fromkeys(_PAGE.findall(body))) for title, body in _PART.findall(index)}
    return {title: [*GENERATED.get(title, []), *pages] for title, pages in found.items()}


def with_navigation(index: str) -> str:
    """index.md with a hidden table of contents for each part that names pages."""
    trees = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in parts(index).items()
        if pages
    ]
    return "\n\n".join([index.rstrip(), *trees]) + "\n"


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] = with_navigation(source[0])


def _linked(app: Sphinx, document: nodes.document) -> None:
    """Links to files of the repository that are no pages become their words and the file's path.

    Raises FileNotFoundError for a file that is not there.
    """
    here, top = Path(document["source"]).parent, Path(app.srcdir).parent
    for link in list(document.findall(lambda n: isinstance(n, (addnodes.download_reference, addnodes.pending_xref)))):
        target = (here / link["reftarget"].partition("#")[0]).resolve()
        if target.is_relative_to(app.srcdir):
            if link.astext() == f"{target.name}.md":  # a file's name reads well on disk; here the page's title does
                link["refexplicit"] = False
                link.clear()
            continue
        path = target if target.exists() else target.with_name(f"{target.name}.md")  # Markdown's ending is taken off
        if not path.exists():
            raise FileNotFoundError(f"{document['source']} links to {link['reftarget']}, which is not there")
        said, told = link.astext(), path.relative_to(top).as_posix()
        words: list[nodes.Node] = [nodes.literal(told, told)]
        if told not in said:
            words = [nodes.inline("", "", *(child.deepcopy() for child in link.children)), nodes.Text(" ("), *words]
            words.append(nodes.Text(")"))
        link.replace_self(words)


def _whole(app: Sphinx, document: nodes.document) -> None:
    """Intervals in tables are not broken over lines."""
    for entry in document.findall(nodes.entry):
        for text in list(entry.findall(nodes.Text)):
            if (kept := _INTERVAL.sub(r"[\1," "\u00a0" r"\2]", text)) != text:
                text.parent.replace(text, nodes.Text(kept))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _read)
    app.connect("doctree-read", _whole)
    app.connect("doctree-read", _linked, priority=100)  # before Sphinx collects what is to be downloaded
    return {"parallel_read_safe": True, "parallel_write_safe": True}
