# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Backend `opensmile`: functionals of acoustic descriptors, one vector for a whole clip.

A clip has a single frame, so pooling is the identity; meant for the method `linear`. The package is
an extra (pip install 'sertl[opensmile]') under a licence of its own: free for research and
education, not for products.

Source:
    Eyben, Wöllmer, Schuller, "openSMILE - the Munich versatile and fast open-source audio feature
    extractor", ACM Multimedia 2010; Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set
    (GeMAPS)", IEEE Transactions on Affective Computing 7(2), 2016.
"""

import torch
import torch.nn.functional as F

from sertl.errors import SertlError, unknown_name
from sertl.upstream.build import BACKENDS
from sertl.upstream.encoder import Upstream

SETS = ("eGeMAPSv02", "GeMAPSv01b", "ComParE_2016", "emobase")
MIN_SAMPLES = 4000  # 0.25 s: below, some functionals have too few frames


def load():
    """The package.

    Raises:
        SertlError: If it is not installed.
    """
    try:
        import opensmile
    except ImportError as error:
        raise SertlError(
            f"openSMILE cannot be imported ({error}); pip install 'sertl[opensmile]' (its licence: "
            "research and education only)"
        ) from error
    return opensmile


class OpensmileUpstream(Upstream):
    """Functionals of a feature set.

    Args:
        feature_set: One of SETS.
        stride: Of the conf; longer than any clip, as there is one frame.
    """

    def __init__(self, feature_set: str, stride: int):
        package = load()
        chosen = getattr(package.FeatureSet, feature_set)
        extractor = package.Smile(
            chosen, package.FeatureLevel.Functionals, num_workers=1, sampling_rate=16000
        )
        super().__init__(1, len(extractor.feature_names), stride)
        self.extractor = extractor
        self.freeze()

    def encode(self, clips, layers, mask=None):
        if mask is not None:
            raise SertlError("openSMILE's functionals have no frames that could be masked")
        rows = []
        for clip in clips:
            wav = F.pad(clip, (0, max(0, MIN_SAMPLES - len(clip)))).cpu().numpy()
            found = torch.from_numpy(self.extractor.process_signal(wav, 16000).to_numpy().copy())
            if not found.isfinite().all():
                raise SertlError(f"openSMILE gives no finite functionals of {len(clip)} samples")
            rows.append(found.float()[0])
        return {0: torch.stack(rows)[:, None].to(clips[0].device)}, [1] * len(clips)


@BACKENDS.register("opensmile")
class OpensmileBackend:
    """extra_conf.feature_set chooses the set."""

    @staticmethod
    def entry(conf: dict) -> str:
        feature_set = conf["extra_conf"].get("feature_set")
        if feature_set not in SETS:
            raise SertlError(f"extra_conf, {unknown_name('feature_set', str(feature_set), SETS)}")
        if conf["ckpt"] is not None:
            raise SertlError("openSMILE has no checkpoint; leave --ckpt out")
        return f"opensmile:{load().__version__}"

    @staticmethod
    def build(conf: dict) -> OpensmileUpstream:
        return OpensmileUpstream(conf["extra_conf"]["feature_set"], conf["stride"])
