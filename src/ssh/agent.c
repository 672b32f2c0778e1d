/* ssh-agent (agent.h; the protocol: draft-miller-ssh-agent). */
#include "agent.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wgdeck/buf.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    REQUEST_IDENTITIES = 11, IDENTITIES_ANSWER = 12, SIGN_REQUEST = 13, AGENT_FAILURE = 5,
    MESSAGE_MOST = 256 * 1024, KEYS_MOST = 256, COMMENT_MOST = 256,
};
static const double FRESH = 5, AGAIN = 0.05, LIST_DEADLINE = 10;

static size_t get_number(const unsigned char *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static void add_number(struct buf *buf, size_t number)
{
    unsigned char bytes[4] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16), (unsigned char)(number >> 8), (unsigned char)number};
    buf_add(buf, bytes, sizeof bytes);
}

static void add_string(struct buf *buf, const void *bytes, size_t length)
{
    add_number(buf, length);
    buf_add(buf, bytes, length);
}

/* Length of the whole message at the front of BUF, 0: not all here, SIZE_MAX: too long. */
static size_t message_size(const struct buf *buf)
{
    if (buf->length < 4)
        return 0;
    size_t length = get_number((const unsigned char *)buf->data);
    if (length > MESSAGE_MOST || !length)
        return SIZE_MAX;
    return buf->length >= length + 4 ? length + 4 : 0;
}

/* --- One question to the real agent, on a connection of its own. */

struct talk {
    struct ev_loop *loop;
    char *path;
    int descriptor; /* -1: not connected yet */
    struct ev_io io;
    struct ev_timer timer; /* connect again: the agent's queue was full; or the deadline */
    struct buf out, in;
    double deadline;
    void (*answered)(void *context, const unsigned char *message, size_t length, const char *why); /* LENGTH 0: it failed */
    void *context;
};

static void talk_free(struct talk *talk)
{
    if (!talk)
        return;
    ev_timer_stop(talk->loop, &talk->timer);
    if (talk->descriptor >= 0) {
        ev_io_stop(talk->loop, &talk->io);
        close(talk->descriptor);
    }
    buf_wipe(&talk->out);
    buf_wipe(&talk->in);
    free(talk->path);
    free(talk);
}

static void talk_over(struct talk *talk, size_t size, const char *why)
{
    talk->answered(talk->context, (const unsigned char *)talk->in.data, size, why);
    talk_free(talk);
}

static void talk_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct talk *talk = watcher->data;
    (void)events;
    if (talk->out.length) {
        ssize_t sent = send(talk->descriptor, talk->out.data, talk->out.length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            talk_over(talk, 0, strerror(errno));
            return;
        }
        if (sent > 0)
            buf_drop(&talk->out, (size_t)sent);
        if (!talk->out.length) {
            ev_io_stop(loop, watcher);
            ev_io_modify(watcher, EV_READ);
            ev_io_start(loop, watcher);
        }
        return;
    }
    char bytes[4096];
    ssize_t got = recv(talk->descriptor, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        talk_over(talk, 0, got ? strerror(errno) : "it closed the connection");
        return;
    }
    buf_add(&talk->in, bytes, (size_t)got);
    size_t size = message_size(&talk->in);
    if (size)
        talk_over(talk, size == SIZE_MAX ? 0 : size, "its answer makes no sense");
}

static void talk_connect(struct talk *talk)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(talk->path) >= sizeof address.sun_path) {
        talk_over(talk, 0, "the path of its socket is too long");
        return;
    }
    memcpy(address.sun_path, talk->path, strlen(talk->path) + 1);
    talk->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (talk->descriptor >= 0 && !connect(talk->descriptor, (struct sockaddr *)&address, sizeof address)) {
        ev_io_init(&talk->io, talk_ready, talk->descriptor, EV_WRITE);
        talk->io.data = talk;
        ev_io_start(talk->loop, &talk->io);
        if (talk->deadline > 0) {
            ev_timer_set(&talk->timer, talk->deadline, 0);
            ev_timer_start(talk->loop, &talk->timer);
        }
        return;
    }
    int error = errno;
    if (talk->descriptor >= 0)
        close(talk->descriptor);
    talk->descriptor = -1;
    if (error == EAGAIN) {
        ev_timer_set(&talk->timer, AGAIN, 0);
        ev_timer_start(talk->loop, &talk->timer);
        return;
    }
    talk_over(talk, 0, strerror(error));
}

