/* The hub's side of the talk with its joined nodes (control.h): the ladder of each pair of them, driven by what they say and by where the hub's own WireGuard sees them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "control_wire.h"
#include "paths.h"
#include "wgdeck/clock.h"
#include "wgdeck/ladder.h"
#include "wgdeck/mem.h"

enum { NODES_MOST = 256, DATAGRAMS_A_TURN = 256, ORDERED_KEEPALIVE = 25, ALLOWED_TOLD = 8 };
static const int64_t heard_for = 12 * CLOCK_SECOND, forgotten_after = 600 * CLOCK_SECOND, leave_pause = 10 * CLOCK_SECOND;
static const double turn = 0.25, look_pause = 1;

/* A joined node that was heard. */
struct guest {
    struct key key;
    struct address address;        /* where it speaks from, inside the tunnel */
    struct sockaddr_storage place;
    int socket;
    int64_t heard, left;           /* clock_steady; left: when its row was last asked to go */
    struct control_hello hello;
};

struct pair {
    struct key keys[2];            /* in order */
    struct ladder *ladder;
};

struct control_hub {
    struct ev_loop *loop;
    char interface[IFNAMSIZ];
    uint16_t relay_port;
    int remover;                   /* of control_remover_start; not ours */
    struct device device;          /* of a second ago at most */
    struct guest *guests;          /* owned */
    size_t guest_count;
    struct pair *pairs;            /* owned */
    size_t pair_count;
    int sockets[2];                /* IPv4, IPv6; -1 */
    struct ev_io readable[2];
    struct ev_timer turn, look;
};

/* --- who speaks */

/* WireGuard lets a packet in only from the peer whose row allows its source; the row that holds it alone is its speaker's. */
static const struct device_peer *row_of(const struct control_hub *hub, const struct address *address)
{
    struct prefix host = prefix_host(address);
    for (size_t i = 0; i < hub->device.peer_count; i++)
        for (size_t k = 0; k < hub->device.peers[i].allowed_count; k++)
            if (!prefix_compare(&hub->device.peers[i].allowed[k], &host))
                return &hub->device.peers[i];
    return NULL;
}

static struct guest *guest_of(struct control_hub *hub, const struct key *key)
{
    for (size_t i = 0; i < hub->guest_count; i++)
        if (!key_compare(&hub->guests[i].key, key))
            return &hub->guests[i];
    return NULL;
}

static void pair_up(struct control_hub *hub, const struct key *a, const struct key *b)
{
    struct ladder_options options = {.direct = true, .relay = {.address = {.family = hub->relay_port ? AF_INET : 0}, .port = hub->relay_port}};
    struct prefix never[PATH_ALLOWED_MOST];
    /* A stand-in, which no node has: each is told the relay's place by the address that it has for the hub itself (TEST-NET-1, RFC 5737). */
    memcpy(options.relay.address.bytes, (const uint8_t[]){192, 0, 2, 1}, 4);
    for (size_t i = 0; i < hub->device.peer_count && options.never_count < PATH_ALLOWED_MOST; i++)
        for (size_t k = 0; k < hub->device.peers[i].allowed_count && options.never_count < PATH_ALLOWED_MOST; k++)
            if (hub->device.peers[i].allowed[k].length)
                never[options.never_count++] = hub->device.peers[i].allowed[k];
    options.never = never;
    hub->pairs = mem_resize(hub->pairs, hub->pair_count + 1, sizeof *hub->pairs);
    struct pair *pair = &hub->pairs[hub->pair_count++];
    bool in_order = key_compare(a, b) < 0;
    *pair = (struct pair){.keys = {in_order ? *a : *b, in_order ? *b : *a}, .ladder = ladder_new(&options)};
}

static struct guest *make_guest(struct control_hub *hub, const struct device_peer *row)
{
    if (hub->guest_count == NODES_MOST)
        return NULL;
    for (size_t i = 0; i < hub->guest_count; i++)
        pair_up(hub, &hub->guests[i].key, &row->public_key);
    hub->guests = mem_resize(hub->guests, hub->guest_count + 1, sizeof *hub->guests);
    hub->guests[hub->guest_count] = (struct guest){.key = row->public_key};
    return &hub->guests[hub->guest_count++];
}

static void drop_guest(struct control_hub *hub, size_t index)
{
    struct key gone = hub->guests[index].key;
    for (size_t i = 0; i < hub->pair_count;) {
        struct pair *pair = &hub->pairs[i];
        if (key_compare(&pair->keys[0], &gone) && key_compare(&pair->keys[1], &gone)) {
            i++;
            continue;
        }
        ladder_free(pair->ladder);
        *pair = hub->pairs[--hub->pair_count];
    }
    hub->guests[index] = hub->guests[--hub->guest_count];
}

/* --- orders */

static const struct control_row *row_in(const struct control_hello *hello, const struct key *key)
{
    for (size_t i = 0; i < hello->row_count; i++)
        if (!key_compare(&hello->rows[i].key, key))
            return &hello->rows[i];
    return NULL;
}

