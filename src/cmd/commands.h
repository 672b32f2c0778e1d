/* Every subcommand; each is defined in the file of its name. The order of the table is that of the help. */
#ifndef WGDECK_CMD_COMMANDS_H
#define WGDECK_CMD_COMMANDS_H

#include "wgdeck/cmd.h"

extern const struct cmd cmd_tui, cmd_status, cmd_doctor, cmd_adopt, cmd_init, cmd_import, cmd_plan, cmd_apply, cmd_add, cmd_remove, cmd_set, cmd_rotate,
    cmd_export, cmd_exec, cmd_ssh, cmd_record, cmd_replay, cmd_show, cmd_up, cmd_down, cmd_invite, cmd_join, cmd_leave, cmd_path;
extern const struct cmd cmd_genkey, cmd_pubkey, cmd_genpsk, cmd_node, cmd_engine, cmd_relay, cmd_help, cmd_version;

#endif
