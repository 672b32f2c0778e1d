/* The answers of a wizard that was left, so that it can be gone on with. No secret is among them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

enum { KEPT_LIMIT = 64 << 10 };

static char *path_of(const struct wizard *wizard)
{
    return wizard->options.state && wizard->options.kind == WIZARD_ADD ? mem_format("%s/wizard.json", wizard->options.state) : NULL;
}

void wizard_keep(const struct wizard *wizard)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    char *path = path_of(wizard);
    if (!path)
        return;
    struct json json = json_begin(&text);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "kind", "add");
    json_object(&json, "answers");
    for (int at = AT_RESUME + 1; at < AT_COUNT; at++)
        if (wizard->answers[at] && wizard_rows[at].way == WIZARD_ASKS)
            json_text(&json, wizard_rows[at].name, wizard->answers[at]);
    json_object_end(&json);
    json_object_end(&json);
    buf_add_char(&text, '\n');
    /* That it cannot be kept is no reason to end the wizard. */
    if (!file_make_folders(wizard->options.state, 0700, &err))
        file_write(path, 0600, text.data, text.length, &err);
    buf_free(&text);
    free(path);
}

void wizard_keep_read(struct wizard *wizard)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    char *path = path_of(wizard);
    cJSON *kept = path && !file_read(path, KEPT_LIMIT, &text, &err) ? json_parse(buf_text(&text), text.length, &err) : NULL;
    const cJSON *answers = kept ? json_get_object(kept, "answers") : NULL;
    for (int at = AT_RESUME + 1; answers && at < AT_COUNT; at++) {
        const char *answer = wizard_rows[at].way == WIZARD_ASKS && wizard_rows[at].name ? json_get_text(answers, wizard_rows[at].name, NULL) : NULL;
        if (answer && text_is_safe(answer, strlen(answer)))
            wizard->kept[at] = mem_text(answer);
    }
    cJSON_Delete(kept);
    buf_free(&text);
    free(path);
}

void wizard_keep_forget(const struct wizard *wizard)
{
    char *path = path_of(wizard);
    if (path)
        unlink(path);
    free(path);
}
