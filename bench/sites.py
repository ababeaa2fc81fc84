"""Whole jobs between two sites, each a process of its own, beside the same jobs in one process, run in turn: `sites.py BINARY [WAY...] [NAME...]`.

Ways from site to site: direct, rabbitmq, rabbitmq-joined, pulsar, pulsar-joined; real brokers, started here. Measurements: demo, psi, memory.

Prints a line for each measurement, with the limit that it needs to keep; ends with 1 if one does not. Run it on a quiet machine.
"""

import datetime
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = TOP / "examples"
GUEST, HOST = "9999", "10000"
PSI = """\
dag:
  parties: [{role: guest, party_id: ['9999']}, {role: host, party_id: ['10000']}]
  stage: default
  tasks:
    reader_0: {component_ref: reader, parameters: {namespace: experiment, name: ids}}
    psi_0:
      component_ref: psi
      inputs: {data: {input_data: {task_output_artifact: {producer_task: reader_0, output_artifact_key: output_data}}}}
schema_version: 2.2.0
"""
TOY = """\
dag:
  parties: [{role: guest, party_id: ['9999']}, {role: host, party_id: ['10000']}]
  stage: default
  tasks: {toy_0: {component_ref: toy_example, parameters: {data_num: %d, partition: 4}}}
schema_version: 2.2.0
"""
WAYS = ("direct", "rabbitmq", "rabbitmq-joined", "pulsar", "pulsar-joined")
# Seconds that the demo job may take more than in one process.
DEMO_MORE = {"direct": 0.15, "rabbitmq": 0.5, "pulsar": 1.0}


class Way:
    """How the sites reach each other: a line of their own, or a broker for both, or one at each."""

    def __init__(self, name, folder):
        self.name, self.joined = name, name.endswith("-joined")
        self.transport, self.folder, self.said = name.removesuffix("-joined"), folder, {}
        self.ports = dict(zip((GUEST, HOST), free_ports(2)))

    def service(self, what):
        script = TOP / f"scripts/services/{self.transport}.sh"
        subprocess.run([script, what, self.folder], check=True, env=os.environ | {"PULSAR_JIT": "4"})

    def __enter__(self):
        if self.transport != "direct":
            self.service("start")
            lines = (self.folder / "env").read_text().splitlines()
            pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
            self.said = {key: value.strip("'") for key, value in pairs}
        return self

    def __exit__(self, *_):
        if self.transport != "direct":
            self.service("stop")

    def letter(self, party):
        return "B" if self.joined and party == HOST else "A"

    def of(self, party, key):
        return self.said[f"{self.transport.upper()}_{self.letter(party)}_{key}"]

    def conf(self, party):
        if self.transport == "direct":
            own = f"port: {self.ports[party]}"
        else:
            mode = "replication" if self.joined else "client"
            own = f"mode: {mode}, host: 127.0.0.1, port: {self.of(party, 'PORT')}, mng_port: {self.of(party, 'HTTP_PORT')}, "
            own += {
                "rabbitmq": f"user: {self.said.get('RABBITMQ_USER')}, password: '{self.said.get('RABBITMQ_PASSWORD')}'",
                "pulsar": f"token: {self.said.get('PULSAR_TOKEN')}, cluster: {self.letter(party).lower()}",
            }[self.transport]
        return f"party_id: '{party}'\ndefault_engines: {{federation: {self.transport}}}\nfederation: {{{self.transport}: {{{own}}}}}\n"

    def routes(self, other):
        return f"'{other}': {{host: 127.0.0.1, port: {self.of(other, 'PORT')}}}\n"

    def processes(self):
        return [int(self.said[key]) for key in self.said if key.endswith("_PID")]


class Homes:
    """A home with both parties, and one for each of them with the same tables."""

    def __init__(self, binary, folder, way):
        self.binary, self.folder, self.way = binary, folder, way
        folder.mkdir()
        limits = "limits: {numbers: 100000000, ids_per_row: 100000000}\n"
        self.write("one", limits)
        for party, other in ((GUEST, HOST), (HOST, GUEST)):
            self.write(party, way.conf(party) + limits)
            if way.joined:
                (folder / party / f"{way.transport}_route_table.yaml").write_text(way.routes(other))
            address = ["--address", f"127.0.0.1:{way.ports[party]}"] if way.transport == "direct" else []
            self.run(party, "site", "init", *address)
        for own, other in ((GUEST, HOST), (HOST, GUEST)):
            card = self.folder / f"{other}.card"
            card.write_text(self.run(other, "site", "card"))
            self.run(own, "site", "trust", str(card), "--yes")

    def write(self, home, conf):
        (self.folder / home).mkdir()
        (self.folder / home / "service_conf.yaml").write_text(conf)

    def command(self, home, *arguments):
        return [self.binary, "--home", str(self.folder / home), *arguments]

    def run(self, home, *arguments):
        return subprocess.run(self.command(home, *arguments), check=True, capture_output=True, text=True).stdout

    def upload(self, party, name, file, *more):
        for home in ("one", party):
            self.run(home, "data", "upload", "--party", party, "--namespace", "experiment", "--name", name, "--file", str(file), *more)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def cost(commands):
    """Runs commands beside each other: wall seconds, CPU seconds of all, peak MiB of the largest."""
    began = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for command in commands]
    cpu, peak = 0.0, 0.0
    for process in running:
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"error: {' '.join(process.args)}: {said}")
        cpu, peak = cpu + usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss / 1024)
    return time.monotonic() - began, cpu, peak


