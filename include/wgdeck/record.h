/* Recordings: what was seen of a mesh, over time, in a file without keys; and the way back.
 *
 * A recording is JSON lines. The first names the mesh:
 *   {"recording":1,"version":"...","at":"...","mesh":"TEXT OF THE MESH FILE"}   or, without a mesh file, "targets":["root@192.0.2.1",...]
 * Each further line is one node's reading, whole or as the difference to its last one:
 *   {"node":"api","at":NS,"observation":{...}}
 *   {"node":"api","at":NS,"clock_offset":NS,"clock_uncertainty":NS,"change":{...}}
 * Keys are replaced by others that are the same for the same key within the recording; hashes of preshared keys likewise. */
#ifndef WGDECK_RECORD_H
#define WGDECK_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "wgdeck/conf.h"
#include "wgdeck/err.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

struct recorder; /* opaque */

/* Write to FILE (borrowed), which NAME names in errors. CONF is the mesh file, or NULL when MESH is of targets. NULL with err. */
struct recorder *recorder_new(FILE *file, const char *name, const struct mesh *mesh, const struct conf *conf, struct err *err);
void recorder_free(struct recorder *recorder);
/* One reading. Written and flushed as whole lines. 0, or -1 with err. */
int recorder_add(struct recorder *recorder, size_t node, const struct observation *seen, struct err *err);

struct recording; /* opaque */

/* Read from FILE (borrowed). NULL with err ("NAME:LINE: what"). */
struct recording *recording_open(FILE *file, const char *name, struct err *err);
void recording_free(struct recording *recording);
const struct mesh *recording_mesh(const struct recording *recording);
const struct observed *recording_observed(const struct recording *recording); /* as of the last line read */
int64_t recording_start(const struct recording *recording);                   /* wall clock of the first line */
/* When the next line was seen, or INT64_MAX at the end; -1 with err. */
int64_t recording_peek(struct recording *recording, struct err *err);
/* Whose the next line is (after a good peek), SIZE_MAX if of nobody; WHOLE: not a change. */
size_t recording_next_node(const struct recording *recording, bool *whole);
/* Where the next line begins, and the way back there, with what had been seen until then (OBSERVED is emptied, or NULL at the beginning).
 * Only in a file that can be sought. 0, or -1 with err. */
struct recording_mark { long offset; size_t line; };
struct recording_mark recording_mark(const struct recording *recording);
int recording_return(struct recording *recording, struct recording_mark mark, struct observed *observed, struct err *err);
/* Take the next line. 1, 0 at the end, or -1 with err. */
int recording_next(struct recording *recording, struct err *err);

#endif
