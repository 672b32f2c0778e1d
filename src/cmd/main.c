/* The program's entry. What it can do stands in table.c; how a command line is read, in options.c. */
#include "wgdeck/cmd.h"

int main(int argc, char **argv)
{
    return cmd_main(argc, argv);
}
