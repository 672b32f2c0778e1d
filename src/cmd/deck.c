/* The deck on a mesh or a recording: what wgdeck tui and wgdeck replay share. */
#include "deck.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../deck/incident.h"
#include "wgdeck/live.h"
#include "wgdeck/log.h"

void deck_read_options(const struct options *options, struct tui_options *wanted)
{
    const char *no_colour = getenv("NO_COLOR");
    *wanted = (struct tui_options){
        .theme = options_value(options, "theme"),
        .screen = options_value(options, "screen"),
        .ssh_config = options->globals.ssh_config,
        .ascii = options->globals.ascii,
        .no_mouse = options_given(options, "no-mouse"),
        .privacy = options_given(options, "privacy"),
        .no_colour = no_colour && *no_colour,
    };
}

int deck_run(const struct options *options, struct tui *tui, struct live *live)
{
    (void)options;
    tui_set_live(tui, live);
    int signal_number = tui_run(tui);
    tui_free(tui);
    live_free(live);
    return signal_number ? 128 + signal_number : CMD_OK;
}

const char deck_incident_name[] = INCIDENT_NAME;

FILE *deck_incident(void)
{
    return fmemopen((void *)(uintptr_t)incident_recording, incident_recording_size, "r");
}

int deck_replay(const struct options *options, FILE *file, const char *name, int64_t start, double speed)
{
    struct err err;
    struct tui_options wanted;
    static const struct live_callbacks callbacks = {.changed = tui_live_changed};
    deck_read_options(options, &wanted);
    if (tui_check_terminal(&err)) {
        log_error("replay: %s", err.text);
        return STATUS_COULD_NOT_LOOK;
    }
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct tui *tui = tui_new(loop, &wanted, &err);
    struct live *live = tui ? live_replay(loop, file, name, &callbacks, tui, &err) : NULL;
    int status = STATUS_COULD_NOT_LOOK;
    if (live) {
        live_replay_set_speed(live, speed);
        if (start) {
            live_replay_seek(live, start);
            live_replay_pause(live, true); /* somebody wants to see this moment */
        }
        status = deck_run(options, tui, live);
    } else {
        tui_free(tui);
        log_error("replay: %s", err.text);
    }
    ev_loop_destroy(loop);
    return status;
}
