/* Any document and any list of changes: refused with a reason and the document as it was, or done, and the document still reads as a mesh.
 * Input: the document, then for each change a byte for its kind, node, key and value, all ended by NUL; "-" is none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/desired.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh_edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char *next_field(const uint8_t **at, size_t *left)
{
    size_t length = strnlen((const char *)*at, *left);
    char *field = mem_text_part((const char *)*at, length);
    length += length < *left;
    *at += length;
    *left -= length;
    return field;
}

static const char *given(const char *field)
{
    return strcmp(field, "-") == 0 ? NULL : field;
}

static void read_edits(const uint8_t *at, size_t left, struct mesh_edits *edits)
{
    while (left && edits->count < 32) {
        char *word = next_field(&at, &left), *node = next_field(&at, &left), *key = next_field(&at, &left), *value = next_field(&at, &left);
        mesh_edits_add(edits, (enum mesh_edit_kind)((unsigned char)word[0] % (MESH_EDIT_FORGET + 1)), given(node), given(key), given(value));
        free(word);
        free(node);
        free(key);
        free(value);
    }
}

static void judge(const struct conf *conf)
{
    struct err err;
    struct mesh *mesh = mesh_read(conf, NULL, &err);
    struct prefix *addresses;
    size_t count;
    struct lint lint = {0};
    if (!mesh)
        abort();
    if (mesh->node_count < 50) {
        struct desired *desired = desired_new(mesh);
        lint_mesh(mesh, desired, NULL, &lint);
        desired_free(desired);
    }
    if (mesh_allocate(mesh, NULL, 0, &addresses, &count, &err) == 0)
        for (size_t i = 0; i < count; i++)
            for (size_t n = 0; n < mesh->node_count; n++)
                for (size_t k = 0; k < mesh->nodes[n].address_count; k++)
                    if (prefix_compare(&mesh->nodes[n].addresses[k], &addresses[i]) == 0)
                        abort(); /* given away twice */
    free(addresses);
    lint_free(&lint);
    mesh_free(mesh);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err = {""};
    struct buf before = BUF_EMPTY, after = BUF_EMPTY;
    struct mesh_edits edits = {0};
    size_t document = strnlen((const char *)bytes, length);
    struct conf *conf = conf_parse("mesh.conf", (const char *)bytes, document, &err);
    if (!conf)
        return 0;
    if (document < length)
        read_edits(bytes + document + 1, length - document - 1, &edits);
    conf_write(conf, &before);
    int result = mesh_edits_do(&edits, conf, &err);
    conf_write(conf, &after);
    if (result == 0)
        judge(conf);
    else if (err.text[0] == '\0' || before.length != after.length || (after.length && memcmp(before.data, after.data, after.length) != 0))
        abort();
    mesh_edits_free(&edits);
    conf_free(conf);
    buf_free(&before);
    buf_free(&after);
    return 0;
}
