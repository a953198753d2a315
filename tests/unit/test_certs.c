/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates of the database's ports, made by the openssl(1) of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/nodes/certs.h"
#include "controller/nodes/secrets.h"

#define OPENSSL "/usr/bin/openssl"
#define NOW 1800000000ULL
#define YEAR (365 * 24 * 3600ULL)

struct world {
    char dir[32];
    struct store *store;
    struct spec spec;
};

static int begin(void **state)
{
    static const char file[] =
        "deployment: d\ncloud: local\ndefaults: {template: Debian 12, offering: 2048-1}\n"
        "zones:\n  - {name: Z, gateway: {cidr: 10.1.1.0/24, egress: [all]}, private: {cidr: "
        "10.10.1.0/24}}\n"
        "nodes:\n  - {name: fra, zone: Z, datadisk: {size: 1G, offering: EBS}, weight: 2}\n"
        "  - {name: par, zone: Z, datadisk: {size: 1G, offering: EBS}}\n"
        "database: {}\n";
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    struct world *w = xcalloc(1, sizeof(*w));
    struct yaml_doc doc;
    struct err err;

    str_copy(w->dir, sizeof(w->dir), "/tmp/test-certs-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(store_open(w->dir, true, &w->store, &err), 0);
    assert_int_equal(yaml_doc_parse("d", file, sizeof(file) - 1, &doc, &err), 0);
    if (spec_parse("d", &doc, &w->spec, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    struct err err;

    store_close(w->store);
    spec_free(&w->spec);
    fs_remove_tree(w->dir, &err);
    free(w);
    return 0;
}

static void put(const struct world *w, const char *name, const char *text)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", w->dir, name);
    struct err err;

    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

/* Whether openssl says that `cert` is of that CA, at that time. */
static bool holds(const struct world *w, const char *ca, const char *cert, uint64_t at)
{
    const struct proc_opts opts = {.cwd = w->dir};
    _cleanup_free_ char *time = str_fmt("%llu", (unsigned long long)at);
    struct err err;

    put(w, "ca", ca);
    put(w, "cert", cert);
    return proc_run(PROC_ARGV(OPENSSL, "verify", "-attime", time, "-CAfile", "ca", "cert"), &opts,
                    NULL, &err) == 0;
}

static void get(const struct world *w, uint64_t now, struct certs *ret)
{
    struct err err = {0};

    if (certs_get(w->store, &w->spec, now, ret, &err) < 0)
        fail_msg("%s", err.msg);
}

static void test_made_once(void **state)
{
    struct world *w = *state;
    _cleanup_(certs_free) struct certs a = {0};
    _cleanup_(certs_free) struct certs b = {0};
    _cleanup_free_ char *name = certs_key_name("fra");
    char key[STORE_SECRET_SIZE];
    struct err err;

    assert_int_equal(w->spec.nodes[0].weight, 2);
    assert_int_equal(w->spec.nodes[1].weight, 1);
    get(w, NOW, &a);
    assert_int_equal(a.n, 2);
    assert_true(holds(w, a.ca, a.of[0], NOW) && holds(w, a.ca, a.of[1], NOW));
    assert_true(holds(w, a.ca, a.of[0], NOW - YEAR + 3600)); /* a node's clock is behind */
    assert_true(holds(w, a.ca, a.of[0], NOW + 9 * YEAR));
    assert_false(holds(w, a.ca, a.of[0], NOW + 11 * YEAR));
    assert_false(holds(w, a.of[1], a.of[0], NOW)); /* a node signs nothing */
    assert_string_not_equal(a.of[0], a.of[1]);
    get(w, NOW + 1, &b);
    assert_string_equal(a.ca, b.ca);
    assert_string_equal(a.of[0], b.of[0]);
    assert_int_equal(store_secret_get(w->store, name, key, &err), 1);
    assert_true(str_starts(key, "-----BEGIN PRIVATE KEY-----"));
}

/* One that ends before long is replaced; the CA stays. */
static void test_renewed(void **state)
{
    struct world *w = *state;
    _cleanup_(certs_free) struct certs a = {0};
    _cleanup_(certs_free) struct certs b = {0};

    assert_false(certs_due(0, 300, 199));
    assert_true(certs_due(0, 300, 200));
    assert_true(certs_due(0, 0, 0));
    get(w, NOW, &a);
    get(w, NOW + 8 * YEAR, &b);
    assert_string_equal(a.ca, b.ca);
    assert_string_not_equal(a.of[0], b.of[0]);
    assert_true(holds(w, b.ca, b.of[0], NOW + 17 * YEAR));
}

/* A key that is lost is not replaced by something random: the certificate is made again. */
static void test_lost_key(void **state)
{
    struct world *w = *state;
    _cleanup_json_ json_t *plan =
        json_pack("{s:[{s:s, s:s}], s:{}}", "resources", "key", "${secret:tls_key_par}", "password",
                  "${secret:db_x}", "secrets");
    struct err err;

    assert_int_equal(secrets_fill(w->store, plan, &err), -1);
    assert_non_null(strstr(err.msg, "tls_key_par"));
    _cleanup_(certs_free) struct certs a = {0};
    get(w, NOW, &a);
    assert_int_equal(secrets_fill(w->store, plan, &err), 0);
    const json_t *secrets = json_object_get(plan, "secrets");
    assert_true(str_starts(js_opt_str(secrets, "tls_key_par", ""), "-----BEGIN"));
    assert_int_equal(strlen(js_opt_str(secrets, "db_x", "")), 24);
}

static void site(struct world *w, uint64_t now, char **ret)
{
    struct err err = {0};

    if (certs_site_own(w->store, &w->spec, now, ret, &err) < 0)
        fail_msg("%s", err.msg);
}

/* It is of the site's host, is made once, and again when its key is another one's. */
static void test_site_own(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *a = NULL, *b = NULL, *named = NULL, *back = NULL, *after = NULL;
    const struct proc_opts opts = {.cwd = w->dir};
    struct proc_result said;
    char key[STORE_SECRET_SIZE];
    struct err err;

    site(w, NOW, &a);
    assert_true(holds(w, a, a, NOW));
    assert_int_equal(store_secret_get(w->store, CERTS_SITE_KEY, key, &err), 1);
    assert_int_equal(certs_site_check(a, key, &err), 0);
    site(w, NOW + 1, &b);
    assert_string_equal(a, b);
    str_copy(w->spec.app.site, sizeof(w->spec.app.site), "https://www.example.org:8443/x");
    site(w, NOW, &named);
    assert_string_not_equal(a, named);
    put(w, "named", named);
    assert_int_equal(proc_run(PROC_ARGV(OPENSSL, "x509", "-noout", "-checkhost", "www.example.org",
                                        "-in", "named"),
                              &opts, &said, &err),
                     0);
    assert_non_null(strstr(strbuf_str(&said.out), "does match"));
    proc_result_free(&said);
    w->spec.app.site[0] = '\0';
    site(w, NOW, &back); /* the key of the first was replaced */
    assert_string_not_equal(a, back);
    assert_int_equal(certs_site_given(w->store, "A GIVEN ONE", &err), 0);
    site(w, NOW, &after);
    assert_string_not_equal(back, after);
    assert_int_equal(store_secret_get(w->store, CERTS_SITE_KEY, key, &err), 1);
    assert_int_equal(certs_site_check(after, key, &err), 0);
}

static void test_site_given(void **state)
{
    struct world *w = *state;
    _cleanup_(certs_free) struct certs c = {0};
    _cleanup_free_ char *own = NULL;
    char key[STORE_SECRET_SIZE];
    struct err err;

    get(w, NOW, &c);
    site(w, NOW, &own);
    assert_int_equal(store_secret_get(w->store, CERTS_SITE_KEY, key, &err), 1);
    assert_int_equal(certs_site_check(own, key, &err), 0);
    assert_int_equal(certs_site_check(c.ca, key, &err), -1);
    assert_non_null(strstr(err.msg, "not the key of the certificate"));
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(certs_site_check("hello", key, &err), -1);
    assert_non_null(strstr(err.msg, "certificate: expected"));
    assert_int_equal(certs_site_check(own, "hello", &err), -1);
    assert_non_null(strstr(err.msg, "key: expected"));
    assert_null(strstr(err.msg, "hello"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once, begin, end),
        cmocka_unit_test_setup_teardown(test_renewed, begin, end),
        cmocka_unit_test_setup_teardown(test_lost_key, begin, end),
        cmocka_unit_test_setup_teardown(test_site_own, begin, end),
        cmocka_unit_test_setup_teardown(test_site_given, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
