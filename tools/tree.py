# SPDX-License-Identifier: Apache-2.0
"""What the checks share: the files of the tree, C text without comments, and how to report."""
import os
import re
import sys

SKIP = {".git", "build", ".cache", "__pycache__"}
C_FOLDERS = ("src", "tests", "fuzz", "bench")


def root():
    """The tree to check: the first argument, else the one this file is in."""
    if len(sys.argv) > 1:
        return os.path.abspath(sys.argv[1])
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(top, folders=None, ends=None):
    """Sorted paths, relative to top."""
    found = []
    for folder in folders or ("",):
        for here, dirs, names in os.walk(os.path.join(top, folder)):
            dirs[:] = [d for d in dirs if d not in SKIP and not d.startswith("build-")]
            for name in names:
                path = os.path.relpath(os.path.join(here, name), top)
                if ends is None or path.endswith(ends):
                    found.append(path)
    return sorted(found)


def read(top, path):
    """The text of a file; empty when it does not exist."""
    if not os.path.exists(os.path.join(top, path)):
        return ""
    with open(os.path.join(top, path), encoding="utf-8", errors="replace") as f:
        return f.read()


TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code(text):
    """C text with comments and the inside of strings blanked; line numbers stay."""
    def blank(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s[0] + s[0]
        return re.sub(r"[^\n]", " ", s)
    return TOKEN.sub(blank, text)


def report(problems, summary):
    """Print and leave: 0 when there is no problem."""
    try:
        for p in problems:
            print(p)
    except BrokenPipeError:
        sys.exit(1)
    if problems:
        print(f"{len(problems)} problem(s)")
        sys.exit(1)
    print(summary)
    sys.exit(0)
