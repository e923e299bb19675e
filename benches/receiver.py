"""The webhook receiver under a flood, beside receivers that keep nothing.

Ours verifies, reads, deduplicates and keeps each delivery for good before it answers, and its engine decides on them
meanwhile. The peers verify and parse, and forget. All are sent the same: real push payloads of about 7 kB, signed, each
under an id of its own, over 16 connections, by one thread of wrk on the same machine.
"""

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Iterator

from benches.bench import ROOT, Bench, run, until
from benches.local import Server
from benches.table import Line

HERE = Path(__file__).resolve().parent
NODE_PEERS = ["probot@14.3.2", "@octokit/webhooks@14.2.0", "@octokit/webhooks-examples@7.6.1"]
BODIES = 256
CONNECTIONS = 16
SECRET = "receiver-benchmark"


def measure(bench: Bench) -> list[Line]:
    needs(bench)
    modules = node_modules(bench)
    payloads = write_payloads(bench, modules)
    seconds = bench.size(6, 2)
    makers = {
        "SQLite": lambda: ours(bench, None),
        "PostgreSQL": lambda: ours(bench, postgres),
        "webhook": lambda: webhook(bench),
        "octokit": lambda: node(bench, modules, "octokit"),
        "probot": lambda: node(bench, modules, "probot"),
    }
    told: dict[str, list[dict[str, float]]] = {name: [] for name in makers}
    for _ in bench.rounds(3):
        for name, make in makers.items():
            told[name].append(flood(make, payloads, seconds))
    figures = {name: {key: [one[key] for one in all_] for key in all_[0]} for name, all_ in told.items()}
    lines = []
    for database in ["SQLite", "PostgreSQL"]:
        mine = figures[database]
        for peer, target in [("probot", 1 / 1.5), ("webhook", 1.0), ("octokit", None)]:
            # What is compared is the time for a thousand, so that less is better, as on every line.
            lines.append(Line(
                f"1,000 deliveries, kept in {database}", thousand(mine), f"{peer}, keeps nothing", thousand(figures[peer]),
                unit="s", target=target, limit=f"{median(mine['rate']):.0f} a second, {peer} {median(figures[peer]['rate']):.0f}",
            ))
        lines.append(Line(f"delivery answered, {database}, p50", mine["p50"], "probot", figures["probot"]["p50"], unit="ms"))
        lines.append(Line(f"delivery answered, {database}, p99", mine["p99"], "probot", figures["probot"]["p99"], unit="ms",
                          target=10, absolute=True))
        lines.append(Line(f"receiver memory, {database}, most", mine["memory"], "probot", figures["probot"]["memory"],
                          unit="MiB", target=48, absolute=True, limit="webhook " + mib(figures["webhook"])))
    return lines


def thousand(figures: dict[str, list[float]]) -> list[float]:
    return [1000 / rate for rate in figures["rate"]]


def mib(figures: dict[str, list[float]]) -> str:
    return f"{median(figures['memory']):.0f} MiB"


# --- the flood -------------------------------------------------------------------------------------------------------


def flood(make, payloads: Path, seconds: int) -> dict[str, float]:
    """One receiver, warmed up for a second, then measured."""
    with make() as (port, path, pid):
        wrk(port, path, payloads, 1)
        figures = wrk(port, path, payloads, seconds)
        figures["memory"] = peak(pid)
        return figures


def wrk(port: int, path: str, payloads: Path, seconds: int) -> dict[str, float]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s",
               str(HERE / "peers/deliveries.lua"), f"http://127.0.0.1:{port}", "--", path, str(payloads)]
    out = run(command).out
    found = [line for line in out.splitlines() if line.startswith("RESULT ")]
    figures = json.loads(found[0].removeprefix("RESULT "))
    if figures.pop("refused") or figures.pop("broken"):
        raise SystemExit(f"bench: deliveries to port {port} were refused or broke off:\n{out}")
    return figures


def peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def write_payloads(bench: Bench, modules: Path) -> Path:
    """The real pushes, told apart by their commits, of sixteen branches of the hub."""
    examples = json.loads((modules / "@octokit/webhooks-examples/api.github.com/index.json").read_text())
    pushes = next(event["examples"] for event in examples if event["name"] == "push")
    lines = []
    for number in range(BODIES):
        body = json.loads(json.dumps(pushes[number % len(pushes)]))
        body["ref"] = f"refs/heads/flood-{number % 16}"
        body["before"], body["after"] = sha(f"before {number}"), sha(f"after {number}")
        # Without a moment each is news of its own, or the second round would be known by its meaning.
        body["repository"] |= {"id": 1, "full_name": "urban/hub", "pushed_at": None}
        text = json.dumps(body, separators=(",", ":"))
        lines.append(f"{sign(text)}\t{text}\n")
    file = bench.folder("payloads") / "push.tsv"
    file.write_text("".join(lines))
    return file


def sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def sign(body: str) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body.encode(), hashlib.sha256).hexdigest()


# --- the receivers: each gives its port, its path and its process ------------------------------------------------------

Receiver = Iterator[tuple[int, str, int]]


@contextlib.contextmanager
def ours(bench: Bench, database) -> Receiver:
    with contextlib.ExitStack() as stack:
        settings = "reconcile_every: 1h\n"
        if database:
            settings += f"database: {stack.enter_context(database())}\n"
        # As quiet as the peers.
        environment = {"MODELSHIP_WEBHOOK_SECRET": SECRET, "MODELSHIP_LOG": "warn,modelship::cli::serve=info"}
        server = stack.enter_context(Server(bench, bench.folder("receiver"), settings, environment))
        url = json.loads((server.place / "forge/forge.json").read_text())["url"]
        yield int(url.rsplit(":", 1)[1]), "/webhooks/github", server.child.pid


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A throw-away server whose commits wait for the disk."""
    script = str(ROOT / "scripts/with-postgres")
    told = run([script, "--start"], env=os.environ | {"MODELSHIP_TEST_POSTGRES_FSYNC": "on"}).out
    directory, url = told.split()
    try:
        yield f"{url}/postgres"
    finally:
        run([script, "--remove", directory], check=False)


@contextlib.contextmanager
def webhook(bench: Bench) -> Receiver:
    """Debian's daemon. A second rule that never holds lets it verify and parse, and start nothing."""
    name = {"source": "header", "name": "X-GitHub-Event"}
    signature = {"source": "header", "name": "X-Hub-Signature-256"}
    rules = [
        {"match": {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": signature}},
        {"match": {"type": "value", "value": "never", "parameter": name}},
    ]
    file = bench.folder("webhook") / "hooks.json"
    file.write_text(json.dumps([{"id": "none", "execute-command": "/bin/true", "trigger-rule": {"and": rules}}]))
    port = free_port()
    command = ["webhook", "-hooks", str(file), "-ip", "127.0.0.1", "-port", str(port)]
    with process(command, port) as pid:
        yield port, "/hooks/none", pid


@contextlib.contextmanager
def node(bench: Bench, modules: Path, which: str) -> Receiver:
    port = free_port()
    with process(["node", str(HERE / "peers/receivers.mjs"), which, str(modules), str(port), SECRET], port) as pid:
        yield port, "/hook", pid


@contextlib.contextmanager
def process(command: list[str], port: int) -> Iterator[int]:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(f"`{command[0]}`", lambda: answers(port) or child.poll() is not None)
        if child.poll() is not None:
            raise SystemExit(f"bench: `{' '.join(command)}` ended with {child.returncode}")
        yield child.pid
    finally:
        child.kill()
        child.wait()


def answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


# --- what is needed ----------------------------------------------------------------------------------------------------


def needs(bench: Bench) -> None:
    """wrk, webhook and node, installed where that can be done."""
    missing = [name for name in ["wrk", "webhook", "node", "npm"] if shutil.which(name) is None]
    packages = ["nodejs" if name == "node" else name for name in missing]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        bench.say(f"installing {', '.join(packages)}")
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        subprocess.run(install, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        missing = [name for name in missing if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"bench: {', '.join(missing)} are missing; run `apt-get install {' '.join(packages)}`")


def node_modules(bench: Bench) -> Path:
    """A folder with the peers that run on node."""
    folder = bench.place / "node"
    marker, wanted = folder / "peers.txt", "\n".join(NODE_PEERS)
    if not marker.exists() or marker.read_text() != wanted:
        bench.say(f"installing {', '.join(NODE_PEERS)} into target/bench")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}\n')
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(["npm", "install", *quiet, *NODE_PEERS], cwd=folder, check=True, stdout=sys.stderr)
        marker.write_text(wanted)
    return folder / "node_modules"
