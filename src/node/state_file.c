/* The saved wg-quick file after a change: only lines that must differ are touched, so that comments, hooks and what others wrote stay as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "state_parts.h"
#include "wgdeck/conf.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/wgquick.h"

struct work {
    const char *path;
    struct conf *conf;
    struct state model;          /* what the file says, then what it shall say */
    const struct state *after;
    const struct state_keys *keys;
    struct buf added;            /* new [Peer] sections */
    struct err *err;
};

enum { ITEMS_A_LINE = 64 };

/* --- the model: the file as a state */

static int read_model(struct work *work)
{
    struct wgquick wanted;
    if (wgquick_read(work->conf, device_no_salt, &wanted, NULL, work->err))
        return err_prefix(work->err, "the file is left alone");
    work->model = (struct state){.exists = true, .up = true, .device = wanted.device, .endpoint_hosts = wanted.endpoint_hosts, .addresses = wanted.addresses,
                                 .address_count = wanted.address_count, .mtu = wanted.mtu};
    work->model.secrets = up_secrets_of_file(work->conf);
    if (!work->model.secrets)
        return err_set(work->err, "no memory is left that can be locked for keys (ulimit -l)");
    struct state *read = &work->model, copy; /* its own secrets have room to grow */
    state_copy(&copy, read);
    state_free(read);
    *read = copy;
    return 0;
}

/* A row that runs, but is not in the file yet, begins as it runs. */
static struct device_peer *model_row(struct work *work, const struct key *key)
{
    const struct device_peer *running = device_find_peer(&work->after->device, key);
    struct device_peer *row = state_row(&work->model, key);
    if (row)
        return row;
    row = state_row_make(&work->model, key);
    if (running) {
        row->endpoint = running->endpoint;
        row->keepalive = running->keepalive;
        row->allowed = mem_copy(running->allowed, running->allowed_count, sizeof *running->allowed);
        row->allowed_count = running->allowed_count;
        state_row_set_host(&work->model, key, state_row_host(work->after, key));
        state_set_preshared(&work->model, key, state_preshared(work->after, key));
    }
    return state_row(&work->model, key);
}

static void set_model_allowed(struct device_peer *row, const struct prefix *allowed, size_t count)
{
    struct device one = {.peers = row, .peer_count = 1};
    device_free_allowed(row);
    row->allowed_shared = false;
    row->allowed = mem_copy(allowed, count, sizeof *allowed);
    row->allowed_count = count;
    device_sort(&one);
}

static int set_model_preshared(struct work *work, const struct plan_operation *operation)
{
    const struct key *key = NULL;
    if (operation->preshared == PLAN_PRESHARED_KEEP)
        return 0;
    if (operation->preshared != PLAN_PRESHARED_NONE && work->keys && work->keys->preshared)
        key = up_secrets_preshared(work->keys->preshared, &operation->key);
    if (operation->preshared != PLAN_PRESHARED_NONE && !key)
        key = state_preshared(work->after, &operation->key);
    if (operation->preshared == PLAN_PRESHARED_COPY && !key)
        key = state_preshared(&work->model, &operation->other_key);
    bool must_be = operation->preshared == PLAN_PRESHARED_MAKE || operation->preshared == PLAN_PRESHARED_TAKE;
    if (must_be && !key)
        return err_set(work->err, "%s: the preshared key of %s has not come", work->path, operation->name ? operation->name : "a row");
    state_set_preshared(&work->model, &operation->key, key);
    return 0;
}

static void set_model_endpoint(struct work *work, const struct plan_operation *operation)
{
    struct endpoint endpoint = {0};
    bool is_name = operation->endpoint && endpoint_parse(operation->endpoint, &endpoint);
    model_row(work, &operation->key)->endpoint = endpoint;
    state_row_set_host(&work->model, &operation->key, is_name ? operation->endpoint : NULL);
}

static int do_row(struct work *work, const struct plan_operation *operation)
{
    struct device_peer *row = model_row(work, &operation->key);
    if (operation->set_allowed)
        set_model_allowed(row, operation->allowed, operation->allowed_count);
    if (operation->set_keepalive)
        row->keepalive = operation->keepalive;
    if (operation->set_endpoint)
        set_model_endpoint(work, operation);
    return set_model_preshared(work, operation);
}

