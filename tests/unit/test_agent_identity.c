/* SPDX-License-Identifier: Apache-2.0 */
/* A state directory that came with a copy of another machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/supervisor/identity.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

static char state_dir[64];

static const struct machine a = {"11111111-0000-4000-8000-000000000001", "i-1"};
static const struct machine b = {"22222222-0000-4000-8000-000000000002", "i-2"};
static const struct machine guest_a = {"", "i-1"}, guest_b = {"", "i-2"}, unknown = {"", ""};

static void put(const char *name, const char *text)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt("%s/%s", state_dir, name);

    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
}

static bool there(const char *name)
{
    _cleanup_free_ char *path = str_fmt("%s/%s", state_dir, name);

    return fs_exists(path);
}

static int setup(void **state)
{
    struct err err;
    _cleanup_free_ char *net = NULL;

    (void)state;
    strcpy(state_dir, "/tmp/muster-identity-XXXXXX");
    if (!mkdtemp(state_dir))
        return -1;
    net = str_fmt("%s/net", state_dir);
    return fs_mkdirs(net, 0700, &err);
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    return fs_remove_tree(state_dir, &err);
}

static struct bootstrap of(const char *node, bool secret)
{
    struct bootstrap boot = {.has_secret = secret};

    strcpy(boot.deployment, "saas");
    str_copy(boot.node, sizeof(boot.node), node);
    return boot;
}

/* 0: it is this machine's; 1: another's was moved aside; -1: refused. */
static int settle(const struct bootstrap *boot, const struct machine *now)
{
    _cleanup_free_ char *aside = NULL;
    struct err err = {0};
    int r = identity_settle(state_dir, boot, now, &aside, &err);

    if (r < 0) {
        assert_int_equal(err.code, ERR_SAFETY);
        assert_non_null(strstr(err.msg, "machine.json"));
        return -1;
    }
    if (!aside)
        return 0;
    _cleanup_free_ char *key = str_fmt("%s/net/curve.key", aside);
    assert_true(fs_exists(key));
    assert_false(there("net"));
    assert_false(there("plan.json"));
    assert_true(there("installed"));
    return 1;
}

static void as_of_fra(const struct machine *m)
{
    struct bootstrap fra = of("fra", true);

    put("installed", "");
    assert_int_equal(settle(&fra, m), 0);
    put("net/curve.key", "secret");
    put("plan.json", "{\"deployment\":\"saas\",\"node\":\"fra\"}");
}

static void the_same_machine_goes_on(void **state)
{
    struct bootstrap fra = of("fra", false);

    (void)state;
    as_of_fra(&a);
    assert_int_equal(settle(&fra, &a), 0);
    assert_int_equal(settle(NULL, &a), 0);
    assert_int_equal(settle(&fra, &unknown), 0); /* a boot without the metadata server */
    assert_int_equal(settle(&fra, &a), 0);
    assert_true(there("net/curve.key"));
}

/* What cloud-init takes for the instance changes with its source; the hardware decides. */
static void another_source_is_no_other_machine(void **state)
{
    const struct machine other_source = {"11111111-0000-4000-8000-000000000001", "i-2-44-VM"};
    struct bootstrap fra = of("fra", false);

    (void)state;
    as_of_fra(&a);
    assert_int_equal(settle(&fra, &other_source), 0);
}

static void a_copy_without_a_key_does_nothing(void **state)
{
    struct bootstrap fra = of("fra", false), par = of("par", false);

    (void)state;
    as_of_fra(&a);
    assert_int_equal(settle(&fra, &b), -1);
    assert_int_equal(settle(NULL, &b), -1);
    assert_int_equal(settle(&par, &a), -1);
    assert_true(there("net/curve.key"));
    assert_int_equal(settle(&fra, &a), 0);
}

static void a_copy_with_a_key_enrols_anew(void **state)
{
    struct bootstrap par = of("par", true), par_later = of("par", false);

    (void)state;
    as_of_fra(&a);
    assert_int_equal(settle(&par, &b), 1);
    assert_int_equal(settle(&par_later, &b), 0);
    assert_int_equal(settle(&par_later, &a), -1);
}

static void a_container_is_told_by_its_instance(void **state)
{
    struct bootstrap fra = of("fra", true), later = of("fra", false);

    (void)state;
    as_of_fra(&guest_a);
    assert_int_equal(settle(&later, &guest_b), -1);
    assert_int_equal(settle(&later, &unknown), 0);
    assert_int_equal(settle(&fra, &guest_b), 1); /* made again under the same name */
}

/* An agent that kept no record of its machine, whose plan names its node. */
static void an_old_state_is_told_by_its_plan(void **state)
{
    struct bootstrap par = of("par", true);

    (void)state;
    put("installed", "");
    put("net/curve.key", "secret");
    put("plan.json", "{\"deployment\":\"saas\",\"node\":\"fra\"}");
    assert_int_equal(settle(&par, &b), 1);
    assert_true(there("machine.json"));
}

#define IN_DIR(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIR(the_same_machine_goes_on),
        IN_DIR(another_source_is_no_other_machine),
        IN_DIR(a_copy_without_a_key_does_nothing),
        IN_DIR(a_copy_with_a_key_enrols_anew),
        IN_DIR(a_container_is_told_by_its_instance),
        IN_DIR(an_old_state_is_told_by_its_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
