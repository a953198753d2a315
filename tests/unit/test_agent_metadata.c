/* SPDX-License-Identifier: Apache-2.0 */
/* Who reaches the cloud's metadata: which addresses, the rules as ip(8) prints them, and the kernel
 * itself, in a network namespace of the test's own (needs root; skipped else). */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/route/metadata.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

static json_t *parse(const char *text)
{
    json_t *j = NULL;
    struct err err;

    assert_int_equal(js_parse(text, strlen(text), &j, &err), 0);
    return j;
}

static void test_addresses(void **state)
{
    struct metadata m = {0};
    _cleanup_json_ json_t *routes =
        parse("[{\"dst\":\"default\",\"gateway\":\"10.1.1.1\",\"dev\":\"ens3\"},"
              "{\"dst\":\"default\",\"dev\":\"ppp0\"},{\"gateway\":\"10.1.1.1\"},"
              "{\"gateway\":\"fe80::1\"},{\"gateway\":7}]");

    (void)state;
    metadata_add_routes(&m, routes);
    metadata_add_lease(&m, "ADDRESS=10.1.1.9\nSERVER_ADDRESS=10.1.1.2\nNEXT_SERVER=10.1.1.3\n");
    metadata_add_lease(&m, "lease {\n  option dhcp-server-identifier 10.1.1.4;\n}\nlease {\n"
                           "  option dhcp-server-identifier 10.1.1.4;\n}\n");
    metadata_add_lease(&m, "SERVER_ADDRESS=\nSERVER_ADDRESS=999.1.1.1\nSERVER_ADDRESS=$(x)\n");
    assert_int_equal(m.n, 4);
    assert_string_equal(m.address[0], "169.254.169.254");
    assert_string_equal(m.address[1], "10.1.1.1");
    assert_string_equal(m.address[2], "10.1.1.2");
    assert_string_equal(m.address[3], "10.1.1.4");
    for (int i = 0; i < 300; i++) { /* no more than there is room for */
        _cleanup_free_ char *text = str_fmt("SERVER_ADDRESS=10.2.3.%d\n", i % 250);

        metadata_add_lease(&m, text);
    }
    assert_int_equal(m.n, METADATA_MAX);
}

#define RULE(pref, dst, more)                                                                      \
    "{\"priority\":" pref ",\"src\":\"all\",\"dst\":\"" dst "\",\"uid_start\":1,"                  \
    "\"uid_end\":4294967294,\"ipproto\":\"tcp\",\"action\":\"prohibit\"" more "}"

static void test_rules(void **state)
{
    static const struct {
        const char *rules;
        bool only, first, second;
    } cases[] = {
        {"[]", true, false, false},
        {"[" RULE("7400", "1.1.1.1", ",\"dport\":80") "]", true, true, false},
        {"[" RULE("7401", "2.2.2.2", ",\"dport\":80") "," RULE("7400", "1.1.1.1",
                                                               ",\"dport\":80") "]",
         true, true, true},
        {"[" RULE("7400", "1.1.1.1", "") "]", false, false, false},
        {"[" RULE("7400", "1.1.1.1", ",\"dport\":81") "]", false, false, false},
        {"[" RULE("7407", "3.3.3.3", ",\"dport\":80") "]", false, false, false},
        {"[" RULE("7408", "1.1.1.1", ",\"dport\":80") "]", true, false, false}, /* not our place */
        {"[" RULE("7400", "1.1.1.1", ",\"dport\":80") "," RULE("7401", "1.1.1.1",
                                                               ",\"dport\":80") "]",
         false, true, false},
        {"[{\"priority\":7400,\"src\":\"all\",\"table\":\"main\"}]", false, false, false},
        {"[7, {}, {\"priority\":\"x\"}]", true, false, false},
    };
    const struct metadata m = {{"1.1.1.1", "2.2.2.2"}, 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *rules = parse(cases[i].rules);
        bool kept[METADATA_MAX];

        if (metadata_kept(&m, rules, kept) != cases[i].only || kept[0] != cases[i].first ||
            kept[1] != cases[i].second)
            fail_msg("case %zu", i);
    }
}

/* errno of a connection that user begins. */
static int reaches(const char *address, unsigned port, uid_t uid)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        int fd;

        inet_pton(AF_INET, address, &to.sin_addr);
        if (uid && setuid(uid) < 0)
            _exit(255);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        _exit(connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void test_kernel(void **state)
{
    const struct metadata m = {{"169.254.169.254", "10.1.1.1"}, 2},
                          moved = {{"169.254.169.254", "10.1.1.7"}, 2};
    char missing[16];
    bool same;
    struct err err;

    (void)state;
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
        skip();
    if (access("/usr/sbin/ip", X_OK) < 0)
        skip();
    if (proc_call(
            PROC_ARGV("/usr/sbin/ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"),
            &err) < 0)
        skip(); /* this kernel has no such link */
    assert_int_equal(proc_call(PROC_ARGV("/usr/sbin/ip", "link", "set", "vb", "up"), &err), 0);
    assert_int_equal(proc_call(PROC_ARGV("/usr/sbin/ip", "link", "set", "va", "up"), &err), 0);
    assert_int_equal(
        proc_call(PROC_ARGV("/usr/sbin/ip", "addr", "add", "10.1.1.9/24", "dev", "va"), &err), 0);
    assert_int_equal(
        proc_call(PROC_ARGV("/usr/sbin/ip", "route", "add", "default", "via", "10.1.1.1"), &err),
        0);

    assert_int_equal(metadata_check(&m, missing, &same, &err), 0);
    assert_string_equal(missing, "169.254.169.254");
    assert_int_equal(reaches("10.1.1.1", 80, 65534), EINPROGRESS);
    assert_int_equal(metadata_apply(&m, &err), 0);
    assert_int_equal(metadata_check(&m, missing, &same, &err), 0);
    assert_true(same && missing[0] == '\0');
    assert_int_equal(reaches("10.1.1.1", 80, 65534), EACCES);
    assert_int_equal(reaches("169.254.169.254", 80, 65534), EACCES);
    assert_int_equal(reaches("10.1.1.1", 80, 0), EINPROGRESS);
    assert_int_equal(reaches("10.1.1.1", 53, 65534), EINPROGRESS); /* it may be the name server */
    assert_int_equal(reaches("10.1.1.5", 80, 65534), EINPROGRESS);

    /* one was taken away by hand, one has another address since */
    assert_int_equal(proc_call(PROC_ARGV("/usr/sbin/ip", "rule", "del", "pref", "7401"), &err), 0);
    assert_int_equal(metadata_check(&m, missing, &same, &err), 0);
    assert_string_equal(missing, "10.1.1.1");
    assert_int_equal(metadata_check(&moved, missing, &same, &err), 0);
    assert_string_equal(missing, "10.1.1.7");
    assert_int_equal(metadata_apply(&moved, &err), 0);
    assert_int_equal(metadata_apply(&moved, &err), 0); /* again: the same */
    assert_int_equal(metadata_check(&moved, missing, &same, &err), 0);
    assert_true(same && missing[0] == '\0');
    assert_int_equal(reaches("10.1.1.1", 80, 65534), EINPROGRESS);
    assert_int_equal(reaches("10.1.1.7", 80, 65534), EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
