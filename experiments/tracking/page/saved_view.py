"""Saved views of MLflow's page: the trials of a sweep by variant, all drawn, with the sweep's metric first.

MLflow 3.17 keeps a view as a tag of the experiment: `mlflow.sharedViewState.ID`, with a JSON envelope around the
page's state, which may be compressed. It has no interface for it: the format is that of
`mlflow/server/js/src/experiment-tracking/utils/savedViews`, as the page's script reads it. A page that cannot read a
view opens as it would without.
"""

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from analysis.store.uri import is_database, shown_uri
from experiments.tracking.names import NAME_TAG
from ottt.schema import METRICS, Tag, metric

VARIANTS, TRIALS = "variants", "trials"  # ids of the views, as in their links
LONGEST = 5000  # characters of the tag that a database holds

_PREFIX = "mlflow.sharedViewState."
_GROUPS = ("val", "test", "train", "rate", "energy", "optim", "time", "perf", "mem")  # of metrics, in this order
_COLUMNS = 2  # of charts
_USUAL_TIME = 0  # a view's age is of no interest: equal views are equal tags


def view_tags(sweep_metric: str) -> dict[str, str]:
    """The tags of an experiment with a view by variant, whose lines are means over seeds, and one with every trial."""
    return {
        f"{_PREFIX}{VARIANTS}": _envelope("Variants: means over seeds", _state(sweep_metric, means=True)),
        f"{_PREFIX}{TRIALS}": _envelope("Trials: every seed", _state(sweep_metric, means=False)),
    }


def has_view(tags: Mapping[str, str]) -> bool:
    """Whether an experiment with these tags has the view by variant."""
    return f"{_PREFIX}{VARIANTS}" in tags


def view_link(page: str, experiment: str, view: str = VARIANTS) -> str:
    """The link to a view: charts, and the list of runs beside them.

    Args:
        page: address of MLflow's page.
        experiment: id of the experiment.
        view: id of the view.
    """
    return f"{page}/#/experiments/{experiment}/runs?compareRunsMode=CHART&viewStateShareKey={view}"


def page_of(store: str, *, served: str) -> str | None:
    """Address of the page of a store: the server itself, or `served` for a database; None for any other store."""
    if urlsplit(store).scheme in ("http", "https"):
        return shown_uri(store).rstrip("/")
    return served if is_database(store) else None


def _envelope(name: str, state: Mapping[str, Any]) -> str:
    compressed = f"deflate;{b64encode(zlib.compress(json.dumps(state).encode(), 9)).decode()}"
    return json.dumps({"name": name, "createdAt": _USUAL_TIME, "updatedAt": _USUAL_TIME, "state": compressed})


def _state(sweep_metric: str, *, means: bool) -> dict[str, Any]:
    """The page's state; what is left out has MLflow's default."""
    groups = sorted(_GROUPS, key=lambda group: group != sweep_metric.partition("/")[0])
    return {
        "searchFilter": f"tags.`{Tag.KIND}` = 'trial'",
        "orderByKey": f"metrics.`{sweep_metric}`",
        "orderByAsc": metric(sweep_metric).better == "lower",
        "selectedColumns": [f"metrics.`{name}`" for name in dict.fromkeys((sweep_metric, "test/top1"))]
        + ["attributes.`User`", "attributes.`Source`"],
        "runsHiddenMode": "SHOW_ALL",  # not the first ten only
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": NAME_TAG}]},
        "useGroupedValuesInCharts": means,
        "isAccordionReordered": True,  # else the sections of charts are sorted by name
        "compareRunSections": [
            {
                "uuid": group,
                "name": group,
                "display": True,
                "isReordered": False,
                "isGenerated": True,
                "columns": _COLUMNS,
            }
            for group in groups
        ],
        "compareRunCharts": [
            _chart(name) for name in sorted(METRICS, key=lambda name: (name != sweep_metric, "top" not in name))
        ],
    }


def _chart(name: str) -> dict[str, Any]:
    """A chart of a metric by epoch; those without data are not shown."""
    group, _, shown = name.partition("/")
    return {
        "type": "LINE",
        "uuid": name,
        "metricKey": name,
        "displayName": shown,
        "metricSectionId": group,
        "deleted": False,
        "isGenerated": True,
        "lineSmoothness": 0,
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
        "runsCountToCompare": 10,
    }
