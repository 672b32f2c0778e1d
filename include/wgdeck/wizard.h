/* A change of the mesh as a dialogue (DESIGN section 8): what is asked, why, what is proposed, and what is done when. It has no terminal: the deck's wizard and plan screens and the command line
 * show the same. Nothing on this machine or on a node is written before the plan was agreed to, so that it can be left at any step. */
#ifndef WGDECK_WIZARD_H
#define WGDECK_WIZARD_H

#include <ev.h>

#include "wgdeck/change.h"

enum wizard_kind {
    WIZARD_INIT,   /* a mesh file */
    WIZARD_ADD,    /* a node more */
    WIZARD_REMOVE, /* nodes out of it */
    WIZARD_ROTATE, /* new keys */
    WIZARD_APPLY,  /* what the mesh file says: plan, agree, apply */
    WIZARD_INVITE, /* a token for a machine that SSH does not reach, and waiting for it to join */
    WIZARD_RECORD, /* one that has joined, into the mesh file */
    WIZARD_PATH,   /* a better way between two nodes (ladder_run.h) */
    WIZARD_KIND_COUNT,
};

/* What the step in hand waits for. */
enum wizard_way {
    WIZARD_ASKS,   /* wizard_answer: a text */
    WIZARD_SHOWS,  /* lines to read (wizard_lines); any answer goes on */
    WIZARD_WORKS,  /* nothing: it is at work. changed() tells; wizard_working says what it does */
    WIZARD_PLANS,  /* the plan is there (wizard_plan); wizard_answer with wizard_agreement applies it */
    WIZARD_RUNS,   /* the change is under way (wizard_change has the progress) */
    WIZARD_ENDS,   /* over; wizard_report, wizard_succeeded */
};

struct wizard_step {
    enum wizard_way way;
    const char *name;     /* a word: "target" */
    const char *title;    /* "SSH target" */
    const char *question; /* one line */
    const char *why;      /* why it is asked, and what may be written */
    const char *does;     /* what comes next, before it is done */
    const char *proposal; /* what an empty answer stands for; NULL: none */
    const char *reason;   /* why that is proposed; NULL */
    const char *problem;  /* what was wrong with the last answer, or with what was done, and what to write or do; NULL */
    size_t number, count; /* step NUMBER of COUNT, for people */
};

/* What was answered, or seen of a node: borrowed. */
struct wizard_line { const char *label, *text; bool warning; };

struct wizard; /* opaque */

struct wizard_options {
    enum wizard_kind kind;
    const char *path;          /* the mesh file; of WIZARD_INIT: where it is written */
    const char *node;          /* REMOVE, ROTATE: this one ("a,b": these), without a question; RECORD: this one; PATH: "a,b"; INVITE: the name that is proposed; ADD: the SSH target that is proposed. NULL */
    const char *state;         /* folder for the answers of a wizard that was left, and the event log; NULL: nothing is kept */
    struct look_options look;  /* .fanout.ssh_config, .fanout.deadlines, .helper, .deadline; .nodes: only these are changed (APPLY) */
    double within;             /* of the guard; 0: the default */
};

struct wizard_callbacks {
    void (*changed)(void *context, struct wizard *wizard); /* the step, its progress, or a question of a session; on the loop's thread */
    /* A question of a session, to be answered by wizard_fanout. NULL: it waits in wizard_question. */
    void (*question)(void *context, struct wizard *wizard, const struct fanout_question *question);
};

/* NULL with err: the mesh file cannot be read, a node is none of it. Copies the texts of OPTIONS. */
struct wizard *wizard_new(struct ev_loop *loop, const struct wizard_options *options, const struct wizard_callbacks *callbacks, void *context, struct err *err);
/* A change under way is stopped as change_free does: guards put back what was not confirmed, and an edit of the mesh file made for it is taken back. */
void wizard_free(struct wizard *wizard);

enum wizard_kind wizard_kind(const struct wizard *wizard);
const char *wizard_title(const struct wizard *wizard);           /* "Add a node" */
struct wizard_step wizard_step(const struct wizard *wizard);     /* texts hold until the wizard is asked for something */
/* TEXT "" or NULL: the proposal. 0: it was taken and the next step is in hand; -1: it was not, and the step's problem says what to write. */
int wizard_answer(struct wizard *wizard, const char *text);
bool wizard_can_go_back(const struct wizard *wizard);
void wizard_back(struct wizard *wizard);                         /* to the question before; what is at work is given up. Not while a change is under way */
void wizard_stop(struct wizard *wizard);                         /* RUNS: put back what is not confirmed; then it ends */

size_t wizard_answers(const struct wizard *wizard, struct wizard_line *lines, size_t most); /* what was answered so far */
size_t wizard_lines(const struct wizard *wizard, struct wizard_line *lines, size_t most);   /* SHOWS: what to read */
const char *wizard_working(const struct wizard *wizard);         /* "logging in to root@192.0.2.7" */
const char *wizard_agreement(const struct wizard *wizard);       /* PLANS: what has to be written to apply: "yes", or the name of a node that goes away; NULL: it cannot be applied */
const struct plan *wizard_plan(const struct wizard *wizard);     /* from PLANS on; else NULL */
const struct mesh *wizard_mesh(const struct wizard *wizard);     /* of the plan and the progress; else of the file */
struct change *wizard_change(const struct wizard *wizard);       /* from the look for the plan on; else NULL */
const char *wizard_token(const struct wizard *wizard);           /* INVITE, once it is made: a secret, one line; else NULL */
const char *wizard_report(const struct wizard *wizard);          /* ENDS: lines */
bool wizard_succeeded(const struct wizard *wizard);
bool wizard_changed_file(const struct wizard *wizard);           /* ENDS: the mesh file is another than before */

/* The oldest question of a session that waits for a person, as live_question. */
const struct fanout_question *wizard_question(const struct wizard *wizard);
size_t wizard_question_count(const struct wizard *wizard);
void wizard_question_answer(struct wizard *wizard, uint64_t id, const char *text);
struct fanout *wizard_fanout(const struct wizard *wizard);       /* of the sessions that are open now, or NULL */

#endif
