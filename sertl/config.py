# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Run configuration: `conf/train.yaml` <- `conf/method/<m>.yaml` <- `--set key=value`.

A method, a phase or an upstream that is `like` another one says only what differs. The result is
one plain dictionary, saved as `exp/<tag>/config.yaml`; later stages read that copy.
"""

import copy
from collections.abc import Iterable
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sertl.atomic import write_text
from sertl.errors import SertlError, unknown_name

METHOD_KEYS = {
    "description": "",
    "input": "feats",
    "transductive": False,
    "teacher": None,
    "pseudo_labels": None,
    "phases": [],
}
OPTIONAL = ("teacher", "pseudo_labels")  # what a method may lack
INPUTS = ("feats", "wav")
# Dictionaries whose keys somebody else defines and checks.
ANY_TYPE = {
    "layers",
    "from",
    "from_layer",
    "ckpt",
    "extra_conf",
}  # a word, a list or null; checked where used
BUDGETS = ("epochs", "updates", "frames_per_update")  # of optim_conf: how long to train
OPEN_KEYS = {"model_conf", "lr_scale", "map", "peft"}


def load_yaml(path: str | Path) -> dict:
    """Read a YAML mapping; numbers such as 1e-4 are floats, unlike in plain PyYAML.

    Raises:
        SertlError: If the file is missing, is not YAML or does not hold a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise SertlError(f"{path}: no such file")
    try:
        value = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise SertlError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise SertlError(f"{path}: expected 'key: value' lines, found {type(value).__name__}")
    return value


def merge(base: dict, changes: dict, where: str) -> dict:
    """Return base with changes applied, key by key; only keys of base are allowed.

    A value must have the type of the default it replaces (an int may stand for a float); a default
    of null takes anything.

    Args:
        base: Complete defaults.
        changes: What differs; nested mappings are merged, everything else is replaced.
        where: Named in errors, e.g. "conf/method/probe.yaml, phase main".

    Raises:
        SertlError: For an unknown key (with the nearest valid one) or a wrong type.
    """
    _mapping(changes, where)
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if key not in base:
            raise SertlError(f"{where}: {unknown_name('key', key, base)}")
        default = base[key]
        if key == "optim_conf" and isinstance(value, dict):
            value = _one_budget(value)
        if key == "init" and isinstance(value, str):
            raise SertlError(f"{where}: init is a mapping now; write init.from={value}")
        if isinstance(default, dict) and key in OPEN_KEYS:
            result[key] = _merge_open(default, _mapping(value, f"{where}: {key}"))
        elif isinstance(default, dict):
            result[key] = merge(default, _mapping(value, f"{where}: {key}"), f"{where}, {key}")
        else:
            result[key] = _typed(key, default, value, f"{where}: {key}")
    return result


def _one_budget(changes: dict) -> dict:
    """Of epochs, updates and frames_per_update the one that is given takes the others' place."""
    given = [key for key in BUDGETS if changes.get(key)]
    return {**dict.fromkeys(BUDGETS, 0), **changes} if len(given) == 1 else changes


