/* What iproute2 says in a bare look: JSON documents where it can, else its plain lines (also busybox's). */
#include "observed_bare.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { TABLE_DEFAULT = 253, TABLE_MAIN = 254, TABLE_LOCAL = 255 }; /* rtnetlink(7) */

static bool set_name(char name[static IFNAMSIZ], const char *text)
{
    size_t length = text ? strlen(text) : 0;
    memset(name, 0, IFNAMSIZ);
    if (!length || length >= IFNAMSIZ || !text_is_safe(text, length))
        return false;
    memcpy(name, text, length);
    return true;
}

/* The word after KEY in a line of words, into WORD ("" when there is none). */
static void word_after(const char *line, const char *key, char *word, size_t size)
{
    size_t key_length = strlen(key);
    word[0] = '\0';
    for (const char *at = line; (at = strstr(at, key)); at += key_length) {
        if ((at != line && at[-1] != ' ') || at[key_length] != ' ')
            continue;
        const char *value = at + key_length + 1;
        size_t length = strcspn(value, " \\");
        if (length < size) {
            memcpy(word, value, length);
            word[length] = '\0';
        }
        return;
    }
}

static uint32_t number_after(const char *line, const char *key)
{
    char word[16];
    unsigned long long number = 0;
    word_after(line, key, word, sizeof word);
    return text_to_number(word, UINT32_MAX, &number) == 0 ? (uint32_t)number : 0;
}

static uint32_t table_number(const char *name)
{
    unsigned long long number;
    if (!name || !*name || strcmp(name, "main") == 0)
        return TABLE_MAIN;
    if (strcmp(name, "local") == 0)
        return TABLE_LOCAL;
    if (strcmp(name, "default") == 0)
        return TABLE_DEFAULT;
    return text_to_number(name, UINT32_MAX, &number) == 0 ? (uint32_t)number : 0; /* a name of rt_tables(5) that we cannot know */
}

static bool has_flag(const cJSON *item, const char *name)
{
    const cJSON *flag;
    cJSON_ArrayForEach(flag, json_get_list(item, "flags")) if (cJSON_IsString(flag) && strcmp(flag->valuestring, name) == 0) return true;
    return false;
}

/* Links */

static struct observed_link *add_link(struct bare_ip *ip, const char *name, struct err *err)
{
    struct observation *observation = ip->observation;
    if (observation->link_count >= OBSERVED_ROUTES_MAX) {
        err_set(err, "more than %d interfaces", OBSERVED_ROUTES_MAX);
        return NULL;
    }
    MEM_GROW(observation->links, observation->link_count, ip->link_capacity);
    struct observed_link *link = &observation->links[observation->link_count];
    *link = (struct observed_link){0};
    if (!set_name(link->name, name)) {
        err_set(err, "ip shows an interface without a usable name");
        return NULL;
    }
    observation->link_count++;
    return link;
}

static void add_address(struct observed_link *link, const struct prefix *prefix)
{
    link->addresses = mem_resize(link->addresses, link->address_count + 1, sizeof *link->addresses);
    link->addresses[link->address_count++] = *prefix;
}

static void read_link_addresses(struct observed_link *link, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct prefix prefix = {0};
        if (address_parse(json_get_text(item, "local", ""), &prefix.address) != 0)
            continue;
        unsigned bits = address_bits(&prefix.address);
        prefix.length = (uint8_t)json_get_number(item, "prefixlen", 0, bits, bits);
        add_address(link, &prefix);
    }
}

static void read_link_counters(struct observed_link *link, const cJSON *stats)
{
    const cJSON *rx = json_get_object(stats, "rx"), *tx = json_get_object(stats, "tx");
    link->rx_packets = json_get_unsigned(rx, "packets", 0);
    link->rx_errors = json_get_unsigned(rx, "errors", 0);
    link->rx_dropped = json_get_unsigned(rx, "dropped", 0);
    link->rx_frame_errors = json_get_unsigned(rx, "frame_errors", 0);
    link->tx_packets = json_get_unsigned(tx, "packets", 0);
    link->tx_errors = json_get_unsigned(tx, "errors", 0);
    link->tx_dropped = json_get_unsigned(tx, "dropped", 0);
}