def beside(homes, job, runs):
    """The job in one process and between two sites, in turn."""
    one = [homes.command("one", "run", "--quiet", str(job))]
    two = [homes.command(party, "run", "--quiet", "--party", party, str(job)) for party in (HOST, GUEST)]
    pairs = [(cost(one), cost(two)) for _ in range(runs + 1)][1 if runs > 1 else 0 :]
    return [[statistics.median(pair[which][what] for pair in pairs) for what in range(3)] for which in range(2)]


def demo(homes):
    homes.upload(GUEST, "breast_guest", EXAMPLES / "breast/guest.csv", "--label", "y")
    homes.upload(HOST, "breast_host", EXAMPLES / "breast/host.csv")
    one, two = beside(homes, EXAMPLES / "breast/job.yaml", 9)
    more = DEMO_MORE[homes.way.transport]
    show("demo", one, two, f"two processes take at most {more} s more", two[0] - one[0] <= more)
    if homes.way.transport == "direct":
        arrival(homes)
        waits(homes)


def arrival(homes):
    """From the start of the last party's process to the start of the first task; the median of five jobs."""
    job, times = str(EXAMPLES / "breast/job.yaml"), []
    for _ in range(5):
        host = subprocess.Popen(homes.command(HOST, "run", "--quiet", "--party", HOST, job), stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        began = time.time()
        homes.run(GUEST, "run", "--quiet", "--party", GUEST, job)
        if host.wait() != 0:
            sys.exit("error: the host failed")
        times.append(min(start for start, _ in moments_of_last_job(homes).values()).timestamp() - began)
    start = statistics.median(times)
    print(f"{'first-start':<12} {start * 1000:8.1f} ms from the last party's arrival to the first task's start, needed: at most 50 ms  {verdict(start <= 0.050)}")


def psi(homes):
    rows = 1_000_000
    for party, first in ((GUEST, 0), (HOST, rows // 2)):
        file = homes.folder / "ids.csv"
        with file.open("w") as out:
            out.write("id,x0\n")
            out.writelines(f"u{first + i * 7919 % rows:09},{i % 100}\n" for i in range(rows))
        homes.upload(party, "ids", file)
    job = homes.folder / "psi.yaml"
    job.write_text(PSI)
    one, two = beside(homes, job, 1)
    show("psi-1m", one, two, "two processes take at most 1.15 times as long", two[0] <= 1.15 * one[0])


def memory(homes):
    """Peaks of the larger site and of the brokers with a table of a million shares, and with one ten times as long."""
    peaks = []
    for party in (GUEST, HOST):  # the engine has no more for its tables
        with (homes.folder / party / "service_conf.yaml").open("a") as conf:
            conf.write("computing: {standalone: {memory: 64MiB}}\n")
    for values in (1_000_000, 1_000_000, 10_000_000):  # the first fills what grows once
        job = homes.folder / "toy.yaml"
        job.write_text(TOY % values)
        for pid in homes.way.processes():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
        _, _, site = cost([homes.command(party, "run", "--quiet", "--party", party, str(job)) for party in (HOST, GUEST)])
        peaks.append({"site": site} | {f"broker-{i}": high_water(pid) for i, pid in enumerate(homes.way.processes())})
    for what, small in peaks[1].items():
        large = peaks[2][what]
        print(f"{'memory':<12} {what:<12} {small:8.1f} MiB, with ten times as many rows {large:8.1f} MiB, needed: at most 1.25 times  {verdict(large <= 1.25 * small)}")


def high_water(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def moments_of_last_job(homes):
    """When each task of the last job started first and ended last."""
    moments = {}
    for party, role in ((GUEST, "guest"), (HOST, "host")):
        job = json.loads(homes.run(party, "job", "list", "-p", party, "--json"))[0]["job"]
        for log in (homes.folder / party / "parties" / party / "jobs" / job / role).glob("*/task.log"):
            lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
            at = [datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment, _ in lines]
            start, end = moments.get(log.parent.name, (at[0], at[-1]))
            moments[log.parent.name] = (min(start, at[0]), max(end, at[-1]))
    return moments


def waits(homes):
    """How long tasks of the last job waited: from a task's end at all parties to the next one's start."""
    ordered = sorted(moments_of_last_job(homes).values())
    longest = max((after[0] - before[1]).total_seconds() for before, after in zip(ordered, ordered[1:]))
    print(f"{'task-waits':<12} {longest * 1000:8.1f} ms from a task's end to the next one's start, needed: at most 20 ms  {verdict(longest <= 0.020)}")


failed = False


def verdict(holds):
    global failed
    failed |= not holds
    return "holds" if holds else "DOES NOT HOLD"


def show(name, one, two, needed, holds):
    for label, (wall, cpu, peak) in (("one process", one), ("two sites", two)):
        print(f"{name:<12} {label:<12} {wall:8.3f} s wall  {cpu:8.3f} s CPU  {peak:7.1f} MiB")
    print(f"{name:<12} {needed}: {two[0] - one[0]:+.3f} s, {two[0] / one[0]:.2f} times  {verdict(holds)}", flush=True)


def main():
    binary, names = os.path.abspath(sys.argv[1]), sys.argv[2:]
    known = {measurement.__name__: measurement for measurement in (demo, psi, memory)}
    ways = [name for name in names if name not in known] or ["direct"]
    if unknown := set(ways) - set(WAYS):
        sys.exit(f"error: no way {', '.join(unknown)}; there are {', '.join(WAYS)}")
    chosen = [name for name in known if name in names] or ["demo", "psi"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ways:
            print(f"— {name}")
            with Way(name, pathlib.Path(folder) / f"service-{name}") as way:
                homes = Homes(binary, pathlib.Path(folder) / name, way)
                for each in chosen:
                    known[each](homes)
    sys.exit(1 if failed else 0)


main()
