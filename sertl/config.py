# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Run configuration: defaults (sertl/schema) <- `conf/method/<m>.yaml` <- `--set key=value`.

A method, a phase or an upstream that is `like` another one says only what differs. The result is
one plain dictionary, saved as `exp/<tag>/config.yaml`; later stages read that copy.
"""

from collections.abc import Iterable
from pathlib import Path

from sertl.errors import SertlError, unknown_name
from sertl.run_file import understanding
from sertl.schema.experiment_keys import Experiment
from sertl.schema.method_keys import Method, PseudoLabels
from sertl.schema.strict import checked, defaults, merged, shown
from sertl.schema.training_keys import Phase
from sertl.yaml_text import load_yaml, parse_yaml

OPTIONAL = ("teacher", "pseudo_labels")  # what a method may lack
PLAIN = ("description", "input", "transductive")  # keys of a method itself


def parse_overrides(settings: Iterable[str]) -> dict:
    """Turn ["optim_conf.lr=1e-3", "input=wav"] into a nested dictionary; the last of a key holds.

    Raises:
        SertlError: If an item is not key=value, or its value is not YAML.
    """
    result: dict = {}
    for item in settings:
        dotted, equals, text = item.partition("=")
        keys = dotted.split(".")
        if not equals or not all(keys):
            raise SertlError(f"--set takes key=value, got '{item}'")
        value = parse_yaml(text, f"--set {item if len(item) <= 80 else item[:76] + ' ...'}")
        place = result
        for key in keys[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[keys[-1]] = value
    return result


def load_method(conf_dir: str | Path, method: str, overrides: dict | None = None) -> dict:
    """Resolve a method's configuration completely.

    Args:
        conf_dir: The folder that holds method/.
        method: File name in conf/method/ without .yaml; may hold a slash for a variant's folder.
        overrides: From parse_overrides. A key of a method changes the method, the name of a
            phase (the teacher's is `teacher`) changes that phase, any other key every phase.

    Returns:
        The keys of schema.method_keys.Method with `phases` a list of complete phases, `teacher` a
        complete phase and `pseudo_labels` complete (without these two if the method has none),
        plus `method`.

    Raises:
        SertlError: Unknown method, key or value; two phases of one name; no phase.
    """
    conf, phases = _read_method(Path(conf_dir), method)
    phases = _change(conf, phases, overrides or {}, "--set")
    conf["teacher"] = phases.pop("teacher", None)
    for key in OPTIONAL:
        if conf[key] is None:
            del conf[key]
    return {"method": method, **conf, "phases": list(phases.values())}


def read_config(exp: str | Path) -> dict:
    """The resolved configuration of exp/<tag>, as experiments keep it.

    Raises:
        SertlError: No such experiment; a file that lacks something, or holds what cannot be.
    """
    path = Path(exp) / "config.yaml"
    if not path.is_file():
        raise SertlError(f"{path}: no such experiment; run.sh writes it before stage 3")
    try:
        conf = checked(Experiment, load_yaml(path), str(path))
    except SertlError as error:
        raise SertlError(f"{error}. Give a new --tag, or --redo to write it anew") from error
    return {key: value for key, value in conf.items() if key not in OPTIONAL or value is not None}


def phase_names(exp: str | Path) -> list[str]:
    """Names of the phases in config.yaml, in their order.

    Raises:
        SertlError: If the file does not say them.
    """
    path = Path(exp) / "config.yaml"
    with understanding(path, "give a new --tag, or --redo to write it anew"):
        names = [phase["name"] for phase in load_yaml(path)["phases"]]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("phases have no names")
    return names


def _read_method(
    conf_dir: Path, method: str, seen: tuple[str, ...] = ()
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
        return _read_base(path, written)
    conf, phases = _read_method(conf_dir, str(written.pop("like")), (*seen, method))
    conf["description"] = ""  # of another method
    return conf, _change(conf, phases, written, f"{path},")


def _read_base(path: Path, written: dict) -> tuple[dict, dict[str, dict]]:
    """A method that is like no other."""
    conf = checked(Method, written, str(path))
    phases: dict[str, dict] = {}
    if conf["teacher"] is not None:  # a phase like the others, trained before them in stage 4
        phases["teacher"] = merged(Phase, defaults(Phase), conf["teacher"], f"{path}, teacher")
        phases["teacher"]["name"] = "teacher"
    for changes in conf["phases"]:
        where = f"{path}, phase {shown(changes.get('name', '?'))}"
        like = changes.pop("like", None)
        if like is not None and (not isinstance(like, str) or like not in phases):
            raise SertlError(f"{where}: {unknown_name('phase in like:', like, phases)}")
        phase = merged(Phase, defaults(Phase) if like is None else phases[like], changes, where)
        if phase["name"] in {*phases, *Method.keys(), *Phase.keys()}:
            raise SertlError(f"{path}: phase name '{phase['name']}' is taken")
        phases[phase["name"]] = phase
    if not phases.keys() - {"teacher"}:
        raise SertlError(f"{path}: a method needs at least one phase")
    if conf["pseudo_labels"] is not None:
        conf["pseudo_labels"] = checked(
            PseudoLabels, conf["pseudo_labels"], f"{path}, pseudo_labels"
        )
    return conf, phases


def _change(conf: dict, phases: dict[str, dict], changes: dict, source: str) -> dict[str, dict]:
    """Apply changes to conf, in place, and to the phases, which are returned."""
    for key, value in changes.items():
        where = f"{source} {key}"
        if key in PLAIN:
            conf[key] = checked(Method, {key: value}, source)[key]
        elif key == "pseudo_labels" and conf[key] is not None:
            conf[key] = None if value is None else merged(PseudoLabels, conf[key], value, where)
        elif key == "teacher" and key in phases and value is None:
            phases = {name: phase for name, phase in phases.items() if name != key}
        elif key in phases:
            phases[key] = merged(Phase, phases[key], value, where)
            if phases[key]["name"] != key:
                raise SertlError(f"{where}.name: a phase keeps its name")
        elif key == "phases":
            phases = _keep_phases(phases, value, where)
        elif key in Phase.keys() and key != "name":
            phases = {n: merged(Phase, p, {key: value}, source) for n, p in phases.items()}
        else:
            known = {*Phase.keys(), *phases, "input", "transductive", "phases", "upstream"}
            known |= {"pseudo_labels"} if conf["pseudo_labels"] else set()
            raise unknown_name(f"key in {source}", key, known - {"name"})
    return phases


def _keep_phases(phases: dict[str, dict], names: object, where: str) -> dict[str, dict]:
    """The phases of these names, and the teacher, in their order."""
    if not isinstance(names, list) or not names:
        raise SertlError(f"{where} must be a list of names of phases that stay, got {shown(names)}")
    for name in names:
        if not isinstance(name, str) or name not in phases or name == "teacher":
            raise unknown_name("phase to keep:", name, phases.keys() - {"teacher"})
    return {name: p for name, p in phases.items() if name in names or name == "teacher"}
