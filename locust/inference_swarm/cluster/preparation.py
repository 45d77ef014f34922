"""From the wish for a run to its first user: rows are loaded meanwhile, and the wish may be taken back."""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from inference_swarm.cluster.keepers import RunKeeper
from inference_swarm.errors import SwarmError

logger = logging.getLogger(__name__)
Keeper = TypeVar("Keeper", bound=RunKeeper)


class PreparesRuns(Generic[Keeper]):
    """The part of a master's or a single process's runner that asks its keeper for the rows of a run."""

    keeper: Keeper
    is_preparing = False
    _is_cancelled = False

    def prepare_run(self) -> bool:
        """Whether the run may begin now: its rows are ready, and nobody has stopped it meanwhile."""
        if self.is_preparing:
            logger.info("The run is being prepared already")
            return False
        self.is_preparing, self._is_cancelled = True, False
        try:
            self.keeper.prepare_run()
        except SwarmError as error:
            self.keeper.refuse_run(error)
            return False
        except BaseException:  # the web UI kills the greenlet that starts a run
            self.keeper.forget_run()
            raise
        finally:
            self.is_preparing = False
        if self._is_cancelled:
            logger.info("The run was stopped while it was being prepared")
            self.keeper.forget_run()
            return False
        self.keeper.begin_run()
        return True

    def cancel_preparing(self) -> None:
        """The run that is being prepared, if any, shall not begin."""
        self._is_cancelled = True
