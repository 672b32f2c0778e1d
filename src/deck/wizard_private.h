/* The inside of the wizard: wizard.c (its life, from step to step), wizard_steps.c (the table of steps: what is asked, proposed and refused), wizard_probe.c (what a new host is),
 * wizard_change.c (plan and apply), wizard_keep.c (the answers of a wizard that was left), wizard_invite.c (invitations), wizard_path.c (ways). Private to src/deck. */
#ifndef WGDECK_DECK_WIZARD_PRIVATE_H
#define WGDECK_DECK_WIZARD_PRIVATE_H

#include <cjson/cJSON.h>

#include "helper.h"
#include "wgdeck/invite.h"
#include "wgdeck/wizard.h"

enum wizard_at {
    AT_RESUME, AT_TARGET, AT_PROBE, AT_FACTS, AT_NAME, AT_ADDRESS, AT_ENDPOINT, AT_GROUP, AT_ROLE,
    AT_NODES, AT_CONSEQUENCES,
    AT_PLANNING, AT_PLAN, AT_RUN,
    AT_MESH_NAME, AT_NETWORK, AT_TOPOLOGY, AT_WRITE,
    AT_INVITE_NAME, AT_INVITE_WAY, AT_INVITE_TIME, AT_INVITING, AT_TOKEN, AT_STAYS_OPEN,
    AT_RECORDING,
    AT_PAIR, AT_TRYING,
    AT_END,
    AT_COUNT,
};

struct wizard_row {
    unsigned kinds;            /* bits of enum wizard_kind */
    enum wizard_way way;
    const char *name, *title, *question, *why, *does;
    bool (*applies)(const struct wizard *wizard);                        /* NULL: always */
    void (*propose)(struct wizard *wizard, char **value, char **reason); /* malloc'd; may leave both NULL */
    int (*check)(struct wizard *wizard, const char *text, char **taken, struct err *err); /* TAKEN: as it is kept; malloc'd */
    void (*begin)(struct wizard *wizard);                                /* of a step that works, or that shows lines */
};
extern const struct wizard_row wizard_rows[AT_COUNT];

struct wizard_asked {          /* a question of a session */
    struct fanout_question question;
    struct wizard_asked *next;
};

struct wizard_said { char *label, *text; bool warning; };

struct wizard {
    struct ev_loop *loop;
    struct wizard_options options;   /* texts owned */
    struct wizard_callbacks callbacks;
    void *context;
    struct mesh_file file;           /* as it was when the wizard began; INIT: empty */
    enum wizard_at at;
    char *answers[AT_COUNT], *kept[AT_COUNT]; /* given; of the last time, which are proposed */
    char *proposal, *reason, *problem, *working;
    char *does;                      /* of this step, where it is not the table's */
    struct wizard_said *lines;       /* what is shown */
    size_t line_count, line_capacity;
    struct ev_timer later;           /* the next step of what is at work, outside of anybody's call */
    void (*then)(struct wizard *wizard);
    struct wizard_asked *asked;

    struct mesh *probe_mesh;         /* of the one host */
    struct look *look;
    struct helper *helper;
    struct observation seen;
    bool has_seen;
    cJSON *facts;

    struct mesh_edits edits;         /* of ADD */
    struct mesh_file planned;        /* what the change is about */
    struct buf before;               /* the mesh file's bytes when it was planned */
    bool edited;                     /* the edits stand in the file */
    bool *chosen;                    /* per node of the planned mesh: leaving, or rotated */
    char *events, *date;
    struct change *change;
    struct invite *invite;           /* of INVITE and RECORD, once begun */
    struct ladder_run *path;         /* of PATH, once begun */
    const struct plan *given_plan;   /* tests: instead of the change's */
    struct buf report;
    bool succeeded, file_changed;
};

/* wizard.c */
void wizard_tell(struct wizard *wizard);
void wizard_soon(struct wizard *wizard, void (*then)(struct wizard *wizard));
void wizard_next(struct wizard *wizard);                        /* the step after this one */
void wizard_enter(struct wizard *wizard, enum wizard_at at);
void wizard_text(char **to, const char *format, ...) __attribute__((format(printf, 2, 3))); /* made safe */
void wizard_say(struct wizard *wizard, bool warning, const char *label, const char *format, ...) __attribute__((format(printf, 4, 5))); /* a line more */
void wizard_clear_lines(struct wizard *wizard);
void wizard_on_question(void *context, const struct fanout_question *question); /* for fanout_options.ask */
void wizard_drop_questions(struct wizard *wizard);

/* wizard_steps.c */
void wizard_make_edits(const struct wizard *wizard, struct mesh_edits *edits);  /* ADD: of the answers, and of proposals where there is none yet */
/* The words of a list "a, b" that are nodes of MESH; "all" with ROTATE. -1 with err. CHOSEN: per node; malloc'd. */
int wizard_choose_nodes(const struct wizard *wizard, const struct mesh *mesh, const char *text, bool **chosen, struct err *err);

/* wizard_probe.c */
void wizard_probe(struct wizard *wizard);
void wizard_probe_end(struct wizard *wizard);  /* what is open is closed; what was learnt stays */
void wizard_probe_forget(struct wizard *wizard);
void wizard_show_facts(struct wizard *wizard);
void wizard_show_consequences(struct wizard *wizard);

/* wizard_change.c */
void wizard_make_plan(struct wizard *wizard);
int wizard_check_agreement(struct wizard *wizard, const char *text, char **taken, struct err *err);
void wizard_apply(struct wizard *wizard);
void wizard_change_end(struct wizard *wizard); /* as if it had not been planned */

/* wizard_invite.c */
int wizard_check_invite_name(struct wizard *wizard, const char *text, char **taken, struct err *err);
int wizard_check_invite_way(struct wizard *wizard, const char *text, char **taken, struct err *err);
int wizard_check_invite_time(struct wizard *wizard, const char *text, char **taken, struct err *err);
void wizard_propose_invite_name(struct wizard *wizard, char **value, char **reason);
void wizard_propose_invite_way(struct wizard *wizard, char **value, char **reason);
void wizard_propose_invite_time(struct wizard *wizard, char **value, char **reason);
void wizard_make_invitation(struct wizard *wizard);
void wizard_show_token(struct wizard *wizard);
void wizard_leave_open(struct wizard *wizard);
void wizard_record(struct wizard *wizard);
void wizard_invite_end(struct wizard *wizard);

/* wizard_path.c */
void wizard_show_pair(struct wizard *wizard);
void wizard_try_path(struct wizard *wizard);
void wizard_path_end(struct wizard *wizard);

/* wizard_keep.c */
void wizard_keep(const struct wizard *wizard);
void wizard_keep_read(struct wizard *wizard);  /* into KEPT */
void wizard_keep_forget(const struct wizard *wizard);

#endif