/* In the file both rows may have done so already, or the old one be gone. */
static int do_row_move(struct work *work, const struct plan_operation *operation)
{
    struct device_peer *to = model_row(work, &operation->key), *from = state_row(&work->model, &operation->other_key);
    struct device one = {.peers = to, .peer_count = 1};
    if (!from || from == to)
        return 0;
    to->allowed = mem_resize(to->allowed, to->allowed_count + from->allowed_count, sizeof *to->allowed);
    for (size_t i = 0; i < from->allowed_count; i++)
        to->allowed[to->allowed_count++] = from->allowed[i];
    from->allowed_count = 0;
    to->keepalive = from->keepalive ? from->keepalive : to->keepalive;
    from->keepalive = 0;
    device_sort(&one);
    return 0;
}

static void do_address(struct work *work, const struct prefix *address, bool add)
{
    struct state *model = &work->model;
    size_t kept = 0;
    for (size_t i = 0; i < model->address_count; i++)
        if (!state_prefix_same(&model->addresses[i], address))
            model->addresses[kept++] = model->addresses[i];
    if (add) {
        if (kept == model->address_count)
            model->addresses = mem_resize(model->addresses, kept + 1, sizeof *model->addresses);
        model->addresses[kept++] = *address;
    }
    model->address_count = kept;
}

static int do_operation(struct work *work, const struct plan_operation *operation)
{
    switch (operation->kind) {
    case PLAN_LISTEN_PORT:
        work->model.device.listen_port = (uint16_t)operation->number;
        return 0;
    case PLAN_MTU:
        work->model.mtu = operation->number;
        return 0;
    case PLAN_ADDRESS:
    case PLAN_ADDRESS_REMOVE:
        do_address(work, &operation->prefix, operation->kind == PLAN_ADDRESS);
        return 0;
    case PLAN_ROW:
        return do_row(work, operation);
    case PLAN_ROW_MOVE:
        return do_row_move(work, operation);
    case PLAN_ROW_REMOVE:
        state_row_remove(&work->model, &operation->key);
        return 0;
    default:
        return 0;
    }
}

/* --- lists of prefixes over lines */

static void add_item(struct buf *text, const struct prefix *prefix)
{
    char word[PREFIX_TEXT_SIZE];
    prefix_text(prefix, word);
    buf_add_format(text, "%s%s", text->length ? ", " : "", word);
}

/* Without what is not WANTED; SEEN: which of WANTED stand in lines by now. True when something had to go. */
static bool filter_line(const char *value, const struct prefix *wanted, size_t count, bool *seen, struct buf *text)
{
    char *copy = mem_text(value), *rest = NULL;
    bool differs = false;
    buf_clear(text);
    for (char *word = strtok_r(copy, ", \t\r", &rest); word; word = strtok_r(NULL, ", \t\r", &rest)) {
        struct prefix prefix;
        size_t at = 0;
        bool is_prefix = !prefix_parse(word, &prefix);
        while (is_prefix && at < count && !state_prefix_same(&prefix, &wanted[at]))
            at++;
        bool stays = is_prefix && at < count && !seen[at];
        differs = differs || !stays;
        if (stays) {
            seen[at] = true;
            buf_add_format(text, "%s%s", text->length ? ", " : "", word);
        }
    }
    free(copy);
    return differs;
}

static char *line_value(const struct conf *conf, size_t section, const char *key, size_t number)
{
    struct conf_entry entry;
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);)
        if (entry.section_index == section && !strcasecmp(entry.key, key) && number-- == 0)
            return mem_text(entry.value);
    return NULL;
}

