/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/own_hub.h"

#include <unistd.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/serve/link.h"

static int open_all(struct own_hub *h, const char *role, enum own_hub_mode mode, struct err *err)
{
    struct service_config config = {.state = h->d.state,
                                    .digest = h->d.digest,
                                    .spec = &h->d.spec,
                                    .keys = &h->d.keys,
                                    .sign = &h->d.sign,
                                    .only_looks = mode == OWN_HUB_LOOKS};
    _cleanup_free_ char *hooks = str_fmt("%s/hooks.d", h->d.base);

    if (deployment_open(&h->d, false, err) < 0)
        return -1;
    h->lock_fd = link_lock(h->d.state, role, err);
    if (h->lock_fd < 0 || deployment_keys(&h->d, err) < 0)
        return -1;
    config.store = h->d.store;
    config.file = mode == OWN_HUB_SERVES ? h->d.file : NULL;
    config.hooks = mode == OWN_HUB_SERVES ? hooks : NULL;
    return service_open(&config, &h->service, err);
}

int own_hub_open(const char *file, const char *role, enum own_hub_mode mode, struct own_hub *ret,
                 struct strbuf *problems, struct err *err)
{
    *ret = (struct own_hub){.d.lock_fd = -1, .lock_fd = -1};
    if (deployment_read(file, &ret->d, problems, err) < 0)
        return -1;
    if (open_all(ret, role, mode, err) == 0)
        return 0;
    own_hub_close(ret);
    return -1;
}

void own_hub_close(struct own_hub *h)
{
    service_close(h->service);
    h->service = NULL;
    if (h->lock_fd >= 0)
        close(h->lock_fd);
    h->lock_fd = -1;
    deployment_close(&h->d);
}
