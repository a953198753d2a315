/* SPDX-License-Identifier: Apache-2.0 */
/* A file of a shared directory that is not here comes from a peer: three real Apaches on loopback,
 * with real certificates, and what each of them must not give. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/app/web.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/proc.h"
#include "common/str.h"
#include "tests/unit/golden.h"

#define APACHE "/usr/sbin/apache2"
#define MODULES "/usr/lib/apache2/modules"
#define PHP_MODULE MODULES "/libphp8.2.so"
#define SSL_MODULE MODULES "/mod_ssl.so"
#define WAIT_MS 10000
#define SITE_PORT "17520"
#define WWW_DATA 33 /* of Debian */

enum { FRA, PAR, HAM, NODES };

static const char *const names[NODES] = {"fra", "par", "ham"};
static char top[64];

static json_t *peers_of(int node, const char *certs, const char *cert)
{
    json_t *members = json_array();

    for (int i = 1; i < NODES; i++) {
        int n = (node + i) % NODES;
        _cleanup_free_ char *address = str_fmt("127.0.0.%d", n + 2);

        json_array_append_new(members,
                              json_pack("{s:s, s:s}", "name", names[n], "address", address));
    }
    _cleanup_free_ char *own = str_fmt("127.0.0.%d", node + 2);
    return json_pack("{s:s, s:s, s:o, s:[{s:s, s:[s, s]}, {s:s, s:[]}], s:s, s:s, s:s}", "node",
                     names[node], "address", own, "members", members, "directories", "path",
                     "/photos", "ignore", "cache", "*.part", "path", "/wp-content/uploads",
                     "ignore", "certs", certs, "cert", cert, "key", "${secret:share_key}");
}

/* --- texts ------------------------------------------------------------------------------------ */

static void test_texts(void **state)
{
    (void)state;
    _cleanup_json_ json_t *j = peers_of(FRA, "CERTIFICATES\n", "CERTIFICATE\n");
    _cleanup_(strbuf_free) struct strbuf both = {0};
    struct web_peers p;
    struct err err;

    assert_int_equal(web_peers_read(j, &p, &err), 0);
    _cleanup_free_ char *site = web_site_text("/var/www/html", "", NULL, &p);
    _cleanup_free_ char *text = web_peers_text("/var/www/html", &p);
    strbuf_addf(&both, "%s\n%s", site, text);
    golden("web-peers.conf", strbuf_str(&both));
}

static void test_refused(void **state)
{
    static const char *const bad[][2] = {
        {"\"/photos\"", "\"photos\""},
        {"\"/photos\"", "\"/../photos\""},
        {"\"/photos\"", "\"/pho tos\""},
        {"\"/photos\"", "\"/a\\n\""},
        {"\"/photos\"", "\"/<x>\""},
        {"\"/photos\"", "\"/${x}\""},
        {"\"cache\"", "\"a b\""},
        {"\"cache\"", "7"},
        {"\"127.0.0.3\"", "\"par\""},
        {"\"par\"", "\"p r\""},
        {"\"members\":[{", "\"x\":[],\"members\":[{"},
    };
    _cleanup_json_ json_t *good = peers_of(FRA, "C", "C");
    _cleanup_free_ char *text = js_text(good);
    struct web_peers p;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct strbuf b = {0};
        const char *at = strstr(text, bad[i][0]);

        assert_non_null(at);
        strbuf_add(&b, text, (size_t)(at - text));
        strbuf_adds(&b, bad[i][1]);
        strbuf_adds(&b, at + strlen(bad[i][0]));
        _cleanup_json_ json_t *j = NULL;
        assert_int_equal(js_parse(b.s, b.len, &j, &err), 0);
        if (web_peers_read(j, &p, &err) == 0)
            fail_msg("taken: %s", b.s);
        strbuf_free(&b);
    }
}

