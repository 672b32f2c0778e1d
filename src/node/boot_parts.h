/* The parts of boot.h: the table of init systems, and looking for what brings an interface up. Private to src/node/boot*.c. */
#ifndef WGDECK_NODE_BOOT_PARTS_H
#define WGDECK_NODE_BOOT_PARTS_H

#include <sys/types.h>

#include "boot.h"

#define BOOT_FOLDER "/usr/local/lib/wgdeck"
#define BOOT_PROGRAM BOOT_FOLDER "/wgdeck"

/* A file that is written for an interface, or a link that enables it. */
struct boot_file {
    const char *path;    /* with %i for the interface */
    const char *text;    /* of a file, with %i, @BIN@ and @PROGRAM@; NULL: a link */
    const char *target;  /* of a link */
    mode_t mode;
};

/* Where an init system keeps what it starts. */
struct boot_place {
    const char *folder;
    const char *below;   /* pattern of the folders below it that count; NULL: the folder itself */
    const char *entry;   /* with %i */
    bool numbered;       /* the entry stands behind S and two digits (of a link that stops: K) */
    const char *said;    /* with %i */
};

enum { BOOT_FILES = 10, BOOT_PLACES = 8, BOOT_COMMANDS = 4, BOOT_WORDS = 4 };
struct boot_system {
    const char *name;
    const char *signs[4];             /* it is there when one of these is, */
    const char *needs;                /* and this */
    struct boot_file files[BOOT_FILES];
    struct boot_place places[BOOT_PLACES];
    const char *commands[BOOT_COMMANDS][BOOT_WORDS]; /* the first that is there is run after the files have changed; that it fails is no harm */
};

enum { BOOT_SYSTEMS = 4 };
extern const struct boot_system boot_systems[BOOT_SYSTEMS];
const struct boot_system *boot_system_of(const char *root);        /* NULL: none */
int boot_put_files(const char *root, const struct boot_system *system, const char *name, struct err *err); /* its files, and it is told */
/* May NAME stand in a script? The kernel lets names have quotes and semicolons; wg-quick does not either. */
bool boot_name_is_plain(const char *name);
char *boot_fill(const char *root, const char *text, const char *name); /* ROOT, and TEXT with %i and the program's places filled in; malloc'd */
/* Each link or file at PLACE that is there for NAME. */
void boot_each(const char *root, const struct boot_place *place, const char *name, void (*take)(void *context, const char *path), void *context);
/* "auto wg0" of ifupdown, and systemd-networkd's own: what of others brings it up; malloc'd, NULL: nothing. */
char *boot_find_others(const char *root, const char *name);

#endif
