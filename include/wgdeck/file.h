/* Files read whole with a limit, and written whole or not at all. */
#ifndef WGDECK_FILE_H
#define WGDECK_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

/* Read all of PATH into BUF (emptied first). More than LIMIT bytes is an error. 0, or -1 with err ("PATH: why"). */
int file_read(const char *path, size_t limit, struct buf *buf, struct err *err);

/* mkstemp beside PATH, mode first, write, fsync, rename, fsync of the folder. The old file stays whole on any
 * failure and no temporary file is left. A symbolic link at PATH is followed to the file it names. 0, or -1. */
int file_write(const char *path, mode_t mode, const void *bytes, size_t length, struct err *err);

/* Make PATH and its parents as needed, each with MODE. 0, or -1. */
int file_make_folders(const char *path, mode_t mode, struct err *err);

/* Write all bytes to a descriptor, over EINTR and short writes. 0, or -1 with errno. */
int file_write_all(int descriptor, const void *bytes, size_t length);

#endif
