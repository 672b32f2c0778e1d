/* What whoever has a token may say to the hub: the dialogue of "wgdeck node --join" up to where the invitation is looked for, which there is none of here. It ends, and each answer is one line
 * of JSON that is safe to show. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/node/join_hub.h"
#include "wgdeck/file.h"
#include "wgdeck/text.h"

enum { INPUT_MOST = 60000, OUTPUT_MOST = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_answers(const char *text, size_t length)
{
    for (const char *at = text, *end; at < text + length; at = end + 1) {
        end = memchr(at, '\n', (size_t)(text + length - at));
        must(end != NULL);
        cJSON *answer = json_parse(at, (size_t)(end - at), NULL);
        must(cJSON_IsObject(answer));
        const char *error = json_get_text(answer, "error", "");
        must(json_get_bool(answer, "ok", false) || (*error && text_is_safe(error, strlen(error)) && *json_get_text(answer, "code", "")));
        cJSON_Delete(answer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct join_hub hub = {.id = "0123456789abcdef", .lock = -1};
    int input[2], output[2];
    static char said[OUTPUT_MOST];
    change_root = "/proc/none"; /* nothing can be made there */
    if (size > INPUT_MOST || pipe2(input, O_CLOEXEC) || pipe2(output, O_CLOEXEC))
        return 0;
    fcntl(output[1], F_SETPIPE_SZ, OUTPUT_MOST);
    must(!file_write_all(input[1], data, size));
    close(input[1]);
    join_hub_talk(&hub, input[0], output[1]);
    must(hub.step == JOIN_HUB_NEW && !hub.helper);
    join_hub_free(&hub);
    close(input[0]);
    close(output[1]);
    ssize_t length = read(output[0], said, sizeof said);
    close(output[0]);
    check_answers(said, length > 0 ? (size_t)length : 0);
    return 0;
}
