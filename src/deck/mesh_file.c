/* The mesh file on disk: read, and changed without losing what somebody else wrote into it meanwhile. */
#include "wgdeck/mesh_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { FILE_LIMIT = 16 << 20 };

static int read_into(const char *path, struct mesh_file *file, struct buf *warnings, struct err *err)
{
    *file = (struct mesh_file){.path = mem_text(path)};
    if (file_read(path, FILE_LIMIT, &file->bytes, err) == 0)
        file->conf = conf_parse(path, buf_text(&file->bytes), file->bytes.length, err);
    if (file->conf)
        file->mesh = mesh_read(file->conf, warnings, err);
    if (file->mesh)
        return 0;
    mesh_file_free(file);
    return -1;
}

int mesh_file_read(const char *path, struct mesh_file *file, struct buf *warnings, struct err *err)
{
    return read_into(path, file, warnings, err);
}

void mesh_file_free(struct mesh_file *file)
{
    if (file->mesh)
        mesh_free(file->mesh);
    if (file->conf)
        conf_free(file->conf);
    buf_free(&file->bytes);
    free(file->path);
    *file = (struct mesh_file){0};
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_mode & 0777 : 0644;
}

int mesh_file_edit(struct mesh_file *file, const struct mesh_edits *edits, struct err *err)
{
    struct mesh_file now;
    struct buf text = BUF_EMPTY;
    if (read_into(file->path, &now, NULL, err))
        return -1;
    int result = mesh_edits_do(edits, now.conf, err);
    struct mesh *mesh = NULL;
    if (!result) {
        conf_write(now.conf, &text);
        mesh = mesh_read(now.conf, NULL, err); /* what is written is a mesh */
        result = mesh ? 0 : -1;
    }
    bool same = text.length == now.bytes.length && (!text.length || !memcmp(text.data, now.bytes.data, text.length));
    if (!result && !same)
        result = file_write(file->path, mode_of(file->path), text.data, text.length, err);
    if (result) {
        if (mesh)
            mesh_free(mesh);
        buf_free(&text);
        mesh_file_free(&now);
        return -1;
    }
    mesh_free(now.mesh);
    now.mesh = mesh;
    buf_free(&now.bytes);
    now.bytes = text;
    mesh_file_free(file);
    *file = now;
    return 0;
}

int mesh_file_undo(struct mesh_file *file, const struct buf *before, struct err *err)
{
    struct buf now = BUF_EMPTY;
    struct mesh_file old;
    int result = file_read(file->path, FILE_LIMIT, &now, err);
    if (!result && (now.length != file->bytes.length || memcmp(buf_text(&now), buf_text(&file->bytes), now.length) != 0))
        result = 1; /* somebody wrote into it since */
    if (!result)
        result = file_write(file->path, mode_of(file->path), buf_text(before), before->length, err);
    buf_free(&now);
    if (result)
        return result;
    char *path = mem_text(file->path);
    if (read_into(path, &old, NULL, err) == 0) {
        mesh_file_free(file);
        *file = old;
    }
    free(path);
    return 0;
}
