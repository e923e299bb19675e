"""What all benchmarks share: our programs, the peers, a folder to work in, and a clock around a child."""

import json
import os
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent

PYTHON_PEERS = ["dask[distributed]==2026.8.0", "numpy==2.4.6", "pandas==3.1.1"]


@dataclass
class Ran:
    """What a command took."""

    wall: float
    cpu: float
    peak_mib: float
    out: str


class Bench:
    """One run of the benchmarks."""

    def __init__(self, options: Namespace) -> None:
        self.quick: bool = options.quick
        self.rounds_wanted: int | None = options.rounds
        self.given: str | None = options.bin
        # Whoever brings programs along needs no cargo to say where a build would lie.
        self.place = (ROOT / "target" if self.given else target()) / "bench"
        self.work = self.place / f"work-{os.getpid()}"
        self.made: dict[str, Path] = {}
        self.folders = 0

    def __enter__(self) -> "Bench":
        self.work.mkdir(parents=True)
        self.bin = Path(self.given).resolve() if self.given else self.release()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["chmod", "-R", "u+w", self.work], check=False)  # built models are read-only
        shutil.rmtree(self.work, ignore_errors=True)

    def say(self, text: str) -> None:
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def release(self) -> Path:
        self.say("building a release (some minutes the first time)")
        subprocess.run(["cargo", "build", "--release", "--locked", "--bins", "--quiet"], cwd=ROOT, check=True)
        return target() / "release"

    # --- what is run ---------------------------------------------------------------------------------------------

    @property
    def modelship(self) -> str:
        return str(self.bin / "modelship")

    @property
    def runner(self) -> str:
        return str(self.bin / "modelship-runner")

    def program(self, name: str, *flags: str) -> str:
        """Compiles one of `programs/`."""
        if name not in self.made:
            out = self.place / name
            source = HERE / "programs" / f"{name}.c"
            subprocess.run(["gcc", "-O2", *flags, "-o", str(out), str(source)], check=True)
            self.made[name] = out
        return str(self.made[name])

    def python(self) -> str:
        """A Python with the peers in it."""
        venv = self.place / "venv"
        marker, wanted = venv / "peers.txt", "\n".join(PYTHON_PEERS)
        if not marker.exists() or marker.read_text() != wanted:
            self.say(f"installing {', '.join(PYTHON_PEERS)} into target/bench")
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *PYTHON_PEERS], check=True)
            marker.write_text(wanted)
        return str(venv / "bin/python")

    def has_parallel(self) -> bool:
        """GNU parallel, installed where that can be done."""
        if shutil.which("parallel") is None and os.geteuid() == 0 and shutil.which("apt-get"):
            self.say("installing GNU parallel")
            install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "parallel"]
            subprocess.run(install, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return shutil.which("parallel") is not None

    def folder(self, name: str) -> Path:
        """An empty folder that nobody had before.

        Nothing is removed before all is measured: for minutes ext4 passes over the numbers of removed files one by one
        when it makes new files, and whoever comes next would pay for that.
        """
        self.folders += 1
        made = self.work / f"{name}-{self.folders}"
        made.mkdir()
        return made

    # --- rounds --------------------------------------------------------------------------------------------------

    def rounds(self, usual: int, quick: int = 1) -> range:
        return range(self.rounds_wanted or (quick if self.quick else usual))

    def size(self, usual: int, quick: int) -> int:
        return quick if self.quick else usual


def target() -> Path:
    asked = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    told = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return Path(json.loads(told)["target_directory"])


def run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = "",
        check: bool = True) -> Ran:
    """Runs a command and says what it took: wall time, CPU time with its children's, peak memory of its own."""
    began = time.perf_counter()
    child = subprocess.Popen(command, cwd=cwd, env=env, text=True,
                             stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if stdin:
        # Commands are read faster than they are written, or all before the first is run.
        child.stdin.write(stdin)
        child.stdin.close()
        child.stdin = None
    out, err = drained(child)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if check and child.returncode != 0:
        raise SystemExit(f"bench: `{' '.join(command)[:300]}` ended with {child.returncode}:\n{out[-2000:]}{err[-4000:]}")
    return Ran(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, out)


def drained(child: subprocess.Popen) -> tuple[str, str]:
    """Reads both outputs to their ends without collecting the child, so that its own use can be asked for."""
    import threading

    texts = ["", ""]

    def read(index: int, pipe) -> None:
        texts[index] = pipe.read()

    readers = [threading.Thread(target=read, args=(index, pipe)) for index, pipe in enumerate([child.stdout, child.stderr])]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return texts[0], texts[1]


def until(what: str, ready: Callable[[], object], seconds: float = 120, every: float = 0.02) -> object:
    """Looks until it is ready, and gives what it then is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ready()
        if found:
            return found
        time.sleep(every)
    raise SystemExit(f"bench: waited {seconds:.0f} s for {what}, in vain")
