#!/usr/bin/env python3
"""A kubectl that records what it is asked and answers from a script; `kustomize` goes to the real one.

FAKE_KUBECTL is a folder: rules.json holds [{"words": […], "answers": [{"out", "err", "code", "waits_for", "runs"}]}].
The first rule whose words are all in the command answers; its last answer is repeated. Without a rule: nothing, code 0.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

folder = Path(os.environ["FAKE_KUBECTL"])
arguments = sys.argv[1:]
if arguments[0] == "kustomize":
    os.execv(os.environ["REAL_KUBECTL"], ["kubectl", *arguments])
stdin = sys.stdin.read() if "-f" in arguments and "-" in arguments else ""
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({"arguments": arguments, "stdin": stdin}) + "\n")
for number, rule in enumerate(json.loads((folder / "rules.json").read_text())):
    if not set(rule["words"]) <= set(arguments):
        continue
    counter = folder / f"used-{number}"
    used = len(counter.read_text()) if counter.exists() else 0
    counter.write_text("x" * (used + 1))
    answer = rule["answers"][min(used, len(rule["answers"]) - 1)]
    if "out" in answer:
        sys.stdout.write(answer["out"] + "\n")
        sys.stdout.flush()
    if "err" in answer:
        sys.stderr.write(answer["err"] + "\n")
    deadline_s = time.monotonic() + 20
    while "waits_for" in answer and not (folder / answer["waits_for"]).exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    if answer.get("runs"):  # what comes after --, with the folder of the test for the pod's volume
        code = [text.replace("/results", str(folder / "volume")) for text in arguments[arguments.index("--") + 1 :]]
        subprocess.run([sys.executable, *code[1:]], check=True)
    if "touches" in answer:
        (folder / answer["touches"]).touch()
    sys.exit(answer.get("code", 0))
