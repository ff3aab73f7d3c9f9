# Copyright 2026 sertl contributors. Licensed under the Apache License, Version 2.0.
"""Which update's weights are kept, and when there is no use in going on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sertl.errors import SertlError
from sertl.train.saved_state import State
from sertl.train.settings import LOWER, SELECT


@dataclass(frozen=True)
class Choice:
    """Keeps the best update by a score on dev, or the last.

    Attributes:
        select: A key of settings.SELECT.
        patience: Looks at dev without a better one, after which training ends; 0 for no such end.
    """

    select: str
    patience: int = 0

    def better(self, state: State, values: Mapping[str, float]) -> bool:
        """Whether scores on dev are better than the best so far.

        Raises:
            SertlError: If the model has no such score.
        """
        metric, tie = SELECT[self.select]
        if metric is None:
            return False
        if metric not in values:
            raise SertlError(
                f"select: the model gives no dev {metric}, only {sorted(values)}; choose by "
                "one of these (--set <phase>.select=…)"
            )
        value, best = values[metric], state.best
        if best is None or math.isnan(best):  # NaN is no score to beat
            return True
        if value == best and tie is not None:
            return values[tie] < state.best_tie
        return value < best if metric in LOWER else value > best  # a tie keeps the earlier

    def keeps(self, state: State, values: Mapping[str, float], at_end: bool) -> bool:
        """Whether the model as it is now is kept; the state says since when.

        Args:
            state: best… and stale are those of the model that is kept; finished once patience is
                spent.
            values: Scores on dev.
            at_end: Whether this is the last update.
        """
        metric, tie = SELECT[self.select]
        kept = at_end if metric is None else self.better(state, values)
        if kept:
            state.best = None if metric is None else values[metric]
            state.best_tie = values.get(tie or "")
            state.best_update = state.update
            state.best_epoch = state.epoch if state.update else 0
        if metric is not None:
            state.stale = 0 if kept else state.stale + 1
            state.finished = bool(self.patience) and state.stale >= self.patience
        return kept
