"""A server with a local forge, and what its database says about when things happened."""

import os
import signal
import sqlite3
import subprocess
from pathlib import Path

from benches.bench import Bench, run, until
from benches.hub import environment


class Server:
    """`modelship serve` on a SQLite file, with one repository `urban/hub`."""

    def __init__(self, bench: Bench, place: Path, settings: str = "", variables: dict[str, str] | None = None) -> None:
        self.place = place
        run([bench.modelship, "init", "--forge", str(place), "--repository", "urban/hub", "--listen", "127.0.0.1:0"],
            env=environment(bench))
        with open(place / "settings.yaml", "a") as file:
            file.write(settings)
        self.env = environment(bench, MODELSHIP_SETTINGS=str(place / "settings.yaml"), **(variables or {}))
        self.git = place / "forge/urban/hub.git"
        self.log = place / "server.log"
        self.child = subprocess.Popen([bench.modelship, "serve"], env=self.env, stdin=subprocess.DEVNULL,
                                      stdout=open(self.log, "w"), stderr=subprocess.STDOUT)

    def __enter__(self) -> "Server":
        until("the server", lambda: "serves http" in self.log.read_text() or self.child.poll() is not None)
        if self.child.poll() is not None:
            raise SystemExit(f"bench: the server did not start:\n{self.log.read_text()[-3000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def ask(self, query: str, *values: object) -> list[tuple]:
        connection = sqlite3.connect(f"file:{self.place / 'state/modelship.db'}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def decided(self, name: str) -> list[tuple[int, int, int]]:
        """Id, time of creation and time of decision of each decided event of this name, in milliseconds."""
        return self.ask("SELECT id, created_at, decided_at FROM event_log WHERE name = ? ORDER BY id", name)

    def is_quiet(self) -> bool:
        return self.ask("SELECT count(*) FROM tasks WHERE name NOT IN ('Ticked', 'Reconcile')") == [(0,)]

    def memory(self) -> dict[str, float]:
        """MiB: what is resident now, and the most that ever was."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        return {name: int(fields[name].split()[0]) / 1024 for name in ["VmRSS", "VmHWM"]}

    def forget_peak(self) -> None:
        """Lets the most that ever was begin anew, where the kernel lets us."""
        try:
            with open(f"/proc/{self.child.pid}/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass


def push(hub: Path, server: Server, *refs: str) -> None:
    done = subprocess.run(["git", "push", "--quiet", str(server.git), *refs], cwd=hub, capture_output=True, text=True,
                          env=os.environ | server.env)
    if done.returncode != 0:
        raise SystemExit(f"bench: `git push` failed: {done.stderr}")
