# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""eSpeak NG as a Python object, through ctypes and the library inside the espeakng-loader wheel.

No program is started and nothing is installed: text goes in, 16 kHz samples come out, at some
hundred times real time. eSpeak NG is GPL-3.0 software; it is called here, not shipped.
"""

import ctypes

import numpy as np

from sertl.errors import SertlError

SAMPLE_RATE = 16000  # Hz, of what say() returns

# Values of the enumerations in eSpeak NG's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4

_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """The synthesiser; one per process.

    eSpeak NG is a library with global state, and it carries the phase of its oscillators from one
    call to the next. The samples of a sentence therefore depend on what was said before in the
    same process: equal bytes need the same calls in the same order, from a fresh process.

    Raises:
        SertlError: If the wheel is not installed or its library does not start.
        RuntimeError: If the process already has one, as its samples would not be repeatable.
    """

    _exists = False

    def __init__(self) -> None:
        if Espeak._exists:
            raise RuntimeError("a second Espeak in one process would not give repeatable samples")
        try:
            import espeakng_loader
        except ImportError as error:
            raise SertlError(
                "the eSpeak NG wheel is missing; install it with: pip install 'sertl[mini]'"
            ) from error
        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        self._rate_hz = self._lib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data.encode(), 0)
        if self._rate_hz <= 0:
            raise SertlError(f"eSpeak NG does not start with the data in {data}; reinstall it")
        self._lib.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath noise: seeded by time otherwise
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self.version = self._lib.espeak_Info(None).decode()
        self._chunks: list[np.ndarray] = []
        self._callback = _CALLBACK(self._receive)  # kept: the library holds only a pointer to it
        self._lib.espeak_SetSynthCallback(self._callback)
        Espeak._exists = True

    def _receive(self, wav, num_samples: int, _events) -> int:
        if wav and num_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(wav, (num_samples,)).copy())
        return 0  # go on

    def say(
        self,
        text: str,
        voice: str,
        rate_wpm: int = 175,
        pitch: int = 50,
        pitch_range: int = 50,
        volume: int = 60,
    ) -> np.ndarray:
        """Speak text.

        Args:
            text: Words and punctuation.
            voice: Language and variant, e.g. "en-us+f1".
            rate_wpm: Words per minute, 80..450.
            pitch: Base pitch, 0..99.
            pitch_range: 0 (monotone)..99.
            volume: 0..200; above 100 loud voices clip.

        Returns:
            (N,) float32 in [-1, 1], 16 kHz.

        Raises:
            SertlError: If eSpeak NG knows no such voice.
        """
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise SertlError(f"eSpeak NG {self.version} has no voice '{voice}'")
        settings = ((_RATE, rate_wpm), (_VOLUME, volume), (_PITCH, pitch), (_RANGE, pitch_range))
        for name, value in settings:
            self._lib.espeak_SetParameter(name, int(value), 0)
        self._chunks.clear()
        data = text.encode()
        status = self._lib.espeak_Synth(
            data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if status != 0 or not self._chunks:
            raise SertlError(f"eSpeak NG gave no sound for {text!r} in voice '{voice}'")
        from scipy.signal import resample_poly  # a second to import; not all callers come here

        samples = np.concatenate(self._chunks).astype(np.float64) / 32768.0
        wav = resample_poly(samples, SAMPLE_RATE, self._rate_hz)
        return np.clip(wav, -1.0, 1.0).astype(np.float32)
