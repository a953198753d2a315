/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls: a row is all that the dispatcher, the checks and listApis know. Parameters
 * that CloudStack has and this cloud has no use for are accepted and ignored. */
#include "controller/localvdc/calls.h"

#define P(...) ((const struct api_param[]){__VA_ARGS__, {0}})
#define STR(n)                                                                                     \
    {                                                                                              \
        n, API_STRING, false                                                                       \
    }
#define UUID(n)                                                                                    \
    {                                                                                              \
        n, API_UUID, false                                                                         \
    }
#define INT(n)                                                                                     \
    {                                                                                              \
        n, API_INTEGER, false                                                                      \
    }
#define LONG(n)                                                                                    \
    {                                                                                              \
        n, API_LONG, false                                                                         \
    }
#define BOOL(n)                                                                                    \
    {                                                                                              \
        n, API_BOOLEAN, false                                                                      \
    }
#define LIST(n)                                                                                    \
    {                                                                                              \
        n, API_LIST, false                                                                         \
    }
#define MAP(n)                                                                                     \
    {                                                                                              \
        n, API_MAP, false                                                                          \
    }
#define STR_(n)                                                                                    \
    {                                                                                              \
        n, API_STRING, true                                                                        \
    }
#define UUID_(n)                                                                                   \
    {                                                                                              \
        n, API_UUID, true                                                                          \
    }
#define INT_(n)                                                                                    \
    {                                                                                              \
        n, API_INTEGER, true                                                                       \
    }
#define LIST_(n)                                                                                   \
    {                                                                                              \
        n, API_LIST, true                                                                          \
    }
#define MAP_(n)                                                                                    \
    {                                                                                              \
        n, API_MAP, true                                                                           \
    }

