/* What the helper's operations see of the server that runs them: answers and events. One table of operations per subject; serve.c holds the list of tables. Private to src/node. */
#ifndef WGDECK_NODE_SERVE_H
#define WGDECK_NODE_SERVE_H

#include <cjson/cJSON.h>
#include <ev.h>

#include "wgdeck/json.h"

struct server;

struct server_operation {
    const char *name; /* NULL in the row that ends a table */
    void (*run)(struct server *server, const cJSON *request);
};
extern const struct server_operation serve_change_operations[]; /* change.c */
extern const struct server_operation serve_link_operations[];   /* serve_links.c: facts, verify */
extern const struct server_operation serve_path_operations[];   /* serve_paths.c: path, path-look */
extern const struct server_operation serve_invite_operations[]; /* invite.c */

struct ev_loop *server_loop(const struct server *server);
uint64_t server_request(const cJSON *request); /* its id */

/* {"id":N,"ok":true and {"id":N,"event":"…": members may follow, then server_send, which closes the object. */
struct json server_answer(struct server *server, uint64_t id);
struct json server_event(struct server *server, uint64_t id, const char *event);
void server_send(struct server *server, struct json *json);
/* {"id":N,"ok":false,"error":…}, with "code" and, INDEX not SIZE_MAX, the index of the operation that failed. */
void server_refuse(struct server *server, uint64_t id, const char *code, const char *text, size_t index);

/* What subjects keep between two requests. */
struct change_session **server_change(struct server *server);
struct serve_links **server_links(struct server *server);
void change_session_end(struct change_session *session); /* the channel is gone; NULL is fine. A guard stays */
void serve_links_end(struct serve_links *links);

#endif
