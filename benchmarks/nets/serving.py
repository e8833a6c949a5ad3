"""A side of the comparison is a process that makes steps when it is asked to.

After its first step it prints a line {"start": seconds since the process began}, and one more when it is
warm. For each line on its standard input it makes STEPS steps and prints {"step": seconds of one,
"processor": its processor seconds, "memory": largest resident MiB so far}.
"""

import json
import os
import resource
import sys
import time

START = float(os.environ["NETS_START"])


def serve(work, steps):
    """Answer until the input ends. `work(n)` makes n steps and waits for their results."""
    work(1)
    print(json.dumps({"start": time.time() - START}), flush=True)
    work(steps)  # what a second call compiles
    print(json.dumps({"warm": True}), flush=True)
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        work(steps)
        seconds, used = (time.perf_counter() - began) / steps, (time.process_time() - used) / steps
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"step": seconds, "processor": used, "memory": memory}), flush=True)
