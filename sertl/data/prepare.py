# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What every recipe's `local/prepare_data.py` shares: checks, counts and the data directory.

A `prepare_data.py` reads its corpus into `Utterance`s with the corpus's own labels and hands them
to `prepare_command`; options, policy, audio checks, counts and writing are done here.
"""

import argparse
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from sertl.data.audio import SAMPLE_RATE
from sertl.data.audio_checks import audio_facts, check_shard, folder_of
from sertl.data.corpus import Corpus, apply_policy, check_counts, load_corpus
from sertl.data.datadir import Utterance, read_data_dir, write_data_dir
from sertl.data.table import listing
from sertl.data.tar_members import is_recording, recording_stat
from sertl.errors import SertlError, unknown_name
from sertl.fingerprint import Progress, begin, finish, lines_hash, read_fingerprint
from sertl.lock import alone
from sertl.shard import Shard
from sertl.yaml_text import save_yaml

logger = logging.getLogger(__name__)

SHOWN = 20  # ids in a warning


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser with the options that every `local/prepare_data.py` has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--corpus-dir", type=Path, required=True, help="root of the corpus")
    parser.add_argument("--out", type=Path, default=Path("data/all"), help="data directory")
    parser.add_argument("--conf", type=Path, default=Path("conf/corpus.yaml"))
    parser.add_argument("--policy", default=None, help="label policy; none: the default of --conf")
    parser.add_argument(
        "--allow-subset",
        action="store_true",
        help="go on, with a warning, where counts differ from those in --conf",
    )
    parser.add_argument("--redo", action="store_true", help="delete --out and make it afresh")
    parser.add_argument("--nj", type=int, default=1, help="processes that check audio files")
    parser.add_argument(
        "--shard",
        default="",
        metavar="i/N",
        help="only check the audio of the i-th of N parts; a run without it joins them",
    )
    parser.add_argument(
        "--check-only",
        action="store_true",
        help="see whether --corpus-dir is the corpus: labels, counts, audio files; write nothing",
    )
    parser.add_argument(
        "--prepare", nargs="*", default=[], metavar="KEY=VALUE", help="options of this corpus alone"
    )
    return parser


def parse_arguments(
    description: str, options: Mapping[str, str] | None = None
) -> argparse.Namespace:
    """The command line of a `local/prepare_data.py`; its `prepare` is a dictionary.

    Args:
        description: For --help.
        options: Keys that --prepare takes for this corpus -> what they mean.

    Raises:
        SertlError: A key that is not among them (with the nearest), or given twice; no value.
    """
    known = options or {}
    parser = argument_parser(description)
    if known:
        parser.epilog = "keys of --prepare: " + "; ".join(f"{k}: {v}" for k, v in known.items())
    args = parser.parse_args()
    given = {}
    for item in args.prepare:
        key, equals, value = item.partition("=")
        if not equals or not value:
            raise SertlError(f"--prepare {item}: expected KEY=VALUE")
        if not known:
            raise SertlError(f"--prepare {item}: this corpus has no such options")
        if key not in known:
            raise SertlError(f"--prepare {item}: {unknown_name('key', key, list(known))}")
        if key in given:
            raise SertlError(f"--prepare {item}: {key} is given twice")
        given[key] = value
    args.prepare = given
    return args


def prepare_command(
    description: str,
    read: Callable[[argparse.Namespace], Iterable[Utterance]],
    options: Mapping[str, str] | None = None,
) -> None:
    """The whole of a `local/prepare_data.py` but for reading the corpus.

    Args:
        description: For --help.
        read: Parsed options (corpus_dir, allow_subset, prepare, …) -> all utterances.
        options: See parse_arguments.
    """
    args = parse_arguments(description, options)
    make_data_dir(args, load_corpus(args.conf, args.policy), lambda: read(args))


def make_data_dir(
    args: argparse.Namespace, corpus: Corpus, read: Callable[[], Iterable[Utterance]]
) -> None:
    """What a prepare_data.py does with a corpus that it has described.

    Args:
        args: Of argument_parser.
        corpus: The corpus.
        read: Gives all utterances.

    Raises:
        SertlError: As prepare; --redo with --shard.
    """
    rest = (args.allow_subset, args.redo, args.nj, args.check_only)
    shard = Shard.parse(args.shard)
    if shard is not None and args.redo:
        raise SertlError(f"--redo --shard {shard}: delete {args.out} instead, before any shard")
    shares = shard is not None  # the disk with others, who write other files
    with nullcontext() if args.check_only else alone(args.out, wait=True, shared=shares):
        prepare(corpus, read(), args.out, *rest, shard)


def describe_command(
    description: str,
    read: Callable[[argparse.Namespace], tuple[dict, list[Utterance]]],
    options: Mapping[str, str],
) -> None:
    """The whole of a `local/describe.py`, which writes corpus.yaml of data that have none.

    Args:
        description: For --help.
        read: Parsed options -> corpus.yaml, whose only policy becomes --policy, and utterances.
        options: See parse_arguments.
    """
    args = parse_arguments(description, options)
    conf, _ = read(args)
    if args.policy:
        conf = {**conf, "policies": {args.policy: {}}, "default_policy": args.policy}
    args.conf.parent.mkdir(parents=True, exist_ok=True)
    save_yaml(args.conf, conf)


def groups_of(options: Mapping[str, str], default: int) -> int:
    """The option `groups` of --prepare.

    Raises:
        SertlError: No whole number.
    """
    groups = options.get("groups", str(default))
    if not groups.isdecimal():
        raise SertlError(f"groups={groups}: expected a whole number")
    return int(groups)


def prepare(
    corpus: Corpus,
    utts: Iterable[Utterance],
    out: Path,
    allow_subset: bool = False,
    redo: bool = False,
    nj: int = 1,
    check_only: bool = False,
    shard: Shard | None = None,
) -> None:
    """Make the data directory of a corpus.

    Args:
        corpus: What corpus.yaml states.
        utts: Every utterance found, with the label of the corpus; dur_sec is filled in here.
        out: Data directory to write.
        allow_subset: Accept counts that differ from the expected ones.
        redo: Delete what is there and start afresh.
        nj: Processes that decode audio.
        check_only: Check labels, counts and that audio files exist, and write nothing.
        shard: Only look at this part's audio (audio_checks.py).

    Raises:
        SertlError: On repeated ids, unknown labels, wrong counts, or unusable audio (all at once).
    """
    utts = list(utts)
    _refuse_repeated_ids(utts)
    kept, dropped = apply_policy(corpus, utts)
    _log_counts(corpus, utts, kept, dropped)
    if not kept:
        raise SertlError(
            f"{corpus.name}: no utterances ({len(utts)} found); is --corpus-dir the right folder?"
        )
    check_counts(corpus, kept, allow_subset)
    if check_only:
        missing = [f"{u.utt}: no such file {u.wav}" for u in kept if not is_recording(u.wav)]
        if missing:
            raise SertlError(listing(f"{corpus.name}: missing audio", missing))
        return
    inputs = {
        "corpus": asdict(corpus),
        "num_found": len(utts),
        "utterances": lines_hash(sorted(f"{u} {_size(u.wav)}" for u in utts)),
    }
    record = read_fingerprint(out)
    if record and record["state"] == Progress.DONE.value and not redo:
        begin(out, inputs)  # raises if they differ
        read_data_dir(out)  # raises if a file was changed or deleted since
        logger.info("%s: made before from the same inputs, skipped", out)
        return
    if shard is not None:
        check_shard(kept, out, shard, nj)
        return
    kept = _check_all_audio(kept, out, nj)
    write_data_dir(out, kept, corpus.labels, corpus.vad_range)
    # Only now: the new directory has replaced the old one and its record.
    begin(out, inputs)
    finish(out)
    shutil.rmtree(folder_of(out), ignore_errors=True)
    logger.info("%s: %d utterances written", out, len(kept))


def _size(path: str) -> int:
    """Bytes of a file, -1 if there is none (the audio check names it)."""
    return recording_stat(path)[0] if is_recording(path) else -1


def _refuse_repeated_ids(utts: list[Utterance]) -> None:
    first: dict[str, Utterance] = {}
    problems = []
    for u in utts:
        if (other := first.setdefault(u.utt, u)) is not u:
            problems.append(f"'{u.utt}' from {other.wav} and from {u.wav}")
    if problems:
        raise SertlError(listing("repeated utterance ids", problems))


def _log_counts(
    corpus: Corpus, utts: list[Utterance], kept: list[Utterance], dropped: Counter[str]
) -> None:
    labelled = sum(u.emo is not None for u in utts)
    logger.info(
        "%s, policy %s: %d found, %d labelled, %d kept, %d dropped",
        *(corpus.name, corpus.policy, len(utts), labelled, len(kept), dropped.total()),
    )
    for reason, count in dropped.most_common():
        logger.info("  dropped %d: %s", count, reason)
    for utt in sorted(corpus.excluded.keys() - {u.utt for u in utts}):
        logger.warning("  '%s' is excluded in corpus.yaml but was not found", utt)
    if corpus.vad_range:
        low, high = corpus.vad_range
        outside = sum(any(not low <= x <= high for x in u.vad) for u in kept if u.vad)
        if outside:
            logger.info("  %d have valence, arousal or dominance outside %g-%g", outside, low, high)


def _check_all_audio(utts: list[Utterance], out: Path, nj: int) -> list[Utterance]:
    """Decode every file and return the utterances with their durations."""
    facts = audio_facts(utts, out, nj)
    problems = [
        f"{u.utt} {u.wav}: {problem}"
        for u, fact in zip(utts, facts, strict=True)
        for problem in fact.problems
    ]
    if problems:
        raise SertlError(
            listing("audio that cannot be used", problems)
            + "\nMend the files, or leave them out by name under `excluded` in corpus.yaml."
        )
    if resampled := Counter(f.sample_rate for f in facts if f.sample_rate != SAMPLE_RATE):
        logger.info("  resampled to 16 kHz when read, files by rate: %s", dict(resampled))
    if several := [u.utt for u, f in zip(utts, facts, strict=True) if f.channels > 1]:
        logger.info(
            "  %d files have several channels, averaged when read: %s%s",
            *(len(several), ", ".join(several[:5]), " …" if len(several) > 5 else ""),
        )
    same: dict[str, list[str]] = {}
    for u, fact in zip(utts, facts, strict=True):
        same.setdefault(fact.sha1, []).append(u.utt)
    for ids in same.values():
        if len(ids) > 1:
            more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
            logger.warning("  identical audio: %s%s", ", ".join(ids[:SHOWN]), more)
    return [replace(u, dur_sec=fact.dur_sec) for u, fact in zip(utts, facts, strict=True)]
