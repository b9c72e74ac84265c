"""Why a plugin module could not be loaded, in words, and what mends it."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import traceback
from pathlib import Path

from addp_bench import __version__, api
from addp_bench.installed import Source, module_files, module_name

# Modules that are not called as the package that brings them, among those that plugins of this kind want.
_PACKAGES = {
    "cv2": "opencv-python",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
}


def importing(broken: BaseException, source: Source) -> str:
    """What went wrong while the module was imported."""
    if isinstance(broken, ModuleNotFoundError) and broken.name:
        return _missing(broken.name, source)
    if isinstance(broken, ImportError) and (broken.name or "").split(".")[0] == "addp_bench":
        return f"importing it failed: {broken.msg.split(' (')[0]}. {_other_version(source)}"
    if isinstance(broken, ImportError) and "no known parent package" in str(broken):
        return (
            "importing it failed: it imports relatively, and a file given with --plugin stands alone. Make it a "
            "package with an entry point and install that, or put all into the one file."
        )
    if isinstance(broken, AttributeError) and ":" in source.module and not _inside(broken, source):
        module, _, attribute = source.module.partition(":")
        return (
            f"its entry point leads to {attribute.strip()} of {module.strip()}, and there is no such thing in that "
            f"module. Lead it to the module alone, which holds the hooks, and install {source.distribution} again."
        )
    if isinstance(broken, SyntaxError):
        place = f"{broken.filename}, line {broken.lineno}" if broken.lineno else broken.filename
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return f"importing it failed: {broken.msg} ({place}). It must be valid in Python {version}, which runs here."
    if isinstance(broken, SystemExit):
        return (
            f"importing it failed: it ends the program (SystemExit: {broken}{_place(broken, source)}). What runs as a "
            'script belongs under if __name__ == "__main__".'
        )
    return f"importing it failed: {_said(broken)}{_place(broken, source)}."


def registering(broken: BaseException, source: Source) -> str:
    """What went wrong while it registered."""
    if isinstance(broken, ModuleNotFoundError) and broken.name:
        return _missing(broken.name, source)
    return f"registering failed: {_said(broken)}{_place(broken, source)}."


def way_out(source: Source) -> str:
    """How to be rid of it, for whoever cannot mend it; "" for a file, which is only there because it was named."""
    return (
        f" To leave it out: --no-plugin {source.name}."
        if source.module and not source.problem
        else (f" To leave it out: --no-plugin {source.distribution}." if source.distribution else "")
    )


def _missing(name: str, source: Source) -> str:
    """Which module is not there, and who should have brought it."""
    own, top = module_name(source), name.split(".")[0]
    if source.module and (own == name or own.startswith(f"{name}.")):
        return (
            f"its entry point leads to the module {own}, and there is no {name}. Install {source.distribution} again; "
            "where it was just renamed, that is all it needs."
        )
    said = f"importing it failed: No module named {name!r}."
    if top == "addp_bench":
        return f"{said} {_other_version(source)}"
    if top == own.split(".")[0]:
        return f"{said} It is a module of its own that was not packed: its author forgot to list it."
    if not source.module and Path(source.name).with_name(f"{top}.py").is_file():
        return (
            f"{said} {top}.py lies beside it, but a file given with --plugin stands alone. Make it a package with an "
            "entry point and install that, or put all into the one file."
        )
    package = _PACKAGES.get(top, top)
    if (extra := _requirement(package, source)) is not None:
        wanted = f"{source.distribution}[{extra}]" if extra else source.distribution
        return f"{said} {source.distribution} asks for it: pip install '{wanted}' again, or pip install {package}."
    return f"{said} Install what brings it: pip install {package}."


def _requirement(package: str, source: Source) -> str | None:
    """Whether its distribution requires a package: the extra that does, "" for always, None for not at all."""
    for said in _requires(source):
        if _plain(re.split(r"[^\w.-]", said, maxsplit=1)[0]) == _plain(package):
            extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", said)
            return extra[1] if extra else ""
    return None


def _other_version(source: Source) -> str:
    """Who wants something of us that is not there was made for another addp-bench."""
    asked = next((said for said in _requires(source) if _plain(re.split(r"[^\w.-]", said)[0]) == "addp-bench"), None)
    wants = f" {source.distribution} asks for {asked}." if asked else ""
    return (
        f"It was made for another version of addp-bench; this is {__version__}, API {api.offered()}.{wants} "
        "Install versions that fit each other."
    )


def _requires(source: Source) -> list[str]:
    try:
        return importlib.metadata.requires(source.distribution) or [] if source.distribution else []
    except importlib.metadata.PackageNotFoundError:
        return []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _said(broken: BaseException) -> str:
    words = " ".join(str(broken).split())
    return f"{type(broken).__name__}: {words}" if words else type(broken).__name__


def _inside(broken: BaseException, source: Source) -> list[traceback.FrameSummary]:
    """The frames of what was raised that lie in the module's own files."""
    files = module_files(source) if source.module else [Path(source.name)]
    own = {str(file) for file in files} | {str(file.resolve()) for file in files}
    return [frame for frame in traceback.extract_tb(broken.__traceback__) if frame.filename in own]


def _place(broken: BaseException, source: Source) -> str:
    frames = _inside(broken, source)
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
