/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys speak for a node: revoked, let in again, and the controller's own. */
#define PORT 17550 /* tests may run side by side */
#include <sys/stat.h>

#include "agent/supervisor/enrol.h"
#include "controller/enrolment.h"
#include "controller/nodes/roster.h"
#include "serve_world.h"

/* Until that connection gets an answer. */
static void answers(struct world *w, struct zsock *s, const char *text, const char *part)
{
    w->agent = s;
    say(w, text);
    free(hears(w, part));
    w->agent = NULL;
}

/* Enrols with that one-time key and new ones, and says hello. */
static struct zsock *join(struct world *w, const struct curve_pair *once, struct curve_pair *own)
{
    char hex[KEY_HEX_SIZE];
    struct zsock *s = dial(w, once, PORT);

    keys_curve_new(own);
    keys_hex(own->pub, KEY_SIZE, hex);
    _cleanup_free_ char *text =
        proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
    answers(w, s, text, "bound");
    zsock_free(s);
    s = dial(w, own, PORT + 1);
    answers(w, s, HELLO, "\"ack\"");
    return s;
}

static bool becomes_refused(struct world *w, struct zsock *s)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    while (!zsock_was_refused(s) && clock_mono_ms() < end)
        assert_int_equal(service_run(w->service, 2, &err), 0);
    return zsock_was_refused(s);
}

/* As the command does it, beside a hub that runs. */
static void tell(struct world *w, const char *node)
{
    json_t *j;

    client(w);
    link_ask(&w->link, REQUEST_FORGET, json_pack("{s:s}", "node", node));
    j = wait_for(w, "forgot");
    assert_non_null(j);
    json_decref(j);
}

static char *roster(struct world *w, uint64_t epoch)
{
    static const struct node_facts facts[2];
    const struct planner_input in = {.spec = &w->spec, .facts = facts};

    return roster_text(w->store, &in, epoch);
}

static void test_revoke(void **state)
{
    struct world *w = *state;
    struct curve_pair own, par, once, again;
    char hex[KEY_HEX_SIZE], secret[KEY_HEX_SIZE];
    struct store_node n;
    uint64_t expires;
    struct err err;
    struct zsock *s = join(w, &w->once, &own), *stranger;

    /* the other member, so that there is a roster */
    keys_curve_new(&par);
    keys_hex(par.pub, KEY_SIZE, hex);
    assert_int_equal(store_node_bind(w->store, "par", hex, hex, (uint64_t)time(NULL), &err), 1);
    keys_hex(own.pub, KEY_SIZE, hex);
    _cleanup_free_ char *before = roster(w, 1);
    assert_non_null(strstr(before, hex));

    assert_int_equal(enrolment_revoke(w->store, "fra", &err), 0);
    tell(w, "fra");
    assert_true(becomes_refused(w, s)); /* its connection was ended, and dials again in vain */
    zsock_free(s);
    stranger = dial(w, &w->once, PORT); /* nor is its one-time key good for anything */
    assert_true(becomes_refused(w, stranger));
    zsock_free(stranger);
    _cleanup_free_ char *after = roster(w, 2);
    assert_non_null(after);
    assert_null(strstr(after, hex));
    assert_non_null(strstr(after, "\"name\":\"fra\""));
    assert_int_equal(store_node_get(w->store, "fra", &n, &err), 1);
    assert_false(n.bound);
    assert_int_equal(enrolment_revoke(w->store, "fra", &err), 0); /* again: the same */

    /* let in again, with other keys and as another incarnation */
    assert_int_equal(enrolment_key(w->store, "fra", 60, secret, &expires, &err), 0);
    tell(w, "fra");
    assert_int_equal(keys_unhex(secret, once.sec, KEY_SIZE), 0);
    keys_curve_public(once.sec, once.pub);
    s = join(w, &once, &again);
    zsock_free(s);
    assert_int_equal(store_node_get(w->store, "fra", &n, &err), 1);
    assert_true(n.bound && !n.conflict && n.incarnation == 2);
    keys_hex(again.pub, KEY_SIZE, hex);
    _cleanup_free_ char *last = roster(w, 3);
    assert_non_null(strstr(last, hex));
}

/* Keys that others may use are not used; a missing one is not made again beside nodes that know it.
 */
