/* The helper's operations that look at a node before a change, and at its links after it: facts, verify (wgdeck/apply.h). What they do is in facts.c and verify.c. */
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "verify.h"
#include "wgdeck/apply.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { WITHIN_DEFAULT = 10, WITHIN_MOST = 600, ADDRESSES_MOST = 64 };

/* One verify at a time. */
struct serve_links {
    struct server *server;
    uint64_t request;
    struct verify *verify;
    struct buf failed; /* the list of the answer, as JSON */
    struct json json;
};

void serve_links_end(struct serve_links *links)
{
    if (!links)
        return;
    verify_free(links->verify);
    buf_free(&links->failed);
    free(links);
}

/* --- what is seen of the links */

static void on_link(void *context, const struct key *key, int64_t rtt, int64_t age)
{
    struct serve_links *links = context;
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    struct json json = server_event(links->server, links->request, "link");
    json_text(&json, "key", text);
    json_number(&json, "rtt", rtt / 1000);
    json_number(&json, "age", age / CLOCK_MILLISECOND);
    server_send(links->server, &json);
}

static void on_failed(void *context, const struct key *key, const char *why)
{
    struct serve_links *links = context;
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    json_object(&links->json, NULL);
    json_text(&links->json, "key", text);
    json_text(&links->json, "why", why);
    json_object_end(&links->json);
}

static void on_done(void *context)
{
    struct serve_links *links = context;
    struct json json = server_answer(links->server, links->request);
    json_list(&json, "failed");
    buf_add(json.buf, buf_text(&links->failed), links->failed.length);
    json_list_end(&json);
    server_send(links->server, &json);
    *server_links(links->server) = NULL;
    serve_links_end(links);
}

/* --- the request */

static void free_links(struct verify_link *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i].addresses);
    free(list);
}

static int read_link(const cJSON *item, struct verify_link *link, struct err *err)
{
    const cJSON *addresses = json_get_list(item, "addresses"), *address;
    int count = addresses ? cJSON_GetArraySize(addresses) : 0;
    if (key_parse(json_get_text(item, "key", ""), &link->key))
        return err_set(err, "links: key is not the key of a row");
    if (count > ADDRESSES_MOST)
        return err_set(err, "links: more than %d addresses", ADDRESSES_MOST);
    link->lead = json_get_bool(item, "lead", true);
    link->addresses = mem_alloc((size_t)count + 1, sizeof *link->addresses);
    cJSON_ArrayForEach(address, addresses)
        if (!cJSON_IsString(address) || prefix_parse(address->valuestring, &link->addresses[link->address_count++]))
            return err_set(err, "links: addresses has something that is no address");
    return 0;
}

static int read_links(const cJSON *request, struct verify_link **list, size_t *count, struct err *err)
{
    const cJSON *items = json_get_list(request, "links"), *item;
    int size = items ? cJSON_GetArraySize(items) : 0;
    *count = 0;
    *list = NULL;
    if (!items || size > APPLY_OPERATIONS_MAX)
        return err_set(err, "links is not a list of at most %d", APPLY_OPERATIONS_MAX);
    *list = mem_alloc((size_t)size + 1, sizeof **list);
    cJSON_ArrayForEach(item, items)
        if (read_link(item, &(*list)[(*count)++], err))
            return -1;
    return 0;
}

static void begin_verify(struct server *server, const cJSON *request, const char *interface, double within)
{
    static const struct verify_events events = {.link = on_link, .failed = on_failed, .done = on_done};
    struct serve_links *links = mem_alloc(1, sizeof *links);
    struct verify_link *list;
    struct err err;
    size_t count;
    links->server = server;
    links->request = server_request(request);
    links->json = json_begin(&links->failed);
    if (!read_links(request, &list, &count, &err))
        links->verify = verify_new(server_loop(server), interface, list, count, within, &events, links, &err);
    free_links(list, count);
    if (links->verify) {
        *server_links(server) = links;
        return;
    }
    server_refuse(server, links->request, "refused", err.text, SIZE_MAX);
    serve_links_end(links);
}

static void verify(struct server *server, const cJSON *request)
{
    const char *interface = json_get_text(request, "interface", "");
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(request, "within");
    double within = !given ? WITHIN_DEFAULT : cJSON_IsNumber(given) ? given->valuedouble : -1;
    if (*server_links(server))
        server_refuse(server, server_request(request), "busy", "another verify is under way over this channel", SIZE_MAX);
    else if (!device_name_is_valid(interface))
        server_refuse(server, server_request(request), "refused", "interface is not the name of one", SIZE_MAX);
    else if (!(within >= 0.1 && within <= WITHIN_MOST))
        server_refuse(server, server_request(request), "refused", "within is not a number of seconds from 0.1 to 600", SIZE_MAX);
    else
        begin_verify(server, request, interface, within);
}

static void facts(struct server *server, const cJSON *request)
{
    const char *interface = json_get_text(request, "interface", "");
    struct buf found = BUF_EMPTY;
    struct json inner = json_begin(&found);
    struct err err;
    if (!device_name_is_valid(interface)) {
        server_refuse(server, server_request(request), "refused", "interface is not the name of one", SIZE_MAX);
        return;
    }
    json_object(&inner, NULL);
    if (node_facts_to_json(interface, &inner, "facts", &err)) {
        server_refuse(server, server_request(request), "failed", err.text, SIZE_MAX);
    } else {
        struct json json = server_answer(server, server_request(request));
        buf_add_char(json.buf, ',');
        buf_add(json.buf, found.data + 1, found.length - 1); /* its members */
        server_send(server, &json);
    }
    buf_free(&found);
}

const struct server_operation serve_link_operations[] = {{"facts", facts}, {"verify", verify}, {0}};
