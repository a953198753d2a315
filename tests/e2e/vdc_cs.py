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
import shlex
import sqlite3
import subprocess
import sys
import tempfile
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


def broken(call, **params):
    """The error of a job, or of a call, that must fail."""
    try:
        getattr(CLOUD, call)(fetch_result=True, **params)
    except CloudStackException as e:
        return str(e.error)
    raise AssertionError(call + " did not fail")


def own_key():
    path = os.path.join(tempfile.mkdtemp(), "key")
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


def simulated(name, net, **params):
    return CLOUD.deployVirtualMachine(name=name, networkids=net, hypervisor="Simulator",
                                      fetch_result=True, **{**base(), **params})["virtualmachine"]


def gone(vm, *networks):
    CLOUD.destroyVirtualMachine(id=vm["id"], expunge=True, fetch_result=True)
    for net in networks:
        CLOUD.deleteNetwork(id=net, fetch_result=True)


def sh(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


class Guest:
    """Stands in for a simulated guest: a namespace with its first NIC's addresses."""

    def __init__(self, vm):
        nic = vm["nic"][0]
        self.name, self.gateway, self.address = "guest-" + vm["name"], nic["gateway"], nic["ipaddress"]
        self.server, veth = None, "v" + vm["id"][:8]
        sh("ip", "netns", "add", self.name)
        sh("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        sh("ip", "link", "set", veth, "master", "mvdcb" + nic["networkid"][:8], "up")
        self.run("ip", "link", "set", "eth0", "address", nic["macaddress"], "up")
        self.run("ip", "addr", "add", self.address + "/24", "dev", "eth0")
        self.run("ip", "route", "add", "default", "via", self.gateway)

    def run(self, *args):
        return sh("ip", "netns", "exec", self.name, *args)

    def serve(self, port):
        self.server = subprocess.Popen(["ip", "netns", "exec", self.name, sys.executable, "-m",
                                        "http.server", str(port), "-d", "/var/empty"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: ":%d " % port in self.run("ss", "-Hltn"))

    def get(self, url, **headers):
        """The answer, or nothing while the service is on its way."""
        args = [x for k, v in headers.items() for x in ("-H", "%s: %s" % (k, v))]
        return subprocess.run(["ip", "netns", "exec", self.name, "curl", "-s", "--max-time", "5", *args,
                               url], stdout=subprocess.PIPE, text=True).stdout

    def end(self):
        if self.server:
            self.server.kill()
            self.server.wait()
        sh("ip", "netns", "del", self.name)


def open_port(address, port):
    return subprocess.run(["curl", "-s", "-o", "/dev/null", "--connect-timeout", "1",
                           "http://%s:%d/" % (address, port)]).returncode == 0


def check_requests():
    for method in ("GET", "POST"):
        cloud = CloudStack(endpoint=STATUS["endpoint"], key=STATUS["api_key"],
                           secret=STATUS["secret_key"], method=method.lower())
        assert cloud.listZones(name="London")["count"] == 1
        assert raw("listZones", method, keyword="~*(')! %")[0] == 200
    refused(401, "listZones", secret="wrong")
    refused(401, "listZones", key="unknown")
    assert next(iter(json.loads(raw("noSuchCall")[2]))) == "errorresponse"
    refused(432, "noSuchCall")
    refused(432, "listSnapshotPolicies")
    for what, params in (("createVolume", {"size": "x"}), ("startVirtualMachine", {}),
                         ("startVirtualMachine", {"id": "7"}), ("listZones", {"page": "1"}),
                         ("listZones", {"page": "1", "pagesize": "501"})):
        refused(431, what, **params)
    assert raw("listZones", pagesize="-1")[0] == 200

    status, headers, body = raw("listZones", response=None, name="London")
    assert status == 200 and headers["Content-Type"].startswith("text/xml"), headers
    assert "<listzonesresponse cloud-stack-version=" in body and "<name>London</name>" in body, body
    status, headers, body = raw("startVirtualMachine", response="xml")
    assert status == 431 and "<errorcode>431</errorcode>" in body and headers["X-Description"], body

    listed = {a["name"]: a for a in CLOUD.listApis()["api"]}
    assert listed["deployVirtualMachine"]["isasync"] and "createSnapshotPolicy" not in listed
    assert {h["name"] for h in CLOUD.listHypervisors()["hypervisor"]} >= {"LXC", "Simulator"}
    assert CLOUD.listIsos() == {}
    assert CLOUD.listOsTypes()["ostype"][0]["description"] == "Debian 12"
    assert CLOUD.listAccounts()["account"][0]["name"] == "local"
    assert CLOUD.listUsers()["user"][0]["account"] == "local"


def check_tags():
    net = network("tags", "10.13.0")
    vm = simulated("tagged", net)
    for start in range(0, 600, 30):
        tags = {"tags[%d].%s" % (i, k): "%s%d" % (k, start + i) for i in range(30)
                for k in ("key", "value")}
        CLOUD.createTags(resourceids=vm["id"], resourcetype="UserVm", **tags)
    found = CLOUD.listTags(fetch_list=True, resourceid=vm["id"])
    assert len(found) == len({t["key"] for t in found}) == 600, len(found)
    assert len(CLOUD.listTags()["tag"]) == 500
    assert CLOUD.listVirtualMachines(tags=[{"key": "key599", "value": "value599"}])["count"] == 1
    assert CLOUD.listVirtualMachines(tags=[{"key": "key599", "value": "value0"}]) == {}
    CLOUD.deleteTags(resourceids=vm["id"], resourcetype="UserVm", fetch_result=True)
    assert CLOUD.listTags() == {}

    # Every kind of resource that has tags.
    ip = one("listPublicIpAddresses", associatednetworkid=net)
    forward = CLOUD.createPortForwardingRule(ipaddressid=ip, protocol="tcp", publicport=80,
                                             privateport=80, virtualmachineid=vm["id"],
                                             fetch_result=True)["portforwardingrule"]
    egress = CLOUD.createEgressFirewallRule(networkid=net, protocol="all",
                                            fetch_result=True)["firewallrule"]
    volume = CLOUD.createVolume(name="tagged", size=1, zoneid=base()["zoneid"],
                                diskofferingid=one("listDiskOfferings"), fetch_result=True)["volume"]
    snapshot = CLOUD.createSnapshot(volumeid=volume["id"], fetch_result=True)["snapshot"]
    for kind, call, what in (("Network", "listNetworks", net), ("PublicIpAddress", "listPublicIpAddresses", ip),
                             ("PortForwardingRule", "listPortForwardingRules", forward["id"]),
                             ("FirewallRule", "listFirewallRules", one("listFirewallRules")),
                             ("FirewallRule", "listEgressFirewallRules", egress["id"]),
                             ("Volume", "listVolumes", volume["id"]),
                             ("Snapshot", "listSnapshots", snapshot["id"])):
        tag = {"tags[0].key": "kind", "tags[0].value": kind}
        CLOUD.createTags(resourceids=what, resourcetype=kind, fetch_result=True, **tag)
        found = next(v for v in getattr(CLOUD, call)(**tag).values() if isinstance(v, list))
        assert [f["id"] for f in found] == [what] and found[0]["tags"][0]["value"] == kind, found
    refused(431, "createTags", resourceids=net, resourcetype="Teapot", **{"tags[0].key": "a"})
    CLOUD.deleteSnapshot(id=snapshot["id"], fetch_result=True)
    CLOUD.deleteVolume(id=volume["id"])
    gone(vm, net)


def check_addresses():
    net = network("addresses", "10.14.0")
    until(lambda: CLOUD.listNetworks(id=net)["network"][0]["isprovisioned"])
    vm = simulated("served", net)
    guest = Guest(vm)
    guest.serve(8000)
    ip = CLOUD.associateIpAddress(networkid=net, fetch_result=True)["ipaddress"]
    CLOUD.createPortForwardingRule(ipaddressid=ip["id"], protocol="tcp", publicport=80, privateport=8000,
                                   virtualmachineid=vm["id"], openfirewall=False, fetch_result=True)
    assert not open_port(ip["ipaddress"], 80), "open without a firewall rule"
    rule = CLOUD.createFirewallRule(ipaddressid=ip["id"], protocol="tcp", startport=80, endport=80,
                                    fetch_result=True)["firewallrule"]
    assert open_port(ip["ipaddress"], 80)
    refused(537, "createFirewallRule", ipaddressid=ip["id"], protocol="tcp", startport="80",
            endport="81")
    CLOUD.deleteFirewallRule(id=rule["id"], fetch_result=True)
    assert not open_port(ip["ipaddress"], 80), "open after its firewall rule went"
    CLOUD.disassociateIpAddress(id=ip["id"], fetch_result=True)
    assert CLOUD.listPortForwardingRules() == {}
    source = CLOUD.listPublicIpAddresses(associatednetworkid=net, issourcenat=True)["publicipaddress"]
    assert len(source) == 1
    refused(431, "disassociateIpAddress", id=source[0]["id"])

    # Static NAT: all ports, in and out.
    ip = CLOUD.associateIpAddress(networkid=net, fetch_result=True)["ipaddress"]
    CLOUD.enableStaticNat(ipaddressid=ip["id"], virtualmachineid=vm["id"])
    assert CLOUD.listVirtualMachines(id=vm["id"])["virtualmachine"][0]["publicip"] == ip["ipaddress"]
    CLOUD.createFirewallRule(ipaddressid=ip["id"], protocol="all", fetch_result=True)
    until(lambda: open_port(ip["ipaddress"], 8000))
    CLOUD.disableStaticNat(ipaddressid=ip["id"], fetch_result=True)
    assert not open_port(ip["ipaddress"], 8000)
    CLOUD.restartNetwork(id=net, cleanup=True, fetch_result=True)
    until(lambda: vm["id"] in guest.get("http://%s/latest/meta-data/instance-id" % guest.gateway))
    renamed = CLOUD.updateNetwork(id=net, displaytext="new text", fetch_result=True)["network"]
    assert renamed["displaytext"] == "new text"
    offering = renamed["networkofferingid"]
    renamed = CLOUD.updateNetwork(id=net, name="n", networkofferingid=offering, fetch_result=True)["network"]
    assert (renamed["name"], renamed["networkofferingid"]) == ("n", offering)
    other = next(o["id"] for o in CLOUD.listNetworkOfferings()["networkoffering"] if o["id"] != offering)
    refused(431, "updateNetwork", id=net, networkofferingid=other)
    guest.end()
    gone(vm, net)


def check_password():
    net = network("password", "10.15.0")
    until(lambda: CLOUD.listNetworks(id=net)["network"][0]["isprovisioned"])
    template = next(t for t in CLOUD.listTemplates(templatefilter="featured")["template"]
                    if t["passwordenabled"])
    vm = simulated("secretive", net, templateid=template["id"])
    assert len(vm["password"]) >= 8
    assert "password" not in CLOUD.listVirtualMachines(id=vm["id"])["virtualmachine"][0]
    guest = Guest(vm)
    router = "http://%s:8080/" % guest.gateway
    until(lambda: guest.get(router) == "bad_request")
    answers = [guest.get(router, DomU_Request=wish) for wish in
               ("send_my_password", "send_my_password", "saved_password", "send_my_password", "x")]
    assert answers == [vm["password"]] * 2 + ["saved_password"] * 2 + ["bad_request"], answers
    guest.end()
    gone(vm, net)


def check_userdata():
    net = network("userdata", "10.16.0")
    text = {n: base64.b64encode(b"#!/bin/true".ljust(n)).decode() for n in (3072, 3073, 24576, 24577)}
    args = dict(base(), networkids=net, hypervisor="Simulator")
    for n, method, status in ((3072, "GET", 200), (3073, "GET", 431), (3073, "POST", 200),
                              (24576, "POST", 200), (24577, "POST", 431)):
        assert raw("deployVirtualMachine", method, userdata=text[n], **args)[0] == status, n
    refused(431, "deployVirtualMachine", userdata="no base64!", **args)
    made = CLOUD.listVirtualMachines()["virtualmachine"]
    assert len(made) == 3
    registered = CLOUD.registerUserData(name="ud", userdata=text[3072])["userdata"]
    vm = simulated("registered", net, userdataid=registered["id"],
                   **{"userdatadetails[0].colour": "blue"})
    assert vm["userdataname"] == "ud", vm
    until(lambda: CLOUD.listNetworks(id=net)["network"][0]["isprovisioned"])
    guest = Guest(vm)
    meta = "http://%s/latest/" % guest.gateway
    until(lambda: guest.get(meta + "user-data").startswith("#!/bin/true"))
    assert guest.get(meta + "meta-data/colour") == "blue"
    guest.end()
    refused(431, "deleteUserData", id=registered["id"])
    refused(431, "resetUserDataForVirtualMachine", id=vm["id"], userdata=text[3072])
    CLOUD.stopVirtualMachine(id=vm["id"], fetch_result=True)
    other = base64.b64encode(b"other").decode()
    CLOUD.resetUserDataForVirtualMachine(id=vm["id"], userdata=other)
    got = CLOUD.getVirtualMachineUserData(virtualmachineid=vm["id"])["virtualmachineuserdata"]
    assert got["userdata"] == other, got
    CLOUD.deleteUserData(id=registered["id"])
    assert CLOUD.listUserData() == {}
    for one_made in made:
        CLOUD.destroyVirtualMachine(id=one_made["id"], expunge=True, fetch_result=True)
    gone(vm, net)


def check_guests():
    zone = base()["zoneid"]
    offerings = {o["name"]: o["id"] for o in CLOUD.listNetworkOfferings()["networkoffering"]}
    net, private = [CLOUD.createNetwork(name=name, zoneid=zone, networkofferingid=offerings[offering],
                                        gateway=cidr + ".1", netmask="255.255.255.0")["network"]["id"]
                    for name, offering, cidr in
                    (("front", "DefaultIsolatedNetworkOfferingWithSourceNatService", "10.17.0"),
                     ("back", "DefaultSharedNetworkOffering", "10.18.0"))]
    refused(431, "createNetwork", name="x", zoneid=zone, gateway="10.1.1.1",
            networkofferingid=next(iter(offerings.values())))
    refused(431, "associateIpAddress", networkid=private)
    pair = CLOUD.createSSHKeyPair(name="made")["keypair"]
    assert "PRIVATE KEY" in pair["privatekey"] and "privatekey" not in CLOUD.listSSHKeyPairs()["sshkeypair"][0]
    group = CLOUD.createAffinityGroup(name="apart", type="host anti-affinity",
                                      fetch_result=True)["affinitygroup"]["id"]
    vm = simulated("first", net, keypair="made", affinitygroupids=group, diskofferingid=one("listDiskOfferings"),
                   size=2)
    assert vm["keypair"] == "made" and vm["affinitygroup"][0]["name"] == "apart", vm
    # CloudStack implements a network with its first real guest.
    assert CLOUD.listNetworks(id=net)["network"][0]["state"] == "Allocated"
    refused(431, "deployVirtualMachine", name="first", networkids=net, **base())
    assert "still has a NIC" in broken("deleteNetwork", id=net)
    assert CLOUD.listAffinityGroups()["affinitygroup"][0]["virtualmachineIds"] == [vm["id"]]
    refused(431, "deleteAffinityGroup", id=group)
    assert {"type": "host affinity"} in CLOUD.listAffinityGroupTypes()["affinityGroupType"]

    added = CLOUD.addNicToVirtualMachine(virtualmachineid=vm["id"], networkid=private,
                                         fetch_result=True)["virtualmachine"]["nic"]
    assert [n["isdefault"] for n in added] == [True, False], added
    assert CLOUD.listNics(virtualmachineid=vm["id"])["count"] == 2
    refused(431, "removeNicFromVirtualMachine", virtualmachineid=vm["id"], nicid=added[0]["id"])
    CLOUD.removeNicFromVirtualMachine(virtualmachineid=vm["id"], nicid=added[1]["id"], fetch_result=True)
    assert CLOUD.updateVirtualMachine(id=vm["id"], displayname="One")["virtualmachine"]["displayname"] == "One"

    # Disks: the one deployed with it grows, also on a loop device.
    disk = CLOUD.listVolumes(virtualmachineid=vm["id"], type="DATADISK")["volume"][0]
    extra = CLOUD.createVolume(name="extra", size=1, zoneid=zone, diskofferingid=disk["diskofferingid"],
                               fetch_result=True)["volume"]
    CLOUD.attachVolume(id=extra["id"], virtualmachineid=vm["id"], fetch_result=True)
    loop = sh("losetup", "-f", "--show", "/var/lib/muster/vdc/volumes/" + extra["id"] + ".img").strip()
    try:
        grown = CLOUD.resizeVolume(id=extra["id"], size=3, fetch_result=True)["volume"]
        size = int(sh("blockdev", "--getsize64", loop))
    finally:
        sh("losetup", "-d", loop)
    assert grown["size"] == size == 3 << 30, (grown, size)
    refused(431, "resizeVolume", id=extra["id"], size="2")
    refused(431, "deleteVolume", id=extra["id"])

    # Destroyed, back again, expunged.
    refused(431, "expungeVirtualMachine", id=vm["id"])
    CLOUD.destroyVirtualMachine(id=vm["id"], fetch_result=True)
    assert CLOUD.listVirtualMachines(id=vm["id"])["virtualmachine"][0]["state"] == "Destroyed"
    assert CLOUD.recoverVirtualMachine(id=vm["id"])["virtualmachine"]["state"] == "Stopped"
    larger = one("listServiceOfferings", name="4096-1")
    grown = CLOUD.changeServiceForVirtualMachine(id=vm["id"], serviceofferingid=larger)["virtualmachine"]
    assert (grown["serviceofferingname"], grown["memory"]) == ("4096-1", 4096), grown
    refused(431, "changeServiceForVirtualMachine", id=vm["id"], serviceofferingid=vm["id"])
    changed = CLOUD.resetSSHKeyForVirtualMachine(id=vm["id"], keypair="made", fetch_result=True)
    assert changed["virtualmachine"]["keypair"] == "made"
    CLOUD.destroyVirtualMachine(id=vm["id"], volumeids=extra["id"], fetch_result=True)
    assert [v["id"] for v in CLOUD.listVolumes(type="DATADISK")["volume"]] == [disk["id"]]
    assert CLOUD.expungeVirtualMachine(id=vm["id"], fetch_result=True)["success"] is True
    assert CLOUD.listVirtualMachines() == {}
    CLOUD.deleteVolume(id=disk["id"])
    CLOUD.deleteAffinityGroup(id=group, fetch_result=True)
    CLOUD.deleteSSHKeyPair(name="made")
    for what in (net, private):
        CLOUD.deleteNetwork(id=what, fetch_result=True)


def image(kind, entity):
    return "/var/lib/muster/vdc/%ss/%s.img" % (kind, entity["id"])


def write_at(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def read_at(path, offset, length):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(length)


def job_process(job):
    """The pids of a job's process; none when it has ended."""
    found = subprocess.run(["pgrep", "-f", "muster-vdc job " + job], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def check_snapshots():
    zone = base()["zoneid"]
    volume = CLOUD.createVolume(name="data", size=2, zoneid=zone, diskofferingid=one("listDiskOfferings"),
                                fetch_result=True)["volume"]
    assert CLOUD.listSnapshots() == {}
    write_at(image("volume", volume), 1 << 30, b"before")
    snapshot = CLOUD.createSnapshot(volumeid=volume["id"], name="first", fetch_result=True)["snapshot"]
    wanted = {"state": "BackedUp", "name": "first", "volumeid": volume["id"], "volumename": "data",
              "volumetype": "DATADISK", "snapshottype": "MANUAL", "intervaltype": "MANUAL",
              "zoneid": zone, "virtualsize": 2 << 30, "account": "local", "domain": "ROOT",
              "revertable": False, "tags": []}
    assert {k: snapshot[k] for k in wanted} == wanted, snapshot
    assert 0 < snapshot["physicalsize"] < 1 << 30, snapshot
    write_at(image("volume", volume), 1 << 30, b"behind")
    named = CLOUD.createSnapshot(volumeid=volume["id"], fetch_result=True)["snapshot"]
    assert named["name"].startswith("detached_data_"), named
    assert CLOUD.listSnapshots(volumeid=volume["id"], snapshottype="MANUAL", zoneid=zone)["count"] == 2
    assert CLOUD.listSnapshots(ids=snapshot["id"], name="first")["count"] == 1
    assert CLOUD.listSnapshots(volumeid=zone) == {}
    page = CLOUD.listSnapshots(page=2, pagesize=1)
    assert page["count"] == 2 and page["snapshot"][0]["id"] == named["id"], page

    # Volumes of it, also when the one that it was made of is gone.
    CLOUD.deleteVolume(id=volume["id"])
    for size in (None, 3):
        params = {"size": size} if size else {}
        copy = CLOUD.createVolume(name="copy", snapshotid=snapshot["id"], fetch_result=True,
                                  **params)["volume"]
        assert copy["snapshotid"] == snapshot["id"] and copy["size"] == (size or 2) << 30, copy
        assert os.path.getsize(image("volume", copy)) == copy["size"]
        assert read_at(image("volume", copy), 1 << 30, 6) == b"before"
        CLOUD.deleteVolume(id=copy["id"])
    refused(431, "createVolume", snapshotid=snapshot["id"], size="1")
    refused(431, "createVolume", snapshotid=zone)
    refused(431, "createSnapshot", volumeid=volume["id"])
    CLOUD.deleteSnapshot(id=named["id"], fetch_result=True)
    refused(431, "deleteSnapshot", id=named["id"])

    # What a simulated guest has attached, and one whose job fails: it stays as an error.
    net = network("snapshots", "10.22.0")
    vm = simulated("snapped", net)
    volume = CLOUD.createVolume(name="large", snapshotid=snapshot["id"], fetch_result=True)["volume"]
    CLOUD.attachVolume(id=volume["id"], virtualmachineid=vm["id"], fetch_result=True)
    attached = CLOUD.createSnapshot(volumeid=volume["id"], fetch_result=True)["snapshot"]
    assert attached["name"].startswith("snapped_large_"), attached
    vdc("fault", "call", "createSnapshot", "--fail-job")
    assert "a fault that was set" in broken("createSnapshot", volumeid=volume["id"], name="failed")
    failed = CLOUD.listSnapshots(name="failed")["snapshot"][0]
    assert failed["state"] == "Error" and not os.path.exists(image("snapshot", failed)), failed
    refused(431, "createVolume", snapshotid=failed["id"])
    vdc("fault", "clear")
    for gone_one in (failed, attached):
        CLOUD.deleteSnapshot(id=gone_one["id"], fetch_result=True)

    # Service and job killed in the middle of a copy: whole in the end, and nothing else is left.
    large = os.urandom(1 << 20) * 400
    write_at(image("volume", volume), 0, large)
    begun = CLOUD.createSnapshot(volumeid=volume["id"], name="killed")
    target = image("snapshot", begun)
    while not os.path.exists(target + ".part") and not os.path.exists(target):
        pass
    os.kill(json.loads(vdc("status", "--json"))["pid"], 9)
    for pid in job_process(begun["jobid"]):
        os.kill(pid, 9)
    vdc("start")
    until(lambda: CLOUD.queryAsyncJobResult(jobid=begun["jobid"])["jobstatus"] == 1, 60)
    assert CLOUD.listSnapshots(name="killed")["snapshot"][0]["state"] == "BackedUp"
    assert read_at(target, 0, len(large)) == large
    with open(target + ".part", "w"): # of a job that nobody goes on with
        pass
    vdc("stop")
    vdc("start")
    assert sorted(os.listdir(os.path.dirname(target))) == sorted(
        os.path.basename(image("snapshot", s)) for s in (snapshot, begun)), os.listdir(os.path.dirname(target))
    for left in (snapshot, begun):
        CLOUD.deleteSnapshot(id=left["id"], fetch_result=True)
    assert os.listdir(os.path.dirname(target)) == []
    CLOUD.detachVolume(id=volume["id"], fetch_result=True)
    CLOUD.deleteVolume(id=volume["id"])
    gone(vm, net)


def typed(line, **values):
    """A line as an operator types it in cloudmonkey: verb and noun in any case, `filter` is its own."""
    names = {a["name"].lower(): a["name"] for a in CLOUD.listApis()["api"]}
    words = shlex.split(line.format(**values))
    args = dict(w.split("=", 1) for w in words if "=" in w)
    name = names["".join(w for w in words if "=" not in w).lower()]
    wanted = args.pop("filter", "").split(",")
    answer = getattr(CLOUD, name)(fetch_result=name != "listApis", **args)
    found = next((v for v in answer.values() if isinstance(v, (list, dict))), answer)
    if wanted != [""]:
        return [{k: one[k] for k in wanted} for one in found]
    return found[0] if isinstance(found, list) and len(found) == 1 else found


def check_tutorial():
    """A stack of two zones by hand, call by call."""
    zones = {"Frankfurt (ESX)": "10.30.1", "Paris (ESX)": "10.30.2"}
    key = sh("ssh-keygen", "-y", "-f", own_key()).strip()
    typed("register sshkeypair name=keypair-saas publickey='{key}'", key=key)
    if not typed("listDirectConnectGroups"): # a new account at the real one has "Default"
        typed("createDirectConnectGroup name=Default")
    group = typed("listDirectConnectGroups filter=id,name")[0]["id"]
    made, vms, volumes = [], {}, []
    for zone, net in zones.items():
        gateway = typed("createLocalNetwork displaytext='Gateway-{zone}' zonename='{zone}' "
                        "cidr={net}.0/24 gateway={net}.1", zone=zone, net=net)["id"]
        private = typed("createPrivateDirectConnect zonename='{zone}' cidr=10.31.{n}.0/24 gateway=10.31.{n}.1 "
                        "displaytext='privateDC-{zone}' dcgid={group}", zone=zone, n=net[-1], group=group)["id"]
        until(lambda: all(CLOUD.listNetworks(id=n)["network"][0]["isprovisioned"] for n in (gateway, private)))
        typed("create egressfirewallrule networkid={net} protocol=all cidr={cidr}.0/24", net=gateway, cidr=net)
        zoneid = one("listZones", name=zone)
        template = one("listTemplates", templatefilter="featured", zoneid=zoneid)
        vm = typed("deploy virtualmachine networkids={a},{b} displayname=SaaS-test-{n} name=SaaS-test-{n} "
                   "zoneid={zone} keypair=keypair-saas templateid={template} serviceofferingid={offering} "
                   "hypervisor=Simulator", a=gateway, b=private, n=net[-1], zone=zoneid, template=template,
                   offering=one("listServiceOfferings", name="2048-1"))
        assert (vm["state"], vm["keypair"], len(vm["nic"])) == ("Running", "keypair-saas", 2), vm
        assert vm["nic"][0]["networkid"] == gateway and vm["nic"][0]["isdefault"], vm["nic"]
        vms[zone] = vm["id"]
        made += [gateway, private]
    ips = typed("list publicipaddresses filter=id,ipaddress,zonename")
    assert {ip["zonename"] for ip in ips} == set(zones), ips
    for ip in ips:
        for private, public in ((22, 52200), (80, 80)):
            rule = typed("create portforwardingrule privateport={private} publicport={public} ipaddressid={ip} "
                         "virtualmachineid={vm} enablefirewall=true protocol=tcp", private=private, public=public,
                         ip=ip["id"], vm=vms[ip["zonename"]])
            assert rule["publicport"] == str(public) and rule["state"] == "Active", rule
        opened = CLOUD.listFirewallRules(ipaddressid=ip["id"])["firewallrule"]
        assert sorted(int(r["startport"]) for r in opened) == [80, 52200], opened
    for zone in zones:
        volume = typed("create volume name=datadisk-mariadb size=200 zoneid={zone} diskofferingid={disk}",
                       zone=one("listZones", name=zone), disk=one("listDiskOfferings"))["id"]
        typed("attach volume id={id} virtualmachineid={vm}", id=volume, vm=vms[zone])
        assert CLOUD.listVolumes(id=volume)["volume"][0]["virtualmachineid"] == vms[zone]
        volumes.append(volume)
    for vm in vms.values():
        CLOUD.destroyVirtualMachine(id=vm, expunge=True, fetch_result=True)
    for volume in volumes:
        CLOUD.deleteVolume(id=volume)
    for net in made:
        CLOUD.deleteNetwork(id=net, fetch_result=True)
    CLOUD.deleteSSHKeyPair(name="keypair-saas")


def check_accounts():
    other = json.loads(vdc("account", "add", "other", "--json"))
    theirs = CloudStack(endpoint=STATUS["endpoint"], key=other["api_key"], secret=other["secret_key"],
                        poll_interval=0.05)
    net = network("mine", "10.19.0")
    vm = simulated("mine", net)
    keys = dict(key=other["api_key"], secret=other["secret_key"])
    assert theirs.listVirtualMachines() == {} and theirs.listNetworks() == {"count": 0, "network": []}
    job = CLOUD.stopVirtualMachine(id=vm["id"])["jobid"]
    for call, params in (("startVirtualMachine", {"id": vm["id"]}), ("deleteNetwork", {"id": net}),
                         ("queryAsyncJobResult", {"jobid": job}),
                         ("deployVirtualMachine", dict(base(), networkids=net)),
                         ("createTags", {"resourceids": vm["id"], "resourcetype": "UserVm",
                                         "tags[0].key": "a"})):
        refused(431, call, **keys, **params)
    refused(531, "listNetworks", **keys, account="local")
    # The same name twice, a fault for one of the two.
    their_net = theirs.createLocalNetwork(zonename="London", cidr="10.19.0.0/24", gateway="10.19.0.1")
    their_net = their_net["localnetwork"][0]["id"]
    vdc("fault", "call", "listZones", "--account", "other", "--error", "530")
    assert raw("listZones")[0] == 200 and raw("listZones", **keys)[0] == 530
    vdc("fault", "clear")
    their_vm = theirs.deployVirtualMachine(name="mine", networkids=their_net, hypervisor="Simulator",
                                           fetch_result=True, **base())["virtualmachine"]
    assert their_vm["account"] == "other", their_vm
    assert subprocess.run([VDC, "account", "remove", "other"], capture_output=True).returncode == 7
    theirs.destroyVirtualMachine(id=their_vm["id"], expunge=True, fetch_result=True)
    theirs.deleteNetwork(id=their_net, fetch_result=True)
    vdc("account", "remove", "other")
    refused(401, "listZones", **keys)
    gone(vm, net)


def check_names():
    net = network("names", "10.21.0")
    vms = [simulated(name, net) for name in ("saas-fra", "saas-par")]

    def fault(name):
        return subprocess.run([VDC, "fault", "vm", name, "pause"], capture_output=True, text=True).stderr
    for name in ("saas-fra", "fra", vms[0]["id"]):
        assert "saas-fra is a record only" in fault(name), fault(name)
    for name in ("ber", "ra", ""):
        assert "saas-fra" in fault(name) and "saas-par" in fault(name), fault(name)
    vms.append(simulated("other-fra", net))
    assert "several" in fault("fra") and "other-fra" in fault("fra"), fault("fra")
    for vm in vms[1:]:
        CLOUD.destroyVirtualMachine(id=vm["id"], expunge=True, fetch_result=True)
    gone(vms[0], net)


def check_jobs():
    net = network("jobs", "10.20.0")
    vm = simulated("worked", net)
    mine = "0a1b2c3d-0000-4000-8000-00000000000b"
    vdc("start", "--job-latency", "1000")
    first = CLOUD.stopVirtualMachine(id=vm["id"], customjobid=mine)
    assert first["jobid"] == mine
    refused(431, "startVirtualMachine", id=vm["id"], customjobid=mine)
    os.kill(json.loads(vdc("status", "--json"))["pid"], 9)
    vdc("start", "--job-latency", "0")
    until(lambda: CLOUD.queryAsyncJobResult(jobid=mine)["jobstatus"] == 1)
    assert CLOUD.listVirtualMachines(id=vm["id"])["virtualmachine"][0]["state"] == "Stopped"
    assert mine in [j["jobid"] for j in CLOUD.listAsyncJobs(startdate="2020-01-01", fetch_list=True)]
    assert CLOUD.listAsyncJobs(startdate="2100-01-01") == {}

    # A day later nobody knows of it.
    with sqlite3.connect("/var/lib/muster/vdc/state.db") as db:
        db.execute("UPDATE object SET doc = json_set(doc, '$.completed', '2020-01-01T00:00:00+0000')"
                   " WHERE kind = 'job' AND id = ?", (mine,))
    vdc("stop")
    vdc("start")
    until(lambda: raw("queryAsyncJobResult", jobid=mine)[0] == 431)
    gone(vm, net)


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
