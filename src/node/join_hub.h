/* The hub's side of one join (wgdeck/invitation.h): the dialogue in join_hub.c, what each request does in join_hub_steps.c. Private to these. */
#ifndef WGDECK_NODE_JOIN_HUB_H
#define WGDECK_NODE_JOIN_HUB_H

#include "helper_pipe.h"
#include "invite_parts.h"

enum { JOIN_HUB_WITHIN = 45 /* of the guard */, JOIN_HUB_DIALOGUE = 120, JOIN_HUB_SILENCE = 60, JOIN_HUB_LINE_MAX = 64 << 10 };

enum join_hub_step { JOIN_HUB_NEW, JOIN_HUB_STAGED, JOIN_HUB_KEPT };

struct join_hub {
    const char *id;
    char *interface;            /* owned; NULL: there is no such invitation */
    char *from;                 /* the newcomer's address as sshd sees it; NULL not known; owned */
    struct invite_entry entry;  /* as it was read last */
    int lock;                   /* of who joins by it; -1 */
    struct helper_pipe *helper; /* NULL: none is there */
    char change[CHANGE_ID_LENGTH + 1];
    enum join_hub_step step;
    struct key key;             /* the newcomer's */
    char box[KEY_TEXT_SIZE];    /* the same, for what is sealed to it */
    char hostname[65], host_key[1024];
    int64_t guard;              /* clock_steady, when its time is over */
    bool over;                  /* nothing more is to be read */
    struct buf answer;          /* of the request that is under way: members */
    char code[HELPER_PIPE_CODE];
};

/* The dialogue: lines from INPUT until it ends, the time is over or a signal came. What is staged then is the caller's to put back. */
void join_hub_talk(struct join_hub *hub, int input, int output);
/* Each: 0 with what it has to say in ANSWER (members, may be empty), or -1 with err and CODE. */
int join_hub_join(struct join_hub *hub, const cJSON *request, struct err *err);
int join_hub_check(struct join_hub *hub, const cJSON *request, struct err *err);
int join_hub_keep(struct join_hub *hub, const cJSON *request, struct err *err);
int join_hub_give_up(struct join_hub *hub, const cJSON *request, struct err *err);
int join_hub_bye(struct join_hub *hub, const cJSON *request, struct err *err);
/* What is staged is put back; the helper ends. 0, or -1 with err: the guard does it. */
int join_hub_put_back(struct join_hub *hub, struct err *err);
void join_hub_free(struct join_hub *hub);

#endif
