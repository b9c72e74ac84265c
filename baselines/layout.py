"""The diffusers folder: what must lie in it, which files are read, and how they load without being trusted."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from addp_bench.errors import BadModel

# Each part's class, where it comes from, and how its weight files begin ("" for a part without weights).
PARTS = {
    "vae": ("diffusers", "AutoencoderKL", "diffusion_pytorch_model"),
    "unet": ("diffusers", "UNet2DConditionModel", "diffusion_pytorch_model"),
    "text_encoder": ("transformers", "CLIPTextModel", "model"),
    "tokenizer": ("transformers", "CLIPTokenizer", ""),
}
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


class Folder:
    """A model folder as `DiffusionPipeline.save_pretrained` writes it. Opening it reads settings and file headers only.

    root: the folder that holds model_index.json. pipelines: pipeline classes that the caller understands. elsewhere:
    places of parts that lie outside of root, because several folders share them.
    Raises BadModel, naming the file, for a folder that is incomplete, damaged or of another shape.
    """

    def __init__(self, root: Path, pipelines: Collection[str], elsewhere: Mapping[str, Path] | None = None) -> None:
        if not root.is_dir():
            raise BadModel(
                f"{root}: no such folder; expected one with model_index.json, as diffusers' save_pretrained writes"
            )
        self.root = root
        self.elsewhere = dict(elsewhere or {})
        self._check_index(pipelines)
        self.configs = {part: self._json(part, "config.json") for part in ("vae", "unet", "text_encoder")}
        self.configs["scheduler"] = self._json("scheduler", "scheduler_config.json")
        self.tokenizer_files = self._tokenizer_files()
        self._variants: dict[str, str | None] = {}
        self.weights = {part: self._weights(part, stem) for part, (_, _, stem) in PARTS.items() if stem}

    def files(self) -> list[Path]:
        """Every file that can change what the model answers, in a fixed order."""
        configs = [self.place(part) / "config.json" for part in ("vae", "unet", "text_encoder")]
        weights = [file for part in self.weights.values() for file in part]
        scheduler = self.root / "scheduler" / "scheduler_config.json"
        return sorted([self.root / "model_index.json", scheduler, *configs, *weights, *self.tokenizer_files])

    def place(self, part: str) -> Path:
        """The folder of a part."""
        return self.elsewhere.get(part, self.root / part)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over names inside the folder and contents; equal wherever the folder lies."""
        total = hashlib.sha256()
        for file in self.files():
            state = file.stat()
            digest = _digest(file.resolve(), state.st_size, state.st_mtime_ns)
            name = file.name if file.parent == self.root else f"{file.parent.name}/{file.name}"
            total.update(f"{name}\0{digest}\n".encode())
        return total.hexdigest()

    def load(self, part: str) -> Any:
        """A part with its weights, float32, in eval mode. Raises BadModel, naming the tensor that does not fit."""
        library, name, stem = PARTS[part]
        factory = getattr(importlib.import_module(library), name)
        settings: dict[str, Any] = {"local_files_only": True}
        if not stem:
            return factory.from_pretrained(self.place(part), **settings)
        settings |= {"use_safetensors": True, "output_loading_info": True, "variant": self._variants[part]}
        if library == "transformers":
            settings["ignore_mismatched_sizes"] = True  # reported below, with the tensor's name
        where = self.weights[part][0]
        try:
            with _quiet(library):
                module, report = factory.from_pretrained(self.place(part), **settings)
        except Exception as broken:  # settings may fail inside any layer's constructor, in any way
            raise BadModel(f"{where}: does not fit {part}/config.json: {_first_sentence(broken)}") from broken
        for what in ("mismatched_keys", "missing_keys", "unexpected_keys"):
            # position_ids: a buffer that transformers once stored and now counts for itself
            if keys := sorted(str(k) for k in report[what] if not str(k).endswith("position_ids")):
                more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
                raise BadModel(f"{where}: does not fit {part}/config.json: {what.split('_')[0]} tensor {keys[0]}{more}")
        return module.float().eval()

    def _check_index(self, pipelines: Collection[str]) -> None:
        index = self._json("", "model_index.json")
        file = self.root / "model_index.json"
        if (found := index.get("_class_name")) not in pipelines:
            raise BadModel(f"{file}: a {found!r} is not read here; expected {' or '.join(sorted(pipelines))}")
        for part, (_, expected, _) in PARTS.items():
            given = index.get(part)
            name = given[1] if isinstance(given, list) and len(given) == 2 else given
            if name not in (expected, f"{expected}Fast"):
                raise BadModel(f"{file}: {part} is a {name!r}; expected {expected}")

    def _json(self, part: str, name: str) -> dict[str, Any]:
        file = self.place(part) / name
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except OSError as missing:
            raise BadModel(f"{file}: {_why(missing)}; the model folder is incomplete") from missing
        except ValueError as broken:
            raise BadModel(f"{file}: not JSON: {broken}") from broken
        if not isinstance(found, dict):
            raise BadModel(f"{file}: expected an object of settings, met {type(found).__name__}")
        return found

    def _tokenizer_files(self) -> list[Path]:
        folder = self.root / "tokenizer"
        found = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
        names = {file.name for file in found}
        if "tokenizer.json" not in names and not {"vocab.json", "merges.txt"} <= names:
            raise BadModel(
                f"{folder}: needs tokenizer.json, or vocab.json and merges.txt; the model folder is incomplete"
            )
        return found

    def _weights(self, part: str, stem: str) -> list[Path]:
        """The files that may be read: those of full precision, else of the fp16 variant.

        Where one file and shards lie side by side, diffusers takes the shards and transformers the file: both count.
        """
        folder = self.place(part)
        for variant in (None, "fp16"):
            infix = f".{variant}" if variant else ""
            single = folder / f"{stem}{infix}.safetensors"
            index = folder / f"{stem}.safetensors.index{infix}.json"
            if single.is_file() or index.is_file():
                self._variants[part] = variant
                files = [single] if single.is_file() else []
                files += [index, *self._shards(part, index)] if index.is_file() else []
                for file in files:
                    if file.suffix == ".safetensors":
                        check_safetensors(file)
                return files
        pickles = sorted(p.name for p in folder.glob("*") if p.suffix in _PICKLES)
        if pickles:
            raise BadModel(
                f"{folder / pickles[0]}: a pickle can run code when it is read; convert it with "
                "torch.load(..., weights_only=True) and safetensors.torch.save_file"
            )
        raise BadModel(f"{folder / stem}.safetensors: no such file; the model folder is incomplete")

    def _shards(self, part: str, index: Path) -> list[Path]:
        names = sorted(set(self._json(part, index.name).get("weight_map", {}).values()))
        for name in names:
            if Path(name).name != name:
                raise BadModel(f"{index}: shard {name!r} lies outside the folder")
        return [index.parent / name for name in names]


def check_safetensors(file: Path) -> None:
    """Read the header and compare it with the file's size. Raises BadModel."""
    try:
        with safe_open(file, framework="np"):
            pass
    except OSError as missing:
        raise BadModel(f"{file}: {_why(missing)}; the model folder is incomplete") from missing
    except SafetensorError as broken:
        raise BadModel(f"{file}: damaged or cut short ({broken}); copy it again") from broken


@functools.lru_cache(maxsize=1024)
def _digest(file: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, read once for each size and time of change: planning asks again for every cell."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _why(error: OSError) -> str:
    return (error.strerror or "no such file").lower()


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()).split(". If you want")[0]
    return text or type(error).__name__


@contextlib.contextmanager
def _quiet(library: str) -> Iterator[None]:
    """No progress bars and no reports while loading: what they would say is raised or does not matter."""
    log = importlib.import_module(f"{library}.utils.logging")
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(50)  # critical
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
