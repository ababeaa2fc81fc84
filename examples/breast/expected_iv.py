"""Computes the expected results of the binning jobs from the plain, joined tables, and writes expected_iv.json.

It shares only the definitions with the product, so that an end-to-end test can compare the two:

- n joined rows; the cut points of a column are its values at ranks ceil(k * n / 10), k = 1..10, equal ones once
- a bin holds the values <= its cut point and > the one before
- event = label 1; with e_i, n_i events and non-events in bin i and E, N in all, event_rate_i = e_i / E and
  non_event_rate_i = n_i / N, where 0.5 is first added to both counts if one of them is zero
- woe_i = ln(event_rate_i / non_event_rate_i); iv_i = (event_rate_i - non_event_rate_i) * woe_i; iv = sum over all bins

    python expected_iv.py        (needs numpy; made with 2.4.6)
"""

import csv
import json
import re
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
BINS = 10
ADJUSTMENT = 0.5


def read(name):
    """id -> {column: text}."""
    with open(HERE / name, encoding="utf-8", newline="") as file:
        return {row.pop("id"): row for row in csv.DictReader(file)}


def binning(values, label):
    """Cut points and the metrics of one column."""
    n = len(values)
    ranks = [-(-k * n // BINS) for k in range(1, BINS + 1)]
    cuts = np.unique(np.sort(values)[[rank - 1 for rank in ranks]])
    bins = np.searchsorted(cuts, values, side="left")
    event = np.bincount(bins[label == 1], minlength=len(cuts))
    non_event = np.bincount(bins[label == 0], minlength=len(cuts))
    added = np.where((event == 0) | (non_event == 0), ADJUSTMENT, 0)  # no bin of these cut points is empty
    event_rate = (event + added) / event.sum()
    non_event_rate = (non_event + added) / non_event.sum()
    woe = np.log(event_rate / non_event_rate)
    iv = (event_rate - non_event_rate) * woe
    steps = np.diff(woe)
    return {
        "split_points": cuts.tolist(),
        "event_count": event.tolist(),
        "non_event_count": non_event.tolist(),
        "woe": woe.tolist(),
        "iv_array": iv.tolist(),
        "iv": float(iv.sum()),
        "is_monotonic": bool(np.all(steps >= 0) or np.all(steps <= 0)),
    }


def expected(files):
    """The metrics of every column of every party, on the rows that all have."""
    tables = {name: read(name) for name in files}
    common = sorted(set.intersection(*(set(table) for table in tables.values())))
    label = np.array([int(tables["guest.csv"][row]["y"]) for row in common])
    result = {"rows": len(common), "events": int(label.sum()), "files": {}}
    for name, table in tables.items():
        columns = [column for column in table[common[0]] if column != "y"]
        values = {column: np.array([float(table[row][column]) for row in common]) for column in columns}
        result["files"][name] = {column: binning(values[column], label) for column in columns}
    return result


jobs = {
    "job.yaml": expected(["guest.csv", "host.csv"]),
    "job-two-hosts.yaml": expected(["guest.csv", "host_a.csv", "host_b.csv"]),
}
text = json.dumps(jobs, indent=1)
text = re.sub(r"\[[^\[\]]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # a list of numbers on one line
(HERE / "expected_iv.json").write_text(text + "\n", encoding="utf-8", newline="\n")
for name, job in jobs.items():
    print(f"{name}: {job['rows']} rows, {job['events']} events")
