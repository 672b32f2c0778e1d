/* What an engine of wgdeck dropped, for "wgdeck show --counters". */
#ifndef WGDECK_CMD_COUNTERS_SHOW_H
#define WGDECK_CMD_COUNTERS_SHOW_H

#include "columns.h"
#include "wgdeck/device.h"
#include "wgdeck/json.h"

/* Both ask the engine of DEVICE now. False, with a message, when it could not be asked; another engine is no failure. */
bool counters_add(struct buf *buf, const struct device *device, const struct terminal *terminal);
bool counters_to_json(const struct device *device, struct json *json); /* the member "counters" of an object under way; null: another engine */

#endif
