"""Tables of pandas, DuckDB and Spark, and ours as they see them.

    exchange.py write FOLDER    makes Parquet files with each program, and what must come back of each
    exchange.py check FOLDER    compares what came back: ours read by pyarrow, pandas, DuckDB and Spark

Values are compared as texts that keep every bit: floats as hexadecimal, times in microseconds and UTC. Rows are compared by id,
because Spark writes several files at once.
"""

import csv
import decimal
import json
import os
import sys
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

os.environ["TZ"] = "UTC"

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1000
decimal.getcontext().prec = 50
ODD_FLOATS = [float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.7976931348623157e308, 0.1]
ODD_TEXTS = ["", "naïve 🙂", 'a "quoted", text', "two\nlines", "\\N", "NULL", " padded "]
EPOCH = datetime(1970, 1, 1)


def every(n, value):
    """Missing in one row of n."""
    return [None if i % n == n - 1 else value(i) for i in range(ROWS)]


def micros(i):
    # from 1900 to 2100, no full seconds
    return EPOCH + timedelta(days=(i * 73) % 73_000 - 25_567, microseconds=i * 1_234_567 % 86_400_000_000)


def rounded(i):
    import numpy

    return float(numpy.float32(i / 7))


COLUMNS = {
    "id": (pa.int64(), list(range(ROWS))),
    "i8": (pa.int8(), every(5, lambda i: i % 256 - 128)),
    "i16": (pa.int16(), every(7, lambda i: i * 65 % 65536 - 32768)),
    "i32": (pa.int32(), every(11, lambda i: i * 4_294_967 - 2**31)),
    "i64": (pa.int64(), every(13, lambda i: i * 2**54 - 2**63 if i < 1000 else 0)),
    "u8": (pa.uint8(), every(5, lambda i: i % 256)),
    "u16": (pa.uint16(), every(7, lambda i: i * 65)),
    "u32": (pa.uint32(), every(9, lambda i: 2**32 - 1 - i)),
    "u64": (pa.uint64(), every(11, lambda i: 2**64 - 1 - i)),
    "f32": (pa.float32(), every(6, rounded)),
    "f64": (pa.float64(), every(8, lambda i: ODD_FLOATS[i % 7] if i < 50 else i / 3)),
    "flag": (pa.bool_(), every(3, lambda i: i % 2 == 0)),
    "text": (pa.string(), every(10, lambda i: ODD_TEXTS[i % 7] if i < 50 else f"row {i}")),
    "day": (pa.date32(), every(4, lambda i: date(9999, 12, 31) if i == 0 else date(1900, 1, 1) + timedelta(days=i * 73))),
    "time": (pa.timestamp("us"), every(9, micros)),
    "utc": (pa.timestamp("us", "UTC"), every(9, lambda i: micros(i).replace(tzinfo=timezone.utc))),
    "price": (pa.decimal128(12, 2), every(5, lambda i: Decimal(i * 12_345 - 6_000_000).scaleb(-2))),
    "wide": (pa.decimal128(38, 10), every(5, lambda i: Decimal(10**37 - i).scaleb(-10))),
    "bytes": (pa.binary(), every(6, lambda i: bytes([i % 256, 0, 255]) * (i % 3))),
    "filled": (pa.float64(), [i / 4 for i in range(ROWS)]),
}
UNSIGNED = ["u8", "u16", "u32", "u64"]
# What a column becomes in a table, where that is another type.
BECOMES = {"id": pa.string(), "i8": pa.int32(), "i16": pa.int32()}


def table(names):
    arrays = {name: pa.array(COLUMNS[name][1], COLUMNS[name][0]) for name in names}
    return pa.table(arrays)


def canonical(value):
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return value.hex()
    return str(value)


def by_id(columns):
    """Canonical columns with rows in the order of their ids."""
    order = sorted(range(len(columns["id"])), key=lambda i: int(columns["id"][i]))
    return {name: [canonical(values[i]) for i in order] for name, values in columns.items()}


def expect(folder, name, columns, types):
    """What must come back of a file: values, and types as pyarrow names them."""
    types = {name: str(BECOMES.get(name, types[name])) for name in columns}
    text = json.dumps({"columns": by_id(columns), "types": types})
    (folder / f"{name}.expected.json").write_text(text)


