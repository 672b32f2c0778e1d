/* The inside of the UAPI source: the incremental parser, and the client with its folder and patience as arguments (for tests). */
#ifndef WGDECK_UAPI_H
#define WGDECK_UAPI_H

#include <stdint.h>

#include "device_build.h"
#include "wgdeck/buf.h"
#include "wgdeck/engine_counters.h"

enum { UAPI_LINE_SIZE = 512 }; /* the longest line with a meaning has 80 bytes */

/* Secrets are only ever in LINE, which is wiped after each line. */
struct uapi_parser {
    struct device_build build;
    const char *salt;
    const struct device_secrets *secrets; /* NULL: nobody is told */
    char line[UAPI_LINE_SIZE];
    size_t used;         /* bytes of the current line so far, also those that did not fit */
    size_t line_number;
    bool in_peer, done, has_errno;
    struct err *err;
};

void uapi_parser_start(struct uapi_parser *parser, const char *name, const char *salt, struct err *err);
/* Feed bytes as they come. 1 when the answer is complete (bytes behind it are an error), 0 when there must be more, -1 with err. */
int uapi_parser_feed(struct uapi_parser *parser, const char *bytes, size_t length);
/* Hand over the device of a complete answer, or throw away what there is. 0, or -1 with err. */
int uapi_parser_end(struct uapi_parser *parser, int result, struct device *device);

/* (uapi_client.c) */
struct uapi_place {
    const char *folder;
    int64_t silence;  /* nanoseconds without a byte after which the engine counts as dead */
    int64_t patience; /* nanoseconds for the whole answer */
};

enum { UAPI_DEAD = -2, UAPI_HUNG_UP = -3 };

/* One request, and its answer up to and with the empty line in ANSWER (emptied first; it may hold secrets: the caller wipes it). 0; -1 with err;
 * UAPI_DEAD; UAPI_HUNG_UP when the engine closed without a word, as some do when they do not know a request. */
int uapi_ask(const struct uapi_place *place, const char *name, const void *request, size_t length, struct buf *answer, struct err *err);
int engine_report_ask(const struct uapi_place *place, const char *name, struct engine_report *report, struct err *err); /* as engine_report_read */

int uapi_list(const struct uapi_place *place, char ***names, size_t *count, struct err *err);
extern const struct uapi_place uapi_system_place;
int uapi_read(const struct uapi_place *place, const char *name, const char *salt, struct device *device, struct err *err);

#endif