static void see(const struct control_hub *hub, const struct guest *guest, const struct key *other, int64_t now, struct ladder_end *end)
{
    static const enum ladder_step steps[] = {[WAY_TRYING] = LADDER_TRYING, [WAY_DIRECT] = LADDER_DIRECT, [WAY_RELAY] = LADDER_RELAY, [WAY_HUB] = LADDER_HUB};
    const struct device_peer *own = device_find_peer(&hub->device, &guest->key);
    const struct control_row *row = row_in(&guest->hello, other);
    *end = (struct ladder_end){.answers = now - guest->heard < heard_for, .age = -1};
    if (own)
        end->observed = own->endpoint;
    for (size_t i = 0; i < guest->hello.candidate_count && i < LADDER_CANDIDATES; i++)
        end->candidates[end->candidate_count++] = guest->hello.candidates[i];
    if (!row)
        return;
    end->row = row->endpoint;
    end->age = row->age < 0 ? -1 : row->age * CLOCK_MILLISECOND + (now - guest->heard);
    end->rx = row->rx;
    end->carries = row->way ? steps[row->way - 1] : LADDER_HUB;
    /* By the relay, a row's endpoint is the relay's place, for which the ladder knows the stand-in. */
    const struct control_row *to_hub = row_in(&guest->hello, &hub->device.public_key);
    if (to_hub && hub->relay_port && row->endpoint.port == hub->relay_port && !address_compare(&row->endpoint.address, &to_hub->endpoint.address))
        end->row = (struct endpoint){.address = {.family = AF_INET, .bytes = {192, 0, 2, 1}}, .port = hub->relay_port};
}

static socklen_t place_size(const struct guest *guest)
{
    return guest->place.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

static void add_key(struct json *json, const char *member, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    json_text(json, member, text);
}

static bool place_for(const struct control_hub *hub, const struct guest *to, const struct endpoint *ordered, char text[static ENDPOINT_TEXT_SIZE])
{
    struct endpoint endpoint = *ordered;
    const struct control_row *to_hub = row_in(&to->hello, &hub->device.public_key);
    static const uint8_t stand_in[4] = {192, 0, 2, 1};
    if (endpoint.address.family == AF_INET && endpoint.port == hub->relay_port && !memcmp(endpoint.address.bytes, stand_in, 4)) {
        if (!to_hub || !to_hub->endpoint.address.family)
            return false;
        endpoint.address = to_hub->endpoint.address;
        endpoint.scope = to_hub->endpoint.scope;
    }
    endpoint_text(&endpoint, text);
    return true;
}

static void add_allowed(const struct control_hub *hub, const struct key *other, struct json *json)
{
    const struct device_peer *row = device_find_peer(&hub->device, other);
    json_list(json, "allowed");
    for (size_t i = 0, count = 0; row && i < row->allowed_count && count < ALLOWED_TOLD; i++) {
        char text[PREFIX_TEXT_SIZE];
        if (row->allowed[i].length != address_bits(&row->allowed[i].address))
            continue;
        prefix_text(&row->allowed[i], text);
        json_text(json, NULL, text);
        count++;
    }
    json_list_end(json);
}

static void order(const struct control_hub *hub, const struct guest *to, const struct guest *other, const struct ladder_order *what)
{
    static const char *const deeds[] = {[LADDER_TRY] = "try", [LADDER_CARRY] = "carry", [LADDER_YIELD] = "yield"};
    char place[ENDPOINT_TEXT_SIZE] = "";
    if (what->deed == LADDER_NOTHING || (what->deed == LADDER_TRY && !place_for(hub, to, &what->endpoint, place)))
        return;
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    json_object(&json, NULL);
    json_text(&json, "op", "path");
    json_text(&json, "do", deeds[what->deed]);
    add_key(&json, "key", &other->key);
    add_key(&json, "hub", &hub->device.public_key);
    json_text(&json, "name", other->hello.name);
    json_text(&json, "reason", what->reason);
    if (what->deed == LADDER_TRY) {
        json_text(&json, "endpoint", place);
        json_unsigned(&json, "keepalive", ORDERED_KEEPALIVE);
    } else {
        add_allowed(hub, &other->key, &json);
        json_bool(&json, "forget", what->forget);
    }
    if (what->deed == LADDER_CARRY)
        json_text(&json, "path", what->way == LADDER_RELAY ? "relay" : "direct");
    json_object_end(&json);
    if (text.length <= CONTROL_BYTES)
        (void)!sendto(to->socket, text.data, text.length, MSG_DONTWAIT, (const struct sockaddr *)&to->place, place_size(to));
    buf_free(&text);
}

static void on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_hub *hub = timer->data;
    int64_t now = clock_steady();
    (void)loop, (void)events;
    for (size_t i = 0; i < hub->pair_count; i++) {
        struct guest *ends[2] = {guest_of(hub, &hub->pairs[i].keys[0]), guest_of(hub, &hub->pairs[i].keys[1])};
        struct ladder_end views[2];
        struct ladder_order orders[2] = {{0}};
        if (!ends[0] || !ends[1])
            continue;
        for (int side = 0; side < 2; side++)
            see(hub, ends[side], &hub->pairs[i].keys[!side], now, &views[side]);
        ladder_turn(hub->pairs[i].ladder, now, views, orders);
        for (int side = 0; side < 2; side++)
            order(hub, ends[side], ends[!side], &orders[side]);
    }
}

