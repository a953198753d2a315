/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/route/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/hook.h"
#include "common/str.h"

struct rtnl {
    struct mnl_socket *nl;
    unsigned seq;
};

int rtnl_open(struct rtnl **ret, struct err *err)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

    if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
        int errnum = errno;

        if (nl)
            mnl_socket_close(nl);
        return err_errno(err, errnum, "open rtnetlink");
    }
    struct rtnl *r = xcalloc(1, sizeof(*r));
    r->nl = nl;
    r->seq = (unsigned)time(NULL);
    *ret = r;
    return 0;
}

void rtnl_close(struct rtnl *r)
{
    if (!r)
        return;
    mnl_socket_close(r->nl);
    free(r);
}

void rtnl_cleanup(struct rtnl **r)
{
    rtnl_close(*r);
}

static struct nlmsghdr *request(struct rtnl *r, char *buf, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++r->seq;
    return h;
}

/* Sends, and hands every message of the answer to `cb`. */
static int talk(struct rtnl *r, struct nlmsghdr *h, mnl_cb_t cb, void *ctx)
{
    char buf[32768];

    if (mnl_socket_sendto(r->nl, h, h->nlmsg_len) < 0)
        return -1;
    for (;;) {
        ssize_t n = mnl_socket_recvfrom(r->nl, buf, sizeof(buf));

        if (n < 0)
            return -1;
        int rc = mnl_cb_run(buf, (size_t)n, r->seq, mnl_socket_get_portid(r->nl), cb, ctx);
        if (rc > MNL_CB_STOP)
            continue;
        if (!cb) /* a change */
            hook_point();
        return rc;
    }
}

static int on_link(const struct nlmsghdr *h, void *ctx)
{
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

    *(bool *)ctx = m->ifi_flags & IFF_UP;
    return MNL_CB_OK;
}

int rtnl_link_is_up(struct rtnl *r, int ifindex, bool *ret, struct err *err)
{
    char buf[256];
    struct nlmsghdr *h = request(r, buf, RTM_GETLINK, NLM_F_ACK);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_index = ifindex;
    *ret = false;
    return talk(r, h, on_link, ret) < 0 ? err_errno(err, errno, "look at the link") : 0;
}

static int on_kind(const struct nlmsghdr *h, void *ctx)
{
    const struct nlattr *a, *inner;

    mnl_attr_for_each(a, h, sizeof(struct ifinfomsg))
    {
        if (mnl_attr_get_type(a) != IFLA_LINKINFO)
            continue;
        mnl_attr_for_each_nested(inner, a)
        {
            if (mnl_attr_get_type(inner) == IFLA_INFO_KIND)
                str_copy(ctx, RTNL_KIND_SIZE, mnl_attr_get_str(inner));
        }
    }
    return MNL_CB_OK;
}

int rtnl_link_kind(struct rtnl *r, int ifindex, char ret[RTNL_KIND_SIZE], struct err *err)
{
    char buf[256];
    struct nlmsghdr *h = request(r, buf, RTM_GETLINK, NLM_F_ACK);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_index = ifindex;
    ret[0] = '\0';
    return talk(r, h, on_kind, ret) < 0 ? err_errno(err, errno, "look at the link's kind") : 0;
}

int rtnl_link_up(struct rtnl *r, int ifindex, struct err *err)
{
    char buf[256];
    struct nlmsghdr *h = request(r, buf, RTM_NEWLINK, NLM_F_ACK);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_index = ifindex;
    m->ifi_flags = m->ifi_change = IFF_UP;
    return talk(r, h, NULL, NULL) < 0 ? err_errno(err, errno, "set the link up") : 0;
}

struct address_query {
    int ifindex;
    uint32_t addr;
    unsigned len;
    bool found;
};

static int on_address(const struct nlmsghdr *h, void *ctx)
{
    struct address_query *q = ctx;
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *a;

    mnl_attr_for_each(a, h, sizeof(*m))
    {
        if (mnl_attr_get_type(a) == IFA_LOCAL && mnl_attr_get_u32(a) == q->addr &&
            (int)m->ifa_index == q->ifindex && m->ifa_prefixlen == q->len)
            q->found = true;
    }
    return MNL_CB_OK;
}

int rtnl_has_address(struct rtnl *r, int ifindex, uint32_t addr, unsigned len, bool *ret,
                     struct err *err)
{
    char buf[256];
    struct address_query q = {.ifindex = ifindex, .addr = addr, .len = len};
    struct nlmsghdr *h = request(r, buf, RTM_GETADDR, NLM_F_DUMP);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifa_family = AF_INET;
    if (talk(r, h, on_address, &q) < 0)
        return err_errno(err, errno, "list addresses");
    *ret = q.found;
    return 0;
}

