/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what is accepted, what is refused and why, secrets, and the engine with steps made up
 * for the test. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/apt/dpkg.h"
#include "agent/worker/engine.h"
#include "agent/worker/plan.h"
#include "common/cleanup.h"
#include "common/proc.h"
#include "common/str.h"

#define HEAD "{\"version\":1,\"deployment\":\"d\",\"node\":\"n\",\"rev\":\"0123456789abcdef\","

static struct plan *must_parse(const char *text)
{
    struct plan *p = NULL;
    struct err err = {0};

    if (plan_parse(text, strlen(text), &p, &err) < 0)
        fail_msg("%s", err.msg);
    return p;
}

static void must_refuse(const char *text, const char *why)
{
    struct plan *p = NULL;
    struct err err = {0};

    assert_int_equal(plan_parse(text, strlen(text), &p, &err), -1);
    if (!strstr(err.msg, why))
        fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void test_accepts(void **state)
{
    (void)state;
    struct plan *p = must_parse(
        HEAD
        "\"secrets\":{\"a\":\"x\"},\"resources\":["
        "{\"type\":\"route\",\"id\":\"route:p\",\"mac\":\"02:00:00:00:00:01\",\"address\":"
        "\"10.0.0.2/24\",\"via\":\"10.0.0.1\",\"to\":[\"10.0.1.0/24\"]},"
        "{\"type\":\"disk\",\"id\":\"disk:d\",\"volume\":\"11111111-aaaa-4aaa-8aaa-111111111111\","
        "\"size\":1073741824,\"filesystem\":\"xfs\",\"deployment\":\"d\"},"
        "{\"type\":\"service\",\"id\":\"service:s\",\"name\":\"cron\",\"enabled\":true,"
        "\"running\":false}]}");

    assert_int_equal(p->n_steps, 3);
    assert_non_null(plan_find(p, "disk"));
    assert_null(plan_find(p, "web"));
    plan_free(p);
}

/* What the controller makes is taken. */
static void test_accepts_golden(void **state)
{
    static const char *const names[] = {"plan.json", "plan-disk.json", "plan-arbitrator.json",
                                        "plan-frontdoor.json"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        _cleanup_free_ char *path = str_fmt(TEST_DIR "/golden/%s", names[i]);
        struct plan *p = NULL;
        struct err err = {0};

        if (plan_load(path, &p, &err) < 0)
            fail_msg("%s", err.msg);
        plan_free(p);
    }
}

static void test_refuses(void **state)
{
    (void)state;
    must_refuse("[]", "plan");
    must_refuse(HEAD "\"resources\":[{\"type\":\"bomb\",\"id\":\"bomb:1\"}]}", "not known");
    must_refuse(HEAD "\"resources\":[{\"type\":\"file\",\"id\":\"other:1\"}]}",
                "must be 'file' or 'file:<name>'");
    must_refuse(HEAD "\"resources\":[{\"type\":\"file\",\"id\":\"file:1\",\"path\":\"/a/../b\","
                     "\"content\":\"\"}]}",
                "absolute path");
    must_refuse(HEAD "\"resources\":[{\"type\":\"file\",\"id\":\"file:1\",\"path\":\"/a\","
                     "\"content\":\"\",\"colour\":1}]}",
                "'colour' is not known");
    must_refuse(HEAD "\"resources\":[{\"type\":\"file\",\"id\":\"file:1\",\"path\":\"/a\"}]}",
                "'content' is missing");
    must_refuse(HEAD
                "\"resources\":[{\"type\":\"package\",\"id\":\"package:1\",\"names\":[\"-y\"]}]}",
                "list of names");
    must_refuse(HEAD "\"resources\":[{\"type\":\"disk\",\"id\":\"disk:1\",\"volume\":\"x\","
                     "\"size\":1,\"filesystem\":\"ext4\",\"deployment\":\"d\"}]}",
                "UUID");
    must_refuse("{\"version\":2,\"deployment\":\"d\",\"node\":\"n\",\"rev\":\"0123456789abcdef\","
                "\"resources\":[]}",
                "version 2");
    must_refuse("{\"version\":1,\"deployment\":\"d\",\"node\":\"n\",\"rev\":\"../../etc\","
                "\"resources\":[]}",
                "16 lower-case hex");
    must_refuse(HEAD
                "\"resources\":[{\"type\":\"service\",\"id\":\"service:s\",\"name\":\"a\","
                "\"enabled\":true,\"running\":true},{\"type\":\"service\",\"id\":\"service:s\","
                "\"name\":\"a\",\"enabled\":true,\"running\":true}]}",
                "used twice");
    must_refuse(HEAD "\"resources\":[{\"type\":\"app\",\"id\":\"app:a\",\"name\":\"a\",\"archive\":"
                     "{\"url\":\"http://h/a.zip\",\"sha256\":\"00\"},\"root\":\"/var/www/a\","
                     "\"writable\":[],\"config\":[],\"install\":[],\"installer\":true,\"database\":"
                     "\"a\"}]}",
                "sha256");
}

static void test_secrets(void **state)
{
    (void)state;
    struct plan *p =
        must_parse(HEAD "\"secrets\":{\"a\":\"1\",\"b\":\"${secret:a}\"},\"resources\":[]}");
    struct err err = {0};
    struct run run = plan_run(p);
    char *text = NULL;

    assert_int_equal(run_expand(&run, "x${secret:a}y${secret:b}", &text, &err), 0);
    assert_string_equal(text, "x1y${secret:a}"); /* what a secret says is not expanded again */
    secret_free(text);
    assert_int_equal(run_expand(&run, "${secret:none}", &text, &err), -1);
    assert_non_null(strstr(err.msg, "none"));
    assert_int_equal(run_expand(&run, "${secret:a", &text, &err), -1);
    plan_free(p);
}

/* --- the engine, with steps whose behaviour is a letter string --------------------------------
 * each check takes the next letter: o ok, d differs, r refused, e error */
struct fake {
    const char *script;
    int checks, applies;
    bool apply_fails;
};

static int fake_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    struct fake *f = (struct fake *)self;

    (void)run;
    switch (f->script[f->checks++]) {
    case 'o':
        return verdict_ok(ret);
    case 'd':
        return verdict_differs(ret, "differs");
    case 'r':
        return verdict_refused(ret, "R5");
    default:
        return err_set(err, ERR_FAILED, "broken");
    }
}

