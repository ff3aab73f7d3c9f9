# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Find the sessions of an IEMOCAP release, or say what is wrong with the folder that was given."""

from pathlib import Path

from sertl.errors import SertlError

SESSIONS = tuple(f"Session{n}" for n in range(1, 6))
PARTS = ("sentences/wav", "dialog/EmoEvaluation", "dialog/transcriptions")  # needed in each


def find_root(root: str | Path, allow_subset: bool = False) -> list[Path]:
    """Return the session folders of root.

    Args:
        root: Folder that should hold Session1..Session5.
        allow_subset: Accept missing sessions.

    Raises:
        SertlError: Saying what was looked for, what was found, and the likely folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise SertlError(f"{root}: no such folder; expected the IEMOCAP release")
    found = [root / name for name in SESSIONS if (root / name).is_dir()]
    missing = [name for name in SESSIONS if not (root / name).is_dir()]
    if not found or (missing and not allow_subset):
        raise SertlError(_wrong_root(root, missing))
    absent = [
        session / part for session in found for part in PARTS if not (session / part).is_dir()
    ]
    if absent:
        listed = "\n".join(f"  {path}" for path in absent)
        raise SertlError(
            f"{root} lacks folders of an IEMOCAP release:\n{listed}\n"
            "Unpack the whole archive again (the version without videos will do)."
        )
    return found


def _wrong_root(root: Path, missing: list[str]) -> str:
    """Describe a folder that lacks sessions, with a guess at the right one."""
    names = sorted(p.name for p in root.iterdir() if not p.name.startswith("."))
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    message = (
        f"{root} is not an IEMOCAP release: looked for {', '.join(SESSIONS)}, "
        f"missing {', '.join(missing)}; found {shown or 'an empty folder'}."
    )
    if (root / "sentences").is_dir() or (root / "dialog").is_dir():
        return f"{message}\nThis is one session; give the folder above it: {root.parent}"
    if root.name in ("sentences", "dialog") and root.parent.name in SESSIONS:
        return f"{message}\nThis is a part of one session; give {root.parent.parent}"
    for child in sorted(p for p in root.iterdir() if p.is_dir()):
        if (child / SESSIONS[0]).is_dir():
            return f"{message}\nDid you mean {child}?"
    archives = [name for name in names if name.endswith((".tar.gz", ".tgz", ".tar", ".zip"))]
    if archives:
        return f"{message}\nUnpack {archives[0]} first."
    if len(missing) < len(SESSIONS):
        return f"{message}\nIf your copy is a part of the release on purpose, use --allow-subset."
    return f"{message}\nGive the folder that holds Session1 to Session5 with --corpus-dir."
