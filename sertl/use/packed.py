# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A packed model: a folder, or one file NAME.sertl (a zip of it, not compressed).

    sertl.json         format, labels, sample rate, members, hashes of all other files
    README.md          model card, with the front matter that model hubs read
    scores.json        scores and protocol card, where the experiment was scored
    config.yaml        resolved configuration
    member<n>.safetensors    what training made: of each seed and fold
    upstream/…         the encoder's checkpoint, with --with-upstream

JSON and safetensors only, no pickle. Every file is checked against its hash before it is used.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch

from sertl.errors import SertlError
from sertl.run_file import parse_run_json
from sertl.schema.run_records import PackedManifest, Record

FORMAT = 1
MANIFEST = "sertl.json"
SUFFIX = ".sertl"
REMEDY = "get the model again, or pack the experiment again"
LARGEST_MANIFEST = 64 << 20  # bytes


def is_packed(path: str | Path) -> bool:
    """Whether a path is meant as a packed model."""
    path = Path(path)
    return path.suffix == SUFFIX or (path / MANIFEST).is_file()


class Packed:
    """Files of a packed model, read and checked.

    Args:
        path: Folder, or NAME.sertl.

    Attributes:
        manifest: sertl.json.

    Raises:
        SertlError: Nothing there, damaged, foreign, or of a later version of sertl.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            raise SertlError(f"{self.path}: no such packed model")
        content = self._content(MANIFEST, LARGEST_MANIFEST)
        where = f"{self.path}: {MANIFEST}"
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SertlError(f"{where} is damaged: not UTF-8; {REMEDY}") from error
        manifest = parse_run_json(text, Record, where, REMEDY)
        if "format" not in manifest:
            raise SertlError(f"{where} is not of a packed model (it lacks format)")
        if manifest["format"] != FORMAT:
            raise SertlError(
                f"{self.path}: format {manifest['format']!r}, this version of sertl reads "
                f"{FORMAT}; install the sertl that packed it, or pack the experiment again"
            )
        self.manifest = parse_run_json(text, PackedManifest, where, REMEDY)

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            SertlError: Not there, or not what was packed.
        """
        entry = self.manifest["files"].get(name)
        if entry is None:
            raise SertlError(f"{self.path}: its {MANIFEST} has no file {name}")
        content = self._content(name, entry["bytes"])
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise SertlError(
                f"{self.path}: {name} is damaged: it is not what was packed (sha256 differs); get "
                "the model again"
            )
        return content

    def tensors(self, name: str) -> dict:
        """A safetensors file.

        Raises:
            SertlError: As read; or not safetensors.
        """
        try:
            return safetensors.torch.load(self.read(name))
        except safetensors.SafetensorError as error:
            raise SertlError(f"{self.path}: {name} is not safetensors ({error})") from error

    def unpack(self, names: Sequence[str], folder: Path) -> None:
        """Write files to a folder, by the last part of their names.

        Raises:
            SertlError: As read.
        """
        for name in names:
            (folder / Path(name).name).write_bytes(self.read(name))

    def _content(self, name: str, largest: int) -> bytes:
        try:
            if self.path.is_dir():
                file = self.path / name
                if file.is_symlink() or not file.resolve().is_relative_to(self.path.resolve()):
                    raise SertlError(f"{self.path}: {name} leads out of the folder")
                if file.stat().st_size > largest:
                    raise SertlError(f"{self.path}: {name} is larger than it was packed")
                return file.read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(name)
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > largest:
                    raise SertlError(f"{self.path}: {name} is larger than it was packed")
                return archive.read(info)
        except (zipfile.BadZipFile, KeyError, OSError, EOFError, NotImplementedError) as error:
            raise SertlError(
                f"{self.path}: no packed model of sertl, or damaged: {name} cannot be read "
                f"({error})"
            ) from error


def file_entry(content: bytes) -> dict:
    """What the manifest keeps of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