static void test_keys(void **state)
{
    char dir[] = "/tmp/muster-trust-XXXXXX";
    struct err err;
    struct deployment d = {.lock_fd = -1};
    struct store_node n = {.name = "fra", .bound = true, .incarnation = 1};
    char secret[STORE_SECRET_SIZE];
    static const char *const keys[] = {"controller.key", "roster.key"};

    (void)state;
    assert_non_null(mkdtemp(dir));
    d.state = str_fmt("%s/trust", dir);
    d.file = xstrdup("f");
    str_copy(d.spec.deployment, sizeof(d.spec.deployment), "trust");
    assert_int_equal(deployment_open(&d, true, &err), 0);
    assert_int_equal(deployment_lock(&d, &err), 0);
    close(d.lock_fd);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", d.state, keys[i]);
        _cleanup_free_ char *away = str_fmt("%s.away", path);

        assert_int_equal(rename(path, away), 0);
        n.bound = true;
        assert_int_equal(store_node_put(d.store, &n, &err), 0);
        assert_int_equal(deployment_lock(&d, &err), -1);
        close(d.lock_fd);
        assert_int_equal(err.code, ERR_SAFETY);
        assert_non_null(strstr(err.msg, keys[i]));
        assert_false(fs_exists(path));
        assert_int_equal(rename(away, path), 0);
        assert_int_equal(chmod(path, 0640), 0);
        assert_int_equal(deployment_lock(&d, &err), -1);
        close(d.lock_fd);
        assert_int_equal(err.code, ERR_SAFETY);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(deployment_lock(&d, &err), 0);
        close(d.lock_fd);
    }
    assert_int_equal(store_secret(d.store, "db", 24, secret, &err), 0);
    store_close(d.store);
    d.store = NULL;
    _cleanup_free_ char *key = str_fmt("%s/store.key", d.state);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(deployment_open(&d, true, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_false(fs_exists(key));
    assert_int_equal(chmod(d.state, 0755), 0);
    assert_int_equal(deployment_open(&d, true, &err), -1);
    assert_non_null(strstr(err.msg, "chmod 700"));
    d.lock_fd = -1;
    deployment_close(&d);
    assert_int_equal(fs_remove_tree(dir, &err), 0);
}

/* What the command hands over, on the node. */
static void test_agent_enrol(void **state)
{
    struct world *w = *state;
    _cleanup_free_ char *boot = str_fmt("%s/bootstrap.json", w->dir);
    _cleanup_free_ char *net = str_fmt("%s/net", w->dir);
    _cleanup_free_ char *curve = str_fmt("%s/curve.key", net);
    _cleanup_free_ char *kept = NULL;
    struct deployment d = {.keys = w->keys, .sign = w->sign};
    char secret[KEY_HEX_SIZE];
    struct enrolment_keys hex;
    struct userdata data;
    uint64_t expires;
    struct err err;

    str_copy(d.spec.deployment, sizeof(d.spec.deployment), "trust");
    assert_int_equal(enrolment_key(w->store, "fra", 60, secret, &expires, &err), 0);
    data = enrolment_data(&d, "fra", "127.0.0.1", secret, expires, &hex);
    _cleanup_free_ char *text = userdata_bootstrap(&data);
    data.node = "par";
    _cleanup_free_ char *other = userdata_bootstrap(&data);
    data.node = "fra";
    assert_int_equal(fs_mkdirs(net, 0700, &err), 0);
    assert_int_equal(fs_write_atomic(curve, "x", 1, 0600, &err), 0);
    assert_int_equal(enrol_take(boot, net, text, strlen(text), &err), 0);
    assert_false(fs_exists(curve));
    assert_int_equal(fs_write_atomic(curve, "x", 1, 0600, &err), 0);
    assert_int_equal(enrol_take(boot, net, other, strlen(other), &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_int_equal(enrol_take(boot, net, "{}", 2, &err), -1);
    assert_true(fs_exists(curve));
    assert_int_equal(fs_read(boot, 4096, &kept, NULL, &err), 0);
    assert_string_equal(kept, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_revoke, setup, teardown),
        cmocka_unit_test(test_keys),
        cmocka_unit_test_setup_teardown(test_agent_enrol, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
