/* Leaving a mesh that this machine has joined (wgdeck/join.h): what the join made goes, and nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "control.h"
#include "join_parts.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"


/* --- which */

static int choose(const char *wanted, char name[static IFNAMSIZ], struct err *err)
{
    size_t count;
    char **names = join_trace_list(&count);
    struct buf all = BUF_EMPTY;
    bool found = false;
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        buf_add_format(&all, "%s%s", i ? ", " : "", names[i]);
        found = found || !wanted || !strcmp(wanted, names[i]);
    }
    if (!count)
        result = wanted ? err_set(err, "%s has not been made by \"wgdeck join\": \"wgdeck down %s\" takes an interface down", wanted, wanted)
                        : err_set(err, "this machine has joined no mesh by \"wgdeck join\"");
    else if (!found)
        result = err_set(err, "%s has not been made by \"wgdeck join\"; these have: %s", wanted, buf_text(&all));
    else if (!wanted && count > 1)
        result = err_set(err, "this machine has joined by several interfaces, say which: %s", buf_text(&all));
    else
        snprintf(name, IFNAMSIZ, "%s", wanted ? wanted : names[0]);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    buf_free(&all);
    return result;
}

static bool is_there(const char *name)
{
    char *file = change_config_path(name), *boot = boot_find(change_root, name);
    bool there = (!*change_root && if_nametoindex(name)) || access(file, F_OK) == 0 || (boot && *boot);
    free(boot);
    free(file);
    return there;
}

/* --- what */

static void describe(const struct join_trace *trace, bool there, struct buf *what)
{
    buf_add_format(what, "%s, by which this machine is %s in mesh %s:\n", trace->interface, trace->name, trace->mesh);
    if (there)
        buf_add_format(what, "  interface %s, /etc/wireguard/%s.conf with its private key, what brings it up at boot\n", trace->interface, trace->interface);
    buf_add_format(what, "  /var/lib/wgdeck/%s, and what \"wgdeck join\" installed for it\n", trace->interface);
}

static void tell_hub(const struct join_trace *trace, bool there, struct buf *said)
{
    struct err err = {""};
    if (!trace->kept) {
        buf_add_format(said, "mesh %s had not kept %s: if the invitation is still open, its operator ends it with: wgdeck invite revoke %s\n", trace->mesh, trace->name, trace->name);
    } else if (there && !control_leave(trace->interface, &err)) {
        buf_add_format(said, "the hub %s has been told, and takes %s out\n", trace->hub, trace->name);
    } else {
        char *safe = text_safe(err.text);
        buf_add_format(said, "the hub %s could not be told%s%s: the operator of mesh %s takes %s out with: wgdeck remove %s (where the mesh file does not have it, first: wgdeck invite record %s)\n",
                       trace->hub, safe && *safe ? ": " : "", safe ? safe : "", trace->mesh, trace->name, trace->name, trace->name);
        free(safe);
    }
}

static int take_away(const struct leave_options *options, const struct join_trace *trace, bool there, struct buf *said, struct err *err)
{
    struct join_talk helper = {0};
    struct buf left = BUF_EMPTY;
    int result = 0;
    if (there) {
        result = join_helper_open(options->helper, options->context, &helper, err);
        if (!result)
            result = join_clean_interface(&helper, trace->interface, trace->mesh, err);
        join_helper_close(&helper);
    }
    if (!result) {
        join_trace_remove(trace, &left);
        buf_add_format(said, "%s is gone: this machine is not in mesh %s any more\n", trace->interface, trace->mesh);
        buf_add(said, buf_text(&left), left.length);
    }
    buf_free(&left);
    return result;
}

static int leave(const struct leave_options *options, const struct join_trace *trace, struct buf *said, struct err *err)
{
    struct buf what = BUF_EMPTY;
    bool there = is_there(trace->interface);
    describe(trace, there, &what);
    bool yes = !options->confirm || options->confirm(options->context, buf_text(&what));
    buf_free(&what);
    if (!yes)
        return 1;
    tell_hub(trace, there, said);
    return take_away(options, trace, there, said, err);
}

int leave_run(const struct leave_options *options, struct buf *said, struct err *err)
{
    struct join_trace trace = {0};
    char name[IFNAMSIZ];
    if (geteuid() != 0 && !*change_root)
        return err_set(err, "leaving needs root: sudo wgdeck leave");
    int alone = join_be_alone(err), result = -1;
    if (alone < 0)
        return -1;
    if (!choose(options->interface, name, err) && !join_end_earlier(options->helper, options->context, name, err) && !join_trace_read(name, &trace, err))
        result = leave(options, &trace, said, err);
    join_trace_free(&trace);
    close(alone);
    return result;
}
