/* SPDX-License-Identifier: Apache-2.0 */
/* What the service of the shared directories says of itself, in a file that only it writes. It has
 * less privilege than this process: what it says is taken over member by member. */
#include <string.h>
#include <sys/stat.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"

#define SAID_MAX (64 * 1024)
#define SILENT_MS 60000 /* it says something every ten seconds */
#define PEERS_MAX 64

void sup_share_plan(struct supervisor *s, const json_t *plan)
{
    const json_t *step = sup_plan_step(plan, "share");

    s->share.wanted = json_array_size(json_object_get(step, "directories")) > 0;
}

static void take_number(json_t *to, const json_t *from, const char *name)
{
    const json_t *v = json_object_get(from, name);

    if (json_is_integer(v) && json_integer_value(v) >= 0)
        json_object_set(to, name, (json_t *)v);
}

static void take_text(json_t *to, const json_t *from, const char *name)
{
    const char *v = js_opt_str(from, name, "");
    char text[256];

    if (!*v)
        return;
    snprintf(text, sizeof(text), "%s", v);
    json_object_set_new(to, name, js_string(text));
}

static json_t *taken(const json_t *said)
{
    static const char *const numbers[] = {"files", "bytes", "needs", "needs_bytes", "conflicts"};
    json_t *ret = json_object(), *peers = json_array(), *p;
    size_t i;

    for (i = 0; i < ARRAY_LEN(numbers); i++)
        take_number(ret, said, numbers[i]);
    take_text(ret, said, "held");
    take_text(ret, said, "why");
    json_array_foreach(json_object_get(said, "peers"), i, p)
    {
        if (i == PEERS_MAX)
            break;
        json_t *peer = json_pack("{s:b}", "connected", js_opt_bool(p, "connected", false));

        take_text(peer, p, "name");
        take_number(peer, p, "needs");
        json_array_append_new(peers, peer);
    }
    json_object_set_new(ret, "peers", peers);
    return ret;
}

json_t *sup_share(const struct supervisor *s)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *said = NULL;
    struct err ignored;
    struct stat st;
    size_t len;

    if (!s->share.wanted)
        return NULL;
    if (stat(PATH_SHARE_STATUS, &st) < 0)
        return json_pack("{s:s}", "why", "the service of the shared directories says nothing");
    if (clock_wall_ms() > (uint64_t)st.st_mtim.tv_sec * 1000 + SILENT_MS)
        return json_pack("{s:s}", "why",
                         "the service of the shared directories says nothing any more");
    if (fs_read(PATH_SHARE_STATUS, SAID_MAX, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &said, &ignored) < 0)
        return json_pack("{s:s}", "why",
                         "what the shared directories say of themselves is no JSON");
    return taken(said);
}
