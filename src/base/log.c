/* Messages of the command line. */
#include "wgdeck/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "wgdeck/buf.h"
#include "wgdeck/text.h"

static enum log_level log_level = LOG_LEVEL_NORMAL;

void log_set_level(enum log_level level)
{
    log_level = level;
}

static void print_line(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void print_line(const char *format, va_list arguments)
{
    struct buf raw = BUF_EMPTY, line = BUF_EMPTY;
    buf_add_vformat(&raw, format, arguments);
    buf_add_text(&line, "wgdeck: ");
    text_add_safe(&line, buf_text(&raw), raw.length);
    buf_add_char(&line, '\n');
    fwrite(line.data, 1, line.length, stderr);
    buf_free(&raw);
    buf_free(&line);
}

#define LOG_FUNCTION(name, level)          \
    void name(const char *format, ...)     \
    {                                      \
        if (log_level < (level))           \
            return;                        \
        va_list arguments;                 \
        va_start(arguments, format);       \
        print_line(format, arguments);     \
        va_end(arguments);                 \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_QUIET)
LOG_FUNCTION(log_notice, LOG_LEVEL_NORMAL)
LOG_FUNCTION(log_verbose, LOG_LEVEL_VERBOSE)
