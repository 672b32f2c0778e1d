/* A spawned ssh. */
#include "session.h"

const struct transport_ops transport_spawn = {.name = "ssh", .dials = true};