/* --- servers ---------------------------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
    struct err err;
    _cleanup_free_ char *full = str_fmt("%s/%s", top, path);
    _cleanup_free_ char *dir = xstrdup(full);

    *strrchr(dir, '/') = '\0';
    if (fs_mkdirs(dir, 0755, &err) < 0 || fs_write_atomic(full, text, strlen(text), 0644, &err) < 0)
        fail_msg("%s", err.msg);
}

static char *slurp(const char *path)
{
    _cleanup_free_ char *full = str_fmt("%s/%s", top, path);
    char *text = NULL;
    struct err err;

    if (fs_read(full, 100000, &text, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    return text;
}

static void run(const char *const argv[])
{
    const struct proc_opts opts = {.cwd = top};
    struct err err;

    if (proc_run(argv, &opts, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

/* As the controller makes them: each signed by itself. */
static void certificate(const char *name)
{
    _cleanup_free_ char *key = str_fmt("%s.key", name), *cert = str_fmt("%s.cert", name);
    _cleanup_free_ char *subject = str_fmt("/O=muster/CN=%s", name);

    run(PROC_ARGV("/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", subject,
                  "-addext", "basicConstraints=critical,CA:FALSE", "-addext",
                  "extendedKeyUsage=serverAuth,clientAuth", "-keyout", key, "-out", cert));
    _cleanup_free_ char *a = slurp(cert), *b = slurp(key), *both = str_fmt("%s\n%s", a, b);
    _cleanup_free_ char *pem = str_fmt("%s.pem", name);
    put(pem, both);
}

/* `text` with `from` replaced everywhere by `to`. */
static void add_with(struct strbuf *b, const char *text, const char *from, const char *to)
{
    for (const char *at; (at = strstr(text, from)); text = at + strlen(from)) {
        strbuf_add(b, text, (size_t)(at - text));
        strbuf_adds(b, to);
    }
    strbuf_adds(b, text);
}

/* The texts of the step with the paths, addresses and ports of this test. */
static void add_moved(struct strbuf *b, char *text, int node)
{
    _cleanup_free_ char *pem = str_fmt("%s/%s.pem", top, names[node]);
    _cleanup_free_ char *certs = str_fmt("%s/members.pem", top);
    _cleanup_free_ char *listen = str_fmt("127.0.0.%d:" PORT_TEXT(PORT_FILES), node + 2);
    const char *const moves[][2] = {{WEB_PEERS_PEM, pem},
                                    {WEB_PEERS_CERTS, certs},
                                    {"0.0.0.0:" PORT_TEXT(PORT_FILES), listen},
                                    {"*:" PORT_TEXT(PORT_HTTP) ">", "*:" SITE_PORT ">"},
                                    {"*:" PORT_TEXT(PORT_SITE) ">", "*:" SITE_PORT ">"}};
    char *now = text;

    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        struct strbuf next = {0};

        add_with(&next, now, moves[i][0], moves[i][1]);
        free(now);
        now = next.s;
    }
    strbuf_adds(b, now);
    free(now);
}

