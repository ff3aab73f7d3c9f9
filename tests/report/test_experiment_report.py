# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Stage 9: the files it writes, and what a reader finds in them."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from sertl.errors import SertlError
from sertl.report.curves import layer_weights, wap_weights
from sertl.report.experiment_report import write_report
from sertl.runs import find_runs
from sertl.score.records import read_phases
from sertl.score.scoring import score_experiment

REFERENCE = Path(__file__).resolve().parents[2] / "conf" / "reference_results.yaml"
EXP = "exp/wavlm_probe"


class Page(HTMLParser):
    """What a page links to, shows and says."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert tag not in ("script", "link", "iframe")
        self.links += [attrs[key] for key in ("href", "src") if key in attrs]
        if tag == "img":
            self.images.append(attrs)
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def score_all(exp=EXP):
    for name in ("dev", "test"):
        score_experiment(exp, name, [], [])


@pytest.fixture
def no_plots(monkeypatch):
    """Drawing takes most of the time of a report; one test looks at the figures."""
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "png")
    for module in ("plots", "curves"):
        monkeypatch.setattr(f"sertl.report.{module}.to_png", lambda fig: stream.getvalue())


@pytest.fixture
def full(recipe):
    """A recipe with every output; two seeds, three folds; diagnostics in one fold."""
    fake = recipe(corpus="iemocap", num_sessions=3, utts_per_spk=8)
    exp = fake.write_exp(seeds=(1, 2), folds=(1, 2, 3), epochs=4)
    phase = exp / "seed1" / "fold2" / "main"
    found = [{"kind": "diagnostics", "update": u, "perplexity": 9.0 * u} for u in (1, 2)]
    with open(phase / "log.jsonl", "a", encoding="utf-8") as stream:
        stream.write("".join(json.dumps(entry) + "\n" for entry in found))
        stream.write('{"kind": "dev", "ep')  # a kill in the middle of a line
    table = {"kind": "table", "title": "Clusters", "text": "Uses **most** of `K` <script>"}
    table |= {"header": ["k", "n", "share", "none"], "rows": [["a", 9, 0.12345, None]]}
    times = {"kind": "timelines", "title": "Over time", "frame_sec": 0.02}
    times["rows"] = [{"name": "layer1_k4", "clusters": 4}]
    times["panels"] = [{"title": "x (ang)", "labels": [[0, 0, 3, 1]]}]
    panel = {"title": "With emotion", "lines": {"K = 4": [[1, 0.2], [3, 0.4]]}}
    lines = {"kind": "lines", "title": "Quality", "axes": ["layer", "NMI"], "panels": [panel]}
    points = {"kind": "scatter", "title": "Utterances by", "axes": ["first", "second"]}
    points |= {"points": [[0.0, 1.0], [1.0, 0.0]], "groups": {"emotion": ["ang", "hap"]}}
    (phase / "diagnostics.json").write_text(json.dumps([table, times, lines, points]))
    score_all()
    return fake


def test_full_report(full):
    results = write_report(EXP, reference=REFERENCE, command="./run.sh --stage 9")
    text = Path(EXP, "report.html").read_text(encoding="utf-8")
    page = Page(text)
    words = " ".join(" ".join(page.words).split())

    # self-contained, whole, small, accessible
    assert page.open == []
    assert len(text) < 1_000_000
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert all(f'id="{link[1:]}"' in text for link in page.links if link.startswith("#"))
    # folds, confusion, duration, curves, log's diagnostics, layers; three of diagnostics.json
    assert len(page.images) == 9
    for image in page.images:
        assert len(image["alt"]) > 10
        Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1]))).verify()
    plots = sorted(p.name for p in Path(EXP, "plots").iterdir())
    names = "confusion curves diagnostics duration folds layers"
    assert plots == [f"{n}.png" for n in names.split()]

    # numbers agree between the three files
    ua = results["test"]["metrics"]["ua"]["pooled"]["mean"]
    assert json.loads(Path(EXP, "results.json").read_text()) == json.loads(json.dumps(results))
    markdown = Path(EXP, "RESULTS.md").read_text(encoding="utf-8")
    for found in (words, markdown):
        assert f"UA {100 * ua:.2f} %" in found
        assert "./run.sh --tag wavlm_probe" in found
        assert "./run.sh --stage 9" in found
        assert "0123456789ab" in found
        assert "2026-01-02" not in found  # time stamps of command.txt
        for fold in (1, 2, 3):
            assert results["test"]["groups"][str(fold)] in found
        for part in ("Protocol card", "fold lists (hash)", "gender UA", "CCC valence", "WER"):
            assert part in found
        assert "Mean over folds" in found  # dev, apart
    assert "Warning" not in words
    assert "MISSING" not in words

    # published numbers: near, tag and why are shown; only rows near loso stand with ours
    captions = re.findall(r"^(Beside ours|Not comparable|Comparable with no).*$", markdown, re.M)
    assert captions == ["Beside ours", "Not comparable", "Not comparable", "Comparable with no"]
    ours, others = markdown.index("this run (wavlm_probe)"), markdown.index("Not comparable")
    assert markdown.index("Beside ours: protocol loso") < ours < others
    assert markdown.count("this run (") == 1
    assert markdown[ours:others].count("usc-sail/peft-ser") == 3
    assert "emotion2vec" not in markdown[ours:others]
    assert markdown[ours:others].count("the same method") == 1  # the head of peft-ser
    assert "selected on test" in markdown
    assert "PAPER~" in markdown

    # diagnostics are escaped and rendered
    assert "Uses <strong>most</strong> of <code>K</code> &lt;script&gt;" in text
    assert "main, seed 1, fold 2" in words and "a 9 0.123 –" in words


def test_other_corpus_has_no_published_numbers(recipe, no_plots):
    fake = recipe(num_sessions=3, utts_per_spk=4, rich=False)
    fake.write_exp(seeds=(1,), folds=(1, 2), epochs=2)
    score_all()
    results = write_report(EXP, reference=REFERENCE)
    markdown = Path(EXP, "RESULTS.md").read_text(encoding="utf-8")
    assert "Published" not in markdown
    # one fold of three is missing
    assert results["warnings"] == ["seed 1 lacks fold 3 of 3"]
    assert "**Warning: seed 1 lacks fold 3 of 3**" in markdown
    assert "Warning:" in Path(EXP, "report.html").read_text(encoding="utf-8")


def test_only_attributes_and_no_dev_set(recipe, no_plots):
    """A model without emotion output, under the protocol without a dev set, without a log."""
    fake = recipe(num_sessions=3, utts_per_spk=4, protocol="fixed")
    exp = fake.write_exp(seeds=(1,), folds=(1, 2, 3), epochs=2)
    for fold in (1, 2, 3):
        folder = exp / "seed1" / f"fold{fold}"
        (folder / "main" / "log.jsonl").unlink()
        for name in ("hyp_emo", "labels", "hyp_text", "hyp_gender", "hyp_style"):
            (folder / "decode_test" / name).unlink()
    score_all()
    results = write_report(EXP)
    assert results["headline"].startswith("CCC mean 0.")
    assert results["dev"] is None
    page = Page(Path(EXP, "report.html").read_text(encoding="utf-8"))
    assert [i["alt"].split(":")[0] for i in page.images] == ["Phase main"]  # layer weights
    assert "Development set" not in " ".join(page.words)


def test_warnings_that_change_the_meaning_of_a_number(recipe, no_plots):
    fake = recipe(num_sessions=3, utts_per_spk=4, rich=False)
    exp = fake.write_exp(seeds=(1,), folds=(1, 2, 3), epochs=1)
    for fold in (1, 2, 3):
        path = exp / "seed1" / f"fold{fold}" / "main" / "run.json"
        run = json.loads(path.read_text())
        path.write_text(json.dumps({**run, "transductive": True, "commit": f"c{fold}", "alpha": 8}))
        card = fake.root / f"data/fold{fold}/protocol.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "shared_speakers": fold - 1}))
    score_experiment(EXP, "test", [1, 2], [])
    results = write_report(EXP)
    assert results["warnings"] == [
        "seed 1 lacks fold 3 of 3",
        "not scored: seed 1, fold 3",
        "transductive: unlabelled stages have seen dev and test audio",
        "train and test share speakers (SHARED: fold 2: 1 speakers)",
        "trained at different commits: c1, c2, c3",
    ]
    assert results["card"]["main: alpha"] == "8"  # a key that only this method writes


def test_stale_and_missing_scores(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=4, rich=False)
    fake.write_exp(seeds=(1,), folds=(1, 2, 3), epochs=1)
    with pytest.raises(SertlError, match=r"holds no score_test.json; run stage 8 \(score\) first"):
        write_report(EXP)
    with pytest.raises(SertlError, match="use --set test"):
        write_report(EXP, "dev")
    score_all()
    hyp = Path(EXP, "seed1/fold2/decode_test/hyp_emo")
    hyp.write_text(hyp.read_text().replace("ang", "hap"))
    with pytest.raises(SertlError, match="fold2/score_test.json was made from other predictions"):
        write_report(EXP)


def test_damaged_files_are_named(recipe, no_plots):
    fake = recipe(num_sessions=3, utts_per_spk=4, rich=False)
    fake.write_exp(seeds=(1,), folds=(1, 2, 3), epochs=1)
    score_all()
    log = Path(EXP, "seed1/fold2/main/log.jsonl")
    log.write_text("{\n" + log.read_text())
    with pytest.raises(SertlError, match=r"fold2/main/log.jsonl:1 is damaged: not JSON"):
        write_report(EXP)
    Path(EXP, "seed1/fold1/score_test.json").write_text("{")
    with pytest.raises(SertlError, match=r"fold1/score_test.json is damaged: not JSON"):
        write_report(EXP)


def test_report_of_a_copied_exp_folder(recipe, no_plots, monkeypatch, tmp_path):
    """Without data/ beside it, exp/ is enough."""
    fake = recipe(num_sessions=3, utts_per_spk=4, rich=False)
    fake.write_exp(seeds=(1,), folds=(1, 2, 3), epochs=1)
    score_all()
    moved = tmp_path / "elsewhere"
    (fake.root / "exp").rename(moved)
    monkeypatch.chdir(tmp_path)
    assert write_report(moved / "wavlm_probe")["warnings"] == []


def test_one_layer_is_no_figure(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=2, rich=False)
    exp = fake.write_exp(seeds=(1,), folds=(1,), epochs=1)
    path = exp / "seed1" / "fold1" / "main" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "layer_weights": [1.0]}))
    assert layer_weights(read_phases(exp, find_runs(exp))["main"]) is None


def test_block_weights_of_an_adapter_are_shown(recipe):
    fake = recipe(num_sessions=3, utts_per_spk=2, rich=False)
    exp = fake.write_exp(seeds=(1,), folds=(1,), epochs=1)
    assert wap_weights(read_phases(exp, find_runs(exp))["main"]) is None
    path = exp / "seed1" / "fold1" / "main" / "run.json"
    run = {**json.loads(path.read_text()), "wap_weights": [0.2, 0.3, 0.5]}
    path.write_text(json.dumps(run))
    score_all()
    write_report(exp)
    text = (exp / "report.html").read_text()
    assert "mean wap weights 1: 0.200, 2: 0.300, 3: 0.500" in text
