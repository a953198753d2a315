/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest is told about itself, by its address: the metadata service on port 80 and the
 * password service on VDC_PASSWORD_PORT of its router. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/httpd.h"
#include "common/ports.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/network/router.h"

struct service {
    struct vdb *db;
    const char *network_id;
};

/* The guest that has this address in the network; a new reference. */
static json_t *guest_at(const struct service *s, const char *address)
{
    _cleanup_json_ json_t *vms = vdb_list(s->db, "vm");
    size_t i = 0, k = 0;
    json_t *vm = NULL, *nic = NULL;

    json_array_foreach(vms, i, vm)
    {
        json_array_foreach(json_object_get(vm, "nic"), k, nic)
        {
            if (str_eq(vdc_str(nic, "networkid"), s->network_id) &&
                str_eq(vdc_str(nic, "ipaddress"), address))
                return json_incref(vm);
        }
    }
    return NULL;
}

/* The keys that CloudStack's router serves, with their values. */
static json_t *values_of(const struct service *s, const json_t *vm, const char *address)
{
    _cleanup_json_ json_t *network = vdb_get(s->db, "network", s->network_id);
    const char *id = vdc_str(vm, "id"), *public_ip = vdc_str(network, "_ip");
    _cleanup_free_ char *cloud = str_fmt("CloudStack-{%s}", vdc_str(vm, "zoneid"));

    json_t *values =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "service-offering",
                  vdc_str(vm, "serviceofferingname"), "availability-zone", vdc_str(vm, "zonename"),
                  "local-hostname", vdc_str(vm, "name"), "local-ipv4", address, "public-ipv4",
                  public_ip, "public-hostname", public_ip, "instance-id", id, "vm-id", id,
                  "public-keys", vdc_str(vm, "_publickeys"), "cloud-identifier", cloud);
    json_object_update_missing(values, json_object_get(vm, "_userdatadetails"));
    return values;
}

static void reply_text(struct httpd_response *ret, const char *text)
{
    httpd_reply(ret, 200, "text/plain", xstrdup(text));
}

static void serve_metadata(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    const struct service *s = ctx;
    _cleanup_json_ json_t *vm = guest_at(s, rq->client);

    if (!vm || !str_starts(rq->path, "/latest/"))
        return;
    const char *what = rq->path + strlen("/latest/");
    if (str_eq(what, "user-data")) {
        struct err err = {0};
        size_t len = 0;
        char *data = NULL;
        const char *text = vdc_str(vm, "_userdata");

        if (*text && base64_decode(text, &data, &len, &err) == 0) {
            ret->status = 200;
            ret->body = data;
            ret->body_len = len;
        }
        return;
    }
    _cleanup_json_ json_t *values = values_of(s, vm, rq->client);
    if (str_eq(what, "meta-data/") || str_eq(what, "meta-data")) {
        _cleanup_(strbuf_free) struct strbuf list = {0};
        const char *key = NULL;
        json_t *value = NULL;

        json_object_foreach(values, key, value)
        {
            strbuf_addf(&list, "%s\n", key);
        }
        reply_text(ret, strbuf_str(&list));
        return;
    }
    if (str_starts(what, "meta-data/"))
        what += strlen("meta-data/"); /* also without it, as the router does */
    const char *value = json_string_value(json_object_get(values, what));
    if (value)
        reply_text(ret, value);
}

/* A guest's password waits here until the guest says that it has it. */
static void serve_password(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    const struct service *s = ctx;
    struct err err = {0};
    const char *wish = httpd_header(rq, "DomU_Request");
    _cleanup_json_ json_t *vm = wish ? guest_at(s, rq->client) : NULL;
    const char *password = vdc_str(vm, "_password");

    if (vm && str_eq(wish, "send_my_password")) {
        reply_text(ret, *password ? password : "saved_password");
    } else if (vm && str_eq(wish, "saved_password")) {
        if (*password &&
            vdb_patch(s->db, "vm", vdc_str(vm, "id"), json_pack("{s:n}", "_password"), &err) < 0)
            return;
        reply_text(ret, "saved_password");
    } else {
        reply_text(ret, "bad_request");
    }
}

static void httpd_closep(struct httpd **h)
{
    httpd_close(*h);
}

int metadata_run(const char *network_id, struct err *err)
{
    _cleanup_(vdb_close) struct vdb *db = NULL;

    if (vdc_open(false, &db, err) < 0)
        return -1;
    _cleanup_json_ json_t *network = vdb_get(db, "network", network_id);
    if (!network)
        return err_set(err, ERR_FAILED, "metadata: no network %s", network_id);
    struct service s = {db, network_id};
    const char *gateway = vdc_str(network, "gateway");
    _cleanup_(httpd_closep) struct httpd *meta = NULL, *password = NULL;
    if (httpd_open(gateway, PORT_HTTP, 0, serve_metadata, &s, &meta, err) < 0 ||
        httpd_open(gateway, VDC_PASSWORD_PORT, 0, serve_password, &s, &password, err) < 0)
        return err_wrap(err, "metadata of network %s", vdc_str(network, "name"));
    _cleanup_free_ char *pidfile = str_fmt(VDC_DIR "/net/%s/metadata.pid", network_id);
    char pid[16];
    int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    if (fs_write_atomic(pidfile, pid, (size_t)n, 0644, err) < 0)
        return -1;
    for (;;) {
        struct pollfd fds[] = {{.fd = httpd_fd(meta), .events = POLLIN},
                               {.fd = httpd_fd(password), .events = POLLIN}};

        poll(fds, ARRAY_LEN(fds), clock_sooner(httpd_due_ms(meta), httpd_due_ms(password)));
        httpd_run(meta);
        httpd_run(password);
    }
}
