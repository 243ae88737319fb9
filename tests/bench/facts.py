"""What is this machine, as far as figures depend on it?"""
import os
import platform
import re
import subprocess
import sys

import report
import sides


def gather():
    """{fact: text}, measured with the floor where it has to be measured."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^(?:model name|Hardware|CPU implementer)\s*:\s*(.*)", f.read(), re.M)
    side = sides.floor("free", "parked")
    futex = side.ask("futex", 2000)
    side.close()
    facts = {
        "CPUs": f"{len(os.sched_getaffinity(0))} × {model.group(1) if model else platform.machine()}",
        "kernel": platform.release(),
        "futex, there and back": f"{report.duration(futex.p50)}, p99 {report.duration(futex.p99)} (park and wake, two processes)",
        "Python": sys.version.split()[0],
    }
    ours = sides.Ours()
    try:
        stats = ours.daemon.request("stats")
    finally:
        ours.close()
    for key in ("spin", "spin_ns"):
        if key in stats:
            facts[f"mpoold's {key}"] = str(stats[key])
    version = subprocess.run([sides.MPOOLD, "--version"], capture_output=True, text=True, check=True).stdout.split()
    facts["mpoold"] = " ".join(version)
    return facts