static int fake_apply(const void *self, struct run *run, struct err *err)
{
    struct fake *f = (struct fake *)self;

    (void)run;
    f->applies++;
    return f->apply_fails ? err_set(err, ERR_FAILED, "apply broke") : 0;
}

static const struct step_ops fake_ops = {"fake", NULL, fake_check, fake_apply, NULL, NULL};

struct seen {
    char kinds[256];
    char last[EVENT_MSG_MAX];
    struct event_count count; /* of the plan */
    unsigned changed, ok;     /* of its end */
};

static void see(void *ctx, const struct event *ev)
{
    struct seen *s = ctx;

    strncat(s->kinds, event_kind_name(ev->kind), 16);
    strcat(s->kinds, " ");
    snprintf(s->last, sizeof(s->last), "%s", ev->msg);
    if (ev->kind == EVENT_PLAN)
        s->count = ev->count;
    s->changed = ev->changed;
    s->ok = ev->ok;
}

static int run_two(struct fake *a, struct fake *b, struct seen *seen, struct err *err)
{
    struct step steps[2] = {{&fake_ops, "fake:a", a, false}, {&fake_ops, "fake:b", b, false}};
    struct plan p = {.node = "n", .rev = "r", .steps = steps, .n_steps = 2};
    struct engine_result res;

    memset(seen, 0, sizeof(*seen));
    return engine_run(&p, see, seen, &res, err);
}

