/* share/incident.jsonl, taken into the program by the assembler: no copy of it as C text, and the same in both links. */
#include "incident.h"

#if __SIZEOF_SIZE_T__ == 8
#define SIZE_WORD ".quad"
#else
#define SIZE_WORD ".long"
#endif

__asm__(".pushsection .rodata\n"
        ".global incident_recording\n"
        ".type incident_recording, %object\n"
        ".global incident_recording_size\n"
        ".type incident_recording_size, %object\n"
        "incident_recording: .incbin \"share/incident.jsonl\"\n"
        "incident_recording_end: .byte 0\n"
        ".size incident_recording, . - incident_recording\n"
        ".balign 8\n"
        "incident_recording_size: " SIZE_WORD " incident_recording_end - incident_recording\n"
        ".size incident_recording_size, . - incident_recording_size\n"
        ".popsection\n");
