/* Reading members from JSON by their table; shared by whole readings and by changes. Private to src/mesh. */
#ifndef WGDECK_MESH_OBSERVED_READ_H
#define WGDECK_MESH_OBSERVED_READ_H

#include "observed_shape.h"

struct reader {
    bool trusted;     /* take the deck's members too */
    struct err *err;
    bool changed;     /* by a change: something else than what counts */
};

/* One member from VALUE; null gives the absent value. Lists are replaced. 0, or -1 with "NAME: why". */
int field_read(struct reader *reader, const struct field *field, void *base, const cJSON *value);
/* All members of OBJECT that the table knows, into BASE, which holds absent or older values. */
int shape_read(struct reader *reader, const struct shape *shape, void *base, const cJSON *object);
/* Only the key members, into BASE; all of them must be there. */
int shape_read_key(struct reader *reader, const struct shape *shape, void *base, const cJSON *object);
const struct field *shape_field(const struct shape *shape, const char *name, size_t length); /* or NULL */
/* Not more rows and items than an observation may hold? Changes could add to it for ever. Else err. */
bool observation_fits(const struct observation *observation, struct err *err);

/* A change of counters only, into rows that are there. False: it is not, or some number of it is unusual; what was taken of it is in the change. */
bool observation_merge_counts(struct observation *observation, const cJSON *change);

/* Writing: one member, whatever its value; all members that are not absent. */
void field_write(const struct field *field, const void *base, struct json *json, const char *key);
void shape_write(const struct shape *shape, const void *base, bool with_deck_fields, struct json *json);

#endif
