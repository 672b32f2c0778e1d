/* What can be changed from the deck: the wizard and the plan in hand. They go on while other screens are shown. */
#ifndef WGDECK_TUI_HANDS_H
#define WGDECK_TUI_HANDS_H

#include "scene.h"
#include "wgdeck/wizard.h"

enum hands_place { HANDS_PLAN, HANDS_WIZARD, HANDS_PLACES };

struct tui;
struct hands {
    struct tui *tui;
    struct wizard *wizards[HANDS_PLACES];
    struct fanout_question posed;   /* a copy, with an id that no other source has */
    char why_not[512];              /* why there is none, a line; "" */
    unsigned serial[HANDS_PLACES];  /* grows with each change of the wizard */
    bool reload;                    /* the mesh file is another one: the live mesh has to follow */
    struct ev_timer later;
    bool told[HANDS_PLACES];        /* that it is over */
};

void hands_begin(struct tui *tui);
void hands_free(struct tui *tui);
bool hands_are_there(const struct tui *tui); /* there is a mesh file that can be changed from here */
/* A new wizard in its place, if there is none, or the one there is over. False: hands->why_not says why. NODE: for REMOVE and ROTATE; NULL. */
bool hands_open(struct hands *hands, enum wizard_kind kind, const char *node);
void hands_close(struct hands *hands, enum hands_place place);
struct wizard *hands_wizard(const struct hands *hands, enum hands_place place); /* or NULL */
bool hands_are_busy(const struct tui *tui);  /* a change is under way */
void hands_stop(struct tui *tui);            /* it is put back */

/* Questions of their sessions. */
const struct fanout_question *hands_question(struct tui *tui);
bool hands_answer(struct tui *tui, uint64_t id, const char *text); /* false: not theirs */
size_t hands_question_count(const struct tui *tui);

#endif
