/* The token: what the hub has answered, and by which ways a new machine may reach its sshd. An address inside the mesh is none: who is not in it yet cannot go there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "invite_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { SSH_PORT = 22 };

int invite_read_address(const char *text, char *host, size_t capacity, uint16_t *port)
{
    const char *colon = strrchr(text, ':'), *end = text + strlen(text), *begin = text;
    unsigned long long number = 0;
    struct address address;
    *port = 0;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return -1;
        colon = end[1] ? end + 1 : NULL;
    } else if (address_parse(text, &address) && colon) {
        end = colon;
    } else {
        colon = NULL;
    }
    if (colon && (text_to_number(colon + 1, UINT16_MAX, &number) || !number))
        return -1;
    *port = (uint16_t)number;
    if ((size_t)(end - begin) >= capacity)
        return -1;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    return invitation_is_host(host) ? 0 : -1;
}

static bool is_of_mesh(const struct mesh *mesh, const struct address *address)
{
    for (size_t i = 0; i < mesh->network_count; i++)
        if (prefix_contains(&mesh->networks[i], address))
            return true;
    return false;
}

static bool is_loopback(const struct address *address)
{
    static const struct address six = {.family = AF_INET6, .bytes = {[15] = 1}};
    return address->family == AF_INET ? address->bytes[0] == 127 : !address_compare(address, &six);
}

static void add_place(const struct mesh *mesh, struct invitation *invitation, const char *host, uint16_t port)
{
    struct address address;
    if (!host || !invitation_is_host(host) || !port || invitation->place_count == INVITATION_PLACES)
        return;
    if (!address_parse(host, &address) && (is_of_mesh(mesh, &address) || is_loopback(&address)))
        return;
    for (size_t i = 0; i < invitation->place_count; i++)
        if (!strcmp(invitation->places[i].host, host) && invitation->places[i].port == port)
            return;
    snprintf(invitation->places[invitation->place_count].host, sizeof invitation->places[0].host, "%s", host);
    invitation->places[invitation->place_count++].port = port;
}

/* "root@hub:2222", as ssh -G resolved it. */
static uint16_t port_of_target(const char *target)
{
    const char *colon = target ? strrchr(target, ':') : NULL;
    unsigned long long port;
    return colon && !text_to_number(colon + 1, UINT16_MAX, &port) && port ? (uint16_t)port : SSH_PORT;
}

/* The likeliest first: what the operator gave, where the mesh has it, where this machine has reached it. */
static void list_places(const struct invite *invite, uint16_t port, struct invitation *invitation)
{
    size_t hub = invite->asked[0].node;
    const struct fanout_session *session = look_session(invite->look, hub);
    char host[256];
    uint16_t given;
    invitation->place_count = 0;
    if (invite->options.address && !invite_read_address(invite->options.address, host, sizeof host, &given))
        add_place(invite->mesh, invitation, host, given ? given : port);
    add_place(invite->mesh, invitation, invite->mesh->nodes[hub].endpoint_host, port);
    if (session) {
        const char *dialled = fanout_session_address(session);
        add_place(invite->mesh, invitation, dialled ? dialled : look_observed(invite->look)->nodes[hub].dialled, port_of_target(fanout_session_target(session)));
    }
}

bool invite_has_place(const struct invite *invite)
{
    struct invitation *invitation = mem_alloc(1, sizeof *invitation);
    list_places(invite, SSH_PORT, invitation);
    bool any = invitation->place_count > 0;
    free(invitation);
    return any;
}

/* Of TYPE, or any. One is enough: what the token says is what is asked for there. */
static bool take_host_key(const cJSON *list, const char *type, struct invitation *invitation)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        const char *text = cJSON_IsString(item) ? item->valuestring : "";
        if (strlen(text) >= sizeof invitation->host_keys[0] || strncmp(text, type, strlen(type)) || !text_is_safe(text, strlen(text)))
            continue;
        memcpy(invitation->host_keys[0], text, strlen(text) + 1);
        invitation->host_key_count = 1;
        return true;
    }
    return false;
}

static void take_host_keys(const cJSON *list, struct invitation *invitation)
{
    static const char *const types[] = {"ssh-ed25519 ", "ecdsa-sha2-", "ssh-rsa ", ""}; /* the short ones first: the token is for copying, and for a QR code */
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (take_host_key(list, types[i], invitation))
            return;
}

int invite_make_token(struct invite *invite, const cJSON *answer, struct err *err)
{
    struct invitation *invitation = &invite->invitation, *again = mem_alloc(1, sizeof *again);
    const char *hub = invite_hub_name(invite);
    const cJSON *item;
    snprintf(invitation->user, sizeof invitation->user, "%s", json_get_text(answer, "user", "root"));
    list_places(invite, (uint16_t)json_get_number(answer, "port", 1, UINT16_MAX, SSH_PORT), invitation);
    take_host_keys(json_get_list(answer, "host_keys"), invitation);
    cJSON_ArrayForEach(item, json_get_list(answer, "warnings")) {
        char *text = cJSON_IsString(item) ? text_safe(item->valuestring) : NULL;
        if (text)
            invite_warn(invite, "%s: %s", hub, text);
        free(text);
    }
    if (!invitation->host_key_count) {
        free(again);
        return err_set(err, "%s did not say a host key of its sshd, by which the new machine would know it", hub);
    }
    invitation_encode(invitation, &invite->token);
    int result = invitation_decode(buf_text(&invite->token), invite->token.length, again, err); /* what cannot be read there is not given out */
    if (result)
        err_prefix(err, "%s: its answer makes no token", hub);
    invitation_wipe(again);
    free(again);
    return result;
}
