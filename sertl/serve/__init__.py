# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Trained models over HTTP and WebSocket, and a page to try them."""
