/* The recorded incident that wgdeck replay shows without a FILE: share/incident.jsonl, in the program itself (incident.c). */
#ifndef WGDECK_DECK_INCIDENT_H
#define WGDECK_DECK_INCIDENT_H

#include <stddef.h>

extern const char incident_recording[];      /* bytes, as recording_open reads them; a zero follows */
extern const size_t incident_recording_size; /* without that zero */

#define INCIDENT_NAME "the recorded incident" /* in errors and in the deck's header */

#endif