static int read_link(struct bare_ip *ip, const cJSON *item, struct err *err)
{
    const char *name = json_get_text(item, "ifname", NULL);
    if (!name) /* iproute2 leaves {} for what it filtered */
        return 0;
    struct observed_link *link = add_link(ip, name, err);
    if (!link)
        return -1;
    const char *kind = json_get_text(json_get_object(item, "linkinfo"), "info_kind", "");
    if (strlen(kind) < sizeof link->kind && text_is_safe(kind, strlen(kind)))
        memcpy(link->kind, kind, strlen(kind) + 1);
    link->mtu = (uint32_t)json_get_number(item, "mtu", 0, UINT32_MAX, 0);
    link->up = has_flag(item, "UP");
    read_link_addresses(link, json_get_list(item, "addr_info"));
    read_link_counters(link, json_get_object(item, "stats64"));
    return 0;
}

/* "2: eth0@if5: <BROADCAST,UP,LOWER_UP> mtu 1500 ...", then "    inet 192.0.2.5/24 ...". */
int bare_ip_address_line(struct bare_ip *ip, const char *text, struct err *err)
{
    struct observation *observation = ip->observation;
    char word[64];
    if (*text >= '0' && *text <= '9') {
        const char *name = strstr(text, ": ");
        size_t length = name ? strcspn(name + 2, "@: ") : sizeof word;
        if (length >= sizeof word)
            return 0;
        memcpy(word, name + 2, length);
        word[length] = '\0';
        struct observed_link *link = add_link(ip, word, err);
        if (!link)
            return -1;
        link->mtu = number_after(text, "mtu");
        const char *flags = strchr(text, '<');
        link->up = flags && (strstr(flags, "<UP") || strstr(flags, ",UP"));
        return 0;
    }
    struct prefix prefix;
    word_after(text, "inet", word, sizeof word);
    if (!*word)
        word_after(text, "inet6", word, sizeof word);
    if (*word && observation->link_count && prefix_parse(word, &prefix) == 0)
        add_address(&observation->links[observation->link_count - 1], &prefix);
    return 0;
}

/* Routes of the tables */

static int add_table_route(struct bare_ip *ip, const struct observed_table_route *route, struct err *err)
{
    struct observation *observation = ip->observation;
    if (observation->table_route_count >= OBSERVED_ROUTES_MAX)
        return err_set(err, "more than %d routes", OBSERVED_ROUTES_MAX);
    MEM_GROW(observation->table_routes, observation->table_route_count, ip->table_route_capacity);
    observation->table_routes[observation->table_route_count++] = *route;
    return 0;
}

/* "default" has no family of its own. */
static bool read_destination(const char *text, bool is_v6, struct prefix *prefix)
{
    *prefix = (struct prefix){.address.family = is_v6 ? AF_INET6 : AF_INET};
    return strcmp(text, "default") == 0 || prefix_parse(text, prefix) == 0;
}

/* Of several ways the first that lives. */
static const char *device_of(const cJSON *route)
{
    const char *device = json_get_text(route, "dev", NULL);
    const cJSON *hops = json_get_list(route, "nexthops"), *hop = NULL;
    if (device || !hops)
        return device;
    cJSON_ArrayForEach(hop, hops) if (!has_flag(hop, "dead")) return json_get_text(hop, "dev", NULL);
    return json_get_text(hops->child, "dev", NULL);
}

static uint32_t mtu_of(const cJSON *route)
{
    const cJSON *metrics = json_get_list(route, "metrics");
    return (uint32_t)json_get_number(metrics ? metrics->child : NULL, "mtu", 0, UINT32_MAX, 0);
}

