"""Writes scores.csv (predictions of a logistic regression on scikit-learn's copy of the breast cancer data, half of the rows to
train and half to test) and expected.json (what scikit-learn 1.9.1 says about them). The same bytes on every run.

    python3 -m venv v && v/bin/pip install scikit-learn==1.9.1 && v/bin/python make_data.py
"""

import csv
import json
import pathlib

import numpy as np
from sklearn import datasets, linear_model, metrics, preprocessing

here = pathlib.Path(__file__).parent
data = datasets.load_breast_cancer()
label = 1 - data.target  # 1 is malignant, as in examples/breast
columns = preprocessing.scale(data.data[:, :3])
train = np.random.default_rng(14).random(len(label)) < 0.5
model = linear_model.LogisticRegression().fit(columns[train], label[train])
score = np.round(model.predict_proba(columns)[:, 1], 3)  # so that some are equal

with open(here / "scores.csv", "w", newline="") as file:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["id", "label", "predict_score", "predict_result", "type"])
    for i, (y, s, t) in enumerate(zip(label, score, train)):
        rows.writerow([f"p{i + 1:04}", y, s, int(s > 0.5), "train_set" if t else "test_set"])

expected = {}
for name, chosen in [("train_set", train), ("test_set", ~train)]:
    y, s = label[chosen], score[chosen]
    fpr, tpr, _ = metrics.roc_curve(y, s)
    hard = (s > 0.5).astype(int)
    expected[name] = {
        "auc": metrics.roc_auc_score(y, s), "ks": float(np.max(tpr - fpr)),
        "binary_accuracy": metrics.accuracy_score(y, hard), "binary_precision": metrics.precision_score(y, hard),
        "binary_recall": metrics.recall_score(y, hard), "binary_f1_score": metrics.f1_score(y, hard),
        "multi_accuracy": metrics.accuracy_score(y, hard),
        "rmse": metrics.root_mean_squared_error(y, s), "mae": metrics.mean_absolute_error(y, s),
        "r2_score": metrics.r2_score(y, s),
    }
(here / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
