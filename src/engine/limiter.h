/* Rates: so many an interval with a burst, for one thing (pace) or for each source address (limiter). */
#ifndef WGDECK_ENGINE_LIMITER_H
#define WGDECK_ENGINE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "udp.h"

#define LIMITER_INTERVAL (INT64_C(1000000000) / 20) /* 20 a second */
#define LIMITER_BURST 5

/* READY: the caller's, 0 at first. One each INTERVAL, BURST of them at once. False: not now. */
bool pace_take(int64_t *ready, int64_t interval, unsigned burst, int64_t now);

/* A bounded table of addresses: an IPv4 address, or an IPv6 /64. When it is full, the address that used its rate least makes room, so that no flood of invented
 * addresses can lock anybody out: it only makes the limit weaker. */
struct limiter;
struct limiter *limiter_new(void);
void limiter_free(struct limiter *limiter);
/* A keyed hash of the address (not the port); never 0. */
uint64_t limiter_address(const struct limiter *limiter, const struct udp_endpoint *from);
/* PROVED: the source showed by a cookie that it receives there. It has a rate of its own, which nobody else can use up in its name. */
bool limiter_take(struct limiter *limiter, uint64_t address, bool proved, int64_t now);

#endif
