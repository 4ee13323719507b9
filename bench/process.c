#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PROCESSES = 4096 };

struct entry {
    int pid;
    int parent;
    bool counted;
    double ticks;
};

static bool read_stat(const char *pid, struct entry *entry)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    /* The command's name may hold anything; fields are counted from its closing bracket. */
    char *after = strrchr(text, ')');
    unsigned long user, system;
    long children_user, children_system;
    if (after == NULL ||
        sscanf(after + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld",
               &entry->parent, &user, &system, &children_user, &children_system) != 5) {
        return false;
    }
    entry->pid = atoi(pid);
    entry->counted = false;
    entry->ticks = (double)user + (double)system + (double)children_user
                   + (double)children_system;
    return true;
}

static void add_memory(struct process_usage *usage, int pid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long kib;
        if (sscanf(line, "RssAnon: %lu", &kib) == 1) {
            usage->anonymous_kib += kib;
        } else if (sscanf(line, "RssShmem: %lu", &kib) == 1 && kib > usage->shared_kib) {
            usage->shared_kib = kib;
        }
    }
    fclose(file);
}

struct process_usage process_usage(int pid)
{
    static struct entry entries[MOST_PROCESSES];
    struct process_usage usage = {0};
    DIR *folder = pid > 0 ? opendir("/proc") : NULL;
    if (folder == NULL) {
        return usage;
    }
    size_t count = 0;
    for (struct dirent *item; (item = readdir(folder)) != NULL && count < MOST_PROCESSES;) {
        if (isdigit((unsigned char)item->d_name[0]) && read_stat(item->d_name, &entries[count])) {
            count++;
        }
    }
    closedir(folder);
    /* Descendants may be listed before their parents: go round until nothing is new. */
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < count; i++) {
            bool wanted = entries[i].pid == pid;
            for (size_t j = 0; j < count && !wanted; j++) {
                wanted = entries[j].counted && entries[j].pid == entries[i].parent;
            }
            if (wanted && !entries[i].counted) {
                entries[i].counted = found = true;
                usage.cpu_seconds += entries[i].ticks / (double)sysconf(_SC_CLK_TCK);
                add_memory(&usage, entries[i].pid);
            }
        }
    }
    return usage;
}
