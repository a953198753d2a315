#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls the local cloud with a client that is not ours (python3-cs).

usage: vdc_api.py CALL [name=value ...]
Waits for the job of an asynchronous call; prints the answer, or the job's result, as JSON.
The endpoint and keys come from `muster-vdc status --json`, run as $VDC.
"""
import json
import os
import subprocess
import sys
import time

from cs import CloudStack


def main():
    status = json.loads(subprocess.check_output([os.environ["VDC"], "status", "--json"]))
    cloud = CloudStack(endpoint=status["endpoint"], key=status["api_key"],
                       secret=status["secret_key"], timeout=30)
    params = dict(arg.split("=", 1) for arg in sys.argv[2:])
    answer = getattr(cloud, sys.argv[1])(**params)
    while "jobid" in answer and sys.argv[1] != "queryAsyncJobResult":
        job = cloud.queryAsyncJobResult(jobid=answer["jobid"])
        if job["jobstatus"] == 2:
            sys.exit("%s: %s" % (sys.argv[1], job["jobresult"]["errortext"]))
        if job["jobstatus"] == 1:
            answer = job["jobresult"]
            break
        time.sleep(0.1)
    json.dump(answer, sys.stdout)
    print()


main()
