#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The demo's own verdict: ./do demo --run."""
import os
import subprocess
import sys

if not os.access(os.environ["HULL"], os.X_OK):
    print("hull is not built")
    sys.exit(77)
sys.exit(subprocess.call([sys.executable, os.path.join(os.environ["HULL_SOURCE"], "tools", "demo.py"),
                          os.environ["HULL"], "--run"]))
