#!/usr/bin/env python3
"""Scrapes a program under load as those do who scrape fleets, and looks at it with Go's pprof by its address alone.

    fleet_check.py PATH_OF_CODESEARCH

The stand-ins of `fleet.py` come as often as they do in earnest if PROFILED_STRESS_SECONDS is 60 or more; otherwise four
times in that time. Nothing may be refused, no difference be negative, and differences have to add up.
"""
import argparse
import html
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(__file__))
import fleet
import validate
from codesearch_check import PPROF, ROOT, TOP, WORK, Checks, Live, lacks, pprof

STRESS = float(os.environ.get("PROFILED_STRESS_SECONDS", "2"))
# No profile to be had by this name: their pages are not profiles, or take as long as they are told.
PAGES = {"cmdline", "symbol", "status", "rates"}


def fetch(url, headers, timeout=60):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return fleet.Answer(response.status, lower(response.headers), response.read())
    except urllib.error.HTTPError as error:
        return fleet.Answer(error.code, lower(error.headers), error.read())


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


class Scrapes(threading.Thread):
    """One of those who scrape, at their own pace until it is time, and what they had to say."""

    def __init__(self, base, end, interval, once):
        super().__init__(daemon=True)
        self.base, self.end, self.interval, self.once = base, end, interval, once
        self.wrong, self.taken = [], 0

    def run(self):
        try:
            # Two at least: a difference needs them.
            while self.taken < 2 or time.monotonic() < self.end:
                begin = time.monotonic()
                self.once(self)
                self.taken += 1
                time.sleep(max(0, begin + self.interval - time.monotonic()))
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    def ask(self, reader, paths, take):
        limits = fleet.Pyroscope()

        def one(endpoint, path):
            answer = fetch(f"{self.base}/{path}", reader.headers)
            self.wrong += [f"{reader.name}, {path}: {what}" for what in take(endpoint, answer)]
            self.wrong += [f"Pyroscope, {path}: {what}" for what in limits.take(endpoint, answer)]
            window = None if endpoint == "goroutine" else "seconds=" in path or endpoint.startswith("delta_")
            self.wrong += [f"validator, {path}: {what}" for what in validate.problems(answer.body, window)]

        # They ask for all of a target's endpoints at once.
        asking = [threading.Thread(target=one, args=pair) for pair in paths]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()


def scrapes(check, base):
    earnest = STRESS >= 60
    parca = fleet.Parca(10 if earnest else STRESS / 4)
    alloy = fleet.Alloy(15 if earnest else STRESS / 4)
    collector = fleet.Collector()
    end = time.monotonic() + STRESS

    def by_parca(scraper):
        for leaks in (False, True):
            scraper.ask(parca, parca.paths(leaks), lambda endpoint, answer: parca.take(endpoint, answer, leaks))

    everybody = {
        "Parca": Scrapes(base, end, parca.interval, by_parca),
        "Alloy and Pyroscope": Scrapes(base, end, alloy.interval, lambda s: s.ask(alloy, alloy.paths(), alloy.take)),
        "the collector": Scrapes(base, end, parca.interval, lambda s: s.ask(
            collector, collector.paths(parca.interval / 2), collector.take)),
    }
    for scraper in everybody.values():
        scraper.start()
    for name, scraper in everybody.items():
        scraper.join(STRESS + 120)
        check(f"{name}: {scraper.taken} scrapes, nothing refused",
              lambda: "; ".join(scraper.wrong[:5]) or ("still at it" if scraper.is_alive() else None))
    check("Alloy: what it sent on adds up", lambda: "; ".join(list(alloy.balance())[:3]) or None)
    # What is under load differs from one time to the next, or this has shown nothing.
    sent = {key[2][0] for sums in alloy.sums.values() for key, value in sums.items() if value > 0}
    check("Alloy: something was sent", lambda: {"alloc_space", "delay"} - sent or None)


def names(base):
    """Every profile that the index has a link to."""
    page = fetch(f"{base}/", {}).body.decode()
    links = {html.unescape(link) for link in re.findall(r'href="([^"?]+)" download>pprof<', page)}
    return sorted(links - PAGES)


