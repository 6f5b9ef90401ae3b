#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The demo's own verdict: ./do demo metal."""
# timeout: 400
import os
import subprocess
import sys

sys.exit(subprocess.call([sys.executable, os.path.join(os.environ["HULL_SOURCE"], "tools", "demo_metal.py"),
                          os.environ["HULL_FAST"], os.environ["HULL_METAL"]]))
