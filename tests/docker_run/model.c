/* A model that behaves as MODE says. argv[1] is where it writes. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void hog(void) {
    for (;;) {
        char *part = malloc(8 << 20);
        if (part) memset(part, 1, 8 << 20);
    }
}

int main(int argc, char **argv) {
    const char *mode = getenv("MODE"), *number = getenv("NUMBER");
    char path[4096];
    if (!mode || argc < 2) return 9;
    if (!strcmp(mode, "memory")) hog();
    if (!strcmp(mode, "part")) {
        int status;
        pid_t part = fork();
        if (part == 0) hog();
        waitpid(part, &status, 0);
        return 7;
    }
    if (!strcmp(mode, "killed")) kill(getpid(), SIGKILL);
    if (!strcmp(mode, "error")) {
        fprintf(stderr, "no such rate\n");
        return 3;
    }
    if (!strcmp(mode, "bomb"))
        for (;;) fork();
    if (!strcmp(mode, "slow"))
        for (;;) sleep(100);
    if (!strcmp(mode, "escape") && fork() == 0) {
        /* Leaves its group, its session and its name behind. */
        char *bare[] = {argv[0], argv[1], NULL}, *nothing[] = {"MODE=slow", NULL};
        setsid();
        if (fork() != 0) _exit(0);
        for (int fd = 0; fd < 16; fd++) close(fd);
        execve(argv[0], bare, nothing);
    }
    snprintf(path, sizeof path, "%s/summary.csv", argv[1]);
    FILE *summary = fopen(path, "w");
    if (!summary) return 8;
    fprintf(summary, "number,pids\n%s,", number ? number : "0");
    /* How many processes there are besides the first, which is the runner. */
    int pids = 0;
    DIR *all = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(all));) pids += atoi(entry->d_name) > 1;
    fprintf(summary, "%d\n", pids);
    fclose(summary);
    usleep(atoi(getenv("PAUSE") ? getenv("PAUSE") : "0") * 1000);
    return 0;
}
