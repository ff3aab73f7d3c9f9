# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""A predictor without a network: loud is angry, soft is sad. And speech-like test signals."""

import threading

import numpy as np

from sertl.use.prediction import averaged

CLASSES = {"emo": ["ang", "sad"]}
RATE = 16000


class FakePredictor:
    """Remembers what it was asked."""

    def __init__(self, remembers=False, slow=None):
        self.labels, self.remembers, self.slow = CLASSES["emo"], remembers, slow
        self.asked, self.kept, self._turn = [], [], threading.Lock()
        self.entered = threading.Event()

    def predict(self, wavs, speakers=None, vectors=False, remember=True):
        self.entered.set()
        if self.slow is not None:
            self.slow.wait()
        with self._turn:
            self.asked.append([len(w) for w in wavs])
            if remember and speakers is not None:
                self.kept += [s for s in speakers if s is not None]
        found = []
        for wav in wavs:
            wav = np.asarray(wav)
            loud = float(np.clip(np.sqrt(np.square(wav).mean()) / 0.2, 0, 1))
            vector = np.array([loud, 1.0], np.float32) if vectors else None
            probs = [{"emo": np.array([loud, 1 - loud])}]
            found.append(averaged(CLASSES, probs, (), None, len(wav) / RATE, vector))
        return found


def voice(sec, level=0.2, seed=0):
    """Voiced-like sound: harmonics of 120 Hz with a syllable rhythm, and breath."""
    t = np.arange(int(sec * RATE)) / RATE
    rng = np.random.default_rng(seed)
    sound = sum(np.sin(2 * np.pi * 120 * k * t + k) / k for k in range(1, 25))
    sound = sound * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)) + 0.1 * rng.standard_normal(len(t))
    return (level * sound / sound.std()).astype(np.float32)


def hush(sec, seed=1):
    """A silent room."""
    return (1e-4 * np.random.default_rng(seed).standard_normal(int(sec * RATE))).astype(np.float32)
