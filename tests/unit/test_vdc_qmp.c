/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's client against a machine that is played by a child. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/qmp.h"

/* Listens, and says the lines one after another: the first at once, each other after a command. */
static pid_t play(const char *path, const char *const lines[])
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listener, 1), 0);
    pid_t pid = fork();
    if (pid != 0) {
        close(listener);
        return pid;
    }
    FILE *f = fdopen(accept(listener, NULL, NULL), "r");
    char command[1024];
    for (size_t i = 0; f && lines[i]; i++) {
        if (i > 0 && !fgets(command, sizeof(command), f))
            break;
        if (write(fileno(f), lines[i], strlen(lines[i])) < 0)
            break;
    }
    _exit(0);
}

struct stage {
    char dir[32], path[48];
};

static void set_up(struct stage *s)
{
    strcpy(s->dir, "/tmp/qmp-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
}

static void tear_down(const struct stage *s, pid_t pid)
{
    unlink(s->path);
    rmdir(s->dir);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static const char greeting[] = "{\"QMP\": {\"version\": {}}}\r\n";

static void answers_are_told_from_events(void **state)
{
    (void)state;
    struct stage s;
    struct err err = {0};

    set_up(&s);
    pid_t pid = play(s.path, (const char *const[]){greeting, "{\"return\": {}}\n",
                                                   "{\"event\": \"STOP\"}\n"
                                                   "{\"return\": [{\"name\": \"d1\"}]}\n",
                                                   NULL});
    FILE *qmp = NULL;
    _cleanup_json_ json_t *value = NULL;
    assert_int_equal(qmp_open(s.path, &qmp, &err), 0);
    assert_int_equal(qmp_call(qmp, "qom-list", json_pack("{s:s}", "path", "/"), &value, &err), 0);
    assert_string_equal(vdc_str(json_array_get(value, 0), "name"), "d1");
    fclose(qmp);
    tear_down(&s, pid);
}

static void refusals_say_why(void **state)
{
    (void)state;
    struct stage s;
    struct err err = {0};

    set_up(&s);
    pid_t pid = play(s.path, (const char *const[]){greeting, "{\"return\": {}}\n",
                                                   "{\"error\": {\"class\": \"GenericError\", "
                                                   "\"desc\": \"Duplicate nodes\"}}\n",
                                                   NULL});
    FILE *qmp = NULL;
    assert_int_equal(qmp_open(s.path, &qmp, &err), 0);
    assert_int_equal(qmp_call(qmp, "blockdev-add", NULL, NULL, &err), -1);
    assert_non_null(strstr(err.msg, "blockdev-add"));
    assert_non_null(strstr(err.msg, "Duplicate nodes"));
    fclose(qmp);
    tear_down(&s, pid);
}

static void a_machine_that_ends_is_an_error(void **state)
{
    (void)state;
    struct stage s;
    struct err err = {0};

    set_up(&s);
    pid_t pid = play(s.path, (const char *const[]){greeting, "{\"return\": {}}\n", NULL});
    FILE *qmp = NULL;
    assert_int_equal(qmp_open(s.path, &qmp, &err), 0);
    assert_int_equal(qmp_call(qmp, "cont", NULL, NULL, &err), -1);
    fclose(qmp);
    tear_down(&s, pid);
    assert_int_equal(qmp_open(s.path, &qmp, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_told_from_events),
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(a_machine_that_ends_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