static void server(int node, bool with_peers, const char *verb)
{
    static const char *const modules[] = {"mpm_prefork", "authn_core", "authz_core",
                                          "alias",       "mime",       "access_compat",
                                          "dir",         "setenvif",   "rewrite"};
    _cleanup_(strbuf_free) struct strbuf conf = {0};
    _cleanup_free_ char *root = str_fmt("%s/%s/www", top, names[node]);
    _cleanup_free_ char *file = str_fmt("%s/apache.conf", names[node]);
    _cleanup_free_ char *path = str_fmt("%s/%s", top, file);
    _cleanup_free_ char *certs = slurp("members.pem"), *cert = slurp("fra.cert");
    _cleanup_json_ json_t *j = peers_of(node, certs, cert);
    _cleanup_json_ json_t *proxies = json_pack("[s]", "127.0.0.1"); /* ham has a front door */
    struct web_peers p;
    struct err err;

    assert_int_equal(web_peers_read(j, &p, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(modules); i++)
        strbuf_addf(&conf, "LoadModule %s_module " MODULES "/mod_%s.so\n", modules[i], modules[i]);
    strbuf_addf(&conf,
                "LoadModule php_module " PHP_MODULE "\n<FilesMatch \".+\\.ph(?:ar|p|tml)$\">\n"
                "  SetHandler application/x-httpd-php\n</FilesMatch>\n"
                "ServerRoot %s/%s\nServerName test\nListen 127.0.0.%d:" SITE_PORT "\n"
                "PidFile %s/%s/pid\nDefaultRuntimeDir %s/%s\nUser www-data\nGroup www-data\n"
                "StartServers 2\nDefine APACHE_LOG_DIR %s/%s\nErrorLog %s/%s/error.log\n"
                "TypesConfig /etc/mime.types\nLogFormat \"%%h\" combined\nKeepAliveTimeout 1\n"
                "<Directory />\n  Options FollowSymLinks\n  AllowOverride None\n"
                "  Require all denied\n</Directory>\n"
                "<FilesMatch \"^\\.ht\">\n  Require all denied\n</FilesMatch>\n",
                top, names[node], node + 2, top, names[node], top, names[node], top, names[node],
                top, names[node]);
    if (with_peers)
        add_moved(&conf, web_peers_text(root, &p), node);
    add_moved(&conf, web_code_text(), node);
    add_moved(
        &conf,
        web_site_text(root, "", with_peers && node == HAM ? proxies : NULL, with_peers ? &p : NULL),
        node);
    put(file, strbuf_str(&conf));
    if (proc_call(PROC_ARGV(APACHE, "-f", path, "-k", verb), &err) < 0)
        fail_msg("%s", err.msg);
}

static void stop(int node)
{
    struct err err;
    _cleanup_free_ char *path = str_fmt("%s/%s/apache.conf", top, names[node]);
    _cleanup_free_ char *pid = str_fmt("%s/%s/pid", top, names[node]);

    if (!fs_exists(pid))
        return;
    proc_call(PROC_ARGV(APACHE, "-f", path, "-k", "stop"), &err);
    for (uint64_t end = clock_mono_ms() + WAIT_MS; fs_exists(pid) && clock_mono_ms() < end;)
        clock_pause_ms(20);
}

/* What a visitor of `node` gets; `more`: arguments of curl, NULL at the end. */
static char *get(int node, const char *path, const char *const more[])
{
    _cleanup_free_ char *url = str_fmt("http://127.0.0.%d:" SITE_PORT "%s", node + 2, path);
    const char *argv[16] = {"/usr/bin/curl", "-si",        "--noproxy", "*",
                            "--path-as-is",  "--max-time", "20",        url};
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct proc_result r;
    struct err err;
    size_t n = 8;

    for (size_t i = 0; more && more[i]; i++)
        argv[n++] = more[i];
    while (proc_run(argv, NULL, &r, &err) < 0) {
        proc_result_free(&r);
        if (clock_mono_ms() > end)
            fail_msg("%s", err.msg);
        clock_pause_ms(20); /* it starts */
    }
    free(r.errout.s);
    return r.out.s ? r.out.s : xstrdup("");
}

static void is(int node, const char *path, const char *const more[], int status, const char *text)
{
    _cleanup_free_ char *a = get(node, path, more);
    int got = 0;

    assert_int_equal(sscanf(a, "HTTP/1.%*d %d", &got), 1);
    if (got != status || (text && !strstr(a, text)) || strstr(a, "s3cret") || strstr(a, "7406"))
        fail_msg("%s %s: %d: %s", names[node], path, got, a);
}

#define MORE(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Straight to the port of the peers, as `who` (NULL: without a certificate); 0: refused. */
static int direct(const char *who, const char *path, const char *header)
{
    _cleanup_free_ char *pem = who ? str_fmt("%s/%s.pem", top, who) : NULL;
    _cleanup_free_ char *url = str_fmt("https://127.0.0.3:%d%s", PORT_FILES, path);
    struct proc_result r;
    struct err ignored;
    int status = 0;

    proc_run(PROC_ARGV("/usr/bin/curl", "-si", "--noproxy", "*", "-k", "--path-as-is", "-H",
                       header ? header : "Accept: */*", url, pem ? "--cert" : NULL, pem),
             NULL, &r, &ignored);
    if (r.out.s)
        sscanf(r.out.s, "HTTP/1.%*d %d", &status);
    if (r.out.s && strstr(r.out.s, "s3cret"))
        fail_msg("%s: %s", path, r.out.s);
    proc_result_free(&r);
    return status;
}

static void make_node(int node)
{
    _cleanup_free_ char *home = str_fmt("%s/%s/home", top, names[node]);
    _cleanup_free_ char *www = str_fmt("%s/%s/www", top, names[node]);
    _cleanup_free_ char *photos = str_fmt("%s/photos", home), *uploads = str_fmt("%s/up", home);
    _cleanup_free_ char *link_photos = str_fmt("%s/photos", www);
    _cleanup_free_ char *link_uploads = str_fmt("%s/wp-content/uploads", www);
    _cleanup_free_ char *content = str_fmt("%s/wp-content", www);
    _cleanup_free_ char *htaccess = str_fmt("%s/www/.htaccess", names[node]);
    _cleanup_free_ char *index = str_fmt("%s/www/index.php", names[node]);
    struct err err;

    assert_int_equal(fs_mkdirs(photos, 0755, &err), 0);
    assert_int_equal(fs_mkdirs(uploads, 0755, &err), 0);
    assert_int_equal(fs_mkdirs(content, 0755, &err), 0);
    assert_int_equal(chown(photos, WWW_DATA, WWW_DATA), 0); /* what leads there is root's */
    assert_int_equal(chown(uploads, WWW_DATA, WWW_DATA), 0);
    assert_int_equal(symlink(photos, link_photos), 0);
    assert_int_equal(symlink(uploads, link_uploads), 0);
    /* As WordPress has it: what is not there is the application's. */
    put(htaccess, "RewriteEngine On\nRewriteBase /\nRewriteRule ^index\\.php$ - [L]\n"
                  "RewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\n"
                  "RewriteRule . /index.php [L]\n");
    put(index,
        "<?php echo 'the application, asked by ', $_SERVER['HTTP_X_MUSTER_SEEN'] ?? 'none';");
}

static int setup(void **state)
{
    (void)state;
    strcpy(top, "/tmp/muster-peers-XXXXXX");
    if (!mkdtemp(top) || chmod(top, 0755) < 0)
        return -1;
    struct strbuf certs = {0};
    for (int n = 0; n < NODES; n++) {
        _cleanup_free_ char *cert = str_fmt("%s.cert", names[n]);

        certificate(names[n]);
        _cleanup_free_ char *text = slurp(cert);
        strbuf_adds(&certs, text);
        make_node(n);
    }
    certificate("other");
    put("members.pem", strbuf_str(&certs));
    strbuf_free(&certs);
    put("par/home/photos/a.txt", "0123456789");
    put("par/home/photos/deep/er/b c%d#e.txt", "deep");
    put("par/home/up/x.png", "PNG");
    put("ham/home/photos/h.txt", "of ham");
    put("fra/home/photos/own.txt", "of fra");
    put("par/home/photos/own.txt", "of par");
    put("par/home/photos/q.php", "<?php echo 's3cret';");
    put("par/home/photos/q.PHP", "<?php echo 's3cret';");
    put("par/home/photos/q.php.txt", "<?php echo 6 * 7;");
    put("par/home/photos/cache/c.txt", "s3cret");
    put("par/home/photos/p.part", "s3cret");
    put("par/home/photos/.hidden", "s3cret");
    put("par/home/photos/.syncthing.z.tmp", "s3cret");
    put("par/home/photos/z.sync-conflict-20261128-070000-YGRFY75.txt", "s3cret");
    put("par/home/photos/closed/.htaccess", "Require all denied\n");
    put("par/home/photos/closed/x.txt", "s3cret");
    put("par/home/photos/open/.htaccess",
        "Options +FollowSymLinks +Indexes\nSetHandler application/x-httpd-php\n");
    put("par/home/photos/open/y.txt", "<?php echo 6 * 7;");
    put("par/www/outside.txt", "s3cret");
    put("par/home/secret.txt", "s3cret");
    put("par/home/photos/ruled/.htaccess", "RewriteEngine On\nRewriteRule . - [F]\n");
    put("par/home/photos/ruled/x.txt", "s3cret");
    put("par/home/photos/gate/.htaccess", "RewriteEngine On\nRewriteRule . /index.php [L]\n");
    put("par/home/photos/gate/x.txt", "s3cret");
    put("par/home/of-root/secret.txt", "s3cret");
    _cleanup_free_ char *directory = str_fmt("%s/par/home/of-root", top);
    _cleanup_free_ char *out = str_fmt("%s/par/home/photos/out", top);
    assert_int_equal(symlink(directory, out), 0);
    assert_int_equal(lchown(out, WWW_DATA, WWW_DATA), 0);
    for (int i = 0; i < 2; i++) {
        _cleanup_free_ char *target = str_fmt("%s/par/home/secret.txt", top);
        _cleanup_free_ char *from = str_fmt("%s/par/home/photos/%slink.txt", top, i ? "open/" : "");

        assert_int_equal(symlink(target, from), 0);
    }
    server(FRA, false, "start");
    server(PAR, true, "start");
    server(HAM, true, "start");
    is(FRA, "/photos/a.txt", NULL, 200, "the application");
    server(FRA, true, "graceful"); /* as the step does it on a site that had no peers */
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    for (int n = 0; n < NODES; n++)
        stop(n);
    return fs_remove_tree(top, &err);
}

static void test_there(void **state)
{
    (void)state;
    for (uint64_t end = clock_mono_ms() + WAIT_MS; clock_mono_ms() < end; clock_pause_ms(20)) {
        _cleanup_free_ char *a = get(FRA, "/photos/a.txt", NULL);

        if (!strstr(a, "the application"))
            break; /* it has read its files again */
    }
    is(FRA, "/photos/a.txt", NULL, 200, "\r\n\r\n0123456789");
    is(FRA, "/photos/a.txt?x=1", NULL, 200, "\r\n\r\n0123456789");
    is(FRA, "/wp-content/uploads/x.png", NULL, 200, "\r\n\r\nPNG");
    is(FRA, "/photos/deep/er/b%20c%25d%23e.txt", NULL, 200, "\r\n\r\ndeep");
    is(FRA, "/photos/own.txt", NULL, 200, "\r\n\r\nof fra");
    is(FRA, "/photos/a.txt", MORE("-I"), 200, "Content-Length: 10");
    is(FRA, "/photos/a.txt", MORE("-r", "2-4"), 206, "\r\n\r\n234");
    /* From par, which lacks it, too. */
    is(FRA, "/photos/h.txt", NULL, 200, "\r\n\r\nof ham");
    is(HAM, "/photos/a.txt", NULL, 200, "\r\n\r\n0123456789");
}

static void test_nowhere(void **state)
{
    (void)state;
    for (int n = 0; n < NODES; n++)
        is(n, "/photos/none.txt", NULL, 404, NULL);
    is(FRA, "/photos/none/deep.txt", NULL, 404, NULL);
    is(FRA, "/photos/deep", NULL, 404, NULL); /* a directory there */
    /* All else is the application's, as without peers. */
    is(FRA, "/none.txt", NULL, 200, "the application, asked by none");
    is(FRA, "/photos/deep/", NULL, 200, "the application");
    is(FRA, "/photos/a%3fb.txt", NULL, 200, "the application");
    is(FRA, "/photos2/a.txt", NULL, 200, "the application");
    is(FRA, "/photos/%2e%2e/outside.txt", NULL, 200, "the application");
    is(FRA, "/photos/..%2foutside.txt", NULL, 404, NULL);
}

static void test_methods(void **state)
{
    (void)state;
    is(FRA, "/photos/a.txt", MORE("-d", "x=1"), 200, "the application");
    is(FRA, "/photos/a.txt", MORE("-X", "DELETE"), 200, "the application");
    is(FRA, "/photos/a.txt", MORE("-X", "OPTIONS"), 200, NULL);
}

/* What a visitor says of who was asked is not believed. */
static void test_header(void **state)
{
    (void)state;
    is(FRA, "/photos/a.txt", MORE("-H", "X-Muster-Seen: par, ham"), 200, "0123456789");
    is(FRA, "/x", MORE("-H", "X-Muster-Seen: par"), 200, "the application, asked by none");
    /* Among peers it ends with who was asked. */
    assert_int_equal(direct("fra", "/photos/h.txt", "X-Muster-Seen: fra"), 200);
    assert_int_equal(direct("fra", "/photos/h.txt", "X-Muster-Seen: fra, par"), 404);
    assert_int_equal(direct("fra", "/photos/h.txt", "X-Muster-Seen: fra, ham"), 404);
}

/* Neither run nor shown. */
static void test_code(void **state)
{
    (void)state;
    is(FRA, "/photos/q.php", NULL, 200, "the application");
    is(FRA, "/photos/q.PHP", NULL, 200, "the application");
    is(FRA, "/photos/q.php.txt", NULL, 200, "<?php echo 6 * 7;");
    is(FRA, "/photos/open/y.txt", NULL, 200, "<?php echo 6 * 7;");
    assert_int_equal(direct("fra", "/photos/q.php", NULL), 404);
    assert_int_equal(direct("fra", "/photos/q.PHP", NULL), 404);
    assert_int_equal(direct("fra", "/photos/q.php/more", NULL), 404);
    assert_int_equal(direct("fra", "/index.php", NULL), 404);
}

static void test_not_shared(void **state)
{
    static const char *const paths[] = {
        "/photos/cache/c.txt",
        "/photos/p.part",
        "/photos/.hidden",
        "/photos/.syncthing.z.tmp",
        "/photos/z.sync-conflict-20261128-070000-YGRFY75.txt",
        "/photos/closed/.htaccess",
        "/outside.txt",
        "/photos/",
        "/photos",
        "/photos/deep",
        "/photos/../outside.txt",
        "/photos/%2e%2e/outside.txt",
        "/photos/..%2foutside.txt",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (direct("fra", paths[i], NULL) != 404)
            fail_msg("%s: %d", paths[i], direct("fra", paths[i], NULL));
    is(FRA, "/photos/cache/c.txt", NULL, 200, "the application");
    is(FRA, "/photos/p.part", NULL, 200, "the application");
    /* What the site itself would not give, a peer does not. */
    is(FRA, "/photos/closed/x.txt", NULL, 403, NULL);
    is(FRA, "/photos/link.txt", NULL, 404, NULL);
    is(FRA, "/photos/open/link.txt", NULL, 404, NULL);
    is(FRA, "/photos/out/secret.txt", NULL, 403, NULL); /* over a link to a directory of root's */
    is(FRA, "/photos/ruled/x.txt", NULL, 403, NULL);
    is(FRA, "/photos/gate/x.txt", NULL, 404, NULL); /* the application shows it, after a look */
}

static void test_certificates(void **state)
{
    (void)state;
    assert_int_equal(direct("fra", "/photos/a.txt", NULL), 200);
    assert_int_equal(direct(NULL, "/photos/a.txt", NULL), 0);
    assert_int_equal(direct("other", "/photos/a.txt", NULL), 0);
}

/* Who is down is passed over; when all are, the file is not there, and the site is not broken. */
static void test_down(void **state)
{
    (void)state;
    stop(PAR);
    is(FRA, "/photos/h.txt", NULL, 200, "of ham");
    is(FRA, "/photos/none.txt", NULL, 404, NULL);
    stop(HAM);
    is(FRA, "/photos/h.txt", NULL, 404, NULL);
    is(FRA, "/photos/h.txt", MORE("-I"), 404, NULL);
    is(FRA, "/photos/own.txt", NULL, 200, "of fra");
}

int main(void)
{
    const struct CMUnitTest texts[] = {cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_refused)};
    const struct CMUnitTest apache[] = {
        cmocka_unit_test(test_there),        cmocka_unit_test(test_nowhere),
        cmocka_unit_test(test_methods),      cmocka_unit_test(test_header),
        cmocka_unit_test(test_code),         cmocka_unit_test(test_not_shared),
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_down) /* the last */};
    int failed = cmocka_run_group_tests_name("texts", texts, NULL, NULL);

    if (geteuid() == 0 && access(APACHE, X_OK) == 0 && access(PHP_MODULE, R_OK) == 0 &&
        access(SSL_MODULE, R_OK) == 0)
        failed += cmocka_run_group_tests_name("apache", apache, setup, teardown);
    else
        puts("skipped: the servers need root, apache2-bin and libapache2-mod-php8.2");
    return failed;
}