static void talk_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct talk *talk = timer->data;
    if (talk->descriptor < 0)
        talk_connect(talk);
    else
        talk_over(talk, 0, "it does not answer");
}

/* ANSWERED comes later, never from inside. DEADLINE 0: none (a person confirms). */
static struct talk *talk_start(struct ev_loop *loop, const char *path, const void *message, size_t length, double deadline,
                               void (*answered)(void *, const unsigned char *, size_t, const char *), void *context)
{
    struct talk *talk = mem_alloc(1, sizeof *talk);
    talk->loop = loop;
    talk->path = mem_text(path);
    talk->descriptor = -1;
    talk->deadline = deadline;
    talk->answered = answered;
    talk->context = context;
    buf_add(&talk->out, message, length);
    ev_timer_init(&talk->timer, talk_timer, 0, 0);
    talk->timer.data = talk;
    ev_timer_start(loop, &talk->timer);
    return talk;
}

/* --- The list of keys, kept for a moment. */

struct listing {
    struct agent *agent;
    char *path;
    struct agent_list list;
    struct talk *talk;
    double at; /* ev_time of the answer */
    bool there;
    struct listing *next;
};

struct waiter {
    struct listing *listing;
    void (*listed)(void *context);
    void *context;
    struct waiter *next;
};

struct agent {
    struct ev_loop *loop;
    struct listing *listings;
    struct waiter *waiters;
};

struct agent *agent_new(struct ev_loop *loop)
{
    struct agent *agent = mem_alloc(1, sizeof *agent);
    agent->loop = loop;
    return agent;
}

static void list_clear(struct agent_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->keys[i].blob);
        free(list->keys[i].base64);
        free(list->keys[i].comment);
    }
    free(list->keys);
    free(list->why);
    *list = (struct agent_list){0};
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    while (agent->waiters) {
        struct waiter *next = agent->waiters->next;
        free(agent->waiters);
        agent->waiters = next;
    }
    while (agent->listings) {
        struct listing *next = agent->listings->next;
        talk_free(agent->listings->talk);
        list_clear(&agent->listings->list);
        free(agent->listings->path);
        free(agent->listings);
        agent->listings = next;
    }
    free(agent);
}

static char *to_base64(const unsigned char *bytes, size_t length)
{
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = mem_alloc(size, 1);
    return sodium_bin2base64(text, size, bytes, length, sodium_base64_VARIANT_ORIGINAL);
}

/* A length-prefixed string of a message; *AT moves behind it. NULL: the message is cut. */
static const unsigned char *get_string(const unsigned char **at, const unsigned char *end, size_t *length)
{
    if (end - *at < 4)
        return NULL;
    *length = get_number(*at);
    if (*length > (size_t)(end - *at) - 4)
        return NULL;
    const unsigned char *start = *at + 4;
    *at = start + *length;
    return start;
}

static void read_list(struct agent_list *list, const unsigned char *message, size_t size)
{
    if (size < 9 || message[4] != IDENTITIES_ANSWER) {
        list->why = mem_text("it does not tell its keys");
        return;
    }
    size_t count = get_number(message + 5);
    const unsigned char *at = message + 9, *end = message + size;
    list->keys = mem_alloc(KEYS_MOST, sizeof *list->keys);
    for (size_t i = 0; i < count && list->count < KEYS_MOST; i++) {
        size_t blob_length, comment_length;
        const unsigned char *blob = get_string(&at, end, &blob_length), *comment = blob ? get_string(&at, end, &comment_length) : NULL;
        if (!comment)
            return;
        struct agent_key *key = &list->keys[list->count++];
        key->blob = mem_alloc(blob_length + 1, 1);
        memcpy(key->blob, blob, blob_length);
        key->length = blob_length;
        key->base64 = to_base64(blob, blob_length);
        struct buf safe = BUF_EMPTY;
        text_add_safe(&safe, (const char *)comment, comment_length < COMMENT_MOST ? comment_length : COMMENT_MOST);
        key->comment = buf_take(&safe);
    }
}

