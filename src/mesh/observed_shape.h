/* The members of an observation as data: one row a member, from which freeing, copying, comparing, ordering, the JSON
 * form and changes are made. A new member of observed.h needs a row in observed_members.c and nothing else. Private to src/mesh. */
#ifndef WGDECK_MESH_OBSERVED_SHAPE_H
#define WGDECK_MESH_OBSERVED_SHAPE_H

#include "wgdeck/observed.h"

enum field_kind {
    FIELD_BOOL,
    FIELD_U16,
    FIELD_U32,
    FIELD_U64,
    FIELD_I32,
    FIELD_I64,
    FIELD_WORD,     /* an enum; words[] has the texts */
    FIELD_NAME,     /* char[IFNAMSIZ]: an interface's name, or "" */
    FIELD_LABEL,    /* char[OBSERVED_LABEL]: a short text, or "" */
    FIELD_TEXT,     /* char *, owned, or NULL */
    FIELD_KEY,      /* struct key; zero is absent */
    FIELD_HASH,     /* uint8_t[KEY_HASH_SIZE], with the bool at `other` that says whether there is one */
    FIELD_ENDPOINT,
    FIELD_ADDRESS,
    FIELD_PREFIX,
    FIELD_PREFIXES, /* list with host bits, order kept; the count is at `other`, here and below */
    FIELD_NETWORKS, /* a row's allowed prefixes: in order, host bits clear, each once; shared by equal rows */
    FIELD_TEXTS,    /* list of owned strings */
    FIELD_LIST,     /* list of structs of `shape`, in the order of their key members, each key once */
    FIELD_STRUCT,   /* one struct of `shape`, in place */
    FIELD_HOSTS,    /* char **, one for each row of the device at `other`, or NULL */
};

struct shape;

struct field {
    const char *name;          /* in JSON */
    enum field_kind kind;
    size_t offset, other;
    const struct shape *shape;
    const char *const *words;  /* ends with NULL */
    int64_t absent;            /* the value of I32 and I64 that is left out */
    size_t limit;              /* of a list: most items */
    bool deck;                 /* the deck's own, never taken from a node */
    bool silent;               /* its difference alone is not a change */
    bool counts;               /* a counter, a handshake or a time: no setting; it does not make observation->serial grow */
};

struct shape {
    const char *what;          /* for errors */
    size_t size;
    const struct field *fields;
    size_t field_count;
    size_t key_count;          /* so many of the first members tell one item of a list from another */
    bool whole;                /* an item that differs is sent whole */
};

extern const struct shape observation_shape;

/* OBSERVATION itself, or COPY made of it (to be cleared) when it is packed. */
const struct observation *observation_unpacked(const struct observation *observation, struct observation *copy);
bool observation_is_packed(const struct observation *observation);

void *field_at(const struct field *field, void *base);
const void *field_in(const struct field *field, const void *base);
void *field_items(const struct field *field, const void *base);  /* of a list */
size_t field_count(const struct field *field, const void *base);
void field_set_items(const struct field *field, void *base, void *items, size_t count);
void field_clear(const struct field *field, void *base);         /* frees; the absent value after */
bool field_is_absent(const struct field *field, const void *base);
bool field_equal(const struct field *field, const void *a, const void *b);
bool field_same_settings(const struct field *field, const void *a, const void *b); /* equal but for what counts */

void shape_clear(const struct shape *shape, void *base);
void shape_copy(const struct shape *shape, void *to, const void *from); /* TO is overwritten */
bool shape_equal(const struct shape *shape, const void *a, const void *b);
bool shape_same_settings(const struct shape *shape, const void *a, const void *b);
int shape_compare(const struct shape *shape, const void *a, const void *b); /* by key members */
size_t shape_items(const struct shape *shape, const void *base); /* in all lists inside */
void shape_order(const struct shape *shape, void *base);         /* everything inside in order, each once */
void field_order(const struct field *field, void *base);         /* the same for one member */

#endif
