/* One look at a mesh from the command line: the loop, questions on the terminal, progress, and not waiting longer for the
 * slow than it is worth. Shared by status, doctor, adopt and record. */
#ifndef WGDECK_CMD_GATHER_H
#define WGDECK_CMD_GATHER_H

#include "mesh_choice.h"
#include "wgdeck/look.h"

struct gather_options {
    enum look_mode mode;
    double every;      /* seconds between readings; 0: once */
    double patience;   /* seconds to wait for the slow after the last that answered; negative: what suits */
    double timeout;    /* seconds for connecting, and for the rest of a first answer */
};

struct gather; /* opaque */

/* NULL with a message. CHOICE must outlive it. */
struct gather *gather_new(const struct options *options, const struct mesh_choice *choice, const struct gather_options *wanted);
void gather_free(struct gather *gather);

/* Wait for the first answers. Returns early when only the slow are missing, or on ^C. */
void gather_first(struct gather *gather);
/* Let the loop run for SECONDS; TEXT (may be NULL) is shown as progress with the seconds left. False on ^C. */
bool gather_wait(struct gather *gather, double seconds, const char *text);
/* A further reading of every node over the live sessions; waits as gather_first does. */
void gather_again(struct gather *gather);
/* What is known now. Nodes that have not answered are REACH_FAILED and say in which phase they hang. Borrowed until the next call. */
const struct observed *gather_observed(struct gather *gather);
struct ev_loop *gather_loop(struct gather *gather);
bool gather_interrupted(const struct gather *gather);
/* For record: called for each node that has a new reading. */
void gather_on_change(struct gather *gather, void (*changed)(void *context, size_t node, const struct observation *seen), void *context);

/* Options that all of these commands have (rows of their tables), and their reading. False: options->status holds. */
#define GATHER_OPTION_ROWS \
    {.name = "bare", .help = "copy nothing to the nodes: one read-only shell command with what they have"}, \
    {.name = "push", .help = "copy the helper to nodes that do not have it yet, for faster and fuller looks"}, \
    {.name = "patience", .argument = "SECONDS", .help = "how long to wait for the slow once the others have answered", \
     .fallback = "0.8, or half of what the others took"}, \
    {.name = "timeout", .argument = "SECONDS", .help = "how long to wait for a node at all", .fallback = "10"}
bool gather_read_options(struct options *options, struct gather_options *wanted);

#endif