static void listing_answered(void *context, const unsigned char *message, size_t size, const char *why)
{
    struct listing *listing = context;
    struct agent *agent = listing->agent;
    listing->talk = NULL;
    listing->there = true;
    listing->at = ev_time();
    list_clear(&listing->list);
    if (size)
        read_list(&listing->list, message, size);
    else
        listing->list.why = mem_text(why);
    struct waiter **at = &agent->waiters;
    while (*at) {
        struct waiter *waiter = *at;
        if (waiter->listing != listing) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->listed(waiter->context);
        free(waiter);
        at = &agent->waiters;
    }
}

static struct listing *listing_of(struct agent *agent, const char *path)
{
    for (struct listing *listing = agent->listings; listing; listing = listing->next)
        if (!strcmp(listing->path, path))
            return listing;
    struct listing *listing = mem_alloc(1, sizeof *listing);
    listing->agent = agent;
    listing->path = mem_text(path);
    listing->next = agent->listings;
    agent->listings = listing;
    return listing;
}

const struct agent_list *agent_keys(struct agent *agent, const char *path, void (*listed)(void *context), void *context)
{
    static const unsigned char question[] = {0, 0, 0, 1, REQUEST_IDENTITIES};
    struct listing *listing = listing_of(agent, path);
    if (listing->there && ev_time() - listing->at < FRESH)
        return &listing->list;
    listing->there = false;
    if (!listing->talk)
        listing->talk = talk_start(agent->loop, path, question, sizeof question, LIST_DEADLINE, listing_answered, listing);
    struct waiter *waiter = mem_alloc(1, sizeof *waiter);
    *waiter = (struct waiter){.listing = listing, .listed = listed, .context = context, .next = agent->waiters};
    agent->waiters = waiter;
    return NULL;
}

const struct agent_list *agent_known(struct agent *agent, const char *path)
{
    struct listing *listing = listing_of(agent, path);
    return listing->there ? &listing->list : NULL;
}

void agent_forget(struct agent *agent, void *context)
{
    struct waiter **at = &agent->waiters;
    while (*at) {
        struct waiter *waiter = *at;
        if (waiter->context != context) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        free(waiter);
    }
}

/* --- What libssh sees. */

struct offered {
    unsigned char *blob;
    size_t length;
};

struct agent_offer {
    struct ev_loop *loop;
    char *path;
    int ours, theirs;
    struct ev_io io;
    struct buf in, out;
    struct offered *keys;
    size_t count, capacity, first, signing; /* FIRST: the first still offered */
    struct talk *talk;
};

static void offer_watch(struct agent_offer *offer);