def by_address(check, base):
    """Go's pprof, with no file in between."""
    host = re.match(r"http://([^/]+)/", base).group(1)
    all_names = names(base)
    check("the index has links to all profiles", lambda: {"heap", "goroutine", "codesearch/shard"} - set(all_names) or None)

    def every():
        wrong = []
        for name in all_names:
            try:
                text = pprof("-top", f"{base}/{name}")
                wrong += [] if re.search("flat%", text) else [f"{name}: {text[:200]}"]
            except RuntimeError as error:
                wrong.append(str(error))
        return "; ".join(wrong[:3]) or None
    check(f"pprof: {len(all_names)} profiles by address", every)
    for query, window in (("", False), ("?symbols=names", False), ("?seconds=0.2", True)):
        check(f"valid: {len(all_names)} profiles{query}", lambda: valid(base, all_names, query, window))
    check("pprof: -seconds", lambda: lacks(pprof(*TOP, "-seconds", "1", f"{host}/debug/pprof/allocs"), WORK))
    check("pprof: an address without a path", lambda: lacks(
        pprof(*TOP, "-seconds", "1", host), r"^Type: cpu", r"^Duration: [1-2](\.\d+)?s", WORK))
    check("pprof: an error is shown", lambda: refused(f"{base}/profile?seconds=x", "invalid value for \"seconds\""))
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f"{number}.pb.gz") for number in (1, 2)]
        for path in files:
            with open(path, "wb") as file:
                file.write(fetch(f"{base}/allocs", {}).body)
            time.sleep(0.3)
        for option in ("-base", "-diff_base"):
            check(f"pprof: {option}", lambda: difference(pprof(*TOP, "-sample_index=alloc_space", option, *files)))
        check("pprof: -diff_base by address", lambda: lacks(
            pprof(*TOP, "-diff_base", f"{base}/allocs", f"{base}/allocs"), "flat%"))
        check("pprof: the page of the flame graph, in a browser", lambda: browser(files[1], folder))


def valid(base, all_names, query, window):
    """Whether the strict reader takes every one of them, asked for at once."""
    wrong = []

    def one(name):
        answer = fetch(f"{base}/{name}{query}", {})
        # What is a state has none, whatever it is asked for; where names alone are asked for, there are no lines.
        lasts = window and (name == "cpu" or "-delta" in answer.headers.get("content-disposition", ""))
        found = [rule for rule in validate.problems(answer.body, lasts) if not (query and rule[0] == "flags")]
        wrong.extend(f"{name}: {rule}" for rule in found)
        if answer.status != 200:
            wrong.append(f"{name}: status {answer.status}")

    asking = [threading.Thread(target=one, args=(name,)) for name in all_names]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    return "; ".join(wrong[:3]) or None


def refused(url, text):
    run = subprocess.run([PPROF, "-top", url], capture_output=True, text=True, timeout=60)
    return None if run.returncode and text in run.stderr else f"{run.returncode}: {run.stderr}"


def difference(text):
    """It grew, for a base that is older, and nothing shrank."""
    rows = re.findall(r"^ *(-?[\d.]+)([kMG]?B) ", text, re.M)
    negative = [row for row in rows if row[0].startswith("-")]
    return lacks(text, WORK) or (f"shrank: {negative[:3]}" if negative else None)


def browser(path, folder):
    """What the page has when its script has run."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return "there is no chromium: tests/run installs it"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([PPROF, "-no_browser", f"-http=127.0.0.1:{port}", path], stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PPROF_TMPDIR": folder}) as server:
        try:
            address = next(found.group(0) for line in server.stderr if (found := re.search(r"http://\S+", line)))
            run = subprocess.run(
                [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                 f"--user-data-dir={folder}/browser", "--virtual-time-budget=4000", "--window-size=1600,1200",
                 "--dump-dom", f"{address}/ui/flamegraph?si=alloc_space"],
                capture_output=True, text=True, timeout=120)
        finally:
            server.kill()
    boxes = re.findall(r'<div class="boxtext"[^>]*>([^<]*)</div>', run.stdout)
    shown = " ".join(html.unescape(box) for box in boxes)
    return lacks(shown, r"\broot\b", r"\bwork\b", r"\badd\b") if boxes else f"no boxes: {run.stdout[:300]} {run.stderr[-300:]}"


def main():
    parser = argparse.ArgumentParser(description="Scrapes codesearch as fleets are scraped.")
    parser.add_argument("program")
    args = parser.parse_args()
    check = Checks()
    roots = [os.path.join(ROOT, folder) for folder in ("runtime", "examples", "tests")]
    options = ["--http", "127.0.0.1:0", "--pprof", "127.0.0.1:0", "--threads", "4", "--pause", "0", "--load", "20"]
    with Live([os.path.abspath(args.program), *options, *roots]) as it:
        check("it starts", it.start)
        if check.failed_last is None:
            scrapes(check, it.profiles)
            by_address(check, it.profiles)
    print(f"test result: {check.passed} passed; {check.failed} failed", flush=True)
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
