"""What holds for all tests."""

import atexit
import os
import shutil
import signal
import tempfile

# Several workers test at once: with a thread per core in each of them, torch's threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in the background deaf to Ctrl-C, and so would be all processes that are tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

# All processes of a run share caches that are empty at its start, so no test sees what an earlier run left.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="ottt-tests-cache-")
    atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