/* Answers are small and libssh waits for each: what the socket does not take at once goes when it is writable. */
static void offer_send(struct agent_offer *offer)
{
    while (offer->out.length) {
        ssize_t sent = send(offer->ours, offer->out.data, offer->out.length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break;
        buf_drop(&offer->out, (size_t)sent);
    }
    offer_watch(offer);
}

static void offer_fail(struct agent_offer *offer)
{
    static const unsigned char failure[] = {0, 0, 0, 1, AGENT_FAILURE};
    buf_add(&offer->out, failure, sizeof failure);
    offer_send(offer);
}

static void offer_list(struct agent_offer *offer)
{
    struct buf body = BUF_EMPTY;
    buf_add_char(&body, IDENTITIES_ANSWER);
    add_number(&body, offer->count - offer->first);
    for (size_t i = offer->first; i < offer->count; i++) {
        add_string(&body, offer->keys[i].blob, offer->keys[i].length);
        add_string(&body, "key", 3);
    }
    add_string(&offer->out, body.data, body.length);
    buf_free(&body);
    offer_send(offer);
}

static void sign_answered(void *context, const unsigned char *message, size_t size, const char *why)
{
    (void)why;
    struct agent_offer *offer = context;
    offer->talk = NULL;
    if (!size) {
        offer_fail(offer);
        return;
    }
    buf_add(&offer->out, message, size);
    offer_send(offer);
}

static void offer_sign(struct agent_offer *offer, const unsigned char *message, size_t size)
{
    const unsigned char *at = message + 5;
    size_t length;
    const unsigned char *blob = get_string(&at, message + size, &length);
    for (size_t i = offer->first; blob && i < offer->count; i++)
        if (length == offer->keys[i].length && !memcmp(blob, offer->keys[i].blob, length))
            offer->signing = i;
    if (blob && !offer->talk)
        offer->talk = talk_start(offer->loop, offer->path, message, size, 0, sign_answered, offer);
    else
        offer_fail(offer);
}

static void offer_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop;
    struct agent_offer *offer = watcher->data;
    if (events & EV_WRITE)
        offer_send(offer);
    if (!(events & EV_READ))
        return;
    char bytes[4096];
    ssize_t got = recv(offer->ours, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        ev_io_stop(offer->loop, &offer->io);
        return;
    }
    buf_add(&offer->in, bytes, (size_t)got);
    size_t size = message_size(&offer->in);
    if (!size)
        return;
    if (size == SIZE_MAX) {
        ev_io_stop(offer->loop, &offer->io);
        return;
    }
    const unsigned char *message = (const unsigned char *)offer->in.data;
    if (message[4] == REQUEST_IDENTITIES)
        offer_list(offer);
    else if (message[4] == SIGN_REQUEST)
        offer_sign(offer, message, size);
    else
        offer_fail(offer);
    buf_drop(&offer->in, size);
}

static void offer_watch(struct agent_offer *offer)
{
    int wanted = EV_READ | (offer->out.length ? EV_WRITE : 0);
    ev_io_stop(offer->loop, &offer->io);
    ev_io_modify(&offer->io, wanted);
    ev_io_start(offer->loop, &offer->io);
}

struct agent_offer *agent_offer_new(struct agent *agent, const char *path)
{
    struct agent_offer *offer = mem_alloc(1, sizeof *offer);
    int ends[2];
    offer->loop = agent->loop;
    offer->path = mem_text(path);
    offer->ours = offer->theirs = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
        return offer;
    offer->ours = ends[0];
    offer->theirs = ends[1];
    ev_io_init(&offer->io, offer_ready, offer->ours, EV_READ);
    offer->io.data = offer;
    ev_io_start(offer->loop, &offer->io);
    return offer;
}

int agent_offer_take(struct agent_offer *offer)
{
    int descriptor = offer->theirs;
    offer->theirs = -1;
    return descriptor;
}

void agent_offer_add(struct agent_offer *offer, const struct agent_key *key)
{
    MEM_GROW(offer->keys, offer->count, offer->capacity);
    struct offered *offered = &offer->keys[offer->count++];
    offered->blob = mem_alloc(key->length + 1, 1);
    memcpy(offered->blob, key->blob, key->length);
    offered->length = key->length;
}

void agent_offer_refuse(struct agent_offer *offer)
{
    offer->first = offer->signing + 1 > offer->first ? offer->signing + 1 : offer->first + 1;
}

size_t agent_offer_count(const struct agent_offer *offer)
{
    return offer->first < offer->count ? offer->count - offer->first : 0;
}

void agent_offer_free(struct agent_offer *offer)
{
    if (!offer)
        return;
    talk_free(offer->talk);
    if (offer->ours >= 0) {
        ev_io_stop(offer->loop, &offer->io);
        close(offer->ours);
    }
    if (offer->theirs >= 0)
        close(offer->theirs);
    for (size_t i = 0; i < offer->count; i++)
        free(offer->keys[i].blob);
    free(offer->keys);
    buf_wipe(&offer->in);
    buf_wipe(&offer->out);
    free(offer->path);
    free(offer);
}