static bool is_one_of(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

/* A packet of this type of route goes out of a device. */
static bool type_goes(const char *type)
{
    static const char *const going[] = {"unicast", "local", "broadcast"};
    return is_one_of(type, going, COUNT_OF(going));
}

/* For lookups of our own. Routes for a type of service or from a source only are none for us; dead ones are skipped by the kernel too. */
static void add_to_fib(struct bare_ip *ip, const cJSON *item, const char *type, uint32_t table, const struct prefix *to)
{
    static const uint32_t ranks[BARE_FIB_RANKS] = {TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT};
    const char *preference = json_get_text(item, "pref", "medium"), *device = device_of(item);
    struct bare_fib_route route = {.to = *to, .rank = BARE_FIB_RANKS, .mtu = mtu_of(item)};
    if (json_get_text(item, "tos", NULL) || json_get_text(item, "from", NULL) || has_flag(item, "dead"))
        return;
    for (uint8_t rank = 0; rank < COUNT_OF(ranks); rank++)
        if (ranks[rank] == table)
            route.rank = rank;
    route.preference = strcmp(preference, "high") == 0 ? 2 : strcmp(preference, "low") != 0;
    route.metric = (uint32_t)json_get_number(item, "metric", 0, UINT32_MAX, 0);
    route.kind = strcmp(type, "throw") == 0 ? FIB_THROWS : type_goes(type) ? FIB_GOES : FIB_REFUSES;
    if (route.kind == FIB_GOES && !set_name(route.device, strcmp(type, "local") == 0 ? "lo" : device))
        return;
    bare_fib_add(&ip->fib, &route);
}

static int read_table_route(struct bare_ip *ip, const cJSON *item, struct err *err)
{
    struct observed_table_route route = {0};
    const char *type = json_get_text(item, "type", "unicast");
    bool is_v6 = json_get_text(item, "pref", NULL) || strchr(json_get_text(item, "gateway", ""), ':');
    route.table = table_number(json_get_text(item, "table", NULL));
    if (!read_destination(json_get_text(item, "dst", ""), is_v6, &route.to))
        return 0;
    add_to_fib(ip, item, type, route.table, &route.to);
    if (strcmp(type, "unicast") != 0 || route.table == TABLE_LOCAL || !set_name(route.device, device_of(item)))
        return 0;
    route.metric = (uint32_t)json_get_number(item, "metric", 0, UINT32_MAX, 0);
    return add_table_route(ip, &route, err);
}

/* "10.0.0.0/24 via 192.0.2.1 dev eth0 table 7 metric 100 ...". */
int bare_ip_route_line(struct bare_ip *ip, const char *text, struct err *err)
{
    struct observed_table_route route = {0};
    char to[64], word[64];
    size_t length = strcspn(text, " ");
    if (length >= sizeof to)
        return 0;
    memcpy(to, text, length);
    to[length] = '\0';
    word_after(text, "via", word, sizeof word);
    bool is_v6 = strchr(word, ':') || strstr(text, " pref ");
    word_after(text, "table", word, sizeof word);
    route.table = table_number(word);
    word_after(text, "dev", word, sizeof word);
    if (route.table == TABLE_LOCAL || !read_destination(to, is_v6, &route.to) || !set_name(route.device, word))
        return 0;
    route.metric = number_after(text, "metric");
    return add_table_route(ip, &route, err);
}

/* Answers */

static int add_answer(struct bare_ip *ip, const struct observed_route *route, struct err *err)
{
    if (ip->answer_count >= OBSERVED_ITEMS_MAX)
        return err_set(err, "more than %d answers of ip route get", OBSERVED_ITEMS_MAX);
    MEM_GROW(ip->answers, ip->answer_count, ip->answer_capacity);
    ip->answers[ip->answer_count] = (struct bare_answer){*route, ip->answer_count};
    ip->answer_count++;
    return 0;
}

static int read_answer(struct bare_ip *ip, const cJSON *item, struct err *err)
{
    struct observed_route route = {0};
    const char *type = json_get_text(item, "type", "unicast");
    if (address_parse(json_get_text(item, "dst", ""), &route.to) != 0)
        return 0;
    static const struct address last_asked = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
    if (address_compare(&route.to, &last_asked) == 0)
        ip->all_answered = true;
    if (type_goes(type))
        set_name(route.device, device_of(item));
    route.mtu = mtu_of(item);
    return add_answer(ip, &route, err);
}

/* "10.44.0.2|10.44.0.2 dev wg0 src 10.44.0.1 uid 0"; nothing behind the bar: unreachable. */
int bare_ip_answer_line(struct bare_ip *ip, const char *text, struct err *err)
{
    struct observed_route route = {0};
    char word[64];
    size_t length = strcspn(text, "|");
    if (length >= sizeof word || text[length] != '|')
        return 0;
    memcpy(word, text, length);
    word[length] = '\0';
    if (address_parse(word, &route.to) != 0)
        return 0;
    const char *answer = text + length + 1;
    word_after(answer, "dev", word, sizeof word);
    if (strncmp(answer, "unreachable", 11) != 0 && strncmp(answer, "prohibit", 8) != 0 && strncmp(answer, "blackhole", 9) != 0)
        set_name(route.device, word);
    route.mtu = number_after(answer, "mtu");
    return add_answer(ip, &route, err);
}

int bare_ip_json(struct bare_ip *ip, const char *text, size_t length, struct err *err)
{
    cJSON *document = json_parse(text, length, err);
    if (!document)
        return err_prefix(err, "the answer of ip");
    int (*take)(struct bare_ip *, const cJSON *, struct err *) = ip->documents == 0   ? read_link
                                                                 : ip->documents == 1 ? read_table_route
                                                                                      : read_answer;
    ip->documents++;
    int result = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, document) if (result == 0) result = take(ip, item, err);
    cJSON_Delete(document);
    return result;
}