def spark():
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("exchange")
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.log.level": "ERROR",
        # else instants are INT96, which say no zone
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def write(session, folder):
    folder.mkdir(parents=True, exist_ok=True)
    names = list(COLUMNS)
    values = {name: COLUMNS[name][1] for name in names}
    types = {name: COLUMNS[name][0] for name in names}
    whole = table(names)

    # pandas, with the types of Arrow: its own have no missing integers. A category is text to us.
    frame = whole.to_pandas(types_mapper=pd.ArrowDtype)
    categories = [None if i % 4 == 3 else ["low", "high"][i % 2] for i in range(ROWS)]
    frame["level"] = pd.Categorical(categories)
    with_level = values | {"level": categories}, types | {"level": pa.string()}
    for compression in ["snappy", "zstd", "gzip", "brotli", "lz4"]:
        frame.to_parquet(folder / f"pandas-{compression}.parquet", compression=compression, row_group_size=300)
        expect(folder, f"pandas-{compression}", *with_level)
    # pandas' own types: missing numbers are NaN in a float column
    plain = pd.DataFrame({"id": range(ROWS), "x": [i / 3 for i in range(ROWS)], "t": [f"row {i}" for i in range(ROWS)]})
    plain["when"] = pd.date_range("2024-01-01", periods=ROWS, freq="s", tz="Europe/Berlin").as_unit("ns")
    plain.to_parquet(folder / "pandas-plain.parquet")
    columns = {name: plain[name].tolist() for name in plain}
    columns["when"] = [value.to_pydatetime() for value in plain["when"]]
    expect(folder, "pandas-plain", columns, {"id": pa.string(), "x": pa.float64(), "t": pa.string(), "when": pa.timestamp("us", "UTC")})

    # DuckDB, with an enumeration and UUIDs
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("whole", whole)
    connection.execute("CREATE TYPE level AS ENUM ('low', 'high')")
    connection.execute(
        f"""COPY (SELECT *, (CASE id % 4 WHEN 3 THEN NULL WHEN 1 THEN 'high' ELSE 'low' END)::level AS level,
              ('00000000-0000-0000-0000-' || lpad(id::text, 12, '0'))::uuid AS uuid FROM whole)
            TO '{folder}/duckdb.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)"""
    )
    uuids = [uuid.UUID(f"00000000-0000-0000-0000-{i:012d}") for i in range(ROWS)]
    expect(folder, "duckdb", with_level[0] | {"uuid": uuids}, with_level[1] | {"uuid": pa.string()})

    # Spark: a folder of several files; it has no unsigned numbers
    signed = [name for name in names if name not in UNSIGNED]
    path = folder / "for-spark.parquet"
    pq.write_table(table(signed), path)
    frame = session.read.parquet(str(path)).repartition(3)
    frame.write.mode("overwrite").parquet(str(folder / "spark"))
    expect(folder, "spark", {name: values[name] for name in signed}, types)
    session.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    old = frame.select("id", "utc", "text")
    old.write.mode("overwrite").parquet(str(folder / "spark-int96"))
    columns = {name: values[name] for name in ["id", "utc", "text"]}
    expect(folder, "spark-int96", columns, types | {"utc": pa.timestamp("us")})
    path.unlink()

    # for an upload, whose own folder is opened by all three
    kept = {"id": [str(i) for i in range(ROWS)], "day": values["day"], "price": every(7, lambda i: i / 7)}
    kept |= {"flag": every(3, lambda i: i % 2 == 0), "number": every(5, lambda i: i - 500), "text": every(9, lambda i: f"row {i}, né")}
    with (folder / "stored.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(kept)
        for row in zip(*kept.values()):
            writer.writerow(["NA" if value is None else str(value).lower() if value in (True, False) and type(value) is bool else value for value in row])
    (folder / "stored.json").write_text(json.dumps(by_id(kept)))


def as_columns(arrow):
    return {name: arrow.column(name).to_pylist() for name in arrow.column_names}


def read_pandas(path):
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    columns = {}
    for name in frame:
        values = [None if value is pd.NA else value for value in frame[name].tolist()]
        columns[name] = [value.to_pydatetime() if isinstance(value, pd.Timestamp) else value for value in values]
    return columns


def read_duckdb(path):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = f"{path}/*.parquet" if Path(path).is_dir() else path
    return as_columns(connection.sql(f"SELECT * FROM read_parquet('{source}')").to_arrow_table())


def read_spark(session, path):
    frame = session.read.parquet(str(path))
    rows = frame.collect()
    columns = {name: [row[name] for row in rows] for name in frame.columns}
    for field in frame.schema.fields:
        # instants come as local time, which is UTC here
        if field.dataType.typeName() == "timestamp":
            columns[field.name] = [value and value.replace(tzinfo=timezone.utc) for value in columns[field.name]]
    return columns


def differences(what, found, expected):
    if list(found) != list(expected):
        return [f"{what}: columns {list(found)}, expected {list(expected)}"]
    wrong = []
    found = by_id(found)
    for name, values in expected.items():
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(found[name], values)) if a != b]
        if len(found[name]) != len(values):
            wrong.append(f"{what}: {len(found[name])} rows, expected {len(values)}")
        elif pairs:
            wrong.append(f"{what}: column {name}: {len(pairs)} values differ: row {pairs[0][0]} is {pairs[0][1]}, expected {pairs[0][2]}")
    return wrong


def check(session, folder):
    wrong, count = [], 0
    for file in sorted(folder.glob("*.expected.json")):
        name = file.name.removesuffix(".expected.json")
        expected = json.loads(file.read_text())
        arrow = pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.back.arrow"))).read_all()
        types = {field.name: str(field.type) for field in arrow.schema}
        if types != expected["types"]:
            wrong.append(f"{name}: types {types}, expected {expected['types']}")
        parquet = str(folder / f"{name}.back.parquet")
        seen = {
            "pyarrow": as_columns(arrow),
            "pyarrow of Parquet": as_columns(pq.read_table(parquet)),
            "pandas": read_pandas(parquet),
            "DuckDB": read_duckdb(parquet),
        }
        # Spark starts a job for each; unsigned numbers of 64 bits are decimals to it, and the same text.
        if name in ["pandas-snappy", "duckdb", "spark"]:
            seen["Spark"] = read_spark(session, parquet)
        for reader, columns in seen.items():
            wrong += differences(f"{name} as {reader} reads it", columns, expected["columns"])
            count += 1

    # a stored table's own folder, which has one file a partition
    stored = folder / "stored"
    rows = json.loads((folder / "stored.json").read_text())
    for reader, columns in {
        "pandas": read_pandas(stored),
        "DuckDB": read_duckdb(stored),
        "Spark": read_spark(session, stored),
    }.items():
        wrong += differences(f"the stored table as {reader} reads it", columns, rows)
        count += 1
    print("\n".join(wrong) or f"{count} comparisons")
    return 1 if wrong or not count else 0


def main(command, folder):
    session = spark()
    try:
        return {"write": write, "check": check}[command](session, Path(folder))
    finally:
        # else its Java goes on without us
        session.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
