/* The table of subcommands: help, manual, completions and the dispatch read it. */
#include <stddef.h>

#include "commands.h"

const struct cmd *const cmd_table[] = {
    &cmd_tui,
    &cmd_status,
    &cmd_doctor,
    &cmd_init,
    &cmd_adopt,
    &cmd_add,
    &cmd_remove,
    &cmd_set,
    &cmd_plan,
    &cmd_apply,
    &cmd_rotate,
    &cmd_invite,
    &cmd_join,
    &cmd_leave,
    &cmd_path,
    &cmd_export,
    &cmd_import,
    &cmd_exec,
    &cmd_ssh,
    &cmd_record,
    &cmd_replay,
    &cmd_show,
    &cmd_up,
    &cmd_down,
    &cmd_engine,
    &cmd_relay,
    &cmd_genkey,
    &cmd_pubkey,
    &cmd_genpsk,
    &cmd_help,
    &cmd_version,
    &cmd_node,
    NULL,
};

const char *const cmd_planned[] = {
    "fix", NULL,
};
