/* wg-quick files and export's JSON, as import reads them: the file, and a second one after a line "--". */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/import.h"
#include "wgdeck/mesh.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct err *err)
{
    if (!text_is_safe(err->text, strlen(err->text)))
        abort();
}

static int add(struct import *import, const char *path, const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct buf warnings = BUF_EMPTY;
    char *bytes = malloc(size ? size : 1);
    if (size)
        memcpy(bytes, data, size);
    int result = import_add(import, path, bytes, size, &warnings, &err);
    if (result)
        check(&err);
    buf_free(&warnings);
    free(bytes);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct import *import = import_new();
    const uint8_t *cut = memmem(data, size, "\n--\n", 4);
    size_t first = cut ? (size_t)(cut - data) + 1 : size;
    int result = add(import, "a/wg0.conf", data, first);
    if (!result && cut)
        result = add(import, "b/wg0.conf", data + first + 3, size - first - 3);
    if (!result) {
        struct conf *conf = conf_new("mesh.conf");
        struct buf notes = BUF_EMPTY;
        if (import_mesh(import, conf, &notes, &err)) {
            check(&err);
        } else {
            struct mesh *mesh = mesh_read(conf, NULL, &err);
            if (!mesh)
                abort(); /* what is written can be read */
            mesh_free(mesh);
        }
        for (const char *line = buf_text(&notes); *line;) {
            size_t length = strcspn(line, "\n");
            if (!text_is_safe(line, length))
                abort();
            line += length + (line[length] == '\n');
        }
        buf_free(&notes);
        conf_free(conf);
    }
    import_free(import);
    return 0;
}
