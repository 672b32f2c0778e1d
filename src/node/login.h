/* By which SSH login whoever runs this program is here, and what serves it. Private to src/node. */
#ifndef WGDECK_NODE_LOGIN_H
#define WGDECK_NODE_LOGIN_H

/* $SSH_CONNECTION ("198.51.100.7 50122 203.0.113.1 22": from, its port, at, its port), also where sudo has taken it away: a process above still has it. malloc'd; NULL: no such login. */
char *login_connection(void);

/* The sshd above this process, whose configuration counts: the path of its program, and of what it was started with the options that choose a configuration (-f, -o, -p, -h), as words.
 * malloc'd, with NULL at the end (login_words_free); NULL: none is above, or it cannot be told. */
char **login_sshd(void);
void login_words_free(char **words);

/* The words of login_sshd from a process's command line as /proc has it (LENGTH bytes): "sshd: PROGRAM -f FILE [listener] ..." as a title, or its arguments. For login_sshd, and tests. */
char **login_words(const char *program, const char *line, unsigned long length);

#endif
