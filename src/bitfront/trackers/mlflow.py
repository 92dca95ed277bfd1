"""MLflow: a run of an experiment, in the store that MLFLOW_TRACKING_URI names or MLflow takes by itself."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from bitfront.trackers.base import Ending, Session, Setting, Tracker, library

_METRICS, _PARAMS = 1000, 100  # most of each that MLflow takes at a time
_LONGEST = 6000  # characters of a parameter that MLflow keeps

_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


def mlflow() -> Tracker:
    """InputError where neither mlflow nor mlflow-skinny is installed."""
    return MLflow(library("mlflow", "mlflow", "mlflow-skinny"))


class MLflow:
    """Settings are parameters, figures are metrics by step, files are artifacts. Its identity is the run's id.

    The client's own functions are used, not the current run of the module: that one is the user's.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it makes
        logging.getLogger("alembic").setLevel(logging.WARNING)
        self._client: Any = None
        self._run = ""
        self._held: list[Any] = []
        self._step = -1
        self._has = -1  # the last step that the store has

    def begin(self, session: Session) -> str:
        self._client = self._library.MlflowClient()
        if session.identity and self._goes_on(session.identity):
            return session.identity
        run = self._client.create_run(self._experiment(), run_name=session.name)
        self._run = run.info.run_id
        settings = [self._parameter(*setting) for setting in session.settings.items()]
        for start in range(0, len(settings), _PARAMS):
            self._client.log_batch(self._run, params=settings[start : start + _PARAMS])
        return self._run

    def _goes_on(self, run: str) -> bool:
        """Take up a run again, unless it was deleted or the store is another one."""
        try:
            found = self._client.get_run(run)
        except self._library.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        if found.info.lifecycle_stage != "active":
            return False
        self._run = run
        # A killed sitting may have written more than it could say.
        histories = [self._client.get_metric_history(run, name) for name in found.data.metrics]
        self._has = max((metric.step for history in histories for metric in history), default=-1)
        self._client.update_run(run, status="RUNNING")
        return True

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "bitfront")
        found = self._client.get_experiment_by_name(name)
        return self._client.create_experiment(name) if found is None else found.experiment_id

    def _parameter(self, name: str, value: Setting) -> Any:
        return self._library.entities.Param(name, str(value)[:_LONGEST])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._step = step
        if step > self._has:
            self._hold(step, values)

    def _hold(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self._held += [
            self._library.entities.Metric(name, value, now, step) for name, value in values.items()
        ]

    def flush(self) -> None:
        while self._held:
            self._client.log_batch(self._run, metrics=self._held[:_METRICS])
            del self._held[:_METRICS]

    def finish(self, ending: Ending) -> None:
        self._hold(max(self._step, self._has, 0), ending.summary)
        self.flush()
        for path in ending.files:
            self._client.log_artifact(self._run, str(path))
        self._client.set_terminated(self._run, _STATUS[ending.status])
