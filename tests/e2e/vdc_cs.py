#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Drives the local cloud's API with python3-cs, and with plain HTTP where a client library would be
in the way. Run by vdc_cs.sh.

usage: vdc_cs.py [NAME ...]    the checks of these names; all without
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

from cs import CloudStack, CloudStackException

VDC = os.environ["VDC"]


def vdc(*args):
    return subprocess.run([VDC, *args], check=True, capture_output=True, text=True).stdout.strip()


STATUS = json.loads(vdc("status", "--json"))
CLOUD = CloudStack(endpoint=STATUS["endpoint"], key=STATUS["api_key"], secret=STATUS["secret_key"],
                   timeout=30, poll_interval=0.05)


def raw(command, method="GET", key=STATUS["api_key"], secret=STATUS["secret_key"], response="json",
        **params):
    """Status, headers and body, signed by ourselves as the server's own code does it."""
    params.update(command=command, apiKey=key)
    if response:
        params["response"] = response
    quoted = ["%s=%s" % (k, urllib.parse.quote(v, safe="*").replace("~", "%7E"))
              for k, v in sorted(params.items())]
    digest = hmac.digest(secret.encode(), "&".join(quoted).lower().encode(), hashlib.sha1)
    quoted.append("signature=" + urllib.parse.quote(base64.b64encode(digest), safe=""))
    where = urllib.parse.urlsplit(STATUS["endpoint"])
    connection = http.client.HTTPConnection(where.netloc, timeout=30)
    if method == "GET":
        connection.request("GET", where.path + "?" + "&".join(quoted))
    else:
        connection.request("POST", where.path, "&".join(quoted),
                           {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def refused(code, what, *args, **params):
    """The call must fail with this code; returns the error's object."""
    status, headers, body = raw(what, *args, **params)
    inner = next(iter(json.loads(body).values()))
    assert status == code and inner["errorcode"] == code, (status, body)
    assert inner["uuidList"] == [] and inner["cserrorcode"], body
    assert headers["X-Description"] == inner["errortext"], headers
    return inner


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "still not true"
        time.sleep(0.05)


def one(kind, **params):
    """The id of the first that a list call gives."""
    answer = getattr(CLOUD, kind)(**params)
    return next(v for v in answer.values() if isinstance(v, list))[0]["id"]


def network(name, cidr):
    return CLOUD.createLocalNetwork(zonename="London", cidr=cidr + ".0/24", gateway=cidr + ".1",
                                    displaytext=name)["localnetwork"][0]["id"]


def base():
    zone = one("listZones", name="London")
    return {"zoneid": zone, "serviceofferingid": one("listServiceOfferings", name="512-1"),
            "templateid": one("listTemplates", templatefilter="featured", zoneid=zone)}


def groups():
    return [g["name"] for g in CLOUD.listDirectConnectGroups()["directconnectgroups"]]


def calls():
    return [json.loads(line) for line in vdc("logs", "--calls").splitlines()]


def check_faults():
    vdc("fault", "call", "listZones", "--nth", "2", "--times", "2", "--error", "533", "--text", "full")
    got = [raw("listZones")[0] for _ in range(4)]
    assert got == [200, 533, 533, 200], got
    assert [c.get("fault") for c in calls()[-4:]] == [None, "1 error before", "1 error before", None]

    vdc("fault", "call", "listZones", "--http", "429", "--retry-after", "7")
    status, headers, _ = raw("listZones")
    assert status == 429 and headers["Retry-After"] == "7", (status, headers)

    # Lost and reset, before and after the call took effect.
    for action, error in (("--lose", http.client.RemoteDisconnected), ("--reset", ConnectionResetError)):
        for when in ("before", "after"):
            name = when + action
            vdc("fault", "call", "createDirectConnectGroup", "--when", when, action)
            try:
                raw("createDirectConnectGroup", name=name)
                assert False, "it was answered"
            except error as e:
                assert type(e) is error, e
            assert (name in groups()) == (when == "after"), groups()

    # An answer that is late keeps nobody else waiting.
    vdc("fault", "call", "listCapabilities", "--delay", "1500")
    begun, late = time.monotonic(), []
    thread = threading.Thread(target=lambda: late.append((raw("listCapabilities")[0], time.monotonic())))
    thread.start()
    until(lambda: calls()[-1].get("fault", "").endswith("delay"))
    assert raw("listZones")[0] == 200 and not late
    thread.join()
    assert late[0][0] == 200 and late[0][1] - begun >= 1.5, late

    # The client is killed, and only it.
    for when in ("before", "after"):
        fault = vdc("fault", "call", "write", "--when", when, "--kill-client")
        client = subprocess.run([sys.executable, os.path.dirname(__file__) + "/vdc_api.py",
                                 "createDirectConnectGroup", "name=killed-" + when])
        assert client.returncode == -9, client
        assert ("killed-" + when in groups()) == (when == "after"), groups()
        counts = {f["id"]: (f["matched"], f["fired"]) for f in json.loads(vdc("fault", "list", "--json"))}
        assert counts[fault] == (1, 1), counts
    vdc("fault", "clear")
    assert json.loads(vdc("fault", "list", "--json")) == []

    # A deployment that failed stays as a guest in state Error until it is expunged.
    net = network("faults", "10.11.0")
    vdc("fault", "call", "deployVirtualMachine", "--fail-job")
    try:
        CLOUD.deployVirtualMachine(name="broken", networkids=net, fetch_result=True, **base())
        assert False, "the job did not fail"
    except CloudStackException as e:
        assert "a fault that was set" in str(e.error), e.error
    vm = CLOUD.listVirtualMachines(name="broken")["virtualmachine"][0]
    assert vm["state"] == "Error", vm
    CLOUD.destroyVirtualMachine(id=vm["id"], expunge=True, fetch_result=True)
    assert CLOUD.listVirtualMachines(name="broken") == {}
    vdc("fault", "call", "createEgressFirewallRule", "--fail-job")
    try:
        CLOUD.createEgressFirewallRule(networkid=net, protocol="all", fetch_result=True)
        assert False, "the job did not fail"
    except CloudStackException:
        pass
    assert CLOUD.listEgressFirewallRules() == {}
    CLOUD.deleteNetwork(id=net, fetch_result=True)
    vdc("fault", "clear")


def check_simulator():
    net = network("simulator", "10.12.0")
    vm = CLOUD.deployVirtualMachine(name="sim", networkids=net, hypervisor="Simulator",
                                    fetch_result=True, **base())["virtualmachine"]
    assert (vm["state"], vm["hypervisor"]) == ("Running", "Simulator"), vm
    assert os.listdir("/var/lib/muster/vdc/vms") == []
    for call, state in (("stop", "Stopped"), ("start", "Running"), ("reboot", "Running")):
        done = getattr(CLOUD, call + "VirtualMachine")(id=vm["id"], fetch_result=True)
        assert done["virtualmachine"]["state"] == state, done
    refused(431, "deployVirtualMachine", name="x", networkids=net, hypervisor="Abacus", **base())

    # More jobs than run at once, and all wait for their time together.
    vdc("start", "--job-latency", "1500")
    begun = time.monotonic()
    jobs = [CLOUD.rebootVirtualMachine(id=vm["id"])["jobid"] for _ in range(20)]
    until(lambda: CLOUD.queryAsyncJobResult(jobid=jobs[0])["jobstatus"] == 1)
    assert time.monotonic() - begun >= 1.5
    until(lambda: all(CLOUD.queryAsyncJobResult(jobid=j)["jobstatus"] == 1 for j in jobs))
    vdc("start", "--job-latency", "0")

    CLOUD.destroyVirtualMachine(id=vm["id"], expunge=True, fetch_result=True)
    CLOUD.deleteNetwork(id=net, fetch_result=True)


def main():
    every = {name[6:]: f for name, f in globals().items() if name.startswith("check_")}
    for name in sys.argv[1:] or every:
        begun = time.monotonic()
        every[name]()
        print("%6.1f s  %s" % (time.monotonic() - begun, name), flush=True)


main()
