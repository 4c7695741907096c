"""What the parity scripts share: running the binary, comparing outputs, reporting."""
import json
import subprocess

import numpy as np


class Failure(Exception):
    """A step that did not do what it should."""


def sepal(binary, *args):
    """Runs a command and returns its JSON result."""
    done = subprocess.run([binary, *map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"sepal {args[0]}: " + " ".join(line.strip() for line in done.stderr.splitlines() if line.strip()))
    return json.loads(done.stdout.splitlines()[-1])


def run(binary, model, x, folder):
    """The output of a model file for `x`, as `sepal run` computes it."""
    np.save(folder / "x.npy", x)
    sepal(binary, "run", model, "--input", folder / "x.npy", "--output", folder / "y.npy")
    return np.load(folder / "y.npy")


def distance(got, want):
    """The greatest difference, relative to the greatest value."""
    if got.shape != want.shape:
        raise Failure(f"shape {got.shape} for {want.shape}")
    if not np.isfinite(want).all() or not want.any():
        raise Failure("the reference is zero or not finite")
    return float(np.abs(got - want).max() / np.abs(want).max())


def within(what, error, tolerance):
    """Refuses an error that is not small; one that is no number is not small."""
    if not error <= tolerance:
        raise Failure(f"{what}: error {error:.1e}")
    return f"{what} {error:.1e}"


def report(rows):
    """Prints what failed again, and says by the exit code whether anything did."""
    failed = [(name, why) for name, why in rows if why]
    print(f"\n{len(rows) - len(failed)} of {len(rows)} passed")
    for name, why in failed:
        print(f"  {name}: {why}")
    raise SystemExit(1 if failed else 0)
