"""How the program ends: its last words on stderr and its exit code.

0 all done. 1 a gate failed. 2 usage. 3 some cells failed. 4 nothing selected. 5 interrupted. 6 a defect of ours.
"""

from __future__ import annotations

import errno
import faulthandler
import logging
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

import click

from addp_bench import __version__
from addp_bench.cli.options import say
from addp_bench.errors import BadRequest, BenchError, StorageProblem
from addp_bench.home import home

INTERRUPTED = 5
DEFECT = 6


def leave(command: Callable[[], Any]) -> NoReturn:
    """Call `command` and exit with the code it returns (None is 0), or with that of what it raised, said in words."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a letter is no reason to stop
    if not faulthandler.is_enabled() and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)  # a library that crashes while a plugin imports it is told with its line
    logging.lastResort = _Warnings(logging.WARNING)  # unless somebody who calls us has handlers of his own
    try:
        answer = command()
        code = answer if isinstance(answer, int) else 0
        sys.stdout.flush()
    except BrokenPipeError:
        code = _reader_left()
    except BaseException as raised:
        code = report(raised)
    sys.exit(code)


def report(raised: BaseException) -> int:
    """Say on stderr what happened; returns the exit code."""
    if isinstance(raised, click.ClickException):
        raised.show()
        return raised.exit_code
    if isinstance(raised, (KeyboardInterrupt, click.Abort)):
        say("interrupted: run the same command to go on", err=True)
        return INTERRUPTED
    if isinstance(raised, SystemExit):  # click leaves so when the reader of its output is gone
        return _reader_left()
    if isinstance(raised, OSError):
        raised = _storage_problem(raised) or raised
    if isinstance(raised, BenchError):
        say(_words(raised), err=True)
        return raised.exit_code
    say(
        f"error: {type(raised).__name__}: {raised}\n"
        f"This is a defect of addp-bench, not a mistake of yours. The traceback is in {_keep_traceback(raised)}",
        err=True,
    )
    return DEFECT


def _words(error: BenchError) -> str:
    if isinstance(error, BadRequest) and len(error.problems) > 1:
        return "\n".join(
            [f"error: the request has {len(error.problems)} mistakes", *(f"  {p}" for p in error.problems)]
        )
    return f"error: {error}"


def _storage_problem(error: OSError) -> StorageProblem | None:
    """What a full disk or a forbidden place means, None for other errors."""
    place = f" {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageProblem(f"no space left on the disk{' for' if place else ''}{place}: free some and run it again")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StorageProblem(f"not allowed to use{place or ' a file'}: {error.strerror}; name another place")
    return None


def _keep_traceback(raised: BaseException) -> Path:
    """Write the traceback into ADDP_HOME, or into the temporary folder where that cannot be written."""
    now = datetime.now(timezone.utc)
    text = "\n".join(
        [
            f"addp-bench {__version__}, Python {platform.python_version()}, {platform.platform()}, {now.isoformat()}",
            f"arguments: {sys.argv[1:]}",
            "",
            "".join(traceback.format_exception(raised)),
        ]
    )
    for folder in (home() / "tracebacks", Path(tempfile.gettempdir())):
        file = folder / f"addp-bench-{now:%Y%m%d-%H%M%S}-{os.getpid()}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return file
    say(text, err=True)
    return Path("the lines above")


def _reader_left() -> int:
    """Nobody reads our output any more (`| head`): end without a word."""
    # what is still buffered must not raise again while the interpreter shuts down
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return INTERRUPTED


class _Warnings(logging.Handler):
    """What modules log, on stderr as everything else that is said."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record), err=True)
