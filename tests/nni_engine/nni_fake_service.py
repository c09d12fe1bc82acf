"""A training service in this process: counts, limits and resumes as NNI 3.0's does.

It makes one pass over its jobs whenever somebody asks for them, so tests need no clock.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.execution import TrainingServiceExecutionEngine
from nni.nas.space import SimplifiedModelSpace
from nni.utils import MetricType
from nni_helpers import SmallSpace, metrics_of

from nas_plugins.nni import NNIStrategy

LIVE = ("WAITING", "RUNNING", "ADD_RESUMED")


class Killed(BaseException):
    """The search ends here and now."""


class Node:
    """The service with its database, which outlives a search.

    Args:
        limit: ``max_trial_number`` of the experiment, which counts jobs.
        concurrency: Jobs that run at once.
        stalls_at: Jobs after which it does nothing more and says it is done, so that some will
            never end, as by a limit on the time.
    """

    def __init__(
        self, limit: int | None, *, concurrency: int = 2, stalls_at: int | None = None
    ) -> None:
        self.config = SimpleNamespace(max_trial_number=limit)
        self.limit = limit
        self.concurrency = concurrency
        self.stalls_at = stalls_at
        self.stalled = False
        self.jobs: list[SimpleNamespace] = []
        self.waiting: list[SimpleNamespace] = []
        self.status = "RUNNING"
        self.passes_left: int | None = None
        self.engine: Service | None = None

    # -- what NNI's engine and the strategy ask --------------------------------------------

    def get_status(self) -> str:
        self._time_goes_on()
        return "DONE" if self.stalled else self.status

    def list_trial_jobs(self) -> list[SimpleNamespace]:
        self._time_goes_on()
        return list(self.jobs)

    def get_experiment_profile(self) -> dict[str, Any]:
        return {"params": {"maxTrialNumber": self.limit}}

    def update_max_trial_number(self, limit: int) -> None:
        self.limit = limit

    def send_trial(self, parameter_id: int, parameters: Any, placement_constraint: Any) -> None:
        found = SimpleNamespace(parameter_id=parameter_id, parameters=parameters)
        self.waiting.append(self._job(found))

    # -- what the tests do -----------------------------------------------------------------

    def attach(self) -> Service:
        """Starts a search, or resumes it: jobs that were running run again."""
        self.waiting = []
        for job in self.jobs:
            if job.status in ("WAITING", "RUNNING"):
                job.status = "ADD_RESUMED"
                self.waiting.append(job)
        self.status = "RUNNING"
        self.engine = Service(self)
        return self.engine

    def cancel(self) -> None:
        """Ends what runs, as a service does that is stopped."""
        for job in self.jobs:
            if job.status in LIVE:
                job.status = "USER_CANCELED"

    def _job(self, parameters: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(
            trialJobId="", status="", hyperParameters=[parameters], finalMetricData=None
        )

    def _time_goes_on(self) -> None:
        if self.passes_left is not None:
            self.passes_left -= 1
            if self.passes_left < 0:
                raise Killed
        self._pass()

    def _pass(self) -> None:
        assert self.engine is not None
        self.stalled = self.stalled or len(self.jobs) == self.stalls_at
        if self.stalled:
            return
        running = [job for job in self.jobs if job.status == "RUNNING"]
        for job in running:
            job.passes_left -= 1
        ended = [job for job in running if job.passes_left == 0]
        for job in ended:
            self._end(job)
        queued = sum(job in self.jobs for job in self.waiting)
        submitted = len(self.jobs) - queued
        if self.limit is not None and submitted >= self.limit:
            self.status = "NO_MORE_TRIAL" if len(running) > len(ended) else "DONE"
            return
        self.status = "RUNNING"
        self.engine._workers += len(ended)
        for _ in range(self.concurrency - len(running) + len(ended)):
            if not self.waiting or (self.limit is not None and submitted >= self.limit):
                return
            job = self.waiting.pop(0)
            job.status = "RUNNING"
            job.passes_left = 1 + job.hyperParameters[0].parameter_id % 3
            if job not in self.jobs:
                job.trialJobId = f"job{len(self.jobs)}"
                self.jobs.append(job)
            submitted += 1

    def _end(self, job: SimpleNamespace) -> None:
        assert self.engine is not None
        (parameters,) = job.hyperParameters
        metrics = metrics_of(parameters.parameters.sample)
        job.finalMetricData = [SimpleNamespace(data=metrics)]
        job.status = "SUCCEEDED"
        told = SimpleNamespace(
            parameter_id=parameters.parameter_id,
            parameter_ids=[parameters.parameter_id],
            trial_job_id=job.trialJobId,
            type=MetricType.FINAL,
            value=metrics,
            event=job.status,
        )
        self.engine._report_metric_data_callback(told)
        self.engine._trial_end_callback(told)


class Service(TrainingServiceExecutionEngine):
    """NNI's engine, connected to a `Node` instead of a process."""

    def __init__(self, node: Node) -> None:
        super(TrainingServiceExecutionEngine, self).__init__()
        self.nodejs_binding = node
        self.fetch_intermediates = False
        self._models = {}
        self._submitted_cache = {}
        self._current_parameter_id = None
        self._workers = node.concurrency
        self._channel = node
        self._stopped = False


def unused(model: Any) -> None:
    """Evaluates nothing: the node does."""


def search(
    strategy: NNIStrategy, node: Node, *, state: Any = None, passes: int | None = None
) -> NNIStrategy:
    """Runs a strategy on the node, or resumes it with the `state` of a checkpoint.

    Args:
        strategy: Searches.
        node: The service.
        state: What a checkpoint holds.
        passes: The node's passes after which the search is killed.
    """
    engine = node.attach()
    models = SimplifiedModelSpace.from_model(SmallSpace(), FunctionalEvaluator(unused))
    strategy.initialize(models, engine)
    node.passes_left = passes
    try:
        if state is not None:
            strategy.load_state_dict(state)
        strategy.run()
    except Killed:
        pass
    node.passes_left = None
    return strategy
