"""addp-bench: a benchmark harness for perception by diffusion models."""

from pathlib import Path

__version__ = "0.1.0"

# In a checkout `plugins/`, `tasks/` and `baselines/` lie beside this folder; an installed copy has them inside it.
_checkout = Path(__file__).parents[1]
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))
