"""Stands in for a device: installs and tests that take time and may fail, with nothing real behind.

Run as ``python -P -m runyard.execution.simulated STEP``; what it does is drawn from a seed and from
what it is asked to do, so that the same test on the same build does the same again. Only the
standard library is imported: a hundred of these may start in a second.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

INFRA_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the place failed, not what ran on it


def main(arguments: list[str] | None = None) -> int:
    """Play one step; returns its exit code."""
    options = _options(arguments)
    drawn = random.Random(
        f"{options.seed}/{options.step}/{options.device}/{options.app}/{options.test}"
        f"/{options.attempt}"
    )
    seconds = options.seconds * drawn.uniform(1 - options.spread, 1 + options.spread)
    what = options.test if options.step == "test" else options.app or options.device
    print(f"{options.device}: {options.step} {what} (simulated, {seconds:.2f} s)", flush=True)
    time.sleep(seconds)
    if drawn.random() < options.infra_failure_rate:
        print(f"{options.device}: the device went away", file=sys.stderr)
        return INFRA_FAILURE
    if drawn.random() < options.failure_rate:
        print(f"{options.device}: {options.step} {what} failed", file=sys.stderr)
        return 1
    print(f"{options.device}: {options.step} {what} done")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulated")
    parser.add_argument("step", choices=("setup", "test"))
    for name in ("device", "app", "test", "attempt"):
        parser.add_argument(f"--{name}", default="")
    for name in ("seconds", "spread", "failure-rate", "infra-failure-rate"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--seed", default="0")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