const struct api_call api_calls[] = {
    {"listZones", false, true, false, "Lists zones",
     P(UUID("id"), STR("name"), BOOL("available"), STR("networktype"), MAP("tags")),
     call_list_zones, NULL},
    {"listTemplates", false, true, false, "List all public, private, and privileged templates.",
     P(STR_("templatefilter"), UUID("id"), LIST("ids"), STR("name"), UUID("zoneid"),
       STR("hypervisor"), BOOL("showunique"), MAP("tags")),
     call_list_templates, NULL},
    {"listServiceOfferings", false, true, false, "Lists all available service offerings.",
     P(UUID("id"), STR("name"), INT("cpunumber"), INT("memory"), UUID("zoneid"), BOOL("issystem")),
     call_list_service_offerings, NULL},
    {"listDiskOfferings", false, true, false, "Lists all available disk offerings.",
     P(UUID("id"), STR("name"), UUID("zoneid")), call_list_disk_offerings, NULL},
    {"listCapabilities", false, false, false, "Lists capabilities", NULL, call_list_capabilities,
     NULL},
    {"listApis", false, false, false, "lists all available apis on the server", P(STR("name")),
     call_list_apis, NULL},
    {"queryAsyncJobResult", false, false, false,
     "Retrieves the current status of asynchronous job.", P(UUID_("jobid")), call_query_job, NULL},

    {"createLocalNetwork", false, false, true, "Creates a network with an Internet gateway",
     P(STR_("zonename"), STR_("cidr"), STR_("gateway"), STR("displaytext"), STR("region")),
     call_create_local_network, NULL},
    {"createPrivateDirectConnect", false, false, true,
     "Creates a private network joined to a Direct Connect Group",
     P(STR_("zonename"), STR_("cidr"), STR_("gateway"), STR("displaytext"), STR("dcgid"),
       STR("dcgname"), STR("region")),
     call_create_private_direct_connect, NULL},
    {"createDirectConnectGroup", false, false, true, "Creates a Direct Connect Group",
     P(STR_("name")), call_create_dcg, NULL},
    {"listDirectConnectGroups", false, false, true, "Lists Direct Connect Groups",
     P(STR("id"), STR("name")), call_list_dcgs, NULL},
    {"listNetworks", false, true, false, "Lists all available networks.",
     P(UUID("id"), UUID("zoneid"), STR("type"), STR("subtype"), STR("traffictype"),
       BOOL("canusefordeploy"), STR("region"), MAP("tags")),
     call_list_networks, NULL},
    {"deleteNetwork", true, false, false, "Deletes a network",
     P(UUID_("id"), BOOL("forced"), STR("region")), call_delete_network, job_delete_network},
    {"listPublicIpAddresses", false, true, false, "Lists all public ip addresses",
     P(UUID("id"), STR("ipaddress"), UUID("associatednetworkid"), UUID("zoneid"),
       BOOL("allocatedonly"), BOOL("issourcenat"), MAP("tags")),
     call_list_public_ips, NULL},

    {"createEgressFirewallRule", true, false, false,
     "Creates a egress firewall rule for a given network",
     P(UUID_("networkid"), STR_("protocol"), LIST("cidrlist"), LIST("destcidrlist"),
       INT("startport"), INT("endport"), INT("icmptype"), INT("icmpcode"), STR("type")),
     call_create_egress, job_create_rule},
    {"listEgressFirewallRules", false, true, false, "Lists all egress firewall rules",
     P(UUID("id"), UUID("networkid"), UUID("ipaddressid"), MAP("tags")), call_list_egress, NULL},
    {"deleteEgressFirewallRule", true, false, false, "Deletes an egress firewall rule",
     P(UUID_("id")), call_delete_egress, job_delete_rule},
    {"createPortForwardingRule", true, false, false, "Creates a port forwarding rule",
     P(UUID_("ipaddressid"), INT_("privateport"), STR_("protocol"), INT_("publicport"),
       UUID_("virtualmachineid"), LIST("cidrlist"), INT("privateendport"), INT("publicendport"),
       BOOL("openfirewall"), UUID("networkid"), STR("vmguestip")),
     call_create_forward, job_create_rule},
    {"listPortForwardingRules", false, true, false, "Lists all port forwarding rules",
     P(UUID("id"), UUID("ipaddressid"), UUID("networkid"), MAP("tags")), call_list_forwards, NULL},
    {"deletePortForwardingRule", true, false, false, "Deletes a port forwarding rule",
     P(UUID_("id")), call_delete_forward, job_delete_rule},
    {"listFirewallRules", false, true, false, "Lists all firewall rules for an IP address.",
     P(UUID("id"), UUID("ipaddressid"), UUID("networkid"), MAP("tags")), call_list_firewall, NULL},
    {"deleteFirewallRule", true, false, false, "Deletes a firewall rule", P(UUID_("id")),
     call_delete_firewall, job_delete_rule},

    {"registerSSHKeyPair", false, false, false, "Register a public key in a keypair",
     P(STR_("name"), STR_("publickey")), call_register_key, NULL},
    {"listSSHKeyPairs", false, true, false, "List registered keypairs",
     P(UUID("id"), STR("name"), STR("fingerprint")), call_list_keys, NULL},
    {"deleteSSHKeyPair", false, false, false, "Deletes a keypair by name", P(STR_("name")),
     call_delete_key, NULL},
    {"createTags", true, false, false, "Creates resource tag(s)",
     P(LIST_("resourceids"), STR_("resourcetype"), MAP_("tags"), STR("customer")), call_create_tags,
     job_nothing},
    {"deleteTags", true, false, false, "Deleting resource tag(s)",
     P(LIST_("resourceids"), STR_("resourcetype"), MAP("tags")), call_delete_tags, job_nothing},
    {"listTags", false, true, false, "List resource tag(s)",
     P(STR("resourceid"), STR("resourcetype"), STR("key"), STR("value"), STR("customer")),
     call_list_tags, NULL},

    {"deployVirtualMachine", true, false, false,
     "Creates and automatically starts a virtual machine",
     P(UUID_("serviceofferingid"), UUID_("templateid"), UUID_("zoneid"), LIST("networkids"),
       MAP("iptonetworklist"), STR("name"), STR("displayname"), STR("keypair"), LIST("keypairs"),
       STR("userdata"), STR("ipaddress"), LONG("rootdisksize"), BOOL("startvm"), STR("group"),
       STR("hypervisor")),
     call_deploy_vm, job_start_vm},
    {"listVirtualMachines", false, true, false, "List the virtual machines owned by the account.",
     P(UUID("id"), LIST("ids"), STR("name"), STR("state"), UUID("zoneid"), UUID("networkid"),
       UUID("templateid"), UUID("serviceofferingid"), LIST("details"), MAP("tags")),
     call_list_vms, NULL},
    {"startVirtualMachine", true, false, false, "Starts a virtual machine.", P(UUID_("id")),
     call_start_vm, job_start_vm},
    {"stopVirtualMachine", true, false, false, "Stops a virtual machine.",
     P(UUID_("id"), BOOL("forced")), call_stop_vm, job_stop_vm},
    {"rebootVirtualMachine", true, false, false, "Reboots a virtual machine.",
     P(UUID_("id"), BOOL("forced")), call_reboot_vm, job_reboot_vm},
    {"destroyVirtualMachine", true, false, false, "Destroys a virtual machine.",
     P(UUID_("id"), BOOL("expunge"), LIST("volumeids")), call_destroy_vm, job_destroy_vm},

    {"createVolume", true, false, false, "Creates a disk volume from a disk offering.",
     P(STR("name"), UUID("diskofferingid"), LONG("size"), UUID("zoneid"), UUID("virtualmachineid"),
       UUID("snapshotid")),
     call_create_volume, job_create_volume},
    {"listVolumes", false, true, false, "Lists all volumes.",
     P(UUID("id"), LIST("ids"), STR("name"), STR("type"), UUID("virtualmachineid"), UUID("zoneid"),
       UUID("diskofferingid"), STR("state"), MAP("tags")),
     call_list_volumes, NULL},
    {"attachVolume", true, false, false, "Attaches a disk volume to a virtual machine.",
     P(UUID_("id"), UUID_("virtualmachineid"), LONG("deviceid")), call_attach_volume,
     job_attach_volume},
    {"detachVolume", true, false, false, "Detaches a disk volume from a virtual machine.",
     P(UUID("id"), UUID("virtualmachineid"), LONG("deviceid")), call_detach_volume,
     job_detach_volume},
    {"deleteVolume", false, false, false, "Deletes a detached disk volume.", P(UUID_("id")),
     call_delete_volume, NULL},
    {0},
};
