"""Makes guest.csv, host.csv, host_a.csv and host_b.csv from the breast cancer data that scikit-learn ships.

Run it from anywhere, in an environment with scikit-learn (made with 1.9.1):

    python make_data.py

Which rows a party has, its row order and the ids come from SHA-256 of the row number, not from a random generator: the
files are the same bytes with every version of Python and numpy.
"""

import hashlib
from pathlib import Path

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).parent


def shuffled(rows, salt):
    """The rows in an order that depends on the salt and nothing else."""
    return sorted(rows, key=lambda row: hashlib.sha256(f"{salt}:{row}".encode()).digest())


def write(name, rows, columns, table):
    """One CSV file. `repr` gives the shortest text that reads back as the same number."""
    header = ",".join(["id", *columns])
    lines = [",".join([ids[row], *(repr(table[column][row]) for column in columns)]) for row in rows]
    (HERE / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8", newline="\n")
    print(f"{name}: {len(lines)} rows, {len(columns)} columns")


data = load_breast_cancer()
features = [name.replace(" ", "_") for name in data.feature_names]
table = {name: data.data[:, i].tolist() for i, name in enumerate(features)}
# scikit-learn has 0 = malignant, 1 = benign; here the event to be predicted, malignant, is 1
table["y"] = [1 - label for label in data.target.tolist()]

everyone = range(len(data.target))
ids = {row: f"p{number:04}" for number, row in enumerate(shuffled(everyone, "id"), start=1)}

mean, error, worst = features[:10], features[10:20], features[20:]
assert all(name.startswith("mean_") for name in mean) and all(name.startswith("worst_") for name in worst)

# each party lacks some rows; guest and host lack different ones, so that 569 - 2 * 69 = 431 are common
order = shuffled(everyone, "missing")
guest = shuffled(set(everyone) - set(order[:69]), "guest")
host = shuffled(set(everyone) - set(order[69:138]), "host")
# the two hosts lack other numbers of rows, some of them in common with the guest and with each other
host_a = shuffled(set(everyone) - set(order[40:120]), "host_a")
host_b = shuffled(set(everyone) - set(order[100:160]), "host_b")

write("guest.csv", guest, ["y", *mean], table)
write("host.csv", host, [*error, *worst], table)
write("host_a.csv", host_a, error, table)
write("host_b.csv", host_b, worst, table)
print("common to guest and host:", len(set(guest) & set(host)))
print("common to guest, host_a and host_b:", len(set(guest) & set(host_a) & set(host_b)))
