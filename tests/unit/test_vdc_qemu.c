/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/machine/qemu_args.h"

#define VM "01234567-89ab-4cde-8f01-23456789abcd"
#define VOLUME "fedcba98-7654-4321-8fed-cba987654321"

static json_t *vm(void)
{
    return json_pack("{s:s,s:s,s:i,s:i,s:[{s:s,s:s},{s:s,s:s}]}", "id", VM, "name", "real",
                     "cpunumber", 2, "memory", 1024, "nic", "networkid", "n1", "macaddress",
                     "02:00:00:00:00:01", "networkid", "n2", "macaddress", "02:00:00:00:00:02");
}

/* How many arguments after `option` hold the text. */
static unsigned count(const struct qemu_args *a, const char *option, const char *text)
{
    unsigned n = 0;

    for (size_t i = 0; i + 1 < a->n; i++)
        n += str_eq(a->v[i], option) && strstr(a->v[i + 1], text) != NULL;
    return n;
}

static void machine_is_as_offered(void **state)
{
    (void)state;
    _cleanup_(qemu_args_free) struct qemu_args a = {0};
    _cleanup_json_ json_t *doc = vm(), *none = json_array();

    qemu_args_build(&a, "/usr/bin/qemu", doc, none, false);
    assert_string_equal(a.v[0], "/usr/bin/qemu");
    assert_null(a.v[a.n]);
    assert_int_equal(count(&a, "-smp", "2"), 1);
    assert_int_equal(count(&a, "-m", "1024"), 1);
    assert_int_equal(count(&a, "-name", "mvdc-01234567"), 1);
    assert_int_equal(count(&a, "-smbios", "product=CloudStack KVM Hypervisor"), 1);
    assert_int_equal(count(&a, "-accel", "tcg"), 1);
    assert_int_equal(count(&a, "-accel", "kvm"), 0);
    assert_int_equal(count(&a, "-blockdev", "root.qcow2"), 1);
}

static void every_nic_has_its_device_and_address(void **state)
{
    (void)state;
    _cleanup_(qemu_args_free) struct qemu_args a = {0};
    _cleanup_json_ json_t *doc = vm(), *none = json_array();

    qemu_args_build(&a, "qemu", doc, none, true);
    assert_int_equal(count(&a, "-accel", "kvm"), 1);
    assert_int_equal(count(&a, "-netdev", "tap,id=n0,ifname=mvdcv012345670,"), 1);
    assert_int_equal(count(&a, "-netdev", "tap,id=n1,ifname=mvdcv012345671,"), 1);
    assert_int_equal(count(&a, "-device", "netdev=n0,mac=02:00:00:00:00:01"), 1);
    assert_int_equal(count(&a, "-device", "netdev=n1,mac=02:00:00:00:00:02"), 1);
}

static void volumes_show_their_serial(void **state)
{
    (void)state;
    char serial[21];
    _cleanup_(qemu_args_free) struct qemu_args a = {0};
    _cleanup_json_ json_t *doc = vm(), *volumes = json_pack("[{s:s}]", "id", VOLUME);

    qemu_serial(json_array_get(volumes, 0), serial);
    assert_string_equal(serial, "fedcba98765443218fed");
    qemu_args_build(&a, "qemu", doc, volumes, false);
    assert_int_equal(count(&a, "-device", "serial=fedcba98765443218fed"), 1);
    assert_int_equal(count(&a, "-blockdev", VOLUME), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_is_as_offered),
        cmocka_unit_test(every_nic_has_its_device_and_address),
        cmocka_unit_test(volumes_show_their_serial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
