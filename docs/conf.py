"""The documentation as a site: `sphinx-build -W --keep-going -n -b html docs build/site`.

The pages are the Markdown that lies here, which reads on its own. `_ext/site_navigation.py` makes the navigation of
index.md, `_ext/site_reference.py` writes the reference into `reference/`, from the program itself.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from addp_bench import __version__  # noqa: E402  the path stands above

project = "addp-bench"
author = "the authors of addp-bench"
version = release = __version__

extensions = ["myst_parser", "site_navigation", "site_reference"]
exclude_patterns = ["_ext"]
myst_heading_anchors = 4  # links name headings as GitHub does
smartquotes = False  # they would make one dash of two, as options begin with
highlight_language = "text"  # of blocks that name none: commands

html_theme = "furo"
html_title = f"addp-bench {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
