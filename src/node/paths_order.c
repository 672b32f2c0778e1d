/* An order of the ladder's driver as it comes from outside (paths.h, wgdeck/ladder.h): everything is checked before anything is done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paths.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { KEEPALIVE_MOST = 600 };

static void take_text(const cJSON *object, const char *member, char *to, size_t size)
{
    char *safe = text_safe(json_get_text(object, member, ""));
    snprintf(to, size, "%s", safe);
    free(safe);
}

bool path_endpoint_is_sane(const struct endpoint *endpoint)
{
    const uint8_t *bytes = endpoint->address.bytes;
    static const uint8_t zero[16];
    if (!endpoint->port)
        return false;
    if (endpoint->address.family == AF_INET) /* this network, loopback, multicast and what is reserved (RFC 6890) */
        return bytes[0] != 0 && bytes[0] != 127 && bytes[0] < 224;
    if (endpoint->address.family != AF_INET6 || bytes[0] == 0xff || memcmp(bytes, zero, 10) == 0) /* multicast; unspecified, loopback, mapped */
        return false;
    return bytes[0] != 0xfe || (bytes[1] & 0xc0) != 0x80 || endpoint->scope; /* link-local only where it says of which link */
}

static int take_allowed(const cJSON *object, struct path_order *order, struct err *err)
{
    const cJSON *list = json_get_list(object, "allowed"), *item;
    cJSON_ArrayForEach(item, list) {
        struct prefix *prefix = &order->allowed[order->allowed_count];
        if (order->allowed_count == PATH_ALLOWED_MOST)
            return err_set(err, "path: allowed has more than %d prefixes", PATH_ALLOWED_MOST);
        if (!cJSON_IsString(item) || prefix_parse(item->valuestring, prefix))
            return err_set(err, "path: allowed has something that is no prefix");
        *prefix = prefix_network(prefix);
        order->allowed_count++;
    }
    return order->allowed_count || order->deed == PATH_DEED_TRY ? 0 : err_set(err, "path: allowed is missing");
}

static int take_deed(const cJSON *object, struct path_order *order, struct err *err)
{
    static const char *const deeds[] = {[PATH_DEED_TRY] = "try", [PATH_DEED_CARRY] = "carry", [PATH_DEED_YIELD] = "yield"};
    const char *word = json_get_text(object, "do", "");
    size_t deed = 0;
    while (deed < COUNT_OF(deeds) && strcmp(word, deeds[deed]) != 0)
        deed++;
    order->deed = (enum path_deed)deed;
    return deed < COUNT_OF(deeds) ? 0 : err_set(err, "path: do is none of try, carry, yield");
}

int path_order_read(const cJSON *object, struct path_order *order, struct err *err)
{
    *order = (struct path_order){.keepalive = (uint16_t)json_get_number(object, "keepalive", 1, KEEPALIVE_MOST, 25), .forget = json_get_bool(object, "forget", false)};
    const char *interface = json_get_text(object, "interface", ""), *path = json_get_text(object, "path", "");
    if (!device_name_is_valid(interface))
        return err_set(err, "path: interface is no name of an interface");
    snprintf(order->interface, sizeof order->interface, "%s", interface);
    if (key_parse(json_get_text(object, "key", ""), &order->key) || key_is_zero(&order->key))
        return err_set(err, "path: key is no public key");
    if (key_parse(json_get_text(object, "hub", ""), &order->hub) || key_is_zero(&order->hub))
        return err_set(err, "path: hub is no public key");
    if (!key_compare(&order->key, &order->hub))
        return err_set(err, "path: the way to the hub itself is never changed");
    take_text(object, "name", order->name, sizeof order->name);
    take_text(object, "reason", order->reason, sizeof order->reason);
    if (take_deed(object, order, err) || take_allowed(object, order, err))
        return -1;
    order->way = !strcmp(path, "relay") ? WAY_RELAY : WAY_DIRECT;
    if (order->deed == PATH_DEED_CARRY && strcmp(path, "relay") != 0 && strcmp(path, "direct") != 0)
        return err_set(err, "path: path is neither direct nor relay");
    if (order->deed == PATH_DEED_TRY && (endpoint_parse(json_get_text(object, "endpoint", ""), &order->endpoint) || !path_endpoint_is_sane(&order->endpoint)))
        return err_set(err, "path: endpoint is no place of another machine");
    return 0;
}
