/* wgdeck invite: its command line and its loop (invite.c), and what it writes (invite_show.c). */
#ifndef WGDECK_CMD_INVITE_COMMAND_H
#define WGDECK_CMD_INVITE_COMMAND_H

#include "ask.h"
#include "options.h"
#include "wgdeck/invite.h"

struct inviting {
    struct options options;
    struct mesh_file file;
    struct invite_options wanted;
    struct ev_loop *loop;
    struct ask *ask;
    struct invite *invite;
    struct ev_signal ended_by[3];
    bool interrupted, made, failed_to_write;
};

void invite_show_made(struct inviting *inviting); /* the token, alone on standard output, and what to do with it */
void invite_show_end(struct inviting *inviting);

#endif