def _mapping(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise SertlError(f"{where} must be a mapping, got {value!r}")
    return value


def _merge_open(base: dict, changes: dict) -> dict:
    """Merge mappings of any keys, the nested ones too; everything else is replaced."""
    both = {
        k: v for k, v in base.items() if isinstance(v, dict) and isinstance(changes.get(k), dict)
    }
    return {**base, **changes, **{k: _merge_open(v, changes[k]) for k, v in both.items()}}


def _typed(key: str, default: object, value: object, where: str) -> object:
    if default is None or key in ANY_TYPE:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise SertlError(
            f"{where} must be {type(default).__name__} (as the default {default!r}), got {value!r}"
        )
    return value


def parse_overrides(settings: Iterable[str]) -> dict:
    """Turn ["optim_conf.lr=1e-3", "input=wav"] into a nested dictionary.

    Raises:
        SertlError: If an item is not key=value.
    """
    settings = list(settings)
    for item in settings:
        if "=" not in item or item.startswith("="):
            raise SertlError(f"--set takes key=value, got '{item}'")
    try:
        return OmegaConf.to_container(OmegaConf.from_dotlist(settings), resolve=True)
    except (YAMLError, OmegaConfBaseException) as error:
        raise SertlError(f"--set {' '.join(settings)}: {error}") from error


def load_method(conf_dir: str | Path, method: str, overrides: dict | None = None) -> dict:
    """Resolve a method's configuration completely.

    Args:
        conf_dir: The folder that holds train.yaml and method/.
        method: File name in conf/method/ without .yaml; may hold a slash for a variant's folder.
        overrides: From parse_overrides. A key of METHOD_KEYS changes the method, the name of a
            phase (the teacher's is `teacher`) changes that phase, any other key every phase.

    Returns:
        METHOD_KEYS with `phases` a list of complete phases, `teacher` a complete phase and
        `pseudo_labels` complete (without these two if the method has none), plus `method`.

    Raises:
        SertlError: Unknown method, key or type; two phases of one name; no phase.
    """
    defaults = load_yaml(Path(conf_dir) / "train.yaml")
    conf, phases = _read_method(Path(conf_dir), method, defaults)
    phases = _change(conf, phases, defaults, overrides or {}, "--set")
    if conf["input"] not in INPUTS:
        raise unknown_name("input", conf["input"], INPUTS)
    conf["teacher"] = phases.pop("teacher", None)
    for key in OPTIONAL:
        if conf[key] is None:
            del conf[key]
    return {"method": method, **conf, "phases": list(phases.values())}


def _read_method(
    conf_dir: Path, method: str, defaults: dict, seen: tuple[str, ...] = ()
) -> tuple[dict, dict[str, dict]]:
    """A method as its file says, and its complete phases by name, the teacher among them."""
    folder = conf_dir / "method"
    path = folder / f"{method}.yaml"
    if not path.is_file():
        known = [str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml")]
        raise unknown_name("method", method, known)
    if method in seen:
        raise SertlError(f"{path}: like goes round in a circle: {' -> '.join([*seen, method])}")
    written = load_yaml(path)
    if "like" not in written:
        return _read_base(conf_dir, path, written, defaults)
    conf, phases = _read_method(conf_dir, str(written.pop("like")), defaults, (*seen, method))
    conf["description"] = ""  # of another method
    return conf, _change(conf, phases, defaults, written, f"{path},")


def _read_base(
    conf_dir: Path, path: Path, written: dict, defaults: dict
) -> tuple[dict, dict[str, dict]]:
    """A method that is like no other."""
    conf = merge(METHOD_KEYS, written, str(path))
    phases: dict[str, dict] = {}
    if conf["teacher"] is not None:  # a phase like the others, trained before them in stage 4
        phases["teacher"] = merge(defaults, conf["teacher"], f"{path}, teacher")
        phases["teacher"]["name"] = "teacher"
    for changes in conf["phases"]:
        changes = {**_mapping(changes, f"{path}, a phase")}
        where = f"{path}, phase {changes.get('name', '?')}"
        like = changes.pop("like", None)
        if like is not None and like not in phases:
            raise SertlError(f"{where}: {unknown_name('phase in like:', like, phases)}")
        phase = merge(defaults if like is None else phases[like], changes, where)
        if phase["name"] in {*phases, *METHOD_KEYS, *defaults}:
            raise SertlError(f"{path}: phase name '{phase['name']}' is taken")
        phases[phase["name"]] = phase
    if not phases.keys() - {"teacher"}:
        raise SertlError(f"{path}: a method needs at least one phase")
    if conf["pseudo_labels"] is not None:
        complete = load_yaml(conf_dir / "pseudo_labels.yaml")
        conf["pseudo_labels"] = merge(complete, conf["pseudo_labels"], f"{path}, pseudo_labels")
    return conf, phases


def _change(
    conf: dict, phases: dict[str, dict], defaults: dict, changes: dict, source: str
) -> dict[str, dict]:
    """Apply changes to conf, in place, and to the phases, which are returned."""
    for key, value in changes.items():
        where = f"{source} {key}"
        if key in ("description", "input", "transductive"):
            conf[key] = _typed(key, METHOD_KEYS[key], value, where)
        elif key == "pseudo_labels" and conf[key] is not None:
            conf[key] = None if value is None else merge(conf[key], value, where)
        elif key == "teacher" and key in phases and value is None:
            phases = {name: phase for name, phase in phases.items() if name != key}
        elif key in phases:
            phases[key] = merge(phases[key], value, where)
        elif key == "phases":
            phases = _keep_phases(phases, value, where)
        elif key in defaults and key != "name":
            phases = {n: merge(p, {key: value}, source) for n, p in phases.items()}
        else:
            known = {*defaults, *phases, "input", "transductive", "phases", "upstream"} - {"name"}
            known |= {"pseudo_labels"} if conf["pseudo_labels"] else set()
            raise unknown_name(f"key in {source}", key, known)
    return phases


def _keep_phases(phases: dict[str, dict], names: object, where: str) -> dict[str, dict]:
    """The phases of these names, and the teacher, in their order."""
    if not isinstance(names, list) or not names:
        raise SertlError(f"{where} must be a list of names of phases that stay, got {names!r}")
    for name in names:
        if name not in phases or name == "teacher":
            raise unknown_name("phase to keep:", name, phases.keys() - {"teacher"})
    return {name: p for name, p in phases.items() if name in names or name == "teacher"}


def dump_yaml(value: dict) -> str:
    """Format a plain dictionary as YAML, keys in their order."""
    return OmegaConf.to_yaml(OmegaConf.create(value))


def save_config(path: str | Path, value: dict) -> None:
    """Write a resolved configuration atomically."""
    write_text(path, dump_yaml(value))