static int compare_link_name(const void *name, const void *link)
{
    return strcmp(name, ((const struct observed_link *)link)->name);
}

const struct observed_link *bare_ip_link(const struct observation *observation, const char *name)
{
    if (!observation->link_count)
        return NULL;
    return bsearch(name, observation->links, observation->link_count, sizeof *observation->links, compare_link_name);
}

static int compare_answers(const void *a, const void *b)
{
    const struct bare_answer *first = a, *second = b;
    int order = address_compare(&first->route.to, &second->route.to);
    return order ? order : (first->order > second->order) - (first->order < second->order);
}

static int compare_to_answer(const void *to, const void *answer)
{
    return address_compare(to, &((const struct bare_answer *)answer)->route.to);
}

/* The earliest answer for this address: endpoints are asked before the prefixes of their row, with the interface's mark. */
static const struct bare_answer *find_answer(const struct bare_ip *ip, const struct address *to)
{
    const struct bare_answer *found = ip->answer_count ? bsearch(to, ip->answers, ip->answer_count, sizeof *ip->answers, compare_to_answer)
                                                       : NULL;
    while (found && found > ip->answers && address_compare(&found[-1].route.to, to) == 0)
        found--;
    return found;
}

static struct observed_route follow_routes(const struct bare_ip *ip, const struct address *to)
{
    struct observed_route route = {.to = *to};
    const struct bare_fib_route *found = ip->usual_rules ? bare_fib_lookup(&ip->fib, to) : NULL;
    if (found && found->kind == FIB_GOES) {
        memcpy(route.device, found->device, sizeof route.device);
        route.mtu = found->mtu;
    }
    return route;
}

static void add_route(struct bare_ip *ip, const struct address *to, size_t *capacity)
{
    struct observation *observation = ip->observation;
    const struct bare_answer *answer = find_answer(ip, to);
    if (!to->family || (!answer && !ip->all_answered) || observation->route_count >= OBSERVED_ROUTES_MAX)
        return;
    MEM_GROW(observation->routes, observation->route_count, *capacity);
    struct observed_route *route = &observation->routes[observation->route_count++];
    *route = answer ? answer->route : follow_routes(ip, to);
    const struct observed_link *link = bare_ip_link(observation, route->device);
    if (!route->mtu && link)
        route->mtu = link->mtu;
}

void bare_ip_finish(struct bare_ip *ip)
{
    size_t capacity = 0;
    if (ip->answer_count)
        qsort(ip->answers, ip->answer_count, sizeof *ip->answers, compare_answers);
    bare_fib_sort(&ip->fib);
    for (size_t i = 0; i < ip->observation->device_count; i++) {
        const struct device *device = &ip->observation->devices[i];
        for (size_t j = 0; j < device->peer_count; j++) {
            add_route(ip, &device->peers[j].endpoint.address, &capacity);
            for (size_t k = 0; k < device->peers[j].allowed_count; k++) {
                struct address target = observed_route_target(&device->peers[j].allowed[k]);
                add_route(ip, &target, &capacity);
            }
        }
    }
    bare_ip_free(ip);
}

void bare_ip_free(struct bare_ip *ip)
{
    free(ip->answers);
    ip->answers = NULL;
    ip->answer_count = ip->answer_capacity = 0;
    bare_fib_free(&ip->fib);
}
