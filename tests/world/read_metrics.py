"""Reads OpenMetrics text with Prometheus' own library, which refuses what is not exactly that; writes JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

samples = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, f"{family.name} has no help"
    for sample in family.samples:
        labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
        samples[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
json.dump(samples, sys.stdout)
