"""Plugins that are broken, each in its own way, as small distributions that `lay` installs as pip would.

Each says what the user must read: the reason, and what mends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

GOOD = """
from addp_bench.hookspecs import hookimpl

class Mine:
    "A plugin of mine."
    def __init__(self, gamma: float = 5.0) -> None:
        self.gamma = gamma

@hookimpl
def addp_bench_register(registry):
    registry.add("agent", "NAME", Mine)
"""
OTHER = "from addp_bench.hookspecs import hookimpl\n@hookimpl\ndef addp_bench_run_finished(record): pass\n"


@dataclass(frozen=True)
class Way:
    """One way to be broken. source: of its module; NAME stands for a name of its own. reason, remedy: pieces of what is
    said of it. points: lines of entry_points.txt, else the one that leads to its module. files: further ones, by place.
    requires: a line of its metadata. module: dotted name, where the name of the way is not it.
    """

    name: str
    source: str
    reason: str
    remedy: str
    points: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    requires: str = ""
    module: str = ""

    @property
    def distribution(self) -> str:
        return f"zoo-{self.name.replace('_', '-')}"

    @property
    def leave_out(self) -> str:
        return f"zoo_{self.name}"


def lay(site: Path, way: Way) -> None:
    """Install the distribution of a way into a folder that will be on sys.path."""
    name, module = f"zoo_{way.name}", way.module or f"zoo_{way.name}"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    requires = f"Requires-Dist: {way.requires}\n" if way.requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {way.distribution}\nVersion: 1.0\n{requires}")
    (info / "entry_points.txt").write_text(f"[addp_bench]\n{way.points or f'{name} = {module}'}\n")
    files = {f"{module.replace('.', '/')}.py": way.source, **way.files}
    for place, text in files.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(text.replace("NAME", name))


def registers(what: str, factory: str = "Mine") -> str:
    """A module whose registration is this; `factory` stands where its class does."""
    return GOOD.replace('"agent", "NAME", Mine', what).replace("class Mine", f"class {factory}")


def takes(parameters: str) -> str:
    """A module whose plugin has these parameters."""
    return GOOD.replace("self, gamma: float = 5.0", parameters).replace("self.gamma = gamma", "pass")


def hook(line: str) -> str:
    """A module whose hook is defined by this line."""
    return GOOD.replace("def addp_bench_register(registry):", line)


OUT = "--no-plugin zoo_"
WAYS = (
    # what is missing
    Way("missing", "import nobody_has_this", "No module named 'nobody_has_this'", "pip install nobody_has_this"),
    Way("renamed", "import skimage.nobody", "No module named 'skimage.nobody'", "pip install scikit-image"),
    Way(
        "extra",
        "import nobody_has_it",
        "No module named 'nobody_has_it'. zoo-extra asks for it",
        "pip install 'zoo-extra[fast]'",
        requires="nobody-has-it>=2 ; extra == 'fast'",
    ),
    Way(
        "unpacked",
        "from .shapes import square",
        "No module named 'zoo_unpacked.shapes'",
        "a module of its own that was not packed",
        module="zoo_unpacked.band",
        files={"zoo_unpacked/__init__.py": ""},
    ),
    Way(
        "gone",
        "",
        "leads to the module zoo_gone_away.band, and there is no zoo_gone_away",
        "Install zoo-gone again",
        points="zoo_gone = zoo_gone_away.band",
    ),
    Way(
        "no_attribute",
        GOOD,
        "leads to plugin of zoo_no_attribute, and there is no such thing",
        "Lead it to the module alone",
        points="zoo_no_attribute = zoo_no_attribute:plugin",
    ),
    Way(
        "malformed",
        GOOD,
        "its entry point leads to 'zoo malformed!'",
        "expected a module, such as acme_bench.band",
        points="zoo_malformed = zoo malformed!",
    ),
    # made for another addp-bench
    Way(
        "older",
        "from addp_bench.types import Zebra",
        "cannot import name 'Zebra' from 'addp_bench.types'. It was made for another version of addp-bench; this is",
        "zoo-older asks for addp-bench>=7. Install versions that fit",
        requires="addp-bench>=7",
    ),
    Way(
        "newer",
        "import addp_bench.zebras",
        "No module named 'addp_bench.zebras'. It was made for another version",
        "Install versions that fit",
    ),
    Way(
        "next_major",
        'requires_api = "2.0"\nfrom addp_bench.types import Zebra\n',
        "it requires API 2.0; addp-bench 0.1.0 offers 1.0",
        "Install a newer addp-bench",
    ),
    Way("next_minor", f'requires_api: str = "1.1"\n{GOOD}', "it requires API 1.1", "Install a newer addp-bench"),
    Way("last_major", f'{GOOD}\nrequires_api = "0.9"', "it requires API 0.9", "a version of the plugin for 1.x"),
    Way("number", f"requires_api = 1.0\n{GOOD}", "requires_api = 1.0 is no version", 'requires_api = "1.0"'),
    Way("half", f'requires_api = "1"\n{GOOD}', "requires_api = '1' is no version", "write MAJOR.MINOR"),
    Way("reckoned", f"requires_api = str(3) + '.0'\n{GOOD}", "it requires API 3.0", "Install a newer addp-bench"),
    # what an import does
    Way("syntax", "import os\ndef broken(:", "zoo_syntax.py, line 2", "valid in Python 3"),
    Way("raises", "x = 0\n1 / x", "ZeroDivisionError: division by zero", "zoo_raises.py, line 2)"),
    Way("exits", "import sys\nsys.exit(3)", "it ends the program (SystemExit: 3", 'if __name__ == "__main__"'),
    Way("skips", "class Skipped(BaseException): pass\nraise Skipped('here')", "Skipped: here", "zoo_skips.py, line 2)"),
    # hooks
    Way("misspelt", hook("def addp_bench_registr(registry):"), "is no hook", "Did you mean addp_bench_register?"),
    Way("prefix", hook("def register(registry):"), "it defines register", "Did you mean addp_bench_register?"),
    Way("bare", GOOD.replace("@hookimpl\n", ""), "lacks the decorator", "from addp_bench.hookspecs import hookimpl"),
    Way("asks", hook("def addp_bench_register(registry, colour):"), "asks for colour", "it offers registry"),
    Way(
        "optional", hook("def addp_bench_register(registry=None):"), "gives registry a default", "write registry alone"
    ),
    Way("greedy", hook("def addp_bench_register(*everything):"), "takes *everything", "it offers registry"),
    Way("waits", hook("async def addp_bench_register(registry):"), "is async", "write def"),
    Way("yields", GOOD + "    yield\n", "yields, so its body would never run", "return instead"),
    Way("silent", "answer = 42", "it implements no hook", "ends with @hookimpl def addp_bench_register(registry)"),
    Way(
        "two_points",
        OTHER,
        "its module is the one of zoo_two_points of zoo-two-points 1.0",
        "announce it once",
        points="zoo_two_points = zoo_two_points\nzoo_two_points_more = zoo_two_points",
    ),
    # what is registered
    Way("twice", GOOD + '    registry.add("agent", "NAME", Mine)\n', "is registered twice by", "its plugin's own"),
    Way(
        "taken",
        registers('"weights", "uniform", Mine'),
        "weights 'uniform' of zoo-taken 1.0 is taken by addp-bench",
        "Call yours by another name",
    ),
    Way("kind", registers('"weight", "NAME", Mine'), "as a 'weight'", "Did you mean 'weights'?"),
    Way("name", registers('"agent", "Not A Name", Mine'), "'Not A Name'", "a lower-case identifier"),
    Way("nameless", registers('"agent", 5, Mine'), "agent 5", "a lower-case identifier"),
    Way("aliases", registers('"agent", "NAME", Mine, "abc"'), "aliases are a tuple", "write ('abc',)"),
    Way("instance", registers('"agent", "NAME", Mine()'), "met Mine", "a factory is a class or a function"),
    Way("builtin", registers('"agent", "NAME", dict'), "the options of <class 'dict'> cannot be read", OUT),
    Way(
        "abstract",
        "import abc\n" + GOOD.replace("class Mine", "class Mine(abc.ABC)") + "Mine.__abstractmethods__ = {'propose'}\n",
        "its class is abstract",
        "it lacks propose",
    ),
    Way("collapses", GOOD + "    {}['key']\n", "registering failed: KeyError: 'key'", "zoo_collapses.py, line 12)"),
    Way(
        "late",
        GOOD + "    import nobody_has_that\n",
        "No module named 'nobody_has_that'",
        "pip install nobody_has_that",
    ),
    # options
    Way("starred", takes("self, **gamma"), "not taken as **gamma", "options must be named one by one"),
    Way("positional", takes("self, gamma=1, /"), "not taken as gamma=1", "options must be named one by one"),
    Way("unreadable", takes("self, a: 'Zebra' = 1"), "name 'Zebra' is not defined", "must exist at run time"),
    Way("untyped", takes("self, a: object() = 1"), "no text can be read as option a", "Annotate it with"),
    Way("capital", takes("self, Gamma: int = 1"), "option 'Gamma' cannot be given", "a lower-case identifier"),
)