/* What is missing goes to the end of the last line that has room, then into lines of its own. */
static int add_missing(struct work *work, size_t section, const char *key, const struct prefix *wanted, size_t count, const bool *seen, size_t lines)
{
    struct buf text = BUF_EMPTY;
    char *last = lines ? line_value(work->conf, section, key, lines - 1) : NULL;
    size_t items = 0;
    int result = 0;
    bool extends = last && *last && strlen(last) < 2048;
    if (extends)
        buf_add_text(&text, last);
    free(last);
    for (size_t i = 0; i <= count && !result; i++) {
        bool full = items && (i == count || items == ITEMS_A_LINE);
        if (full && extends)
            result = conf_set_line(work->conf, section, key, lines - 1, buf_text(&text), work->err);
        else if (full)
            result = conf_add(work->conf, section, key, buf_text(&text), work->err);
        if (full) {
            buf_clear(&text);
            items = 0;
            extends = false;
        }
        if (i < count && !seen[i]) {
            add_item(&text, &wanted[i]);
            items++;
        }
    }
    buf_free(&text);
    return result;
}

/* Host bits in an AllowedIPs line mean nothing: such a line is rewritten only when it is a line to be changed. */
static int set_list(struct work *work, size_t section, const char *key, const struct prefix *wanted, size_t count)
{
    bool *seen = mem_alloc(count, sizeof *seen);
    struct buf text = BUF_EMPTY;
    size_t number = 0;
    int result = 0;
    for (char *value; !result && (value = line_value(work->conf, section, key, number)); free(value)) {
        bool differs = filter_line(value, wanted, count, seen, &text);
        if (differs)
            result = conf_set_line(work->conf, section, key, number, text.length ? buf_text(&text) : NULL, work->err);
        number += !differs || text.length;
    }
    if (!result)
        result = add_missing(work, section, key, wanted, count, seen, number);
    buf_free(&text);
    free(seen);
    return result;
}

/* --- values */

static int set_text(struct work *work, size_t section, const char *key, const char *value)
{
    return conf_set(work->conf, section, key, value, work->err);
}

static int set_number(struct work *work, size_t section, const char *key, unsigned number)
{
    char text[16];
    snprintf(text, sizeof text, "%u", number);
    return set_text(work, section, key, number ? text : NULL);
}

static int set_key(struct work *work, size_t section, const char *name, const struct key *key)
{
    char text[KEY_TEXT_SIZE] = "";
    if (key)
        key_text(key, text);
    int result = set_text(work, section, name, key ? text : NULL);
    explicit_bzero(text, sizeof text);
    return result;
}

/* --- rows */

/* The last section of this key, which is the one that counts; SIZE_MAX: none. */
static size_t find_section(const struct conf *conf, const struct key *key)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < conf_section_count(conf); i++) {
        const char *kind, *text = conf_get(conf, i, "PublicKey", NULL);
        struct key other;
        conf_section(conf, i, &kind, NULL, NULL);
        if (!strcasecmp(kind, "Peer") && text && !key_parse(text, &other) && !key_compare(&other, key))
            found = i;
    }
    return found;
}

static int write_row(struct work *work, size_t section, const struct device_peer *was, const struct device_peer *row, const struct key *was_preshared, const char *was_host)
{
    static const struct device_peer nothing;
    const struct key *preshared = state_preshared(&work->model, &row->public_key);
    const char *host = state_row_host(&work->model, &row->public_key);
    char endpoint[ENDPOINT_TEXT_SIZE];
    int result = 0;
    was = was ? was : &nothing;
    endpoint_text(&row->endpoint, endpoint);
    if (!state_same_key(was_preshared, preshared))
        result = set_key(work, section, "PresharedKey", preshared);
    if (!result && !state_same_allowed(was, row))
        result = set_list(work, section, "AllowedIPs", row->allowed, row->allowed_count);
    bool same_host = host && was_host ? !strcmp(host, was_host) : host == was_host;
    if (!result && (!same_host || !endpoint_equal(&was->endpoint, &row->endpoint)))
        result = set_text(work, section, "Endpoint", host ? host : *endpoint ? endpoint : NULL);
    if (!result && was->keepalive != row->keepalive)
        result = set_number(work, section, "PersistentKeepalive", row->keepalive);
    return result;
}

static bool can_stand_in_comment(const char *name)
{
    return name && *name && strlen(name) < 256 && text_is_safe(name, strlen(name));
}

