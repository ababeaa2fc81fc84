"""Writes scikit-learn.json: scores and labels of two classes, several classes and a regression, and what scikit-learn 1.9.1 and
NumPy 2.4.6 say about them. The same bytes on every run.

    python3 -m venv v && v/bin/pip install scikit-learn==1.9.1 numpy==2.4.6 && v/bin/python make.py
"""

import json
import pathlib
import warnings

import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")  # of one class: what it gives is what is compared
rng = np.random.default_rng(14)


def number(value):
    return None if np.isnan(value) else float(value)


def binary(name, labels, scores):
    labels, scores = np.asarray(labels), np.asarray(scores, dtype=float)
    hard = (scores > 0.5).astype(int)
    both = len(set(labels)) == 2
    fpr, tpr, _ = metrics.roc_curve(labels, scores) if both else (np.array([np.nan]), np.array([np.nan]), None)
    by_threshold = []
    for threshold in np.arange(0, 100, 9) / 100:
        above = (scores > threshold).astype(int)
        tn, fp, fn, tp = (int(n) for n in metrics.confusion_matrix(labels, above, labels=[0, 1]).ravel())
        by_threshold.append({
            "threshold": float(threshold), "tp": tp, "fp": fp, "fn": fn, "tn": tn,
            "accuracy": metrics.accuracy_score(labels, above),
            "precision": float(metrics.precision_score(labels, above, zero_division=1)),
            "recall": float(metrics.recall_score(labels, above, zero_division=0)),
            "f1": float(metrics.f1_score(labels, above, zero_division=0)),
        })
    return {
        "name": name, "labels": labels.tolist(), "scores": scores.tolist(),
        "auc": number(metrics.roc_auc_score(labels, scores)) if both else None,
        "ks": number(np.max(tpr - fpr)),
        "binary_accuracy": metrics.accuracy_score(labels, hard),
        "binary_precision": float(metrics.precision_score(labels, hard, zero_division=0)),
        "binary_recall": float(metrics.recall_score(labels, hard, zero_division=0)),
        "binary_f1_score": float(metrics.f1_score(labels, hard, zero_division=0)),
        "by_threshold": by_threshold,
    }


def drawn(rows, decimals=None, rate=0.3):
    labels = (rng.random(rows) < rate).astype(int)
    scores = 1 / (1 + np.exp(-(rng.normal(size=rows) + labels - 0.5)))
    return labels, scores if decimals is None else np.round(scores, decimals)


def multi(name, labels, predicted):
    return {
        "name": name, "labels": [int(n) for n in labels], "predicted": [int(n) for n in predicted],
        "multi_accuracy": metrics.accuracy_score(labels, predicted),
        "multi_precision": float(metrics.precision_score(labels, predicted, average="micro")),
        "multi_recall": float(metrics.recall_score(labels, predicted, average="micro")),
        "multi_f1_score": float(metrics.f1_score(labels, predicted, average="micro")),
    }


def regression(name, labels, predicted):
    labels, predicted = np.asarray(labels, dtype=float), np.asarray(predicted, dtype=float)
    return {
        "name": name, "labels": labels.tolist(), "predicted": predicted.tolist(),
        "mae": metrics.mean_absolute_error(labels, predicted),
        "mse": metrics.mean_squared_error(labels, predicted),
        "rmse": metrics.root_mean_squared_error(labels, predicted),
        "r2_score": number(metrics.r2_score(labels, predicted)),
    }


truth = rng.normal(size=400)
classes = rng.integers(0, 4, size=300)
guessed = np.where(rng.random(300) < 0.7, classes, rng.integers(0, 4, size=300))
cases = {
    "binary": [
        binary("distinct", *drawn(700)),
        binary("ties", *drawn(700, 1)),
        binary("rare", *drawn(500, 2, 0.01)),
        binary("all equal", rng.integers(0, 2, 50), np.full(50, 0.5)),
        binary("right", [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        binary("wrong", [1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]),
        binary("negative scores", *(lambda l, s: (l, 4 * s - 2))(*drawn(300, 2))),
        binary("only positive", np.ones(30, dtype=int), rng.random(30)),
        binary("only negative", np.zeros(30, dtype=int), rng.random(30)),
        binary("two rows", [0, 1], [0.5, 0.5]),
    ],
    "multi": [multi("four classes", classes, guessed), multi("all right", [0, 1, 2], [0, 1, 2])],
    "regression": [
        regression("drawn", truth, truth + rng.normal(scale=0.3, size=400)),
        regression("far from zero", 1e7 + truth, 1e7 + truth * 0.9),
        regression("no spread", [2.0, 2.0, 2.0], [2.0, 2.5, 2.0]),
        regression("no spread, right", [2.0, 2.0], [2.0, 2.0]),
        regression("one row", [1.0], [1.5]),
    ],
}
path = pathlib.Path(__file__).with_name("scikit-learn.json")
path.write_text(json.dumps(cases, indent=None, separators=(",", ":")).replace('},{"name"', '},\n{"name"') + "\n")
