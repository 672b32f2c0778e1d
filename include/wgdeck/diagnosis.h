/* From what was seen to links, faults and a verdict. Pure: no clock, no I/O; the same input gives the same output.
 * The rules, signatures and their order: reference/faults.md; each fault has its entry in wgdeck-faults(7). */
#ifndef WGDECK_DIAGNOSIS_H
#define WGDECK_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/counters.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* Packed: a large mesh has half a million links. */
enum link_state { LINK_LIVE, LINK_LATE, LINK_IDLE, LINK_DEAD, LINK_NEVER, LINK_HALF, LINK_UNKNOWN } __attribute__((packed));
enum direction_state { DIRECTION_OK, DIRECTION_BLOCKED, DIRECTION_UNKNOWN } __attribute__((packed));
enum link_path { PATH_DIRECT, PATH_HUB, PATH_RELAY } __attribute__((packed));
enum node_state { NODE_UP, NODE_DEGRADED, NODE_DOWN, NODE_UNREACHABLE };
enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };
enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAULT, VERDICT_UNKNOWN };

const char *link_state_text(enum link_state state);           /* "live", "late", ... (DESIGN 5, status --json) */
const char *direction_state_text(enum direction_state state);
const char *link_path_text(enum link_path path);
const char *node_state_text(enum node_state state);
const char *severity_text(enum severity severity);
const char *verdict_text(enum verdict verdict);

/* Every kind of fault, one row each: the ids are a contract. The manual, --help and the tests read this table. */
struct fault_kind {
    const char *id;            /* "peer-missing" */
    const char *title;         /* "Peer missing" : a few words */
    enum severity severity;    /* the usual one */
    const char *meaning;       /* for the manual: what it is and what it does */
    const char *detection;     /* for the manual: from what it is concluded, and what it cannot tell apart */
    const char *remedy;        /* for the manual */
    bool fixable;              /* wgdeck fix can (will) mend it */
    bool detected;             /* false: only its name is fixed yet; nothing looks for it */
};
extern const struct fault_kind fault_kinds[];
extern const size_t fault_kind_count;
const struct fault_kind *fault_kind_find(const char *id); /* or NULL */

/* A link: nodes A < B (indices into mesh->nodes). Ages in ns by each node's own clock; -1: never or unknown. One with PATH_HUB has no rows of its own that carry: no rows and ages, and its
 * state and directions are those of the links on the way, the worst of them. */
struct link {
    uint32_t a, b;
    enum link_state state;
    enum link_path path;
    enum direction_state a_to_b, b_to_a;
    const struct device_peer *a_row, *b_row; /* A's row for B, B's row for A; NULL if there is none or not known; borrowed from observed */
    int64_t a_age, b_age;
    int64_t rtt;               /* ns; -1 unknown */
    const char *path_reason;   /* why that path, where the ladder says so (observation->paths of either end); NULL */
};

struct fault {
    const struct fault_kind *kind;
    enum severity severity;
    size_t nodes[2];           /* the node to look at first, then the other; SIZE_MAX if none */
    bool directed;             /* then the direction is nodes[0] -> nodes[1] as said below */
    size_t from, to;           /* of the direction that suffers; SIZE_MAX if not directed */
    char *summary;             /* one sentence, names and values in it */
    char **evidence;           /* each a line: what was seen, where */
    size_t evidence_count;
    char *remedy;              /* what to do here, with the command where there is one; several are joined by "; " */
    char **consequences;       /* other things that this explains, one line each */
    size_t consequence_count;
    int64_t since;             /* deck's wall clock, 0 unknown */
};

/* A remedy's parts: the length of the first one of REMEDY, up to a "; " that no bracket and no quotes hold; and where the command of a part of LENGTH
 * bytes begins (at its start, or behind ": "), LENGTH when it is prose. */
size_t remedy_part(const char *remedy);
size_t remedy_command(const char *part, size_t length);

struct node_summary {
    enum node_state state;
    const struct device *device; /* judged by; NULL; borrowed */
    size_t rows, live;           /* rows held; links live */
    uint64_t rx_bytes, tx_bytes;
};

struct diagnosis {
    enum verdict verdict;
    struct node_summary *nodes;  /* as mesh->nodes */
    size_t node_count;
    struct link *links;          /* ordered by a, then b: wanted ones and those that rows tell of */
    size_t link_count;
    struct fault *faults;        /* root causes: worst first, then by node order */
    size_t fault_count;
    int64_t at;                  /* newest observation's time */
    struct diagnosis_basis *basis; /* what diagnosis_refresh goes by; NULL in one that was not made by diagnose() */
    struct link_ways *ways;      /* of the links that go by the hub: which links these are; NULL where no node joins by a relay */
    struct known_ways *known;    /* what the next one goes by where counters say nothing; NULL unless made by diagnose_after() */
};

/* BEFORE: what an older reading of the same nodes counted, or NULL; not needed any more after it. NOW must outlive the diagnosis.
 * Strings in it are safe to show. Never fails: what is not known is unknown. */
struct diagnosis *diagnose(const struct mesh *mesh, const struct observed *now, const struct counters *before);
/* The same, as the next one of a row of them: which way of a link is cut stays as EARLIER (or NULL, for the first) knew it, for a minute, until
 * counters or a handshake say otherwise. Without it the answer is that of these readings alone, and one cut may be judged differently from one
 * to the next. */
struct diagnosis *diagnose_after(const struct diagnosis *earlier, const struct mesh *mesh, const struct observed *now, const struct counters *before);
void diagnosis_free(struct diagnosis *diagnosis);
/* Bring links (states, directions, ages, rows), sums of the nodes and the time up to NOW, by the rules of diagnose() and in a fraction of its
 * time. True: the faults stand as they are (their evidence is as of the last diagnose()). False: something that a fault may rest on is
 * different, and only diagnose() tells the truth: a link is troubled or mended, and then the rest is brought up to date nevertheless; or a
 * node's settings have changed (observation->serial), and then nothing is touched. */
bool diagnosis_refresh(struct diagnosis *diagnosis, const struct mesh *mesh, const struct observed *now, const struct counters *before);
struct diagnosis *diagnosis_copy(const struct diagnosis *diagnosis); /* deep, but for what it borrows; diagnosis_free */

/* status --json, schema 1 (DESIGN 5), whole. */
void diagnosis_to_json(const struct mesh *mesh, const struct observed *observed, const struct diagnosis *diagnosis, struct json *json);

#endif