int rtnl_add_address(struct rtnl *r, int ifindex, uint32_t addr, unsigned len, struct err *err)
{
    char buf[256];
    uint32_t broadcast = len >= 31 ? addr : addr | htonl(len ? ~0U >> len : ~0U);
    struct nlmsghdr *h = request(r, buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifa_family = AF_INET;
    m->ifa_prefixlen = (uint8_t)len;
    m->ifa_index = (unsigned)ifindex;
    mnl_attr_put_u32(h, IFA_LOCAL, addr);
    mnl_attr_put_u32(h, IFA_ADDRESS, addr);
    if (len < 31)
        mnl_attr_put_u32(h, IFA_BROADCAST, broadcast);
    return talk(r, h, NULL, NULL) < 0 ? err_errno(err, errno, "add the address") : 0;
}

static void route_read(const struct nlmsghdr *h, struct rtnl_route *ret)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *a;

    *ret = (struct rtnl_route){.len = m->rtm_dst_len};
    mnl_attr_for_each(a, h, sizeof(*m))
    {
        if (mnl_attr_get_type(a) == RTA_DST)
            ret->to = mnl_attr_get_u32(a);
        else if (mnl_attr_get_type(a) == RTA_GATEWAY)
            ret->via = mnl_attr_get_u32(a);
        else if (mnl_attr_get_type(a) == RTA_OIF)
            ret->ifindex = (int)mnl_attr_get_u32(a);
    }
}

struct route_query {
    const struct rtnl_route *want; /* NULL: the first default route */
    struct rtnl_route got;
    bool found;
};

static int on_route(const struct nlmsghdr *h, void *ctx)
{
    struct route_query *q = ctx;
    const struct rtnl_route *w = q->want;
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    struct rtnl_route route;

    if (m->rtm_table != RT_TABLE_MAIN || q->found)
        return MNL_CB_OK;
    route_read(h, &route);
    q->found = w ? route.len == w->len && route.to == w->to && route.via == w->via &&
                       route.ifindex == w->ifindex
                 : route.len == 0;
    if (q->found)
        q->got = route;
    return MNL_CB_OK;
}

int rtnl_has_route(struct rtnl *r, const struct rtnl_route *route, bool *ret, struct err *err)
{
    char buf[256];
    struct route_query q = {.want = route};
    struct nlmsghdr *h = request(r, buf, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = AF_INET;
    if (talk(r, h, on_route, &q) < 0)
        return err_errno(err, errno, "list routes");
    *ret = q.found;
    return 0;
}

int rtnl_default_route(struct rtnl *r, struct rtnl_route *ret, bool *ret_found, struct err *err)
{
    char buf[256];
    struct route_query q = {0};
    struct nlmsghdr *h = request(r, buf, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = AF_INET;
    if (talk(r, h, on_route, &q) < 0)
        return err_errno(err, errno, "list routes");
    *ret = q.got;
    *ret_found = q.found;
    return 0;
}

static int on_path(const struct nlmsghdr *h, void *ctx)
{
    struct route_query *q = ctx;

    route_read(h, &q->got);
    q->found = true;
    return MNL_CB_OK;
}

int rtnl_path(struct rtnl *r, uint32_t addr, struct rtnl_route *ret, bool *ret_found,
              struct err *err)
{
    char buf[256];
    struct route_query q = {0};
    struct nlmsghdr *h = request(r, buf, RTM_GETROUTE, NLM_F_ACK);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = AF_INET;
    m->rtm_dst_len = 32;
    m->rtm_flags = RTM_F_FIB_MATCH;
    mnl_attr_put_u32(h, RTA_DST, addr);
    if (talk(r, h, on_path, &q) < 0 && errno != ENETUNREACH && errno != EHOSTUNREACH)
        return err_errno(err, errno, "look up a route");
    *ret = q.got;
    *ret_found = q.found;
    return 0;
}

int rtnl_set_route(struct rtnl *r, const struct rtnl_route *route, struct err *err)
{
    char buf[256];
    struct nlmsghdr *h = request(r, buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = AF_INET;
    m->rtm_dst_len = (uint8_t)route->len;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_STATIC;
    m->rtm_scope = RT_SCOPE_UNIVERSE;
    m->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(h, RTA_DST, route->to);
    mnl_attr_put_u32(h, RTA_GATEWAY, route->via);
    mnl_attr_put_u32(h, RTA_OIF, (uint32_t)route->ifindex);
    return talk(r, h, NULL, NULL) < 0 ? err_errno(err, errno, "set the route") : 0;
}
