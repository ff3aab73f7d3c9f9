# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""What submitit hands to a node: a command, which is started again after a timeout."""

from submitit.helpers import CommandFunction, DelayedSubmission


class ResumedCommand(CommandFunction):
    """A command that goes on by itself where it was, as every stage of sertl does."""

    def checkpoint(self, *args: object, **kwargs: object) -> DelayedSubmission:
        """Called by submitit before the time is over: the same command again."""
        return DelayedSubmission(self, *args, **kwargs)
