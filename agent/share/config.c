/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/share.h"
#include "common/cleanup.h"
#include "common/ipv4.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

#define KEEP_DAYS 30

static bool is_name(const char *s)
{
    return *s && strlen(s) < 64 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(s);
}

/* A path without a way out of where it lies, in which Syncthing sees nothing but a name. */
static bool is_path(const char *s)
{
    return *s && *s != '/' && !strstr(s, "..") && !strpbrk(s, "!#()[]{}\\\r\n\t\"<>&");
}

static bool directory_valid(const json_t *f)
{
    const json_t *ignore = json_object_get(f, "ignore"), *e;
    size_t i;

    if (!is_path(js_opt_str(f, "path", "")) || !json_is_array(ignore))
        return false;
    json_array_foreach(ignore, i, e)
    {
        if (!json_is_string(e) || !is_path(json_string_value(e)))
            return false;
    }
    return true;
}

static bool member_valid(const json_t *m)
{
    const char *device = js_opt_str(m, "device", "");
    uint32_t address;

    return is_name(js_opt_str(m, "name", "")) &&
           ipv4_parse(js_opt_str(m, "address", ""), &address) == 0 && strlen(device) == 63 &&
           strspn(device, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-") == 63;
}

static bool valid(const struct share *s)
{
    size_t i;
    json_t *e;
    bool own = false;

    if (s->home[0] != '/' || strstr(s->home, "..") || strpbrk(s->home, "\"<>&\r\n") ||
        strrchr(s->home, '/') == s->home || !is_name(s->app) || !is_name(s->node) ||
        !json_array_size(s->directories) || !json_array_size(s->members))
        return false;
    json_array_foreach(s->directories, i, e)
    {
        if (!directory_valid(e))
            return false;
    }
    json_array_foreach(s->members, i, e)
    {
        if (!member_valid(e))
            return false;
        own = own || strcmp(js_opt_str(e, "name", ""), s->node) == 0;
    }
    return own;
}

int share_read(json_t *root, struct share *ret, struct err *err)
{
    struct share s = {.app = js_opt_str(root, "app", ""),
                      .node = js_opt_str(root, "node", ""),
                      .home = js_opt_str(root, "home", ""),
                      .directories = json_object_get(root, "directories"),
                      .members = json_object_get(root, "members")};

    if (!valid(&s))
        return err_set(err, ERR_USAGE,
                       "the shared directories are not described as they should be");
    s.root = json_incref(root);
    s.state = str_fmt("%.*s/" SHARE_STATE_NAME, (int)(strrchr(s.home, '/') - s.home), s.home);
    *ret = s;
    return 0;
}

void share_free(struct share *s)
{
    json_decref(s->root);
    free(s->state);
    *s = (struct share){0};
}

bool share_has(const struct share *s, const char *path)
{
    size_t i, k;
    json_t *f, *e;

    json_array_foreach(s->directories, i, f)
    {
        const char *own = js_opt_str(f, "path", "");
        size_t n = strlen(own);

        if (strncmp(path, own, n) != 0 || (path[n] && path[n] != '/'))
            continue;
        json_array_foreach(json_object_get(f, "ignore"), k, e)
        {
            if (path[n] &&
                fnmatch(json_string_value(e), path + n + 1, FNM_PATHNAME | FNM_LEADING_DIR) == 0)
                return false;
        }
        return true;
    }
    return false;
}

char *share_ignore_text(const struct share *s)
{
    struct strbuf b = {0};
    size_t i, k;
    json_t *f, *e;

    strbuf_adds(&b, "// written by muster-agent\n");
    json_array_foreach(s->directories, i, f)
    {
        json_array_foreach(json_object_get(f, "ignore"), k, e)
            strbuf_addf(&b, "/%s/%s\n", js_opt_str(f, "path", ""), json_string_value(e));
        strbuf_addf(&b, "!/%s\n", js_opt_str(f, "path", ""));
    }
    strbuf_adds(&b, "*\n");
    return b.s;
}

static void add_device(struct strbuf *b, const json_t *m, bool dial)
{
    strbuf_addf(b, "  <device id=\"%s\" name=\"%s\" compression=\"metadata\" certName=\"%s\">\n",
                js_opt_str(m, "device", ""), js_opt_str(m, "name", ""), js_opt_str(m, "name", ""));
    if (dial)
        strbuf_addf(b, "    <address>tcp4://%s:%d</address>\n", js_opt_str(m, "address", ""),
                    PORT_SHARE);
    else
        strbuf_adds(b, "    <address>dynamic</address>\n"); /* nothing tells it an address */
    strbuf_addf(b, "    <allowedNetwork>%s/32</allowedNetwork>\n  </device>\n",
                js_opt_str(m, "address", ""));
}

static void add_directory(struct strbuf *b, const struct share *s, bool receives)
{
    size_t i;
    json_t *m;

    strbuf_addf(b,
                "  <folder id=\"%s\" label=\"%s\" path=\"%s\" type=\"%s\" "
                "rescanIntervalS=\"0\" fsWatcherEnabled=\"false\" ignorePerms=\"false\" "
                "autoNormalize=\"false\">\n",
                s->app, s->app, s->home, receives ? "receiveonly" : "sendreceive");
    json_array_foreach(s->members, i, m)
        strbuf_addf(b, "    <device id=\"%s\"></device>\n", js_opt_str(m, "device", ""));
    strbuf_addf(b,
                "    <minDiskFree unit=\"%%\">1</minDiskFree>\n"
                "    <versioning type=\"trashcan\">\n"
                "      <param key=\"cleanoutDays\" val=\"%d\"></param>\n"
                "      <cleanupIntervalS>3600</cleanupIntervalS>\n"
                "      <fsPath>%s/trash</fsPath>\n"
                "      <fsType>basic</fsType>\n"
                "    </versioning>\n"
                "    <order>oldestFirst</order>\n"
                "    <pullerPauseS>1</pullerPauseS>\n"
                "    <maxConflicts>-1</maxConflicts>\n"
                "    <markerName>" SHARE_MARKER "</markerName>\n"
                "    <copyOwnershipFromParent>true</copyOwnershipFromParent>\n"
                "    <caseSensitiveFS>true</caseSensitiveFS>\n"
                "  </folder>\n",
                KEEP_DAYS, s->state);
}

char *share_config_text(const struct share *s, const char *api_key, bool receives)
{
    struct strbuf b = {0};
    size_t i;
    json_t *m;
    bool after = false; /* this node's own place in the list */
    const char *address = "";

    strbuf_adds(&b, "<configuration version=\"36\">\n");
    add_directory(&b, s, receives);
    json_array_foreach(s->members, i, m)
    {
        bool own = strcmp(js_opt_str(m, "name", ""), s->node) == 0;

        add_device(&b, m, after);
        after = after || own;
        address = own ? js_opt_str(m, "address", "") : address;
    }
    strbuf_addf(&b,
                "  <gui enabled=\"true\" tls=\"false\">\n"
                "    <address>" SHARE_SOCKET "</address>\n"
                "    <unixSocketPermissions>0600</unixSocketPermissions>\n"
                "    <apikey>%s</apikey>\n"
                "    <insecureSkipHostcheck>true</insecureSkipHostcheck>\n"
                "  </gui>\n"
                "  <options>\n"
                "    <listenAddress>tcp4://%s:%d</listenAddress>\n",
                api_key, address, PORT_SHARE);
    strbuf_adds(&b, "    <globalAnnounceEnabled>false</globalAnnounceEnabled>\n"
                    "    <localAnnounceEnabled>false</localAnnounceEnabled>\n"
                    "    <reconnectionIntervalS>5</reconnectionIntervalS>\n"
                    "    <relaysEnabled>false</relaysEnabled>\n"
                    "    <startBrowser>false</startBrowser>\n"
                    "    <natEnabled>false</natEnabled>\n"
                    "    <urAccepted>-1</urAccepted>\n"
                    "    <autoUpgradeIntervalH>0</autoUpgradeIntervalH>\n"
                    "    <crashReportingEnabled>false</crashReportingEnabled>\n"
                    "    <stunKeepaliveStartS>0</stunKeepaliveStartS>\n"
                    "    <announceLANAddresses>false</announceLANAddresses>\n"
                    "  </options>\n"
                    "</configuration>\n");
    return b.s;
}
