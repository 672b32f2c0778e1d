/* What the standard streams are. */
#include "terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "wgdeck/log.h"
#include "wgdeck/text.h"

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 40, WIDTH_MOST = 500 };

void terminal_begin(void)
{
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN); /* a session's socket must not end the program; stdout is looked at in terminal_end */
}

int terminal_end(int status)
{
    errno = 0;
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    int error = errno; /* 0: an earlier flush has failed, and only poll can still tell why */
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (error == EPIPE || (!error && poll(&output, 1, 0) == 1 && output.revents & POLLERR))
        return status; /* the reader has had enough, as head(1) does */
    log_error("standard output: %s", error ? strerror(error) : "not all could be written (is the disk full?)");
    return status ? status : CMD_FAILED;
}

size_t terminal_width(int descriptor)
{
    unsigned long long columns = 0;
    struct winsize size;
    const char *given = getenv("COLUMNS");
    if (!given || text_to_number(given, WIDTH_MOST, &columns) < 0 || !columns)
        columns = isatty(descriptor) && !ioctl(descriptor, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : WIDTH_DEFAULT;
    return columns < WIDTH_LEAST ? WIDTH_LEAST : columns > WIDTH_MOST ? WIDTH_MOST : (size_t)columns;
}

static bool colour_wanted(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return (!no || !*no) && term && *term && strcmp(term, "dumb") != 0;
}

struct terminal terminal_of(int descriptor, const struct cmd_globals *globals)
{
    bool interactive = isatty(descriptor);
    return (struct terminal){
        .width = terminal_width(descriptor),
        .interactive = interactive,
        .colour = interactive && colour_wanted(),
        .utf8 = !globals->ascii && !strcmp(nl_langinfo(CODESET), "UTF-8"),
    };
}
