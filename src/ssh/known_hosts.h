/* known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): read once, indexed, asked many times. */
#ifndef WGDECK_SSH_KNOWN_HOSTS_H
#define WGDECK_SSH_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

struct known_hosts; /* one file */

enum known_mark { KNOWN_KEY, KNOWN_AUTHORITY, KNOWN_REVOKED };

struct known_line {
    enum known_mark mark;
    const char *type;   /* "ssh-ed25519" */
    const char *base64; /* the key's blob, as written in the file */
    size_t line;        /* from 1 */
    bool general;       /* its names have a wildcard: less to the point than one for the host itself */
};

enum known_verdict {
    KNOWN_VERDICT_UNKNOWN, /* no key of this host */
    KNOWN_VERDICT_OK,
    KNOWN_VERDICT_CHANGED, /* keys of this host, and this is none of them */
    KNOWN_VERDICT_REVOKED,
    KNOWN_VERDICT_UNREADABLE, /* a file cannot be read: what it has, or revokes, is not known */
};

/* Parse; what is not understood is left out, as ssh does (a line for a host of no interest must not stop the work). */
struct known_hosts *known_hosts_parse(const char *bytes, size_t length);
/* A file that does not exist is empty; ERR is set when there is one that cannot be read. Never NULL. */
struct known_hosts *known_hosts_read(const char *path, struct err *err);
void known_hosts_free(struct known_hosts *known);

/* The lines that speak of NAME ("host" or "[host]:port", known_hosts_name): borrowed, up to MOST into LINES. Returns how many. */
size_t known_hosts_find(const struct known_hosts *known, const char *name, const struct known_line **lines, size_t most);

/* NAME as it stands in these files: lower case, "[host]:port" when the port is not 22. */
char *known_hosts_name(const char *host, unsigned port);

/* "SHA256:..." of a key in base64, as ssh-keygen -l shows it; "" when it is none. */
#define FINGERPRINT_SIZE 64
void known_hosts_fingerprint(const char *base64, char text[static FINGERPRINT_SIZE]);

/* One line for PATH: what to append so that NAME has this key, hashed or not. */
void known_hosts_add_line(struct buf *line, const char *name, const char *type, const char *base64, bool hashed);
/* Append it, made safe against a file that does not end in a newline; the folder is made (0700). 0, or -1. */
int known_hosts_append(const char *path, const char *line, struct err *err);

#endif
