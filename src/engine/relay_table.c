/* The relay's memory (relay_table.h). */
#include "relay_table.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

static const int64_t knock_life = 60 * CLOCK_SECOND;   /* retries come each 5 s, and keepalive's each 25 s */

bool relay_same_place(const struct udp_endpoint *a, const struct udp_endpoint *b)
{
    if (a->to.plain.sa_family != b->to.plain.sa_family)
        return false;
    if (a->to.plain.sa_family == AF_INET)
        return a->to.v4.sin_addr.s_addr == b->to.v4.sin_addr.s_addr && a->to.v4.sin_port == b->to.v4.sin_port;
    return a->to.v6.sin6_port == b->to.v6.sin6_port && a->to.v6.sin6_scope_id == b->to.v6.sin6_scope_id && !memcmp(&a->to.v6.sin6_addr, &b->to.v6.sin6_addr, 16);
}

static bool is_at_address(const struct udp_endpoint *place, const struct endpoint *endpoint)
{
    if (place->to.plain.sa_family != endpoint->address.family)
        return false;
    return !memcmp(endpoint->address.family == AF_INET ? (const void *)&place->to.v4.sin_addr : (const void *)&place->to.v6.sin6_addr, endpoint->address.bytes,
                   endpoint->address.family == AF_INET ? 4 : 16);
}

/* --- ways */

static uint32_t slot_of(const struct relay_table *table, const struct relay_ways *ways, uint32_t index, const struct udp_endpoint *from)
{
    struct { uint32_t index; uint16_t port, family; uint8_t address[16]; } key = {.index = index, .family = from->to.plain.sa_family};
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t number;
    if (key.family == AF_INET) {
        key.port = from->to.v4.sin_port;
        memcpy(key.address, &from->to.v4.sin_addr, 4);
    } else {
        key.port = from->to.v6.sin6_port;
        memcpy(key.address, &from->to.v6.sin6_addr, 16);
    }
    crypto_shorthash(hash, (const unsigned char *)&key, sizeof key, table->seed);
    memcpy(&number, hash, sizeof number);
    return (uint32_t)(number % ways->size);
}

static uint32_t *index_count(const struct relay_table *table, const struct relay_ways *ways, uint32_t index)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t number;
    crypto_shorthash(hash, (const unsigned char *)&index, sizeof index, table->seed);
    memcpy(&number, hash, sizeof number);
    return &ways->indices[number % ways->size];
}

bool relay_index_is_known(const struct relay_table *table, const struct relay_ways *ways, uint32_t index)
{
    return *index_count(table, ways, index) > 0;
}

static void ways_begin(struct relay_ways *ways, size_t size)
{
    *ways = (struct relay_ways){.ways = mem_alloc(size, sizeof *ways->ways), .heads = mem_alloc(size, sizeof *ways->heads), .indices = mem_alloc(size, sizeof *ways->indices),
                                .size = size, .free = 1};
    for (size_t i = 0; i < size; i++)
        ways->ways[i].next = i + 1 < size ? (uint32_t)i + 2 : 0;
}

struct relay_way *relay_way_find(const struct relay_table *table, const struct relay_ways *ways, uint32_t index, const struct udp_endpoint *from)
{
    for (uint32_t at = ways->heads[slot_of(table, ways, index, from)]; at; at = ways->ways[at - 1].next)
        if (ways->ways[at - 1].index == index && relay_same_place(&ways->ways[at - 1].from, from))
            return &ways->ways[at - 1];
    return NULL;
}

static void way_remove(struct relay_table *table, struct relay_ways *ways, struct relay_way *way)
{
    uint32_t number = (uint32_t)(way - ways->ways) + 1, *at = &ways->heads[slot_of(table, ways, way->index, &way->from)];
    while (*at != number)
        at = &ways->ways[*at - 1].next;
    *at = way->next;
    --*index_count(table, ways, way->index);
    *way = (struct relay_way){.next = ways->free};
    ways->free = number;
    ways->used--;
}

void relay_ways_forget(struct relay_table *table, struct relay_ways *ways, int64_t before)
{
    for (size_t i = 0; i < ways->size && ways->used; i++)
        if (ways->ways[i].from.to.plain.sa_family && ways->ways[i].at < before)
            way_remove(table, ways, &ways->ways[i]);
}

