/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of an application that its site writes to, and which of them all nodes share. */
#include <string.h>

#include "common/cleanup.h"
#include "common/ports.h"
#include "controller/spec/internal.h"

#define EXPECTED "expected a path inside the application, without '..'"

bool spec_shares_files(const struct spec *s)
{
    size_t sites = 0;

    for (size_t i = 0; i < s->n_nodes; i++)
        sites += !s->nodes[i].arbitrator;
    return json_array_size(s->app.shared) && sites > 1;
}

static bool beneath(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* What Syncthing would take for more than a name. */
static bool ignorable(const char *s)
{
    return s && path_is_relative(s) && !strpbrk(s, "!#()[]{}\\\r\n\t\"") && !str_ends(s, "/");
}

static json_t *read_ignore(struct reading *r, const char *path, const json_t *list)
{
    json_t *ret = json_array();

    if (list && !json_is_array(list))
        problem_at(r, path, "ignore", "expected a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        _cleanup_free_ char *at = str_fmt("ignore[%zu]", i);

        if (!ignorable(s))
            problem_at(r, path, at, "expected a path inside that directory; * is any name");
        else
            json_array_append_new(ret, json_string(s));
    }
    return ret;
}

static void read_one(struct reading *r, struct spec_app *a, const char *at, const json_t *v)
{
    static const char *const keys[] = {"path", "shared", "ignore", NULL};
    const char *path =
        json_is_string(v) ? json_string_value(v) : json_string_value(json_object_get(v, "path"));

    if (json_is_object(v) && !read_known(r, at, v, keys))
        return;
    if (!path || !path_is_relative(path)) {
        problem(r, at, EXPECTED);
        return;
    }
    json_array_append_new(a->writable, json_string(path));
    if (json_is_string(v))
        return;
    const json_t *shared = json_object_get(v, "shared");
    if (shared && !json_is_boolean(shared))
        problem_at(r, at, "shared", "expected true or false");
    json_t *ignore = read_ignore(r, at, json_object_get(v, "ignore"));
    if (!json_is_true(shared) && json_array_size(ignore))
        problem_at(r, at, "ignore", "only what is shared can be left out of it: shared: true");
    if (json_is_true(shared) && !ignorable(path))
        problem_at(r, at, "path", "a shared directory has none of !#()[]{} in its name");
    if (json_is_true(shared))
        json_array_append_new(a->shared, json_pack("{s:s, s:O}", "path", path, "ignore", ignore));
    json_decref(ignore);
}

void read_writable(struct reading *r, struct spec_app *a, const json_t *app)
{
    const json_t *list = json_object_get(app, "writable");

    if (!list)
        return;
    a->writable = json_array();
    a->shared = json_array();
    if (!json_is_array(list))
        problem_at(r, "app", "writable", "expected a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        _cleanup_free_ char *at = str_fmt("app.writable[%zu]", i);

        read_one(r, a, at, json_array_get(list, i));
    }
}

/* Who reaches it from outside is refused by its certificate; it is nobody's business there. */
static void check_files_port(struct reading *r, const struct spec *s)
{
    for (size_t i = 0; i < s->n_nodes; i++)
        for (size_t p = 0; p < s->nodes[i].n_ports; p++) {
            _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

            if (s->nodes[i].ports[p].private_port == PORT_FILES)
                problem_at(r, path, "ports",
                           "at %d the nodes ask each other for files; forward to %d instead",
                           PORT_FILES, PORT_HTTP);
        }
}

/* One that lies in another one is shared with it. */
void check_writable(struct reading *r, const struct spec *s)
{
    const json_t *shared = s->app.shared;

    if (spec_shares_files(s))
        check_files_port(r, s);

    for (size_t i = 0; i < json_array_size(shared); i++) {
        const char *path = json_string_value(json_object_get(json_array_get(shared, i), "path"));

        for (size_t k = 0; k < json_array_size(shared); k++) {
            const char *other =
                json_string_value(json_object_get(json_array_get(shared, k), "path"));

            if (i != k && (beneath(path, other) || (str_eq(path, other) && k < i)))
                problem(r, "app.writable", "'%s' is shared already, by '%s'", path, other);
        }
    }
}
