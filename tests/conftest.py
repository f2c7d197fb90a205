"""What holds for all tests."""

import os

# Several workers test at once: with a thread per core in each of them, torch's threads wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
