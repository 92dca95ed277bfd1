"""The metrics that are measured in a runtime."""

from __future__ import annotations

from bitfront.latency.protocol import REPEATABILITY
from bitfront.metric import Metric

MEASURED: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("latency", "ms", "min", REPEATABILITY),
        Metric("latency_p95", "ms", "min", REPEATABILITY),
        Metric("throughput", "1/s", "max", REPEATABILITY),
    )
}
