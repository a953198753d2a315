/* SPDX-License-Identifier: Apache-2.0 */
/* The section `packages` of the deployment file. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/text.h"
#include "controller/spec/internal.h"
#include "controller/spec/openpgp.h"

/* The key itself, as a text of several lines, is read here; a file's name is kept. */
static void read_key(struct reading *r, struct spec *s, const json_t *v)
{
    static const char path[] = "packages.repository";
    const char *text = json_string_value(json_object_get(v, "key"));
    struct err err;

    if (!text || !strchr(text, '\n'))
        read_text(r, path, v, "key", NULL, s->packages.key_path, sizeof(s->packages.key_path));
    else if (openpgp_public(text, strlen(text), &s->packages.key, &err) < 0)
        problem_at(r, path, "key", "%s", err.msg);
}

static bool one_word(const char *s)
{
    return *s && !strpbrk(s, " \t\n\r[]");
}

static void read_components(struct reading *r, struct spec *s, const json_t *v)
{
    static const char path[] = "packages.repository";
    const json_t *given = json_object_get(v, "components");
    bool flat = str_ends(s->packages.suite, "/");

    s->packages.components = json_array();
    if (flat && given)
        problem_at(r, path, "components", "a suite that ends with '/' has none");
    else if (given && (!json_is_array(given) || !json_array_size(given)))
        problem_at(r, path, "components", "expected a list such as [main]");
    else if (!given && !flat)
        js_push_str(s->packages.components, "main");
    for (size_t i = 0; !flat && i < json_array_size(given); i++) {
        const char *c = json_string_value(json_array_get(given, i));

        if (c && one_word(c))
            js_push_str(s->packages.components, c);
        else
            problem_at(r, path, "components", "expected a list such as [main]");
    }
}

static void read_repository(struct reading *r, struct spec *s, const json_t *v)
{
    static const char *const keys[] = {"url", "suite", "components", "key", NULL};
    static const char path[] = "packages.repository";
    unsigned before = r->problems->count;

    if (!read_known(r, path, v, keys))
        return;
    read_text(r, path, v, "url", NULL, s->packages.url, sizeof(s->packages.url));
    if (text_url_has_login(s->packages.url))
        problem_at(r, path, "url",
                   "holds a name or a password, which would be seen on the nodes; apt reads them "
                   "from /etc/apt/auth.conf.d of the template");
    if (s->packages.url[0] &&
        (!one_word(s->packages.url) ||
         (!str_starts(s->packages.url, "https://") && !str_starts(s->packages.url, "http://"))))
        problem_at(r, path, "url", "expected https://… or http://…");
    read_text(r, path, v, "suite", NULL, s->packages.suite, sizeof(s->packages.suite));
    if (s->packages.suite[0] && !one_word(s->packages.suite))
        problem_at(r, path, "suite", "expected one word, such as bookworm");
    read_components(r, s, v);
    read_key(r, s, v);
    s->packages.repository = r->problems->count == before;
}

unsigned read_duration(struct reading *r, const char *path, const json_t *v, const char *key,
                       unsigned dflt, unsigned max)
{
    static const char units[] = "smh";
    static const unsigned seconds[] = {1, 60, 3600};
    const json_t *j = json_object_get(v, key);
    const char *text = json_string_value(j), *unit = NULL;
    char digits[8] = "";
    uint64_t n = 0;

    if (!j)
        return dflt;
    if (text && strlen(text) >= 2 && strlen(text) <= sizeof(digits)) {
        unit = strchr(units, text[strlen(text) - 1]);
        memcpy(digits, text, strlen(text) - 1);
    }
    if (!unit || str_to_u64(digits, max, &n) < 0 || n * seconds[unit - units] > max || n == 0) {
        problem_at(r, path, key, "expected a time such as 90s, 10m or 2h, at most %uh", max / 3600);
        return dflt;
    }
    return (unsigned)n * seconds[unit - units];
}

void read_packages(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"repository", "lock_timeout", NULL};
    const json_t *v = json_object_get(root, "packages"), *repository;

    s->packages.lock_timeout = PACKAGES_LOCK_TIMEOUT_S;
    if (!v || !read_known(r, "packages", v, keys))
        return;
    repository = json_object_get(v, "repository");
    if (repository)
        read_repository(r, s, repository);
    s->packages.lock_timeout = read_duration(r, "packages", v, "lock_timeout",
                                             PACKAGES_LOCK_TIMEOUT_S, PACKAGES_LOCK_TIMEOUT_MAX_S);
}