/* --- leaving */

static void let_go(struct control_hub *hub, struct guest *guest)
{
    int64_t now = clock_steady();
    if (guest->left && now - guest->left < leave_pause)
        return;
    guest->left = now;
    if (write(hub->remover, &guest->key, sizeof guest->key) != sizeof guest->key)
        return; /* it is asked again */
    /* The answer goes before the row: without that there is no way to it. What fails is put back, and stays for the operator to see. */
    static const char left[] = "{\"op\":\"left\"}";
    (void)!sendto(guest->socket, left, sizeof left - 1, MSG_DONTWAIT, (const struct sockaddr *)&guest->place, place_size(guest));
}

/* --- datagrams */

static void hear(struct control_hub *hub, int descriptor, const struct sockaddr_storage *from, const cJSON *object)
{
    struct address address = control_address(from);
    const struct device_peer *row = row_of(hub, &address);
    const char *said = json_get_text(object, "op", "");
    struct guest *guest = row ? guest_of(hub, &row->public_key) : NULL;
    if (control_port_of(from) >= IPPORT_RESERVED || !row || (!guest && !(guest = make_guest(hub, row))))
        return;
    guest->place = *from;
    guest->socket = descriptor;
    guest->address = address;
    guest->heard = clock_steady();
    if (!strcmp(said, "hello"))
        control_read_hello(object, &guest->hello);
    else if (!strcmp(said, "leave"))
        let_go(hub, guest);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct control_hub *hub = watcher->data;
    int descriptor = watcher == &hub->readable[0] ? hub->sockets[0] : hub->sockets[1];
    struct sockaddr_storage from;
    bool more = true;
    (void)loop, (void)events;
    for (int i = 0; i < DATAGRAMS_A_TURN && more; i++) {
        cJSON *object = control_receive(descriptor, &from, &more);
        if (object)
            hear(hub, descriptor, &from, object);
        cJSON_Delete(object);
    }
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct control_hub *hub = timer->data;
    const struct device_source *source = device_source_find(hub->interface);
    struct device device = {0};
    struct err err;
    (void)loop, (void)events;
    if (source && !source->read(hub->interface, device_no_salt, &device, &err)) {
        device_free(&hub->device);
        hub->device = device;
    }
    for (size_t i = hub->guest_count; i-- > 0;)
        if (clock_steady() - hub->guests[i].heard > forgotten_after || !device_find_peer(&hub->device, &hub->guests[i].key))
            drop_guest(hub, i);
}

/* --- its life */

static int open_socket(const char *interface, int family, struct err *err)
{
    struct sockaddr_storage place;
    struct address any = {.family = (uint8_t)family};
    int descriptor = control_socket(interface, family, err);
    socklen_t size = control_place(&any, CONTROL_PORT, &place);
    if (descriptor >= 0 && bind(descriptor, (struct sockaddr *)&place, size)) {
        err_set(err, "%s: UDP port %d: %s", interface, CONTROL_PORT, strerror(errno));
        close(descriptor);
        return -1;
    }
    return descriptor;
}

struct control_hub *control_hub_new(struct ev_loop *loop, const char *interface, uint16_t relay_port, int remover, struct err *err)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct control_hub *hub = mem_alloc(1, sizeof *hub);
    snprintf(hub->interface, sizeof hub->interface, "%s", interface);
    hub->loop = loop;
    hub->relay_port = relay_port;
    hub->remover = remover;
    for (int i = 0; i < 2; i++)
        hub->sockets[i] = open_socket(interface, families[i], err);
    if (hub->sockets[0] < 0 && hub->sockets[1] < 0) {
        free(hub);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        ev_io_init(&hub->readable[i], on_readable, hub->sockets[i], EV_READ);
        hub->readable[i].data = hub;
        if (hub->sockets[i] >= 0)
            ev_io_start(loop, &hub->readable[i]);
    }
    ev_timer_init(&hub->turn, on_turn, turn, turn);
    ev_timer_init(&hub->look, on_look, 0., look_pause);
    hub->turn.data = hub->look.data = hub;
    ev_timer_start(loop, &hub->turn);
    ev_timer_start(loop, &hub->look);
    return hub;
}

void control_hub_free(struct control_hub *hub)
{
    if (!hub)
        return;
    for (int i = 0; i < 2; i++)
        if (hub->sockets[i] >= 0) {
            ev_io_stop(hub->loop, &hub->readable[i]);
            close(hub->sockets[i]);
        }
    ev_timer_stop(hub->loop, &hub->turn);
    ev_timer_stop(hub->loop, &hub->look);
    for (size_t i = 0; i < hub->pair_count; i++)
        ladder_free(hub->pairs[i].ladder);
    device_free(&hub->device);
    free(hub->pairs);
    free(hub->guests);
    free(hub);
}
