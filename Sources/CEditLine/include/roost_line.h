// Line editing by libedit for the shell: one editor a process, and the interrupt key.

#ifndef ROOST_LINE_H
#define ROOST_LINE_H

#include <stddef.h>

/// How reading a line ended.
enum roost_line_status {
    ROOST_LINE_READ = 0,
    ROOST_LINE_END = 1,
    ROOST_LINE_INTERRUPTED = 2,
};

/// Completes the word before the cursor. `line` is everything before the cursor. Returns text that
/// malloc made, to be inserted as it is; NULL for none. Candidates to be shown are printed by it.
typedef char *(*roost_line_complete)(const char *line, void *context);

/// Prepares the editor on standard input and output. Returns 0, or -1 without a usable terminal.
int roost_line_open(const char *program, roost_line_complete complete, void *context);

/// Gives the terminal back.
void roost_line_close(void);

/// Reads one line, without its newline; `*line` is malloc's.
enum roost_line_status roost_line_read(const char *prompt, char **line);

/// Whether more input is there already, within `milliseconds`: text was pasted.
int roost_line_has_input(int milliseconds);

/// Reads one key without waiting for the end of a line, the interrupt key as 3. -1 at the end of
/// input.
int roost_key_read(void);

/// Remembers a line, lines of the file, and writes them back; `path` may not exist yet.
void roost_line_remember(const char *line);
void roost_line_load(const char *path);
void roost_line_save(const char *path);

/// Shows the line again after something was printed below it.
void roost_line_refresh(void);

/// From now on the interrupt key doesn't end the process. Returns a descriptor from which a byte
/// can be read for each time it was pressed; -1 where there is none to be had.
int roost_interrupts_open(void);

#endif
