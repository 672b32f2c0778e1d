/* A shell on a node: OpenSSH itself, with the terminal to itself; the deck goes on looking meanwhile and is back when it ends. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tui_loop.h"
#include "tui_private.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/ssh_command.h"

#define SHELL_TICK 0.04 /* seconds: how soon its end is seen. A child watcher would need the default loop, and its SIGCHLD */

struct shell {
    struct tui *tui;
    struct ev_timer tick;
    pid_t pid;
    char *name;
};

static void to_foreground(pid_t group)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTTOU); /* who is in the background may not say who is in front, else */
    sigprocmask(SIG_BLOCK, &blocked, &before);
    tcsetpgrp(STDIN_FILENO, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Between fork and exec: nothing but what is safe there. */
static void become(char **words)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGCONT, SIGWINCH, SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2};
    sigset_t none;
    setpgid(0, 0);
    to_foreground(getpid());
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        signal(signals[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(words[0], words);
    static const char text[] = "wgdeck: cannot start ssh (install openssh-client)\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        _exit(126);
    _exit(127);
}

static void end(struct shell *shell, int status)
{
    struct tui *tui = shell->tui;
    ev_timer_stop(tui->loop, &shell->tick);
    to_foreground(getpgrp());
    tui_loop_resume(tui);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 255)
        tui_notice(tui, true, "%s: ssh could not connect, or lost the connection", shell->name);
    else
        tui_notice(tui, false, "back from %s", shell->name);
    free(shell->name);
    free(shell);
    tui->shell = NULL;
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct shell *shell = timer->data;
    int status = 0;
    (void)loop;
    (void)events;
    pid_t got = waitpid(shell->pid, &status, WNOHANG | WUNTRACED);
    if (got == shell->pid && WIFSTOPPED(status))
        kill(-shell->pid, SIGCONT); /* there is no shell here that could bring it back */
    else if (got == shell->pid || (got < 0 && errno == ECHILD))
        end(shell, status);
}

void shell_free(struct tui *tui)
{
    struct shell *shell = tui->shell;
    if (!shell)
        return;
    /* The deck was told to end while somebody works there: so is the shell, which nobody would be in front of. */
    ev_timer_stop(tui->loop, &shell->tick);
    kill(-shell->pid, SIGHUP);
    kill(-shell->pid, SIGCONT);
    to_foreground(getpgrp());
    free(shell->name);
    free(shell);
    tui->shell = NULL;
}

static void start(struct tui *tui, const struct mesh_node *node, const char *jump)
{
    char **words = ssh_command_words_through(tui->options.ssh_config, jump, node->host_key, node->ssh, NULL, 0);
    char *text = mem_format("wgdeck: a shell on %s; its end brings the deck back\r\n", node->name);
    tui_loop_pause(tui);
    file_write_all(STDOUT_FILENO, text, strlen(text));
    free(text);
    pid_t pid = fork();
    if (!pid)
        become(words);
    if (pid < 0) {
        int error = errno;
        tui_loop_resume(tui);
        tui_notice(tui, true, "cannot start ssh: %s", strerror(error));
    } else {
        setpgid(pid, pid); /* here too: whoever comes first */
        to_foreground(pid);
        struct shell *shell = tui->shell = mem_alloc(1, sizeof *shell);
        *shell = (struct shell){.tui = tui, .pid = pid, .name = mem_text(node->name)};
        ev_timer_init(&shell->tick, on_tick, SHELL_TICK, SHELL_TICK);
        shell->tick.data = shell;
        ev_timer_start(tui->loop, &shell->tick);
    }
    ssh_command_free(words);
}

void tui_shell(struct tui *tui, size_t node)
{
    const struct mesh_node *of_mesh = &tui->scene.picture.mesh->nodes[node];
    if (tui->scene.read_only)
        tui_notice(tui, true, "read-only: no shell (--read-only, or ReadOnly in deck.conf)");
    else if (tui->live && live_is_replay(tui->live))
        tui_notice(tui, true, "this is a recording: there is no node to log in to");
    else if (!of_mesh->ssh)
        tui_notice(tui, true, "%s has no Ssh target in the mesh file: add \"Ssh = user@host\" to [Node %s]", of_mesh->name, of_mesh->name);
    else if (*of_mesh->ssh == '-')
        tui_notice(tui, true, "\"%s\" cannot be a host", of_mesh->ssh);
    else if (!tui->watchers)
        tui_notice(tui, false, "ssh %s", of_mesh->ssh); /* headless: what would have been started */
    else {
        char *jump = mesh_jump_text(tui->scene.picture.mesh, node);
        start(tui, of_mesh, jump);
        free(jump);
    }
}
