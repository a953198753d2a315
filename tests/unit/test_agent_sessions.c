/* SPDX-License-Identifier: Apache-2.0 */
/* What the step `sessions` writes. The handler at work is in tests/hosts/sessions.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/app/sessions.h"
#include "agent/steps/step.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define PHP "/usr/bin/php"

/* As PHP itself reads it. */
static void test_code(void **state)
{
    static const char password[] = "it's \\ a \"$x\" @user@ \\'";
    char path[] = "/tmp/test-sessions-XXXXXX";
    struct proc_result r = {0};
    struct err err;
    int fd = mkstemp(path);
    _cleanup_free_ char *text = sessions_code("mysql:dbname=album", "album", password);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_null(strstr(text, "@dsn@"));
    assert_null(strstr(text, "@password@"));
    assert_true(str_starts(text, "<?php\n"));
    if (access(PHP, X_OK) < 0) {
        unlink(path);
        return;
    }
    assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, &err), 0);
    assert_int_equal(
        proc_run(PROC_ARGV(PHP, "-r",
                           "$a = array_values(array_filter(token_get_all(file_get_contents("
                           "$argv[1])), fn($t) => is_array($t) && $t[0] === "
                           "T_CONSTANT_ENCAPSED_STRING)); foreach ([0, 1, 2] as $i) { echo "
                           "eval(\"return {$a[$i][1]};\"), \"\\n\"; }",
                           path),
                 NULL, &r, &err),
        0);
    _cleanup_free_ char *expected = str_fmt("mysql:dbname=album\nalbum\n%s\n", password);
    assert_string_equal(strbuf_str(&r.out), expected);
    proc_result_free(&r);
    unlink(path);
}

static void test_conf(void **state)
{
    (void)state;
    _cleanup_free_ char *text = sessions_conf("/var/www/html", "/etc/x.php");

    assert_string_equal(text, "# written by muster-agent\n"
                              "<IfModule php_module>\n"
                              "    <Directory /var/www/html>\n"
                              "        php_admin_value auto_prepend_file /etc/x.php\n"
                              "    </Directory>\n"
                              "</IfModule>\n"
                              "<IfModule php7_module>\n"
                              "    <Directory /var/www/html>\n"
                              "        php_admin_value auto_prepend_file /etc/x.php\n"
                              "    </Directory>\n"
                              "</IfModule>\n");
}

static void test_members(void **state)
{
    static const struct {
        const char *text;
        int r;
    } rows[] = {
        {"{\"root\":\"/var/www/html\"}", 0},
        {"{\"root\":\"/w\",\"database\":\"a\",\"user\":\"a\",\"password\":\"${secret:db_a}\"}", 0},
        {"{\"root\":\"/w\",\"database\":\"a\",\"user\":\"a\"}", -1},
        {"{\"root\":\"/w\",\"password\":\"a\"}", -1},
        {"{\"root\":\"/w\",\"database\":\"a;b\",\"user\":\"a\",\"password\":\"x\"}", -1},
        {"{\"root\":\"w\"}", -1},
    };
    const struct step_ops *ops = step_ops_find("sessions");

    (void)state;
    assert_non_null(ops);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_json_ json_t *j = NULL;
        void *self = NULL;
        struct err err;

        assert_int_equal(js_parse(rows[i].text, strlen(rows[i].text), &j, &err), 0);
        if (ops->parse(j, &self, &err) != rows[i].r)
            fail_msg("%s", rows[i].text);
        if (rows[i].r == 0)
            ops->free(self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_code), cmocka_unit_test(test_conf),
                                       cmocka_unit_test(test_members)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
