/* Datagrams between a hub and its joined nodes: sockets bound to the tunnel, and what a hello says, read with the distrust that all input gets. */
#include "control_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paths.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

socklen_t control_place(const struct address *address, uint16_t port, struct sockaddr_storage *place)
{
    memset(place, 0, sizeof *place);
    if (address->family == AF_INET6) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&six.sin6_addr, address->bytes, 16);
        memcpy(place, &six, sizeof six);
        return sizeof six;
    }
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&four.sin_addr, address->bytes, 4);
    memcpy(place, &four, sizeof four);
    return sizeof four;
}

struct address control_address(const struct sockaddr_storage *place)
{
    struct address address = {.family = (uint8_t)place->ss_family};
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    memcpy(&four, place, sizeof four);
    memcpy(&six, place, sizeof six);
    if (place->ss_family == AF_INET)
        memcpy(address.bytes, &four.sin_addr, 4);
    else
        memcpy(address.bytes, &six.sin6_addr, 16);
    return address;
}

int control_socket(const char *interface, int family, struct err *err)
{
    int one = 1, descriptor = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return err_set(err, "%s: no socket: %s", interface, strerror(errno));
    if ((family == AF_INET6 && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one)) || setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface) + 1)) {
        err_set(err, "%s: its socket cannot be bound to it: %s", interface, strerror(errno));
        close(descriptor);
        return -1;
    }
    return descriptor;
}

uint16_t control_port_of(const struct sockaddr_storage *place)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    memcpy(&four, place, sizeof four);
    memcpy(&six, place, sizeof six);
    return ntohs(place->ss_family == AF_INET ? four.sin_port : six.sin6_port);
}

int control_bind_reserved(int descriptor, int family, struct err *err)
{
    struct address any = {.family = (uint8_t)family};
    struct sockaddr_storage place;
    for (uint16_t port = IPPORT_RESERVED - 1; port > IPPORT_RESERVED / 2; port--) {
        socklen_t size = control_place(&any, port, &place);
        if (port != CONTROL_PORT && !bind(descriptor, (struct sockaddr *)&place, size))
            return 0;
    }
    return err_set(err, "no UDP port below %d is free: %s", IPPORT_RESERVED, strerror(errno));
}

cJSON *control_receive(int descriptor, struct sockaddr_storage *from, bool *more)
{
    char bytes[CONTROL_BYTES + 1];
    socklen_t size = sizeof *from;
    struct err err;
    ssize_t length = recvfrom(descriptor, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)from, &size);
    *more = length >= 0 || errno == EINTR || errno == ECONNREFUSED; /* the last: what an earlier one met */
    if (length <= 0 || length > CONTROL_BYTES)
        return NULL;
    cJSON *object = json_parse(bytes, (size_t)length, &err);
    if (object && !cJSON_IsObject(object)) {
        cJSON_Delete(object);
        object = NULL;
    }
    return object;
}

static void read_row(const cJSON *item, struct control_hello *hello)
{
    struct control_row *row = &hello->rows[hello->row_count];
    const char *endpoint = json_get_text(item, "endpoint", ""), *way = json_get_text(item, "path", "");
    *row = (struct control_row){.age = json_get_number(item, "age", 0, INT64_C(1) << 50, -1), .rx = json_get_unsigned(item, "rx", 0)};
    if (key_parse(json_get_text(item, "key", ""), &row->key))
        return;
    if (endpoint_parse(endpoint, &row->endpoint))
        row->endpoint = (struct endpoint){0};
    for (unsigned i = 0; i <= WAY_HUB; i++)
        if (!strcmp(way, path_words[i]))
            row->way = i + 1;
    hello->row_count++;
}

void control_read_hello(const cJSON *object, struct control_hello *hello)
{
    const cJSON *item;
    char *name = text_safe(json_get_text(object, "name", ""));
    *hello = (struct control_hello){0};
    snprintf(hello->name, sizeof hello->name, "%s", name);
    free(name);
    cJSON_ArrayForEach(item, json_get_list(object, "rows"))
        if (hello->row_count < CONTROL_ROWS)
            read_row(item, hello);
    cJSON_ArrayForEach(item, json_get_list(object, "candidates"))
        if (hello->candidate_count < CONTROL_CANDIDATES && cJSON_IsString(item) && !endpoint_parse(item->valuestring, &hello->candidates[hello->candidate_count]) &&
            path_endpoint_is_sane(&hello->candidates[hello->candidate_count]))
            hello->candidate_count++;
}
