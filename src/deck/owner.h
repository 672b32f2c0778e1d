/* Who asks for something, as nodes and logs are told: "alice@laptop". Private to src/deck. */
#ifndef WGDECK_DECK_OWNER_H
#define WGDECK_DECK_OWNER_H

char *owner_of_change(void); /* safe; free */

#endif