static void test_engine(void **state)
{
    (void)state;
    struct seen seen;
    struct err err = {0};
    struct fake a = {.script = "do"}, b = {.script = "o"};

    assert_int_equal(run_two(&a, &b, &seen, &err), 0);
    assert_string_equal(seen.kinds, "plan start changed ok done ");
    assert_string_equal(seen.last, "1 changed, 1 ok");
    assert_int_equal(seen.count.unit, EVENT_STEPS);
    assert_int_equal(seen.count.total, 2);
    assert_int_equal(seen.changed, 1);
    assert_int_equal(seen.ok, 1);

    a = (struct fake){.script = "dd"}, b = (struct fake){.script = "o"};
    assert_int_equal(run_two(&a, &b, &seen, &err), -1);
    assert_string_equal(seen.kinds, "plan start failed aborted ");
    assert_non_null(strstr(err.msg, "did not converge"));
    assert_int_equal(b.checks, 0); /* nothing after a failure */

    a = (struct fake){.script = "r"};
    assert_int_equal(run_two(&a, &b, &seen, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_string_equal(seen.kinds, "plan refused aborted ");
    assert_int_equal(a.applies, 0);

    a = (struct fake){.script = "d", .apply_fails = true};
    assert_int_equal(run_two(&a, &b, &seen, &err), -1);
    assert_non_null(strstr(err.msg, "fake:a: apply broke"));

    a = (struct fake){.script = "e"};
    assert_int_equal(run_two(&a, &b, &seen, &err), -1);
    assert_non_null(strstr(err.msg, "fake:a: check: broken"));
}

/* A step that may begin ahead is applied in a process of its own, while the step before it is; what
 * that process does not end well is done again in its turn. */
static int pair[2];

static int slow_apply(const void *self, struct run *run, struct err *err)
{
    char c;

    (void)self, (void)run;
    return read(pair[0], &c, 1) == 1 ? 0 : err_errno(err, EIO, "nobody came ahead");
}

static int quick_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run, (void)err;
    const int *said = self;
    return *said ? verdict_ok(ret) : verdict_differs(ret, "not said");
}

static int quick_apply(const void *self, struct run *run, struct err *err)
{
    (void)run, (void)err;
    *(int *)self = 1; /* of its own memory only */
    return write(pair[1], "x", 1) == 1 ? 0 : -1;
}

static int dying_apply(const void *self, struct run *run, struct err *err)
{
    if (getpid() != *(const pid_t *)run->ctx)
        raise(SIGKILL);
    return quick_apply(self, run, err);
}

static void count(void *ctx, const struct event *ev)
{
    (void)ctx, (void)ev;
}

static void test_ahead(void **state)
{
    (void)state;
    const struct step_ops slow = {"slow", NULL, fake_check, slow_apply, NULL, NULL};
    const struct step_ops quick = {"quick", NULL, quick_check, quick_apply, NULL, NULL};
    const struct step_ops dying = {"quick", NULL, quick_check, dying_apply, NULL, NULL};
    struct fake a = {.script = "do"};
    int said = 0;
    pid_t self = getpid();
    struct step steps[2] = {{&slow, "slow:a", &a, false}, {&quick, "quick:b", &said, true}};
    struct plan p = {.node = "n", .rev = "r", .steps = steps, .n_steps = 2};
    struct engine_result res;
    struct err err = {0};

    assert_int_equal(pipe(pair), 0);
    assert_int_equal(engine_run(&p, count, &self, &res, &err), 0);
    assert_int_equal(res.changed, 2);
    assert_int_equal(said, 0); /* not done a second time, here */

    a = (struct fake){.script = "do"};
    steps[0].ops = &fake_ops;
    steps[1].ops = &dying;
    assert_int_equal(engine_run(&p, count, &self, &res, &err), 0);
    assert_int_equal(res.changed, 2);
    assert_int_equal(said, 1);

    a = (struct fake){.script = "o"}; /* nothing to change: no process is started */
    steps[0].ops = &fake_ops;
    assert_int_equal(engine_run(&p, count, &self, &res, &err), 0);
    assert_int_equal(res.ok, 2);
    close(pair[0]);
    close(pair[1]);
}

static void test_check_only(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct err err = {0};
    struct engine_result res;
    struct fake a = {.script = "d"}, b = {.script = "e"};
    struct step steps[2] = {{&fake_ops, "fake:a", &a, false}, {&fake_ops, "fake:b", &b, false}};
    struct plan p = {.node = "n", .rev = "r", .steps = steps, .n_steps = 2};

    assert_int_equal(engine_check(&p, see, &seen, &res, &err), 0);
    assert_int_equal(res.changed, 2); /* it may need what the one before it makes */
    assert_int_equal(a.applies + b.applies, 0);
}

/* A look that fails says nothing: neither that it differs nor that it does not. */
static void test_check_unknown(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct err err = {0};
    struct engine_result res;
    struct fake a = {.script = "o"}, b = {.script = "e"};
    struct step steps[2] = {{&fake_ops, "fake:a", &a, false}, {&fake_ops, "fake:b", &b, false}};
    struct plan p = {.node = "n", .rev = "r", .steps = steps, .n_steps = 2};

    assert_int_equal(engine_check(&p, see, &seen, &res, &err), 0);
    assert_int_equal(res.ok, 1);
    assert_int_equal(res.changed, 0);
    assert_int_equal(res.unknown, 1);
    assert_string_equal(seen.last, "unknown: broken");
}

/* --- which services a pass asks about at once ---------------------------------------------- */

static char asked[512]; /* the arguments of all programs that were run */

int __wrap_proc_run(const char *const argv[], const struct proc_opts *opts, struct proc_result *ret,
                    struct err *err);

int __wrap_proc_run(const char *const argv[], const struct proc_opts *opts, struct proc_result *ret,
                    struct err *err)
{
    size_t len = strlen(asked);

    (void)opts;
    for (; *argv; argv++)
        len += (size_t)snprintf(asked + len, sizeof(asked) - len, "%s ", *argv);
    *ret = (struct proc_result){.status = PROC_NOT_STARTED};
    return err_set(err, ERR_FAILED, "no programs here");
}

static struct plan *plan_of_services(const char *a, const char *b)
{
    static const char step[] = "{\"type\":\"service\",\"id\":\"service:%s\",\"name\":\"%s\","
                               "\"enabled\":true,\"running\":true}";
    _cleanup_free_ char *one = str_fmt(step, a, a);
    _cleanup_free_ char *two = str_fmt(step, b, b);
    _cleanup_free_ char *text = str_fmt(HEAD "\"resources\":[%s,%s]}", one, two);

    return must_parse(text);
}

/* All of the plan that is checked; none of another that was only read. */
static void test_services_of_the_pass(void **state)
{
    struct plan *other = plan_of_services("atd", "ssh"), *p = plan_of_services("cron", "cups");
    struct seen seen = {0};
    struct err err = {0};
    struct engine_result res;

    (void)state;
    assert_int_equal(engine_check(p, see, &seen, &res, &err), 0);
    assert_non_null(strstr(asked, " -- cron cups "));
    assert_null(strstr(asked, "ssh"));
    asked[0] = '\0';
    assert_int_equal(engine_run(other, see, &seen, &res, &err), -1);
    assert_non_null(strstr(asked, " -- atd ssh "));
    assert_null(strstr(asked, "cups"));
    plan_free(other);
    plan_free(p);
}

static void test_dpkg(void **state)
{
    static const char text[] =
        "Package: apache2\nStatus: install ok installed\nDescription: a\n Package: none\n\n"
        "Package: gone\nStatus: deinstall ok config-files\n\n"
        "Package: both\nArchitecture: i386\nStatus: install ok unpacked\n\n"
        "Package: both\nArchitecture: amd64\nStatus: hold ok installed\n\n"
        "Package: half\nStatus: install reinstreq half-installed\n\n"
        "Status: install ok installed\n\n"
        "Package: last\nStatus: install ok triggers-pending";
    static const char *const names[] = {"apache2", "gone", "both",  "half",
                                        "last",    "none", "apache"};
    static const enum dpkg_state want[] = {DPKG_INSTALLED, DPKG_ABSENT, DPKG_INSTALLED, DPKG_BROKEN,
                                           DPKG_BROKEN,    DPKG_ABSENT, DPKG_ABSENT};
    enum dpkg_state got[7];

    (void)state;
    dpkg_scan(text, sizeof(text) - 1, names, 7, got);
    for (int i = 0; i < 7; i++)
        assert_int_equal(got[i], want[i]);

    /* Many names are only provided. */
    static const char provided[] =
        "Package: php8.2-opcache\nStatus: install ok installed\nProvides: php-opcache, php-x (= "
        "1)\n"
        "\nPackage: php8.2-common\nStatus: install ok installed\nProvides: php-exif (= 2),php-pdo\n"
        "\nPackage: php8.2-gd\nProvides: php-gd\nStatus: install ok unpacked\n"
        "\nPackage: php8.2-xsl\nProvides: php-xsl\nStatus: deinstall ok config-files\n";
    static const char *const modules[] = {"php-opcache", "php-x",   "php-exif", "php-pdo",
                                          "php-gd",      "php-xsl", "php",      "1"};
    enum dpkg_state there[8];
    dpkg_scan(provided, sizeof(provided) - 1, modules, 8, there);
    for (int i = 0; i < 8; i++)
        assert_int_equal(there[i], i < 4 ? DPKG_INSTALLED : DPKG_ABSENT);

    _cleanup_(strbuf_free) struct strbuf left = {0};
    dpkg_keep(text, sizeof(text) - 1, "\napache2\nboth:amd64\nlas\nhalfway\n", &left);
    assert_string_equal(
        strbuf_str(&left),
        "Package: apache2\nStatus: install ok installed\nDescription: a\n Package: none\n\n"
        "Package: both\nArchitecture: amd64\nStatus: hold ok installed\n\n");
    strbuf_reset(&left);
    dpkg_keep(text, sizeof(text) - 1, "\nlast\n", &left);
    assert_string_equal(strbuf_str(&left), "Package: last\nStatus: install ok triggers-pending");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_accepts_golden),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_engine),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_check_only),
        cmocka_unit_test(test_check_unknown),
        cmocka_unit_test(test_services_of_the_pass),
        cmocka_unit_test(test_dpkg),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
