"""Dask as a user would take it: two workers of one thread, one task for each run. Times without starting the cluster."""

import subprocess
import sys
import time

from dask.distributed import Client, LocalCluster


def one(command: list[str]) -> int:
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=True).returncode


if __name__ == "__main__":
    commands = [line.rstrip("\n").split("\t") for line in sys.stdin]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        began = time.perf_counter()
        codes = client.gather(client.map(one, commands, pure=False))
        wall = time.perf_counter() - began
    assert not any(codes)
    print(f"{wall:.6f}")