struct relay_way *relay_way_make(struct relay_table *table, struct relay_ways *ways, uint32_t index, const struct udp_endpoint *from, int64_t now)
{
    struct relay_way *way = relay_way_find(table, ways, index, from);
    if (way) {
        way->at = now;
        return way;
    }
    if (!ways->free)
        return NULL; /* relay_ways_forget makes room, each second */
    uint32_t number = ways->free, *head = &ways->heads[slot_of(table, ways, index, from)];
    way = &ways->ways[number - 1];
    ways->free = way->next;
    *way = (struct relay_way){.index = index, .from = *from, .at = now, .next = *head};
    *head = number;
    ++*index_count(table, ways, index);
    ways->used++;
    return way;
}

/* --- nodes */

size_t relay_node_of(const struct relay_table *table, const void *message, size_t length)
{
    for (size_t i = 0; i < table->node_count; i++)
        if (mac1_is_good(&table->nodes[i].mac1, message, length))
            return i;
    return SIZE_MAX;
}

static size_t find_node(const struct relay_node *nodes, size_t count, const struct key *key)
{
    for (size_t i = 0; i < count; i++)
        if (!key_compare(&nodes[i].key, key))
            return i;
    return SIZE_MAX;
}

/* Ways of nodes that are no longer there end; of the others the numbers change. */
static void renumber(struct relay_table *table, struct relay_ways *ways, const size_t *numbers, bool both)
{
    for (size_t i = 0; i < ways->size; i++) {
        struct relay_way *way = &ways->ways[i];
        if (!way->from.to.plain.sa_family)
            continue;
        if (numbers[way->node] == SIZE_MAX || (both && numbers[way->other] == SIZE_MAX)) {
            way_remove(table, ways, way);
            continue;
        }
        way->node = numbers[way->node];
        way->other = both ? numbers[way->other] : 0;
    }
}

static bool has_these(const struct relay_table *table, const struct key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (count != table->node_count || key_compare(&table->nodes[i].key, &keys[i]))
            return false;
    return count == table->node_count;
}

void relay_table_set_nodes(struct relay_table *table, const struct key *keys, const struct endpoint *hints, size_t count)
{
    if (has_these(table, keys, count)) { /* as each second: only where they are may be new */
        for (size_t i = 0; i < count; i++)
            table->nodes[i].hint = hints ? hints[i] : (struct endpoint){0};
        return;
    }
    struct relay_node *nodes = mem_alloc(count + 1, sizeof *nodes);
    size_t *numbers = mem_alloc(table->node_count + 1, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        size_t known = find_node(table->nodes, table->node_count, &keys[i]);
        if (known != SIZE_MAX)
            nodes[i] = table->nodes[known];
        else {
            nodes[i].key = keys[i];
            mac_key_make(&nodes[i].mac1, &keys[i]);
        }
        nodes[i].hint = hints ? hints[i] : (struct endpoint){0};
    }
    for (size_t i = 0; i < table->node_count; i++)
        numbers[i] = find_node(nodes, count, &table->nodes[i].key);
    renumber(table, &table->waiting, numbers, false);
    renumber(table, &table->sessions, numbers, true);
    for (size_t i = 0; i < RELAY_KNOCKS; i++) {
        struct relay_knock *knock = &table->knocks[i];
        if (knock->from.to.plain.sa_family && (numbers[knock->node] == SIZE_MAX))
            *knock = (struct relay_knock){0};
        else if (knock->from.to.plain.sa_family)
            knock->node = numbers[knock->node];
    }
    free(table->nodes);
    free(numbers);
    table->nodes = nodes;
    table->node_count = count;
}

void relay_table_begin(struct relay_table *table, size_t sessions, int64_t idle)
{
    memset(table, 0, sizeof *table);
    ways_begin(&table->waiting, RELAY_WAITING);
    ways_begin(&table->sessions, 2 * sessions);
    randombytes_buf(table->seed, sizeof table->seed);
    table->idle = idle;
}

void relay_table_end(struct relay_table *table)
{
    free(table->nodes);
    free(table->waiting.ways);
    free(table->waiting.heads);
    free(table->waiting.indices);
    free(table->sessions.ways);
    free(table->sessions.heads);
    free(table->sessions.indices);
}

/* --- knocks */