/* A document of its own, so that what is there already stays as it is. */
static int add_row(struct work *work, const struct device_peer *row, const char *name)
{
    struct work alone = {.path = work->path, .conf = conf_new(work->path), .model = work->model, .err = work->err};
    size_t section = conf_add_section(alone.conf, "Peer", NULL);
    char key[KEY_TEXT_SIZE];
    key_text(&row->public_key, key);
    int result = set_text(&alone, section, "PublicKey", key);
    if (!result)
        result = write_row(&alone, section, NULL, row, NULL, NULL);
    if (!result) {
        buf_add_char(&work->added, '\n');
        if (can_stand_in_comment(name))
            buf_add_format(&work->added, "# %s\n", name);
        conf_write(alone.conf, &work->added);
    }
    conf_free(alone.conf);
    return result;
}

/* As FILE has it now, and as the model has it. */
static int edit_row(struct work *work, const struct state *file, const struct key *key, const char *name)
{
    const struct device_peer *was = device_find_peer(&file->device, key), *row = state_row(&work->model, key);
    size_t section;
    if (!row) {
        while ((section = find_section(work->conf, key)) != SIZE_MAX)
            conf_remove_section(work->conf, section);
        return 0;
    }
    section = was ? find_section(work->conf, key) : SIZE_MAX;
    if (section == SIZE_MAX)
        return add_row(work, row, name);
    return write_row(work, section, was, row, state_preshared(file, key), state_row_host(file, key));
}

struct named_key {
    const struct key *key;
    const char *name;
};

static int compare_named(const void *a, const void *b)
{
    const struct named_key *first = a, *second = b;
    int order = key_compare(first->key, second->key);
    return order ? order : (first->key > second->key) - (first->key < second->key);
}

/* Each row that an operation names, once. */
static int edit_rows(struct work *work, const struct state *file, const struct plan_operation *operations, size_t count)
{
    struct named_key *named = mem_alloc(2 * count, sizeof *named);
    size_t used = 0;
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        const struct plan_operation *operation = &operations[i];
        bool is_row = operation->kind == PLAN_ROW || operation->kind == PLAN_ROW_MOVE || operation->kind == PLAN_ROW_REMOVE;
        if (!operation->saved || !is_row)
            continue;
        named[used++] = (struct named_key){&operation->key, operation->name};
        if (operation->kind == PLAN_ROW_MOVE)
            named[used++] = (struct named_key){&operation->other_key, operation->name};
    }
    if (used > 1)
        qsort(named, used, sizeof *named, compare_named);
    for (size_t i = 0; i < used && !result; i++)
        if (!i || key_compare(named[i - 1].key, named[i].key))
            result = edit_row(work, file, named[i].key, named[i].name);
    free(named);
    return result;
}

/* --- the interface */

static bool has_hook_with(const struct conf *conf, const char *word)
{
    struct conf_entry entry;
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);)
        if (!strcasecmp(entry.section, "Interface") && (!strcasecmp(entry.key, "PostUp") || !strcasecmp(entry.key, "PreUp")) && strstr(entry.value, word))
            return true;
    return false;
}

static const struct plan_operation *find_operation(const struct plan_operation *operations, size_t count, enum plan_kind kind)
{
    for (size_t i = 0; i < count; i++)
        if (operations[i].kind == kind && operations[i].saved)
            return &operations[i];
    return NULL;
}

static int edit_private_key(struct work *work, size_t section, const struct plan_operation *operations, size_t count)
{
    bool is_new = find_operation(operations, count, PLAN_PRIVATE_KEY) && work->keys && !key_is_zero(&work->keys->private_key);
    const struct key *key = is_new ? &work->keys->private_key : state_private(work->after);
    bool by_hook = !state_private(&work->model) && has_hook_with(work->conf, "private-key");
    if (!key || state_same_key(key, state_private(&work->model)) || (by_hook && !is_new))
        return 0;
    if (by_hook)
        return err_set(work->err, "%s: a hook sets the private key; the new one cannot be saved: write PrivateKey in its place, and remove the hook", work->path);
    return set_key(work, section, "PrivateKey", key);
}

