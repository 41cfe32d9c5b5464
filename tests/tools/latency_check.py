#!/usr/bin/env python3
"""Runs examples/latency and finds what it planted, as its README.md does: with Go's tools, and with the README's own SQL.

    latency_check.py PROGRAM
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(__file__))
from codesearch_check import Checks, lacks, pprof

HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(HERE, "../../examples/latency/README.md")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def rows(path, sql):
    answer = output("node", os.path.join(HERE, "trace_processor.mjs"), os.environ["PROFILED_TRACE_PROCESSOR"], path,
                    f"0-{os.path.getsize(path)}", sql).decode()
    return [line.split("\t") for line in answer.splitlines()[1:]]


def waits(folder):
    """Requests waited for the lock, and the thread `reports` ended one of the waits."""
    with open(README) as file:
        sql = re.search(r"```sql\n(.*?)```", file.read(), re.S).group(1)
    found = rows(os.path.join(folder, "slow.pftrace"), sql)
    others = [row for row in found if row[0] != "wait: Mutex shop/stock" or row[3] != "unlock" or int(row[1]) < 50]
    if others or not any(row[4] == "reports" and row[2].startswith("shop-") for row in found):
        return f"{found}"
    return None


def holder(folder):
    found = rows(os.path.join(folder, "slow.pftrace"), """
        select distinct f.name from slice s join __intrinsic_track_event_callstacks c on s.id = c.slice_id
        join stack_profile_callsite l on l.id = c.callsite_id join stack_profile_frame f on f.id = l.frame_id
        join thread_track t on s.track_id = t.id join thread th using (utid)
        where s.name = 'unlock' and th.name = 'reports'""")
    return None if found == [["latency::report"]] else f"{found}"


def synchronized(folder):
    profile = os.path.join(folder, "sync.pb")
    with open(profile, "wb") as file:
        file.write(output(os.environ["PROFILED_GO_TRACE"], "-pprof=sync", os.path.join(folder, "slow.trace")))
    return lacks(pprof("-top", "-cum", "-show=latency", profile), r"ms +100% +latency::request", r"ms +100% +latency::reserve")


def main():
    check = Checks()
    with tempfile.TemporaryDirectory() as folder:
        said = output(sys.argv[1], folder).decode()
        check("some request is slow, and each recorder delivers one snapshot", lambda: None if
              len(re.findall(r"delivered: 1, failed: 0", said)) == 2 else said)
        check("go tool trace: the requests waited in `reserve`", synchronized, folder)
        check("Perfetto: for the lock that `reports` had", waits, folder)
        check("Perfetto: in `report`", holder, folder)
    print(f"test result: {check.passed} passed; {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
