/* "wgdeck up" and "down": the steps of a plan, done one by one, and undone in reverse when one fails. */
#include <errno.h>
#include <netlink/socket.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "paths.h"
#include "up.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

#define VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

static const char no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000"; /* nothing is compared with other nodes */

struct work {
    const struct up_options *options;
    struct up_file *file;        /* NULL: down, and there is none */
    const char *name;
    struct up_secrets *secrets;
    struct nl_sock *socket;
    enum engine_kind engine;
    bool adopted;                /* an engine that waited to be configured: undoing leaves it so */
    struct device running;       /* of down */
    struct err *err;
};

/* --- what is there */

/* 0; 1: there is none; -1 with err; -2: its engine is dead. */
static int read_running(const char *name, struct device *device, struct err *err)
{
    const struct device_source *source = device_source_find(name);
    return source ? source->read(name, no_salt, device, err) : 1;
}

/* --- the link and its engine */

static int exists_already(struct work *work)
{
    return err_set(work->err, "%s exists already (wgdeck down %s takes it away)", work->name, work->name);
}

/* An engine with neither key nor rows, started by a service for instance, is there to be used. */
static int adopt_engine(struct work *work)
{
    struct device device = {0};
    if (!device_source_lists(&device_source_uapi, work->name) || device_source_uapi.read(work->name, no_salt, &device, NULL))
        return exists_already(work);
    bool waits = !device.has_private && !device.peer_count;
    work->engine = device.engine;
    device_free(&device);
    if (!waits)
        return exists_already(work);
    work->adopted = true;
    return 0;
}

static int start_engine(struct work *work)
{
    struct device device = {0};
    if (if_nametoindex(work->name))
        return adopt_engine(work);
    if (up_engine_start(work->name, work->err))
        return -1;
    if (device_source_uapi.read(work->name, no_salt, &device, work->err))
        return -1;
    work->engine = device.engine;
    device_free(&device);
    return 0;
}

static int make_link(struct work *work)
{
    if (work->options->engine == UP_ENGINE_EMBEDDED)
        return start_engine(work);
    int code = up_link_make(work->socket, work->name);
    work->engine = ENGINE_KERNEL;
    if (!code)
        return 0;
    if (code == -EPERM)
        return err_set(work->err, "%s cannot be made: permission denied (log in as root)", work->name);
    if (work->options->engine == UP_ENGINE_ANY && (code == -EEXIST || code == -EOPNOTSUPP))
        return start_engine(work);
    if (code == -EEXIST)
        return exists_already(work);
    if (code == -EOPNOTSUPP)
        return err_set(work->err, "%s cannot be made: this kernel has no WireGuard (without --engine kernel this program's own is used)", work->name);
    return err_set(work->err, "%s cannot be made: %s", work->name, strerror(-code));
}

static int delete_link(struct work *work)
{
    int result = if_nametoindex(work->name) ? up_link_delete(work->socket, work->name, work->err) : 0;
    if (work->engine != ENGINE_KERNEL && !result)
        up_engine_wait_for_end(work->name);
    return result;
}

/* An adopted engine as it was: no key, no rows, down. */
static void release_engine(struct work *work)
{
    struct device empty = {0};
    struct up_secrets none = {0};
    up_link_stop(work->socket, work->name, NULL);
    up_configure(work->engine, work->name, &empty, &none, NULL);
}

/* --- the steps */

static int configure(struct work *work)
{
    if (up_resolve(&work->file->wanted, work->err))
        return -1;
    return up_configure(work->engine, work->name, &work->file->wanted.device, work->secrets, work->err);
}

static int add_firewall(struct work *work, const struct up_step *step)
{
    const struct wgquick *wanted = &work->file->wanted;
    int result = up_firewall(work->name, step->family, step->table, wanted->addresses, wanted->address_count, work->err);
    if (result == 1)
        log_notice("%s: nft is not installed: packets to the tunnel's addresses that come in elsewhere are not dropped", work->name);
    return result;
}

/* 1: it was so already, and is not to be undone. */
static int set_valid_mark(struct work *work)
{
    struct buf text = BUF_EMPTY;
    bool is_set = !file_read(VALID_MARK, 64, &text, NULL) && text.length && text.data[0] == '1';
    buf_free(&text);
    if (is_set)
        return 1;
    FILE *stream = fopen(VALID_MARK, "we");
    bool done = stream && fputs("1\n", stream) >= 0;
    done = stream && !fclose(stream) && done;
    if (!done)
        log_notice("%s: src_valid_mark cannot be set here: where rp_filter is strict (1), answers through the tunnel are dropped", work->name);
    return done ? 0 : 1;
}

/* Rules into a table without routes were left behind by an engine that died. */
static int add_mark_rule(struct work *work, const struct up_step *step)
{
    if (!up_table_is_used(work->socket, step->family, step->table) && up_unrule(work->socket, step->family, step->table, work->err))
        return -1;
    return up_rule_mark(work->socket, step->family, step->table, true, work->err);
}

