/* SPDX-License-Identifier: Apache-2.0 */
/* `muster status` with nobody connected: what it knows, and what it only knew. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/cli/cli.h"
#include "controller/cli/view.h"
#include "controller/store/store.h"

static const char file_text[] =
    "deployment: old\n"
    "cloud: vdc\n"
    "controller: {address: 127.0.0.1}\n"
    "defaults: {template: Debian 12, offering: 2048-1}\n"
    "zones:\n"
    "  - name: Z\n"
    "    gateway: {cidr: 10.1.1.0/24, egress: [all]}\n"
    "    private: {cidr: 10.10.1.0/24, group: Default}\n"
    "nodes:\n"
    "  - {name: fra, zone: Z, datadisk: {size: 20G, offering: EBS}, ports: {52200: 22, 80: 80}}\n"
    "  - {name: par, zone: Z, datadisk: {size: 20G, offering: EBS}, ports: {52201: 22}}\n"
    "database: {cluster: old, mount: /media/data, filesystem: ext4}\n"
    "web: {php: [mysql]}\n";

static const char layout[] =
    "[{\"name\":\"fra\",\"zone\":\"Z\",\"public_ip\":\"127.0.0.1\",\"private_ip\":\"10.10.1.10\","
    "\"url\":\"http://127.0.0.1:9\"},"
    "{\"name\":\"par\",\"zone\":\"Z\",\"public_ip\":\"127.0.0.1\",\"private_ip\":\"10.10.1.11\","
    "\"url\":\"\"}]";

static const char ready[] =
    "{\"phase\":\"ready\",\"rev\":\"0123456789abcdef\",\"db\":{\"state\":\"Synced\","
    "\"cluster_size\":2,\"epoch\":1,\"epoch_row\":true},\"drift\":[\"file:f\"]}";

struct world {
    char dir[32];
    char *file;
    struct store *store;
};

static int setup(void **state)
{
    static struct world w;
    _cleanup_free_ char *directory = NULL;
    struct err err;

    strcpy(w.dir, "/tmp/muster-status-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    w.file = str_fmt("%s/muster.yaml", w.dir);
    directory = str_fmt("%s/muster/old", w.dir);
    setenv("XDG_STATE_HOME", w.dir, 1);
    assert_int_equal(fs_write_atomic(w.file, file_text, strlen(file_text), 0600, &err), 0);
    assert_int_equal(fs_mkdirs(directory, 0700, &err), 0);
    assert_int_equal(store_open(directory, true, &w.store, &err), 0);
    assert_int_equal(store_set(w.store, "layout", layout, &err), 0);
    assert_int_equal(store_set(w.store, "state", "ready", &err), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    store_close(w->store);
    free(w->file);
    return fs_remove_tree(w->dir, &err);
}

static void said(struct world *w, const char *name, const char *state, uint64_t age_s)
{
    struct store_node n = {.bound = true, .incarnation = 1};
    struct err err;

    str_copy(n.name, sizeof(n.name), name);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
    assert_int_equal(
        store_node_set_state(w->store, name, state, clock_wall_ms() - age_s * 1000, &err), 0);
}

/* What the command prints; the caller frees. */
static char *status(struct world *w, bool json)
{
    _cleanup_free_ char *to = str_fmt("%s/out", w->dir);
    const struct cli cli = {.file = w->file, .json = json};
    char *text = NULL;
    struct err err = {0};
    int fd = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), saved = dup(1);

    fflush(stdout);
    assert_true(fd >= 0 && saved >= 0 && dup2(fd, 1) == 1);
    if (cmd_status(&cli, &err) < 0)
        fprintf(stderr, "%s\n", err.msg);
    fflush(stdout);
    dup2(saved, 1);
    close(saved);
    close(fd);
    assert_int_equal(fs_read(to, 100000, &text, NULL, &err), 0);
    return text;
}

static json_t *node_of(const json_t *out, size_t i)
{
    return json_array_get(json_object_get(out, "nodes"), i);
}

static void test_old_words(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *json = NULL;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *out = NULL;
    const json_t *fra, *par, *old;
    struct err err;

    said(w, "fra", ready, 2 * 60 * 60 + 5);
    said(w, "par", ready, 2 * 60 * 60 + 5);
    json = status(w, true);
    assert_int_equal(js_parse(json, strlen(json), &out, &err), 0);
    fra = node_of(out, 0);
    par = node_of(out, 1);
    assert_string_equal(js_opt_str(fra, "state", ""), "unreachable");
    assert_string_equal(js_opt_str(par, "state", ""), "unknown"); /* it has no site to ask */
    assert_string_equal(js_opt_str(out, "state", ""), "degraded");
    assert_true(js_opt_u64(par, "age_s", 0) >= 2 * 60 * 60);
    assert_string_equal(js_opt_str(json_object_get(par, "db"), "state", ""), "unknown");
    assert_true(json_is_null(json_object_get(json_object_get(par, "db"), "cluster_size")));
    assert_true(json_is_null(json_object_get(json_object_get(par, "db"), "epoch_row")));
    assert_true(json_is_null(json_object_get(par, "drift")));
    old = json_object_get(par, "last_known");
    assert_string_equal(js_opt_str(old, "state", ""), "ready");
    assert_string_equal(js_opt_str(old, "db", ""), "Synced");
    assert_int_equal(json_array_size(json_object_get(old, "drift")), 1);

    text = status(w, false);
    assert_non_null(strstr(text, "agent: 2 h ago (then ready, Synced)"));
    assert_null(strstr(text, "Synced     2 of 2"));
    assert_non_null(strstr(text, "unknown -> Synced ? of 2"));
}

static void test_new_words(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *json = NULL;
    _cleanup_json_ json_t *out = NULL;
    const json_t *par;
    struct err err;

    said(w, "par", ready, 4);
    json = status(w, true);
    assert_int_equal(js_parse(json, strlen(json), &out, &err), 0);
    par = node_of(out, 1);
    assert_string_equal(js_opt_str(par, "state", ""), "ready");
    assert_string_equal(js_opt_str(json_object_get(par, "db"), "state", ""), "Synced");
    assert_int_equal(js_opt_u64(json_object_get(par, "db"), "cluster_size", 0), 2);
    assert_int_equal(json_array_size(json_object_get(par, "drift")), 1);
    assert_true(json_is_null(json_object_get(par, "last_known")));
    assert_true(json_is_null(json_object_get(node_of(out, 0), "age_s"))); /* never heard */
}

static void test_age(void **state)
{
    static const struct {
        uint64_t s;
        const char *text;
    } cases[] = {{0, "0 s ago"},        {119, "119 s ago"},     {120, "2 min ago"},
                 {7199, "119 min ago"}, {7200, "2 h ago"},      {172799, "47 h ago"},
                 {172800, "2 d ago"},   {31536000, "365 d ago"}};
    char age[CLOCK_AGE_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        clock_age(1, 1 + cases[i].s * 1000, age);
        assert_string_equal(age, cases[i].text);
    }
    clock_age(0, 1000, age);
    assert_string_equal(age, "never");
    clock_age(5000, 1000, age); /* its clock was ahead */
    assert_string_equal(age, "0 s ago");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_old_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_words, setup, teardown),
        cmocka_unit_test(test_age),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