/* At boot too; as state_set_forwarding does it, so that the node keeps its own default route. */
static int edit_forwarding(struct work *work, size_t section, const struct plan_operation *operations, size_t count)
{
    static const struct { int family; const char *word, *command; } hooks[] = {
        {AF_INET, "ip_forward", "sysctl -q -w net.ipv4.ip_forward=1"},
        {AF_INET6, "ipv6.conf.all.forwarding",
         "for f in /proc/sys/net/ipv6/conf/*/accept_ra; do grep -qx 1 $f && echo 2 > $f; done; sysctl -q -w net.ipv6.conf.all.forwarding=1"},
    };
    int result = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < COUNT_OF(hooks) && !result; k++)
            if (operations[i].kind == PLAN_FORWARDING && operations[i].saved && operations[i].prefix.address.family == hooks[k].family &&
                !has_hook_with(work->conf, hooks[k].word))
                result = conf_add(work->conf, section, "PostUp", hooks[k].command, work->err);
    return result;
}

static int edit_interface(struct work *work, const struct state *file, const struct plan_operation *operations, size_t count)
{
    size_t section = conf_find(work->conf, "Interface", NULL, 0);
    int result = 0;
    if (section == SIZE_MAX)
        return err_set(work->err, "%s has no [Interface]; it is left alone: write one, or move the file away", work->path);
    if (find_operation(operations, count, PLAN_ADDRESS) || find_operation(operations, count, PLAN_ADDRESS_REMOVE))
        result = set_list(work, section, "Address", work->model.addresses, work->model.address_count);
    if (!result && work->model.device.listen_port != file->device.listen_port)
        result = set_number(work, section, "ListenPort", work->model.device.listen_port);
    if (!result && work->model.mtu != file->mtu)
        result = set_number(work, section, "MTU", work->model.mtu);
    if (!result)
        result = edit_private_key(work, section, operations, count);
    return result ? result : edit_forwarding(work, section, operations, count);
}

/* --- a file from nothing */

static const char *name_of(const struct plan_operation *operations, size_t count, const struct key *key)
{
    for (size_t i = 0; i < count; i++)
        if (operations[i].name && operations[i].kind == PLAN_ROW && !key_compare(&operations[i].key, key))
            return operations[i].name;
    return NULL;
}

static bool has_default(const struct state *state)
{
    for (size_t i = 0; i < state->device.peer_count; i++)
        for (size_t k = 0; k < state->device.peers[i].allowed_count; k++)
            if (!state->device.peers[i].allowed[k].length)
                return true;
    return false;
}

static bool routes_default(const struct state *state)
{
    for (size_t i = 0; i < state->route_count; i++)
        if (!state->routes[i].to.length)
            return true;
    return false;
}

/* Where a row allows everything, but nothing is routed so: the file must not turn the node's whole traffic around at the next boot. */
static int keep_routes(struct work *work, size_t section)
{
    const struct state *after = work->after;
    int result = 0;
    if (!has_default(after) || routes_default(after))
        return 0;
    result = set_text(work, section, "Table", "off");
    for (size_t i = 0; i < after->route_count && !result; i++) {
        char to[PREFIX_TEXT_SIZE];
        prefix_text(&after->routes[i].to, to);
        char *command = mem_format("ip %s route replace %s dev %%i table %u metric %u", after->routes[i].to.address.family == AF_INET6 ? "-6" : "-4", to,
                                   after->routes[i].table, after->routes[i].metric);
        result = conf_add(work->conf, section, "PostUp", command, work->err);
        free(command);
    }
    return result;
}

static int new_interface(struct work *work, const struct plan_operation *operations, size_t count)
{
    size_t section = conf_add_section(work->conf, "Interface", NULL);
    const struct state *model = &work->model;
    bool is_made = false;
    for (size_t i = 0; i < count; i++)
        is_made = is_made || (operations[i].kind == PLAN_INTERFACE && operations[i].running);
    int result = set_list(work, section, "Address", model->addresses, model->address_count);
    if (!result)
        result = set_number(work, section, "ListenPort", model->device.listen_port);
    if (!result && (!is_made || find_operation(operations, count, PLAN_MTU)))
        result = set_number(work, section, "MTU", model->mtu);
    if (!result && !(has_default(model) && routes_default(work->after)))
        result = set_number(work, section, "FwMark", model->device.fwmark);
    if (!result)
        result = keep_routes(work, section);
    state_set_private(&work->model, NULL); /* none stands there yet */
    if (!result)
        result = edit_private_key(work, section, operations, count);
    return result ? result : edit_forwarding(work, section, operations, count);
}