/* 0; 1: done, and there is nothing to undo; -1 with err. */
static int do_step(struct work *work, const struct up_step *step)
{
    struct err *err = work->err;
    switch (step->kind) {
    case STEP_HOOK:
        return up_hook_run(step->text, err);
    case STEP_LINK:
        return make_link(work);
    case STEP_CONFIGURE:
        return configure(work);
    case STEP_ADDRESS:
        return up_address(work->socket, work->name, &step->prefix, true, err);
    case STEP_START:
        return up_link_start(work->socket, work->name, step->mtu ? step->mtu : up_fitting_mtu(work->socket, &work->file->wanted.device), err);
    case STEP_DNS:
        log_notice("%s: DNS = %s is left alone: this machine's resolver stays as it is", work->name, step->text);
        return 0;
    case STEP_MARK:
        return up_set_mark(work->engine, work->name, step->table, err);
    case STEP_RULE_MARK:
        return add_mark_rule(work, step);
    case STEP_RULE_MAIN:
        return up_rule_main(work->socket, step->family, true, err);
    case STEP_ROUTE:
        return up_route(work->socket, work->name, &step->prefix, step->table, 0, true, err);
    case STEP_FIREWALL:
        return add_firewall(work, step);
    case STEP_VALID_MARK:
        return set_valid_mark(work);
    case STEP_SAVE:
        return up_save(work->file, &work->running, work->socket, err);
    case STEP_UNRULE:
        return up_unrule(work->socket, step->family, step->table, err);
    case STEP_UNLINK:
        return delete_link(work);
    case STEP_UNFIREWALL:
        up_firewall_remove(work->name);
        return 0;
    }
    return 0;
}

static void undo_valid_mark(void)
{
    FILE *stream = fopen(VALID_MARK, "we");
    if (!stream)
        return;
    fputs("0\n", stream);
    fclose(stream);
}

/* Errors here are not the ones to tell of. What hangs on a link goes with it, but an adopted one stays. */
static void undo_step(struct work *work, const struct up_step *step)
{
    work->err = NULL;
    switch (step->kind) {
    case STEP_LINK:
        if (work->adopted)
            release_engine(work);
        else
            delete_link(work);
        break;
    case STEP_ADDRESS:
        up_address(work->socket, work->name, &step->prefix, false, NULL);
        break;
    case STEP_ROUTE:
        up_route(work->socket, work->name, &step->prefix, step->table, 0, false, NULL);
        break;
    case STEP_RULE_MARK:
        up_rule_mark(work->socket, step->family, step->table, false, NULL);
        break;
    case STEP_RULE_MAIN:
        up_rule_main(work->socket, step->family, false, NULL);
        break;
    case STEP_FIREWALL:
        up_firewall_remove(work->name);
        break;
    case STEP_VALID_MARK:
        undo_valid_mark();
        break;
    default:
        break;
    }
}

static bool can_be_undone(enum up_step_kind kind)
{
    return kind == STEP_LINK || kind == STEP_ADDRESS || kind == STEP_ROUTE || kind == STEP_RULE_MARK || kind == STEP_RULE_MAIN ||
           kind == STEP_FIREWALL || kind == STEP_VALID_MARK;
}

static void say_step(const struct work *work, const struct up_step *step, const char *before)
{
    struct buf text = BUF_EMPTY;
    up_step_text(step, work->name, &text);
    log_verbose("%s%s", before, buf_text(&text));
    buf_free(&text);
}

static void prefix_with_step(const struct work *work, const struct up_step *step)
{
    struct buf text = BUF_EMPTY;
    if (step->kind != STEP_HOOK)
        return; /* the others name what they were at */
    up_step_text(step, work->name, &text);
    err_prefix(work->err, "%s", buf_text(&text));
    buf_free(&text);
}

/* All or nothing. */
static int do_all(struct work *work, const struct up_plan *plan)
{
    bool *to_undo = mem_alloc(plan->count + 1, sizeof *to_undo);
    int result = 0;
    size_t at = 0;
    up_signals(true);
    for (; at < plan->count && !result; at++) {
        const struct up_step *step = &plan->steps[at];
        say_step(work, step, "");
        int done = do_step(work, step);
        to_undo[at] = !done;
        if (done < 0) {
            prefix_with_step(work, step);
            result = -1;
        } else if (up_interrupted()) {
            result = err_set(work->err, "%s: interrupted", work->name);
        }
    }
    struct err *err = work->err;
    while (result && at-- > 0)
        if (to_undo[at] && can_be_undone(plan->steps[at].kind)) {
            say_step(work, &plan->steps[at], "undo ");
            undo_step(work, &plan->steps[at]);
        }
    work->err = err;
    up_signals(false);
    free(to_undo);
    return result;
}

static void say_plan(const struct up_plan *plan, const char *name, struct buf *said)
{
    for (size_t i = 0; i < plan->count; i++) {
        up_step_text(&plan->steps[i], name, said);
        buf_add_char(said, '\n');
    }
}

static uint32_t find_free_table(struct nl_sock *socket)
{
    uint32_t table = TABLE_FIRST;
    while (table < TABLE_FIRST + 1000 && (up_table_is_used(socket, AF_INET, table) || up_table_is_used(socket, AF_INET6, table)))
        table++;
    return table;
}

