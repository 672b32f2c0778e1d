/* Where the kernel would send packets to each row's endpoint and allowed prefixes. Asked once, and again only when the network or the
 * rows have changed: a reading of a thousand rows would otherwise be three thousand questions. */
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

#include "observer.h"
#include "wgdeck/mem.h"

static uint64_t mix(uint64_t mark, const void *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) /* FNV-1a: only to notice a difference, nobody gains by deceiving it */
        mark = (mark ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return mark;
}

static uint64_t mark_of(const struct observation *observation)
{
    uint64_t mark = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < observation->device_count; i++) {
        const struct device *device = &observation->devices[i];
        mark = mix(mark, &device->fwmark, sizeof device->fwmark);
        for (size_t j = 0; j < device->peer_count; j++) {
            const struct device_peer *peer = &device->peers[j];
            mark = mix(mark, &peer->endpoint.address, sizeof peer->endpoint.address);
            mark = mix(mark, &peer->endpoint.scope, sizeof peer->endpoint.scope);
            for (size_t k = 0; k < peer->allowed_count; k++)
                mark = mix(mark, &peer->allowed[k], sizeof peer->allowed[k]);
        }
    }
    return mark ? mark : 1;
}

static int compare_questions(const void *a, const void *b)
{
    const struct route_question *first = a, *second = b;
    int order = address_compare(&first->to, &second->to);
    if (order)
        return order;
    /* A question for an endpoint comes before one for a prefix at the same address: it is the one that matters. */
    if (first->mark != second->mark)
        return first->mark > second->mark ? -1 : 1;
    return (first->scope > second->scope) - (first->scope < second->scope);
}

struct question_list {
    struct route_question *items;
    size_t count, capacity;
};

static void add_question(struct question_list *list, const struct address *to, uint32_t mark, uint32_t scope)
{
    if (!to->family || list->count >= OBSERVED_ROUTES_MAX)
        return;
    MEM_GROW(list->items, list->count, list->capacity);
    list->items[list->count++] = (struct route_question){.to = *to, .mark = mark, .scope = scope};
}

static struct question_list list_questions(const struct observation *observation)
{
    struct question_list list = {0};
    for (size_t i = 0; i < observation->device_count; i++) {
        const struct device *device = &observation->devices[i];
        for (size_t j = 0; j < device->peer_count; j++) {
            const struct device_peer *peer = &device->peers[j];
            add_question(&list, &peer->endpoint.address, device->fwmark, peer->endpoint.scope);
            for (size_t k = 0; k < peer->allowed_count; k++) {
                struct address target = observed_route_target(&peer->allowed[k]);
                add_question(&list, &target, 0, 0);
            }
        }
    }
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_questions);
    return list;
}

struct answer {
    const struct node_observer *observer;
    struct route_question *question;
};

static uint32_t mtu_of(struct nlattr *metrics)
{
    struct nlattr *attributes[RTAX_MAX + 1];
    if (!metrics || nla_parse_nested(attributes, RTAX_MAX, metrics, NULL) < 0 || !attributes[RTAX_MTU])
        return 0;
    return nla_get_u32(attributes[RTAX_MTU]);
}

static int take_answer(struct nl_msg *message, void *context)
{
    struct answer *answer = context;
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct nlattr *attributes[RTA_MAX + 1];
    if (header->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(header, sizeof(struct rtmsg), attributes, RTA_MAX, NULL) < 0)
        return NL_OK;
    const struct rtmsg *information = nlmsg_data(header);
    const char *device = attributes[RTA_OIF] ? observe_link_name(answer->observer, (int)nla_get_u32(attributes[RTA_OIF])) : NULL;
    bool goes_out = information->rtm_type == RTN_UNICAST || information->rtm_type == RTN_LOCAL || information->rtm_type == RTN_BROADCAST ||
                    information->rtm_type == RTN_ANYCAST || information->rtm_type == RTN_MULTICAST;
    struct observed_route *route = &answer->question->answer;
    if (device && goes_out) {
        memcpy(route->device, device, sizeof route->device);
        route->mtu = mtu_of(attributes[RTA_METRICS]);
    }
    return NL_OK;
}

static struct nl_msg *question_message(const struct route_question *question)
{
    size_t length = address_bits(&question->to) / 8;
    struct rtmsg header = {.rtm_family = question->to.family, .rtm_dst_len = (unsigned char)(8 * length)};
    struct nl_msg *message = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
    int result = message ? nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO) : -1;
    if (result >= 0)
        result = nla_put(message, RTA_DST, (int)length, question->to.bytes);
    if (result >= 0 && question->mark)
        result = nla_put_u32(message, RTA_MARK, question->mark);
    if (result >= 0 && question->scope)
        result = nla_put_u32(message, RTA_OIF, question->scope);
    if (result >= 0)
        return message;
    nlmsg_free(message);
    return NULL;
}

/* An error is an answer too: unreachable. */
static void ask(struct node_observer *observer, struct route_question *question, struct nl_cb *callbacks)
{
    struct answer answer = {observer, question};
    question->answer = (struct observed_route){.to = question->to};
    struct nl_msg *message = question_message(question);
    nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, take_answer, &answer);
    if (message && nl_send_auto(observer->query, message) >= 0) {
        nl_recvmsgs(observer->query, callbacks);
        question->answered = true;
    }
    nlmsg_free(message);
    for (size_t i = 0; !question->answer.mtu && i < observer->facts.link_count; i++)
        if (strcmp(observer->facts.links[i].name, question->answer.device) == 0)
            question->answer.mtu = observer->facts.links[i].mtu;
}

static void take_known(const struct node_observer *observer, struct route_question *question)
{
    if (!observer->question_count)
        return;
    const struct route_question *known =
        bsearch(question, observer->questions, observer->question_count, sizeof *question, compare_questions);
    if (known && known->answered)
        *question = *known;
}

static void put_answers(struct node_observer *observer)
{
    struct observation *facts = &observer->facts;
    observer->facts_version++;
    free(facts->routes);
    facts->routes = mem_alloc(observer->question_count, sizeof *facts->routes);
    facts->route_count = 0;
    for (size_t i = 0; i < observer->question_count; i++) {
        const struct route_question *question = &observer->questions[i];
        bool again = facts->route_count && address_compare(&facts->routes[facts->route_count - 1].to, &question->to) == 0;
        if (question->answered && !again)
            facts->routes[facts->route_count++] = question->answer;
    }
}

void observe_routes(struct node_observer *observer, const struct observation *observation, bool stale)
{
    uint64_t mark = mark_of(observation);
    if (!observer->query || (!stale && mark == observer->question_mark))
        return;
    struct question_list list = list_questions(observation);
    struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
    for (size_t i = 0; i < list.count; i++) {
        bool twice = i && compare_questions(&list.items[i - 1], &list.items[i]) == 0;
        if (!stale)
            take_known(observer, &list.items[i]);
        if (twice)
            list.items[i] = list.items[i - 1];
        else if (!list.items[i].answered)
            ask(observer, &list.items[i], callbacks);
    }
    nl_cb_put(callbacks);
    free(observer->questions);
    observer->questions = list.items;
    observer->question_count = list.count;
    observer->question_mark = mark;
    put_answers(observer);
}