static int make_all(struct work *work, const struct plan_operation *operations, size_t count)
{
    int result = new_interface(work, operations, count);
    for (size_t i = 0; i < work->model.device.peer_count && !result; i++) {
        const struct device_peer *row = &work->model.device.peers[i];
        result = add_row(work, row, name_of(operations, count, &row->public_key));
    }
    return result;
}

/* AFTER has all that runs; what is only of the file is added: an endpoint is saved as it was asked for, not as it roams. */
static int begin_model(struct work *work, const struct plan_operation *operations, size_t count)
{
    int result = 0;
    state_copy(&work->model, work->after);
    for (size_t i = 0; i < count && !result; i++) {
        const struct plan_operation *operation = &operations[i];
        bool is_there = operation->kind == PLAN_ROW && state_row(&work->model, &operation->key);
        if (operation->saved && !operation->running)
            result = do_operation(work, operation);
        else if (operation->saved && is_there && operation->set_endpoint)
            set_model_endpoint(work, operation);
    }
    return result;
}

/* --- both */

/* What moves while it grows leaves keys behind. */
static void reserve_added(struct work *work)
{
    size_t size = 1024;
    for (size_t i = 0; i < work->model.device.peer_count; i++)
        size += 1024 + work->model.device.peers[i].allowed_count * (PREFIX_TEXT_SIZE + 4);
    buf_reserve(&work->added, size);
}

static void put_together(struct work *work, bool is_new, struct buf *text)
{
    size_t size = 8192 + work->added.length;
    struct conf_entry entry;
    for (size_t cursor = 0; conf_next(work->conf, &cursor, &entry);)
        size += strlen(entry.value) + 4096;
    buf_reserve(text, size); /* what moves leaves keys behind */
    if (is_new)
        buf_add_text(text, "# Kept by wgdeck: it changes only the lines that must differ. Comments, hooks and other lines stay.\n");
    conf_write(work->conf, text);
    if (work->added.length && text->length && text->data[text->length - 1] != '\n')
        buf_add_char(text, '\n');
    buf_add(text, work->added.data, work->added.length);
}

/* What was written must be read as it was meant, or nothing is written. */
static int check_result(const char *path, const struct buf *text, struct err *err)
{
    struct wgquick wanted;
    struct conf *conf = conf_parse(path, buf_text(text), text->length, err);
    int result = conf ? wgquick_read(conf, device_no_salt, &wanted, NULL, err) : -1;
    if (!result)
        wgquick_free(&wanted);
    if (conf)
        conf_free(conf);
    return result ? err_prefix(err, "the new file would not be readable") : 0;
}

static int edit_all(struct work *work, const struct plan_operation *operations, size_t count)
{
    struct state file;
    int result = 0;
    state_copy(&file, &work->model);
    for (size_t i = 0; i < count && !result; i++)
        if (operations[i].saved)
            result = do_operation(work, &operations[i]);
    reserve_added(work);
    if (!result)
        result = edit_interface(work, &file, operations, count);
    if (!result)
        result = edit_rows(work, &file, operations, count);
    state_free(&file);
    return result;
}

int state_file(const char *path, const char *old, size_t old_length, const struct state *after, const struct plan_operation *operations, size_t count, const struct state_keys *keys, struct buf *text,
               struct err *err)
{
    struct work work = {.path = path, .after = after, .keys = keys, .err = err};
    int result = 0;
    work.conf = old ? conf_parse(path, old, old_length, err) : conf_new(path);
    if (!work.conf)
        return err_prefix(err, "the file is left alone");
    if (old) {
        result = read_model(&work);
        if (!result)
            result = edit_all(&work, operations, count);
    } else {
        result = begin_model(&work, operations, count);
        reserve_added(&work);
        if (!result)
            result = make_all(&work, operations, count);
    }
    if (!result) {
        put_together(&work, !old, text);
        result = check_result(path, text, err);
    }
    state_free(&work.model);
    buf_wipe(&work.added);
    conf_free(work.conf);
    return result;
}