static void say_up(const struct work *work, const struct up_plan *plan, struct buf *said)
{
    size_t routes = 0;
    for (size_t i = 0; i < plan->count; i++)
        routes += plan->steps[i].kind == STEP_ROUTE;
    buf_add_format(said, "%s is up (%s; addresses: %zu, peers: %zu, routes: %zu)\n", work->name, engine_kind_text(work->engine),
                   work->file->wanted.address_count, work->file->wanted.device.peer_count, routes);
}

/* On a node that has joined by an invitation: the talk with its hub (control.h). The interface is up in any case. */
static void watch_if_joined(const char *name)
{
    char *path = change_path(name, "joined");
    struct err err;
    if (!access(path, F_OK) && path_watch_start(name, &err))
        log_notice("%s", err.text);
    free(path);
}

int up_run(const struct up_options *options, struct buf *said, struct err *err)
{
    struct up_file file;
    struct up_plan plan;
    if (up_file_read(options->target, &file, err))
        return -1;
    struct work work = {.options = options, .file = &file, .name = file.name, .err = err, .socket = up_netlink_open(err)};
    int result = work.socket ? 0 : -1;
    if (!result) {
        up_plan_up(&file, find_free_table(work.socket), &plan);
        work.secrets = up_secrets_of_file(file.conf);
        if (options->dry_run)
            say_plan(&plan, file.name, said);
        else if (!work.secrets)
            result = err_set(err, "no memory is left that can be locked for keys (ulimit -l)");
        else if ((result = do_all(&work, &plan)) == 0) {
            say_up(&work, &plan, said);
            watch_if_joined(file.name);
        }
        up_secrets_free(work.secrets);
        up_plan_free(&plan);
        nl_socket_free(work.socket);
    }
    up_file_free(&file);
    return result;
}

/* --- down */

/* PreDown hooks and saving may say no; behind them all is tried, and the first error told. */
static int do_each(struct work *work, const struct up_plan *plan)
{
    struct err *first = work->err, other;
    int result = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct up_step *step = &plan->steps[i];
        say_step(work, step, "");
        int done = do_step(work, step);
        if (done >= 0)
            continue;
        prefix_with_step(work, step);
        if ((step->kind == STEP_HOOK && step->hook == HOOK_PRE_DOWN) || step->kind == STEP_SAVE) {
            work->err = first;
            return err_prefix(first, "%s stays up", work->name);
        }
        if (result)
            log_error("%s", work->err->text);
        result = -1;
        work->err = &other;
    }
    work->err = first;
    return result;
}

/* The mark was the engine's, and is gone with it, unless the file gives it. */
static uint32_t find_mark(const struct work *work)
{
    uint32_t mark = work->running.fwmark;
    if (!mark)
        mark = up_mark_left_over(work->socket, AF_INET);
    return mark ? mark : up_mark_left_over(work->socket, AF_INET6);
}

/* Where its engine is dead the file says what was set up. */
static int find_running(struct work *work, bool *dead)
{
    int result = read_running(work->name, &work->running, work->err);
    *dead = result == -2;
    if (result == 1)
        return err_set(work->err, "%s is not up: no WireGuard interface of this name is here", work->name);
    if (*dead) {
        log_notice("%s: its engine is dead; what is left of it is taken away", work->name);
        if (work->file) {
            device_copy(&work->running, &work->file->wanted.device);
            work->running.fwmark = find_mark(work);
            work->file->wanted.save_config = false;
        }
        work->running.engine = ENGINE_USERSPACE;
        return 0;
    }
    return result ? -1 : 0;
}

static void remove_dead_socket(const char *name)
{
    char *path = mem_format("/var/run/wireguard/%s.sock", name);
    unlink(path);
    free(path);
}

static int take_down(struct work *work, struct buf *said)
{
    struct up_plan plan;
    bool dead;
    int result = find_running(work, &dead);
    if (result)
        return result;
    work->engine = work->running.engine;
    up_plan_down(work->file, &work->running, &plan);
    if (work->options->dry_run) {
        say_plan(&plan, work->name, said);
    } else {
        if (dead)
            remove_dead_socket(work->name);
        result = do_each(work, &plan);
        if (!result)
            buf_add_format(said, "%s is down\n", work->name);
    }
    up_plan_free(&plan);
    device_free(&work->running);
    return result;
}

int down_run(const struct up_options *options, struct buf *said, struct err *err)
{
    struct up_file file = {0};
    char *path, *name;
    if (up_file_find(options->target, &path, &name, err))
        return -1;
    bool has_file = access(path, F_OK) == 0;
    int result = has_file ? up_file_read(options->target, &file, err) : 0;
    if (!has_file)
        log_notice("%s is not there: only the interface is taken away", path);
    struct work work = {.options = options, .file = has_file ? &file : NULL, .name = name, .err = err};
    if (!result)
        result = (work.socket = up_netlink_open(err)) ? take_down(&work, said) : -1;
    if (work.socket)
        nl_socket_free(work.socket);
    if (has_file)
        up_file_free(&file);
    free(path);
    free(name);
    return result;
}