/* Found, or in the place of the oldest one, but for those of the same address when it has many: one source cannot push all others out. */
static struct relay_knock *note_knock(struct relay_table *table, size_t node, const struct udp_endpoint *from, int64_t now)
{
    struct relay_knock *oldest = NULL, *own = NULL;
    struct endpoint place;
    size_t of_its_address = 0;
    udp_endpoint_to(from, &place);
    for (size_t i = 0; i < RELAY_KNOCKS; i++) {
        struct relay_knock *knock = &table->knocks[i];
        if (knock->from.to.plain.sa_family && knock->node == node && relay_same_place(&knock->from, from)) {
            if (now - knock->at > knock_life)
                knock->tries = 0;
            knock->at = now;
            knock->from = *from;
            return knock;
        }
        if (!oldest || knock->at < oldest->at || (!knock->from.to.plain.sa_family && oldest->from.to.plain.sa_family))
            oldest = knock;
        if (knock->from.to.plain.sa_family && is_at_address(&knock->from, &place)) {
            of_its_address++;
            own = !own || knock->at < own->at ? knock : own;
        }
    }
    struct relay_knock *taken = of_its_address >= RELAY_KNOCKS / 8 ? own : oldest;
    *taken = (struct relay_knock){.from = *from, .node = node, .at = now};
    return taken;
}

struct candidate { const struct udp_endpoint *place; int rank; int64_t at; bool proven; };

static void add_candidate(struct candidate *list, size_t *count, struct candidate candidate)
{
    size_t at = 0;
    for (size_t i = 0; i < *count; i++)
        if (relay_same_place(list[i].place, candidate.place))
            return;
    while (at < *count && (list[at].rank > candidate.rank || (list[at].rank == candidate.rank && list[at].at >= candidate.at)))
        at++;
    if (at == RELAY_CANDIDATES)
        return;
    if (*count < RELAY_CANDIDATES)
        ++*count;
    memmove(&list[at + 1], &list[at], (*count - 1 - at) * sizeof *list);
    list[at] = candidate;
}

bool relay_may_be(const struct relay_table *table, size_t node, const struct udp_endpoint *place)
{
    const struct endpoint *hint = &table->nodes[node].hint;
    return !hint->address.family || is_at_address(place, hint);
}

bool relay_may_be_anyone(const struct relay_table *table, const struct udp_endpoint *place)
{
    for (size_t i = 0; i < table->node_count; i++)
        if (relay_may_be(table, i, place))
            return true;
    return false;
}

bool relay_is_proven(const struct relay_table *table, const struct udp_endpoint *place)
{
    for (size_t i = 0; i < table->node_count; i++)
        if (table->nodes[i].at.to.plain.sa_family && relay_same_place(&table->nodes[i].at, place))
            return true;
    return false;
}

static int rank_of(const struct relay_table *table, size_t node, const struct udp_endpoint *place, bool proven, const struct relay_knock *knock, const struct udp_endpoint *asker)
{
    const struct endpoint *hint = &table->nodes[node].hint;
    int rank = proven ? 2 : 0;
    if (hint->address.family && is_at_address(place, hint))
        rank += 4;
    if (knock && table->nodes[knock->node].hint.address.family && is_at_address(asker, &table->nodes[knock->node].hint)) /* it has knocked for who seems to ask */
        rank += 1;
    return rank;
}

bool relay_knock(struct relay_table *table, size_t node, const struct udp_endpoint *from, int64_t now, struct udp_endpoint *to, bool *proven)
{
    struct candidate list[RELAY_CANDIDATES];
    const struct relay_node *wanted = &table->nodes[node];
    size_t count = 0;
    struct relay_knock *own = note_knock(table, node, from, now);
    if (wanted->at.to.plain.sa_family && relay_may_be(table, node, &wanted->at) && now - wanted->proven < table->idle && !relay_same_place(&wanted->at, from))
        add_candidate(list, &count, (struct candidate){&wanted->at, rank_of(table, node, &wanted->at, true, NULL, from), wanted->proven, true});
    for (size_t i = 0; i < RELAY_KNOCKS; i++) {
        const struct relay_knock *knock = &table->knocks[i];
        if (knock->from.to.plain.sa_family && knock->node != node && relay_may_be(table, node, &knock->from) && now - knock->at < knock_life && !relay_same_place(&knock->from, from))
            add_candidate(list, &count, (struct candidate){&knock->from, rank_of(table, node, &knock->from, false, knock, from), knock->at, false});
    }
    if (!count)
        return false;
    const struct candidate *chosen = &list[own->tries++ % count];
    *to = *chosen->place;
    *proven = chosen->proven;
    return true;
}

void relay_answered(struct relay_table *table, const struct udp_endpoint *from, size_t node)
{
    for (size_t i = 0; i < RELAY_KNOCKS; i++)
        if (table->knocks[i].from.to.plain.sa_family && table->knocks[i].node == node && relay_same_place(&table->knocks[i].from, from))
            table->knocks[i].tries = 0;
}
