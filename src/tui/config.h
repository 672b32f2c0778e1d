/* deck.conf: how the person wants the deck. Read at start, never written. */
#ifndef WGDECK_TUI_CONFIG_H
#define WGDECK_TUI_CONFIG_H

#include <stdbool.h>

#include "wgdeck/buf.h"
#include "wgdeck/conf.h"

enum config_bool { CONFIG_UNSET, CONFIG_NO, CONFIG_YES };

struct config {
    char *theme, *screen;      /* NULL: not given; owned */
    double interval;           /* 0: not given */
    enum config_bool ascii, mouse, read_only, privacy;
    struct config_list { char *screen, *columns, *sort; } *lists; /* of a screen's section; owned */
    size_t list_count, list_capacity;
    struct config_mesh { char *name, *theme; enum config_bool read_only; } *meshes; /* [Mesh NAME]; owned */
    size_t mesh_count, mesh_capacity;
};

/* Errors as FILE:LINE lines into WARNINGS; what is wrong is left out. [Keys] is keymap_read's. */
void config_read(struct config *config, const struct conf *conf, struct buf *warnings);
void config_free(struct config *config);
const struct config_list *config_list_of(const struct config *config, const char *screen);  /* NULL: none */
const struct config_mesh *config_mesh_of(const struct config *config, const char *mesh);
/* The file: PATH, else the one in the configuration folder. NULL when there is none, or with a warning. */
struct conf *config_open(const char *path, struct buf *warnings);

#endif
