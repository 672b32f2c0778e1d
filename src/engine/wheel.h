/* A hierarchical timing wheel: one deadline a peer, O(1) to arm and to disarm, nothing to sweep. Control thread. */
#ifndef WGDECK_ENGINE_WHEEL_H
#define WGDECK_ENGINE_WHEEL_H

#include <stdint.h>

struct peer;
struct wheel;
struct wheel *wheel_new(int64_t now);
void wheel_free(struct wheel *wheel); /* whoever is still armed stays unlinked */
/* Fires at DEADLINE or up to 5 ms later, never before; one in the past: as soon as the wheel turns. An older deadline of the peer goes. */
void wheel_arm(struct wheel *wheel, struct peer *peer, int64_t deadline);
void wheel_disarm(struct wheel *wheel, struct peer *peer);
/* When to turn it next, at the latest; INT64_MAX: nothing is armed. It may come early by a turn that fires nothing. */
int64_t wheel_next(const struct wheel *wheel);
/* One peer whose deadline has come, disarmed; NULL: no more until NOW. */
struct peer *wheel_fire(struct wheel *wheel, int64_t now);

#endif
