/* The helper's operations for the ladder: path and path-look (wgdeck/ladder.h). What they do is in paths.c. */
#include "serve.h"

#include <stdlib.h>

#include "paths.h"
#include "wgdeck/mem.h"

static void serve_path(struct server *server, const cJSON *request)
{
    struct path_order order;
    struct err err;
    const char *code = "refused";
    if (path_order_read(request, &order, &err) || path_do(&order, &code, &err)) {
        server_refuse(server, server_request(request), code, err.text, SIZE_MAX);
        return;
    }
    struct json json = server_answer(server, server_request(request));
    server_send(server, &json);
}

static int read_keys(const cJSON *request, struct key **keys, size_t *count, struct err *err)
{
    const cJSON *list = json_get_list(request, "keys"), *item;
    int size = list ? cJSON_GetArraySize(list) : 0;
    *keys = list ? mem_alloc((size_t)size + 1, sizeof **keys) : NULL;
    *count = 0;
    if (size > PATH_KEYS_MOST)
        return err_set(err, "path-look: more than %d keys", PATH_KEYS_MOST);
    cJSON_ArrayForEach(item, list)
        if (!cJSON_IsString(item) || key_parse(item->valuestring, &(*keys)[(*count)++]))
            return err_set(err, "path-look: keys has something that is no key");
    return 0;
}

static void serve_path_look(struct server *server, const cJSON *request)
{
    const char *interface = json_get_text(request, "interface", "");
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    struct key *keys = NULL;
    struct err err;
    size_t count = 0;
    int result = device_name_is_valid(interface) ? read_keys(request, &keys, &count, &err) : err_set(&err, "path-look: interface is no name of an interface");
    if (!result)
        result = path_look(interface, keys, count, &json, &err);
    if (result) {
        server_refuse(server, server_request(request), "failed", err.text, SIZE_MAX);
    } else {
        struct json answer = server_answer(server, server_request(request));
        buf_add_char(answer.buf, ',');
        buf_add(answer.buf, members.data, members.length);
        server_send(server, &answer);
    }
    free(keys);
    buf_free(&members);
}

const struct server_operation serve_path_operations[] = {
    {"path", serve_path},
    {"path-look", serve_path_look},
    {0},
};
