/* The file of the event log, as a damaged disk or a neighbour may have left it. What is read must survive being read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/events.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char path[] = "/tmp/wgdeck-fuzz-events-XXXXXX";
    int descriptor = mkstemp(path);
    if (descriptor < 0 || write(descriptor, bytes, length) != (ssize_t)length)
        abort();
    close(descriptor);
    struct event_log *log = event_log_new(path);
    for (size_t i = 0; i < event_log_count(log); i++) {
        const struct event *event = event_log_get(log, i);
        struct buf text = BUF_EMPTY;
        struct json json = json_begin(&text);
        struct err err;
        event_to_json(event, &json);
        cJSON *object = json_parse(buf_text(&text), text.length, &err);
        if (!object || !event->times || !event->earlier || !text_is_safe(event->text, strlen(event->text)) || event_log_open_since(log, "x") < 0)
            abort();
        cJSON_Delete(object);
        buf_free(&text);
    }
    size_t count = event_log_count(log);
    char none[] = "", text[] = "after it";
    event_log_add(log, &(struct event){.at = INT64_MAX / 4, .kind = EVENT_NODE_LOST, .nodes = {none, none}, .text = text, .times = 1});
    event_log_free(log);
    log = event_log_new(path);
    if (!event_log_count(log) || event_log_count(log) > count + 2) /* a last line without its end has one now */
        abort();
    event_log_free(log);
    unlink(path);
    return 0;
}
