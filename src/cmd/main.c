/* The program's entry and the table of its subcommands. */
#include <stdio.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    fputs("wgdeck: no subcommand is built yet\n", stderr);
    return 2;
}
