# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Is this machine fit to run sertl? Each check says what it found and what to do, in words.

Nothing heavy is imported above the functions: the doctor has to start where half of the packages
are broken.
"""
