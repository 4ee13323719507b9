// See roost_line.h. libedit's state lies behind it; nothing else in the process uses it.

#include "roost_line.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

static EditLine *editor;
static History *history_lines;
static HistEvent event;
static const char *prompt_text = "";
static roost_line_complete complete_line;
static void *complete_context;
static int was_interrupted;

// A byte in each for every press of the interrupt key: one for whoever waits for a key, one for
// the rest of the program. The signal may come to any thread, so it can't be relied on to end a
// read.
static int prompt_pipe[2] = {-1, -1};
static int interrupt_pipe[2] = {-1, -1};

static void drain_prompt_pipe(void)
{
    char bytes[16];
    while (prompt_pipe[0] >= 0 && read(prompt_pipe[0], bytes, sizeof bytes) > 0) {
    }
}

static char *give_prompt(EditLine *e)
{
    (void)e;
    return (char *)prompt_text;
}

// Characters one by one; the interrupt key comes as a character too.
static int read_character(EditLine *e, wchar_t *character)
{
    char bytes[8];
    size_t count = 0;
    mbstate_t state;
    (void)e;
    for (;;) {
        struct pollfd wait[2] = {
            {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
            {.fd = prompt_pipe[0], .events = POLLIN, .revents = 0},
        };
        if (poll(wait, 2, -1) < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        if ((wait[1].revents & POLLIN) != 0) {
            drain_prompt_pipe();
            *character = L'\003';
            return 1;
        }
        ssize_t got = read(STDIN_FILENO, &bytes[count], 1);
        if (got == 0) return 0;
        if (got < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        count++;
        memset(&state, 0, sizeof state);
        size_t used = mbrtowc(character, bytes, count, &state);
        if (used == (size_t)-2 && count < sizeof bytes) continue;
        if (used == (size_t)-1 || used == (size_t)-2) *character = L'?';
        if (used == 0) *character = L'\0';
        return 1;
    }
}

static unsigned char on_interrupt(EditLine *e, int key)
{
    (void)e;
    (void)key;
    was_interrupted = 1;
    return CC_EOF;
}

static unsigned char on_complete(EditLine *e, int key)
{
    (void)key;
    if (complete_line == NULL) return CC_ERROR;
    const LineInfo *info = el_line(e);
    size_t length = (size_t)(info->cursor - info->buffer);
    char *line = malloc(length + 1);
    if (line == NULL) return CC_ERROR;
    memcpy(line, info->buffer, length);
    line[length] = '\0';
    char *insertion = complete_line(line, complete_context);
    free(line);
    if (insertion == NULL) return CC_REDISPLAY;
    int failed = el_insertstr(e, insertion) != 0;
    free(insertion);
    return failed ? CC_ERROR : CC_REFRESH;
}

int roost_line_open(const char *program, roost_line_complete complete, void *context)
{
    editor = el_init(program, stdin, stdout, stderr);
    if (editor == NULL) return -1;
    history_lines = history_init();
    if (history_lines != NULL) {
        history(history_lines, &event, H_SETSIZE, HISTORY_LINES);
        history(history_lines, &event, H_SETUNIQUE, 1);
        el_set(editor, EL_HIST, history, history_lines);
    }
    complete_line = complete;
    complete_context = context;
    el_set(editor, EL_PROMPT, give_prompt);
    el_set(editor, EL_SIGNAL, 0);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_GETCFN, read_character);
    el_set(editor, EL_ADDFN, "roost-interrupt", "gives the line up", on_interrupt);
    el_set(editor, EL_BIND, "^C", "roost-interrupt", NULL);
    el_set(editor, EL_ADDFN, "roost-complete", "completes a word", on_complete);
    el_set(editor, EL_BIND, "^I", "roost-complete", NULL);
    el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    return 0;
}

void roost_line_close(void)
{
    if (history_lines != NULL) history_end(history_lines);
    if (editor != NULL) el_end(editor);
    history_lines = NULL;
    editor = NULL;
}

enum roost_line_status roost_line_read(const char *prompt, char **line)
{
    int count = 0;
    *line = NULL;
    if (editor == NULL) return ROOST_LINE_END;
    prompt_text = prompt;
    was_interrupted = 0;
    drain_prompt_pipe();
    const char *text = el_gets(editor, &count);
    prompt_text = "";
    if (was_interrupted) {
        el_reset(editor);
        return ROOST_LINE_INTERRUPTED;
    }
    if (text == NULL || count <= 0) return ROOST_LINE_END;
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r')) length--;
    *line = strndup(text, length);
    return *line == NULL ? ROOST_LINE_END : ROOST_LINE_READ;
}

int roost_line_has_input(int milliseconds)
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    return poll(&wait, 1, milliseconds) > 0 && (wait.revents & POLLIN) != 0;
}

int roost_key_read(void)
{
    struct termios saved, raw;
    unsigned char byte = 0;
    ssize_t got;
    if (tcgetattr(STDIN_FILENO, &saved) != 0) return -1;
    raw = saved;
    // The interrupt key comes as a character, and nothing waits for the end of a line.
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return -1;
    do {
        got = read(STDIN_FILENO, &byte, 1);
    } while (got < 0 && errno == EINTR);
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    return got == 1 ? byte : -1;
}

void roost_line_remember(const char *line)
{
    if (history_lines != NULL) history(history_lines, &event, H_ENTER, line);
}

void roost_line_load(const char *path)
{
    if (history_lines != NULL) history(history_lines, &event, H_LOAD, path);
}

void roost_line_save(const char *path)
{
    if (history_lines == NULL) return;
    // What was typed may hold data that is nobody else's business.
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
    history(history_lines, &event, H_SAVE, path);
}

void roost_line_refresh(void)
{
    if (editor != NULL) el_set(editor, EL_REFRESH);
}

static void note_interrupt(int number)
{
    int saved = errno;
    char byte = 1;
    (void)number;
    // A full pipe says enough.
    if (write(prompt_pipe[1], &byte, 1) < 0) errno = 0;
    if (write(interrupt_pipe[1], &byte, 1) < 0) errno = 0;
    errno = saved;
}

static int open_pipe(int ends[2])
{
    if (pipe(ends) != 0) return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    return 0;
}

int roost_interrupts_open(void)
{
    struct sigaction action;
    if (open_pipe(prompt_pipe) != 0 || open_pipe(interrupt_pipe) != 0) return -1;
    fcntl(prompt_pipe[0], F_SETFL, O_NONBLOCK);
    memset(&action, 0, sizeof action);
    action.sa_handler = note_interrupt;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, NULL) == 0 ? interrupt_pipe[0] : -1;
}
